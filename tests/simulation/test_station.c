/* What the station decides for a bench: retries, rates, turns, commands, needle beds, warnings. The
   oracles of the simulation look on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "on_bench.h"

/* ---- retries, rates, resets ---- */

static void every_policy_is_kept(void **state)
{
    static const struct {
        const char *fault;
        enum kl_reason reason;
        unsigned tries;
    } cases[] = {
        {"flash_encrypted", KL_FAULT_FLASH_ENCRYPTED, 1}, /* STOP */
        {"refuses", KL_FAULT_KEY_REFUSED, 1},
        {"no_flash", KL_FAULT_NO_FLASH, 3}, /* RECONNECT */
        {"mute", KL_FAULT_NO_SYNC, 3},
        {"md5_wrong", KL_FAULT_VERIFY_FAILED, 4}, /* SLOWER */
        {"never_asks", KL_FAULT_NEVER_ASKED, 3},  /* AGAIN */
        {"flash_read_err", KL_FAULT_FLASH_READ_ERR, 3},
    };

    (void)state;
    world_start(w, 8);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kl_fault_info info = kl_fault_info(cases[i].reason);
        put_in(w, 0, board_with(w, cases[i].fault));
        pass(120);
        assert_string_equal(kl_fault_info(snap.slot[0].fault.reason).name, info.name);
        assert_true(snap.slot[0].retry_at == KL_NEVER);
        assert_int_equal(snap.slot[0].tries, 1 + info.retries);
        assert_int_equal(snap.slot[0].tries, cases[i].tries);
        take_out(w, 0);
        pass(2);
    }
}

/* Once a silent board's retries are used up, the station switches its socket and tries once more.
   It does not switch again until a board is done there, ten minutes have passed, or a person
   asks. */
static void a_silent_board_loses_its_power_for_a_moment(void **state)
{
    (void)state;
    w->config.power = true;
    world_start(w, 8);
    put_in(w, 0, board_with(w, "mute"));
    wait_for(0, KL_ST_FAILED, 60);
    while (snap.slot[0].tries < 3 || snap.slot[0].state != KL_ST_FAILED)
        pass(1);
    assert_true(snap.slot[0].retry_at != KL_NEVER);
    assert_int_equal(snap.failed, 0);
    pass(60);
    assert_int_equal(snap.slot[0].tries, 4);
    assert_true(snap.slot[0].retry_at == KL_NEVER);
    assert_int_equal(snap.failed, 1);

    /* The same trouble again within ten minutes: the station switches nothing. */
    take_out(w, 0);
    put_in(w, 0, board_with(w, "mute"));
    pass(120);
    assert_int_equal(snap.slot[0].tries, 3);
    assert_int_equal(snap.failed, 2);

    /* The switched socket's port goes and comes back: the board has not failed meanwhile. */
    take_out(w, 0);
    pass(700);
    unsigned board = board_with(w, "mute");
    put_in(w, 0, board);
    do
        pass(1);
    while (snap.slot[0].tries < 3 || snap.slot[0].state != KL_ST_FAILED);
    take_out(w, 0);
    pass(2);
    assert_int_equal(snap.failed, 2);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_DONE, 60);
    assert_int_equal(snap.done, 1);
}

static void back_off_doubles(void **state)
{
    kl_us first, second;

    (void)state;
    w->config.retries = 2;
    world_start(w, 1);
    put_in(w, 0, board_with(w, "md5_wrong"));
    wait_for(0, KL_ST_FAILED, 20);
    first = snap.slot[0].retry_at - snap.slot[0].since;
    wait_for(0, KL_ST_CONNECTING, 20);
    wait_for(0, KL_ST_FAILED, 20);
    second = snap.slot[0].retry_at - snap.slot[0].since;
    assert_true(first > 0);
    assert_int_equal(second, 2 * first);
}

static void a_slot_remembers_its_rate(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, board_with(w, "noise_above=115200"));
    wait_for(0, KL_ST_DONE, 300);
    assert_true(snap.slot[0].tries > 1);
    take_out(w, 0);
    pass(2);
    put_in(w, 0, board_with(w, ""));
    put_in(w, 1, board_with(w, ""));
    pass(20);
    assert_int_equal(snap.slot[0].identity.baud, 115200);
    assert_int_equal(snap.slot[0].tries, 1);
    assert_int_equal(snap.slot[1].identity.baud, 921600);
}

static unsigned seconds_to_identify(const char *fault)
{
    kl_us began;

    put_in(w, 0, board_with(w, fault));
    wait_for(0, KL_ST_CONNECTING, 5);
    began = snap.slot[0].since;
    wait_for(0, KL_ST_FLASHING, 60);
    wait_for(0, KL_ST_DONE, 30);
    take_out(w, 0);
    pass(2);
    return (unsigned)((snap.at - began) / KL_MS(100));
}

/* A chip starts its program twice before a reset sequence works. Next time the station tries that
   sequence first, and it still works. */
static void a_slot_remembers_its_reset(void **state)
{
    unsigned slow, quick;

    (void)state;
    world_start(w, 4);
    slow = seconds_to_identify("no_auto_reset=2");
    quick = seconds_to_identify("");
    assert_true(quick < slow);
    assert_int_equal(snap.first_pass, 2);
}

/* ---- turns and commands ---- */

static void so_many_at_once(void **state)
{
    (void)state;
    w->config.max_flashing = 1;
    world_start(w, 4);
    for (unsigned s = 0; s < 3; s++)
        put_in(w, s, board_with(w, ""));
    for (int i = 0; i < 3000; i++) {
        unsigned busy = 0;
        step_until(w, w->now + KL_MS(10));
        kl_station_look(w->st, &snap);
        for (unsigned s = 0; s < 3; s++)
            busy += snap.slot[s].state >= KL_ST_CONNECTING && snap.slot[s].state <= KL_ST_VERIFYING;
        assert_true(busy <= 1);
    }
    assert_int_equal(snap.done, 3);
}

static void paused_and_resumed(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_FLASHING, 5);
    world_command(w, KL_CMD_PAUSE, 0);
    put_in(w, 1, board_with(w, ""));
    pass(30);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE); /* what ran was finished */
    assert_int_equal(snap.slot[1].state, KL_ST_SETTLING);
    assert_true(snap.paused);
    world_command(w, KL_CMD_RESUME, 0);
    pass(20);
    assert_int_equal(snap.slot[1].state, KL_ST_DONE);
}

static void skipped_unsent_gives_its_key_back(void **state)
{
    (void)state;
    w->w.disk_slow = 1000000;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_RESERVING, 10);
    world_command(w, KL_CMD_SKIP, 0);
    w->w.disk_slow = 0;
    pass(10);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
    assert_int_equal(snap.keys.free, 4);
    assert_false(w->key[0].reserved);
}

static void skipped_sent_keeps_its_key(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, board_with(w, "misses_line=9"));
    wait_for(0, KL_ST_SENDING, 10);
    world_command(w, KL_CMD_SKIP, 0);
    pass(10);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
    assert_int_equal(snap.keys.free, 3);
    assert_true(w->key[0].reserved);
    world_command(w, KL_CMD_RETRY, 0);
    pass(60);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_string_equal(snap.slot[0].label, "dev-0000");
}

static void bind(unsigned slot, const char *label)
{
    struct kl_event ev = world_make(w, KL_EV_COMMAND, slot);

    ev.u.command = (struct kl_command){.kind = KL_CMD_BIND, .slot = slot};
    kl_copy(ev.u.command.argument, sizeof ev.u.command.argument, label);
    kl_station_feed(w->st, &ev);
}

/* A person scans a label while the board is flashed: that key is its, and nobody else's. */
static void a_bound_label_goes_to_its_board(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    put_in(w, 1, board_with(w, ""));
    wait_for(0, KL_ST_FLASHING, 10);
    assert_string_equal(kl_station_unbindable(w->st, 0, "dev-9999"), "no key has this label");
    assert_string_equal(kl_station_unbindable(w->st, 2, "dev-0001"), "no board is there");
    assert_null(kl_station_unbindable(w->st, 0, "dev-0002"));
    bind(0, "dev-0002");
    assert_non_null(kl_station_unbindable(w->st, 0, "dev-0003"));
    pass(30);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_string_equal(snap.slot[0].label, "dev-0002");
    assert_int_equal(snap.slot[1].state, KL_ST_DONE);
    assert_string_equal(snap.slot[1].label, "dev-0000");
    put_in(w, 2, board_with(w, ""));
    wait_for(2, KL_ST_FLASHING, 10);
    assert_string_equal(kl_station_unbindable(w->st, 2, "dev-0002"),
                        "this label is spent: a board has its key");
    bind(2, "dev-0002"); /* refused, and told */
    pass(30);
    assert_string_equal(snap.slot[2].label, "dev-0001");
}

/* The key stays the board's although nothing was sent: another board never gets it. */
static void a_bound_label_stays_with_a_skipped_board(void **state)
{
    (void)state;
    world_start(w, 2);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_FLASHING, 10);
    bind(0, "dev-0000");
    world_command(w, KL_CMD_SKIP, 0);
    put_in(w, 1, board_with(w, ""));
    pass(30);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
    assert_string_equal(snap.slot[1].label, "dev-0001");
    assert_true(w->key[0].reserved);
    world_command(w, KL_CMD_RETRY, 0);
    pass(30);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_string_equal(snap.slot[0].label, "dev-0000");
}

/* Bound when every key was gone but this one, and while the disk is slow. */
static void a_bound_label_on_a_slow_disk(void **state)
{
    (void)state;
    w->w.disk_slow = 1000000;
    world_start(w, 2);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_FLASHING, 10);
    bind(0, "dev-0001");
    put_in(w, 1, board_with(w, ""));
    wait_for(1, KL_ST_RESERVING, 20);
    w->w.disk_slow = 0;
    pass(30);
    assert_string_equal(snap.slot[0].label, "dev-0001");
    assert_string_equal(snap.slot[1].label, "dev-0000");
    assert_int_equal(snap.keys.free, 0);
}

static void erased_and_given_its_own_key(void **state)
{
    (void)state;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_DONE, 20);
    world_command(w, KL_CMD_ERASE, 0);
    pass(20);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_string_equal(snap.slot[0].label, "dev-0000");
    assert_int_equal(snap.keys.free, 3);
}

static void all_failed_are_tried_again(void **state)
{
    (void)state;
    w->config.retries = 0;
    w->w.open_fails = 1000000;
    world_start(w, 4);
    for (unsigned s = 0; s < 3; s++)
        put_in(w, s, board_with(w, ""));
    pass(60);
    for (unsigned s = 0; s < 3; s++)
        assert_int_equal(snap.slot[s].state, KL_ST_FAILED);
    w->w.open_fails = 0;
    world_command(w, KL_CMD_RETRY_FAILED, 0);
    pass(60);
    assert_int_equal(snap.done, 3);
}

static void keys_run_out_and_come(void **state)
{
    (void)state;
    world_start(w, 1);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_DONE, 20);
    put_in(w, 1, board_with(w, ""));
    pass(20);
    assert_int_equal(snap.slot[1].state, KL_ST_ASKING);
    assert_int_equal(snap.slot[1].fault.reason, KL_FAULT_NO_KEYS);
    assert_true(snap.few_keys);
    disk_make_keys(w, 9);
    disk_load(w);
    pass(5);
    assert_int_equal(snap.slot[1].state, KL_ST_DONE);
    assert_false(snap.few_keys);
    assert_int_equal(snap.first_pass, 2);
    assert_true(snap.median_board > 0 && snap.boards_per_hour > 0);
    assert_true(snap.keys_empty_in != KL_NEVER);
}

/* The station no longer sends a key to its owner once another board shows it: two would hold it. */
static void what_another_board_shows_is_spent(void **state)
{
    char faults[300];
    int owner, other;

    (void)state;
    world_start(w, 2);
    snprintf(faults, sizeof faults, "provisioned=%s", w->key[0].key.line);
    for (char *c = faults; *c; c++)
        if (*c == ',')
            *c = '|';
    owner = board_with(w, "");
    other = board_with(w, faults);
    w->board[other].planted = true;
    w->key[0].reserved = true;
    w->key[0].mac = w->board[owner].mac;
    disk_load(w);
    put_in(w, 1, other);
    wait_for(1, KL_ST_FAILED, 20);
    assert_int_equal(snap.slot[1].fault.reason, KL_FAULT_HOLDS_OTHER_KEY);
    put_in(w, 0, owner);
    wait_for(0, KL_ST_FAILED, 20);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_KEY_CONFLICT);
    assert_false(w->key[0].sent);
}

/* The same while the owner has been sent its key and has not answered: it is not sent again. */
static void what_another_board_shows_is_not_sent_again(void **state)
{
    char faults[300];
    int owner, other;

    (void)state;
    world_start(w, 1);
    snprintf(faults, sizeof faults, "provisioned=%s", w->key[0].key.line);
    for (char *c = faults; *c; c++)
        if (*c == ',')
            *c = '|';
    owner = board_with(w, "misses_line=99");
    other = board_with(w, faults);
    w->board[other].planted = true;
    put_in(w, 0, owner);
    wait_for(0, KL_ST_SENDING, 20);
    put_in(w, 1, other);
    wait_for(1, KL_ST_FAILED, 20);
    assert_int_equal(snap.slot[1].fault.reason, KL_FAULT_HOLDS_OTHER_KEY);
    assert_int_equal(snap.slot[0].state, KL_ST_FAILED);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_KEY_CONFLICT);
    assert_true(snap.slot[0].retry_at == KL_NEVER);
    assert_non_null(strstr(snap.slot[0].fault.detail, "dev-0000: another board shows this key"));
    assert_true(w->key[0].sent);
    pass(30); /* the oracle sees it if more of the key leaves */
}

/* And if another tool marks its row. */
static void a_key_marked_by_another_tool_is_not_sent_again(void **state)
{
    (void)state;
    world_start(w, 1);
    put_in(w, 0, board_with(w, "misses_line=99"));
    wait_for(0, KL_ST_SENDING, 20);
    w->key[0].marked = w->key[0].foreign = true;
    disk_load(w);
    wait_for(0, KL_ST_FAILED, 2);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_KEY_CONFLICT);
    pass(30);
}

/* A board whose try is over asks on, and is sent nothing more: another may be in its place soon. */
static void nothing_leaves_after_the_try(void **state)
{
    (void)state;
    w->config.retries = 0;
    world_start(w, 2);
    put_in(w, 0, board_with(w, "misses_line=99"));
    put_in(w, 1, board_with(w, "misses_line=99"));
    wait_for(1, KL_ST_SENDING, 20);
    world_command(w, KL_CMD_SKIP, 1);
    wait_for(0, KL_ST_FAILED, 60);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_NO_ACK);
    pass(60);
    assert_true(w->key[0].sent && w->key[1].sent);
}

/* The bench itself asks the store for the release: no board is involved. */
static void released_by_an_operator(void **state)
{
    struct kl_event ev;
    struct kl_action a;

    (void)state;
    w->slots = 0; /* nothing is plugged in, there is not even a slot */
    world_start(w, 1);
    w->key[0].reserved = true;
    w->key[0].mac = (struct kl_mac){{0x24, 0x6f, 0x28, 0, 0, 1}};
    disk_load(w);
    ev = world_make(w, KL_EV_COMMAND, 0);
    ev.u.command = (struct kl_command){.kind = KL_CMD_RELEASE,
                                       .fingerprint = w->key[0].key.fingerprint,
                                       .argument = "its board broke"};
    kl_station_feed(w->st, &ev);
    memset(&ev, 0xaa, sizeof ev); /* valid during the feed only */
    assert_true(kl_station_next(w->st, &a));
    assert_int_equal(a.kind, KL_AC_STORE);
    assert_int_equal(a.slot, KL_BENCH);
    assert_int_equal(a.u.store.op, KL_OP_RELEASE);
    assert_string_equal(a.u.store.reason, "its board broke");
    disk_request(w, &a);
    pass(1);
    assert_false(w->key[0].reserved);
    assert_int_equal(snap.keys.free, 1);
}

/* A key given back goes to a board that waits, at once: the board's next prompt may be 0.5 s
   away. */
static void a_key_given_back_serves_who_waits(void **state)
{
    struct kl_event ev;

    (void)state;
    world_start(w, 1);
    w->key[0].reserved = true;
    w->key[0].mac = (struct kl_mac){{0x24, 0x6f, 0x28, 0, 0, 77}};
    disk_load(w);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_ASKING, 20);
    assert_int_equal(snap.slot[0].fault.reason, KL_FAULT_NO_KEYS);
    ev = world_make(w, KL_EV_COMMAND, 0);
    ev.u.command = (struct kl_command){.kind = KL_CMD_RELEASE,
                                       .fingerprint = w->key[0].key.fingerprint,
                                       .argument = "its board broke"};
    kl_station_feed(w->st, &ev);
    drain(w);
    step_until(w, w->now + KL_MS(20));
    kl_station_look(w->st, &snap);
    assert_true(snap.slot[0].state > KL_ST_ASKING && snap.slot[0].state <= KL_ST_SENDING);
    wait_for(0, KL_ST_DONE, 20);
}

/* --once: a slot without a board gets its result at once; the station does not try it again. */
static void empty_slots_are_given_up(void **state)
{
    (void)state;
    w->config.once = true;
    w->config.retries = 5;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    pass(60);
    assert_int_equal(snap.slot[0].state, KL_ST_DONE);
    assert_int_equal(snap.slot[1].state, KL_ST_FAILED);
    assert_int_equal(snap.slot[1].fault.reason, KL_FAULT_PORT_ERROR);
    assert_true(snap.slot[1].retry_at == KL_NEVER);
    assert_int_equal(snap.slot[1].tries, 1);
    assert_true(w->rested);
}

static void several_failing_point_at_the_hub(void **state)
{
    (void)state;
    world_start(w, 4);
    for (unsigned s = 0; s < 3; s++)
        put_in(w, s, board_with(w, "never_asks"));
    wait_for(2, KL_ST_BOOTING, 20);
    pass(1);
    assert_string_equal(snap.warning, "");
    for (unsigned s = 0; s < 3; s++)
        take_out(w, s);
    pass(2);
    assert_non_null(strstr(snap.warning, "hub"));
    pass(61);
    assert_string_equal(snap.warning, ""); /* said for a minute */
}

/* ---- ports ---- */

/* The kernel may be slow to tell that a USB socket is empty. */
static void moved_before_its_old_slot_has_heard(void **state)
{
    int b;

    (void)state;
    world_start(w, 4);
    b = board_with(w, "");
    put_in(w, 0, b);
    wait_for(0, KL_ST_FLASHING, 10);
    kl_vboard_power(w->board[b].v, false, w->now);
    w->board[b].slot = w->in_slot[0] = -1;
    pass(1);
    put_in(w, 1, b);
    wait_for(1, KL_ST_FAILED, 10);
    assert_int_equal(snap.slot[1].fault.reason, KL_FAULT_MAC_LINGERS);
    lose_link(w, 0, "unplugged");
    wait_for(1, KL_ST_DONE, 20);
}

static void native_usb_is_followed(void **state)
{
    (void)state;
    w->native[0] = true;
    world_start(w, 4);
    put_in(w, 0, board_with(w, "misses_line=1"));
    wait_for(0, KL_ST_CONNECTING, 5);
    leave_bus(w, 0);
    pass(4);
    return_to_bus(w, 0);
    wait_for(0, KL_ST_DONE, 30);
    assert_int_equal(snap.slot[0].tries, 1);
}

/* Firmware that crashes at each start takes its port away each time. */
static void native_usb_in_a_loop(void **state)
{
    (void)state;
    w->native[0] = true;
    world_start(w, 4);
    put_in(w, 0, board_with(w, "never_asks"));
    wait_for(0, KL_ST_BOOTING, 20);
    for (int i = 0; i < 5; i++) {
        leave_bus(w, 0);
        pass(4);
        return_to_bus(w, 0);
        pass(2);
        assert_int_equal(snap.slot[0].state, KL_ST_BOOTING);
    }
    leave_bus(w, 0);
    pass(1);
    assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
    assert_int_equal(snap.failed, 1); /* and told so, before its port went */
}

/* A board is skipped while it is off the bus. If it comes back it stays skipped; if not, the slot
   is empty. */
static void skipped_off_the_bus(void **state)
{
    (void)state;
    w->native[0] = true;
    world_start(w, 4);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_CONNECTING, 5);
    leave_bus(w, 0);
    pass(1);
    world_command(w, KL_CMD_SKIP, 0);
    pass(3);
    return_to_bus(w, 0);
    pass(2);
    assert_int_equal(snap.slot[0].state, KL_ST_SKIPPED);
    take_out(w, 0);
    pass(2);
    assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
    put_in(w, 0, board_with(w, ""));
    wait_for(0, KL_ST_CONNECTING, 5);
    leave_bus(w, 0);
    pass(1);
    world_command(w, KL_CMD_SKIP, 0);
    pass(10);
    assert_int_equal(snap.slot[0].state, KL_ST_EMPTY);
}

/* ---- keys written into NVS ---- */

/* The power fails amid step `step` of the board's flash; then the board comes back. False: it never
   came to that step. */
static bool cut_power_at(unsigned step, enum kl_nvs_policy policy, bool foreign)
{
    struct kl_nvs_delivery d = *sim_nvs(policy);
    char fault[32];

    w = calloc(1, sizeof *w);
    world_quiet(w, 1);
    w->config.nvs = &d;
    w->config.confirm = KL_CONFIRM_FLASH;
    world_start(w, 3);
    snprintf(fault, sizeof fault, "dies_writing=%u", step);
    int board = board_with(w, fault);
    if (foreign)
        sim_fill_nvs(w->board[board].v, &d, SIM_LITTLE);
    put_in(w, 0, board);
    do
        pass(1);
    while (w->in_slot[0] >= 0 && snap.slot[0].state != KL_ST_DONE && w->now < KL_SEC(300));
    bool died = w->in_slot[0] < 0;
    if (died) {
        pass(2);
        put_in(w, 0, board);
        wait_for(0, KL_ST_DONE, 120);
    }
    assert_int_equal(snap.keys.provisioned, 1);
    assert_int_equal(snap.keys.free, 2);
    assert_string_equal(board_holds(w, &w->board[board]), w->key[0].key.line);
    pass(3);
    take_out(w, 0);
    pass(2);
    put_in(w, 0, board_with(w, "")); /* the next board gets the next key */
    wait_for(0, KL_ST_DONE, 60);
    assert_int_equal(snap.keys.provisioned, 2);
    close_bench(NULL);
    return died;
}

static void a_power_cut_amid_any_write_loses_no_key(void **state)
{
    static const struct {
        enum kl_nvs_policy policy;
        bool foreign;
    } cases[] = {{KL_NVS_REFUSE, false}, {KL_NVS_REPLACE, true}, {KL_NVS_MERGE, true}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned step = 1;
        while (cut_power_at(step, cases[i].policy, cases[i].foreign))
            step++;
        printf("%u steps\n", step - 1);
        assert_true(step > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BENCH(every_policy_is_kept),
        ON_BENCH(a_silent_board_loses_its_power_for_a_moment),
        ON_BENCH(back_off_doubles),
        ON_BENCH(a_slot_remembers_its_rate),
        ON_BENCH(a_slot_remembers_its_reset),
        ON_BENCH(so_many_at_once),
        ON_BENCH(paused_and_resumed),
        ON_BENCH(skipped_unsent_gives_its_key_back),
        ON_BENCH(skipped_sent_keeps_its_key),
        ON_BENCH(a_bound_label_goes_to_its_board),
        ON_BENCH(a_bound_label_stays_with_a_skipped_board),
        ON_BENCH(a_bound_label_on_a_slow_disk),
        ON_BENCH(erased_and_given_its_own_key),
        ON_BENCH(all_failed_are_tried_again),
        ON_BENCH(keys_run_out_and_come),
        ON_BENCH(what_another_board_shows_is_spent),
        ON_BENCH(what_another_board_shows_is_not_sent_again),
        ON_BENCH(a_key_marked_by_another_tool_is_not_sent_again),
        ON_BENCH(nothing_leaves_after_the_try),
        ON_BENCH(released_by_an_operator),
        ON_BENCH(a_key_given_back_serves_who_waits),
        ON_BENCH(empty_slots_are_given_up),
        ON_BENCH(several_failing_point_at_the_hub),
        ON_BENCH(moved_before_its_old_slot_has_heard),
        ON_BENCH(native_usb_is_followed),
        ON_BENCH(native_usb_in_a_loop),
        ON_BENCH(skipped_off_the_bus),
        cmocka_unit_test(a_power_cut_amid_any_write_loses_no_key),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    sim_images_free();
    return failed;
}
