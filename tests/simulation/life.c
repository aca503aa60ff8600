/* life.c: one run: what happens to a bench, the operator, the power switch, and the calm after
   it. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "keyline/bundle_load.h"
#include "keyline/shell.h"

static void add_slot(struct world *w, unsigned s)
{
    struct kl_event ev = world_make(w, KL_EV_SLOT, s);

    snprintf(ev.u.slot.name, sizeof ev.u.slot.name, "S%u", s + 1);
    ev.u.slot.network = w->network[s];
    kl_station_feed(w->st, &ev);
    if (!w->network[s])
        return;
    ev = world_make(w, KL_EV_PLUGGED, s);
    snprintf(ev.u.port.path, sizeof ev.u.port.path, "rfc2217://bench:%u", 4000 + s);
    ev.u.port.link = KL_LINK_RFC2217;
    kl_station_feed(w->st, &ev);
}

void world_boot(struct world *w)
{
    kl_station_init(w->st, &w->config, w->now);
    for (unsigned s = 0; s < w->slots; s++)
        add_slot(w, s);
    disk_load(w);
    for (unsigned s = 0; s < w->slots; s++)
        if (w->fixture ? !w->no_adapter[s] : w->in_slot[s] >= 0)
            say_plugged(w, s, true);
    drain(w);
}

void world_end(struct world *w)
{
    forget_events(w);
    w->stopped_at = 0;
    w->rested = false;
    w->lag = 0;
    for (unsigned s = 0; s < w->slots; s++) {
        w->link[s] = (struct sim_link){0};
        w->returns_at[s] = 0;
        w->plugged_said[s] = false;
        w->port_said_at[s] = 0;
        w->failed_at[s] = 0;
        if (w->network[s])
            w->no_adapter[s] = false; /* the command line names it again */
        if (in(w, s))
            kl_vboard_lines(in(w, s), false, false, w->now);
    }
    kl_station_finish(w->st);
    for (unsigned k = 0; k < w->key_count; k++)
        w->key[k].burnt = false;
}

/* The process has ended: starts it again. */
static void start_again(struct world *w)
{
    world_end(w);
    if (chance(w, w->w.release))
        disk_operator_releases(w);
    world_boot(w);
}

static void crash(struct world *w)
{
    tell(w, "CRASH");
    saw(SIM_CRASH);
    if (w->store_count)
        saw(SIM_CRASH_WRITING);
    for (unsigned k = 0; k < w->key_count; k++)
        if (w->key[k].sent && !w->key[k].provisioned) {
            saw(SIM_CRASH_SENT);
            break;
        }
    w->crashes++;
    w->crashed_at = w->now;
    disk_crash(w);
    start_again(w);
}

/* ---- the operator ---- */

void world_command(struct world *w, enum kl_command_kind kind, unsigned slot)
{
    struct kl_event ev = world_make(w, KL_EV_COMMAND, slot);

    ev.u.command = (struct kl_command){.kind = kind, .slot = slot};
    tell(w, "operator: command %d in slot %u", (int)kind, slot);
    kl_station_feed(w->st, &ev);
}

static void command(struct world *w, enum kl_command_kind kind)
{
    world_command(w, kind, below(w, w->slots));
}

static void operator_does(struct world *w)
{
    static const struct {
        enum kl_command_kind kind;
        enum sim_kind seen;
    } all[] = {{KL_CMD_RETRY, SIM_RETRY},       {KL_CMD_SKIP, SIM_SKIP},
               {KL_CMD_ERASE, SIM_ERASE_RETRY}, {KL_CMD_RETRY_FAILED, SIM_RETRY_FAILED},
               {KL_CMD_PAUSE, SIM_PAUSE},       {KL_CMD_RESUME, SIM_RESUME}};
    unsigned n = below(w, sizeof all / sizeof all[0]);

    if (w->crashed_at && w->now - w->crashed_at < KL_SEC(10) && below(w, 2))
        n = 1; /* skip: at this moment giving a key back is a mistake */
    saw(all[n].seen);
    command(w, all[n].kind);
}

/* Sends SIGTERM, perhaps twice, until the station has come to rest. */
static void stop_station(struct world *w)
{
    if (!w->stopped_at) {
        saw(SIM_STOP);
        w->stopped_at = w->now;
        command(w, KL_CMD_STOP);
    } else if (!w->rested && below(w, 3) == 0) {
        saw(SIM_STOP_TWICE);
        command(w, KL_CMD_STOP);
        drain(w);
        crash(w); /* writes under way to the disk are lost */
    }
}

static void check_rest(struct world *w, const struct kl_snapshot *snap)
{
    saw(SIM_RESTED);
    if (w->store_at_rest)
        violated(w, "the station rests while the store has work to do");
    for (unsigned s = 0; s < w->slots; s++)
        if (snap->slot[s].state >= KL_ST_CONNECTING && snap->slot[s].state <= KL_ST_TESTING)
            violated(w, "the station rests while slot %u is %s", s + 1,
                     kl_state_name(snap->slot[s].state));
}

static void end_if_rested(struct world *w, const struct kl_snapshot *snap)
{
    if (w->rested) {
        check_rest(w, snap);
        start_again(w);
    } else if (w->stopped_at && w->now - w->stopped_at > KL_SEC(120)) {
        violated(w, "a stopped station does not come to rest");
    }
}

/* ---- what happens to a bench ---- */

static void adapter_comes_or_goes(struct world *w, unsigned s)
{
    if (w->network[s])
        return;
    w->no_adapter[s] = !w->no_adapter[s];
    if (w->no_adapter[s]) {
        saw(SIM_ADAPTER_GONE);
        take_out(w, s);
        lose_link(w, s, "unplugged");
    }
    say_plugged(w, s, !w->no_adapter[s]);
}

/* Removes a port once its link is closed, as the shell does. */
static void slot_comes_or_goes(struct world *w, unsigned s)
{
    struct kl_event ev = world_make(w, KL_EV_SLOT_GONE, s);

    if (!w->network[s] || w->link[s].open || w->link[s].said_at > w->now)
        return;
    w->no_adapter[s] = !w->no_adapter[s];
    if (w->no_adapter[s]) {
        saw(SIM_SLOT_REMOVED);
        take_out(w, s);
        w->failed_at[s] = 0;
        kl_station_feed(w->st, &ev);
    } else {
        saw(SIM_SLOT_ADDED);
        add_slot(w, s);
    }
}

static void csv_changes(struct world *w)
{
    if (chance(w, w->w.more_keys) && w->key_count < KEYS_MAX - KEYS_SPARE) {
        saw(SIM_ROWS_ADDED);
        disk_make_keys(w, 1 + below(w, 4));
        disk_load(w);
    }
    if (chance(w, w->w.foreign))
        disk_foreign_mark(w);
    if (chance(w, w->w.row_gone))
        disk_row_comes_or_goes(w);
}

static void bench_changes(struct world *w, unsigned s)
{
    if (chance(w, w->w.unplug)) {
        take_out(w, s);
        if (chance(w, w->w.swap))
            put_in(w, s, drawer(w));
    }
    if (w->link[s].open && chance(w, w->w.link_lost)) {
        saw(SIM_LINK_LOST);
        lose_link(w, s, "connection reset");
    }
    if (w->fixture && chance(w, w->w.adapter))
        adapter_comes_or_goes(w, s);
    return_to_bus(w, s);
    if (chance(w, w->w.slots))
        slot_comes_or_goes(w, s);
    if (w->in_slot[s] < 0 && below(w, 3) == 0)
        put_in(w, s, below(w, 3) && w->board_count > w->slots ? drawer(w) : new_board(w));
}

/* Things that happen to a bench, a few times a second. */
static void life(struct world *w)
{
    bench_changes(w, below(w, w->slots));
    csv_changes(w);
    if (chance(w, w->w.command))
        operator_does(w);
    if (chance(w, w->w.stop))
        stop_station(w);
    if (chance(w, w->w.crash))
        crash(w);
}

/* ---- what must be so at any time ---- */

static void check_failed(struct world *w)
{
    for (unsigned s = 0; s < w->slots; s++)
        if (w->failed_at[s] && w->now - w->failed_at[s] > KL_SEC(30))
            violated(w, "the board in slot %u failed and is neither tried again nor given up", s);
}

/* No slot may stay for ever in a state that only the board and its link can end. */
static void check_progress(struct world *w, const struct kl_snapshot *snap)
{
    for (unsigned s = 0; s < w->slots; s++) {
        enum kl_state state = snap->slot[s].state;
        bool bounded = (state >= KL_ST_CONNECTING && state <= KL_ST_BOOTING) ||
                       state == KL_ST_SENDING || state == KL_ST_CONFIRMING ||
                       state == KL_ST_TESTING || state == KL_ST_CLOSING;
        if (bounded && w->now - snap->slot[s].since > KL_SEC(100))
            violated(w, "slot %u has been %s for more than 100 s", s + 1, kl_state_name(state));
    }
}

/* At a needle bed nothing tells that a board leaves: its result must not outlive it for long. */
static void check_beds(struct world *w, const struct kl_snapshot *snap)
{
    for (unsigned s = 0; w->fixture && !w->stopped_at && s < w->slots; s++) {
        const struct kl_slot_view *v = &snap->slot[s];
        bool result = v->state == KL_ST_DONE || v->state == KL_ST_SKIPPED;
        int b = w->in_slot[s];
        if (!result || w->now - v->since < KL_SEC(45) || w->no_adapter[s])
            continue;
        if (b < 0 && w->now - w->left_at[s] > KL_SEC(45))
            violated(w, "slot %u is empty, and still shows a result", s + 1);
        if (b >= 0 && w->board[b].healthy && v->state == KL_ST_DONE &&
            w->now - w->came_at[s] > KL_SEC(45) &&
            memcmp(&w->board[b].mac, &v->identity.mac, sizeof(struct kl_mac)) != 0)
            violated(w, "slot %u shows the result of a board that was exchanged", s + 1);
    }
}

/* The operator takes a done board away, sooner or later. */
static void clear_done(struct world *w, const struct kl_snapshot *snap)
{
    for (unsigned s = 0; s < w->slots; s++)
        if ((snap->slot[s].state == KL_ST_DONE ||
             (snap->slot[s].state == KL_ST_FAILED && w->failed_at[s] == 0) ||
             snap->slot[s].state == KL_ST_SKIPPED) &&
            below(w, 4) == 0)
            take_out(w, s);
}

static void look(struct world *w, struct kl_snapshot *snap)
{
    kl_station_look(w->st, snap);
    check_failed(w);
    check_progress(w, snap);
    check_beds(w, snap);
    oracle_slots(w, snap);
    oracle_snapshot(w, snap);
    clear_done(w, snap);
    end_if_rested(w, snap);
}

/* ---- a run ---- */

static unsigned weight(struct world *w, unsigned most)
{
    return below(w, 2) ? 0 : below(w, most);
}

static struct kl_station_config usual_config(void)
{
    return (struct kl_station_config){
        .bundle = sim_bundle(),
        .baud_max = 921600,
        .prompt_timeout = KL_SEC(10),
        .ack_timeout = KL_SEC(10),
        .settle = KL_MS(300),
        .retries = -1,
        .confirm = KL_CONFIRM_READBACK,
        .warn_keys = 3,
        .sha256 = kl_sha256,
    };
}

void world_quiet(struct world *w, unsigned slots)
{
    memset(w, 0, sizeof *w);
    seed_rng(w, 1);
    w->slots = slots;
    for (unsigned s = 0; s < slots; s++)
        w->in_slot[s] = w->was_in_slot[s] = -1;
    w->config = usual_config();
}

void world_start(struct world *w, unsigned keys)
{
    w->config.fixture = w->fixture;
    w->st = calloc(1, kl_station_size());
    disk_make_keys(w, keys);
    world_boot(w);
}

void world_init(struct world *w, uint64_t seed, FILE *trace)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->trace = trace;
    seed_rng(w, seed);
    w->w = (struct weights){
        .unplug = weight(w, 200000),
        .swap = weight(w, 800000),
        .bit_flip = weight(w, 30),
        .byte_lost = weight(w, 30),
        .byte_doubled = weight(w, 30),
        .late = weight(w, 30000),
        .link_lost = weight(w, 80000),
        .bad_board = weight(w, 400000),
        .clone = weight(w, 200000),
        .planted = weight(w, 150000),
        .disk_fails = weight(w, 100000),
        .disk_slow = weight(w, 200000),
        .crash = weight(w, 60000),
        .command = weight(w, 200000),
        .stop = weight(w, 30000),
        .release = weight(w, 800000),
        .more_keys = weight(w, 100000),
        .foreign = weight(w, 30000),
        .row_gone = weight(w, 50000),
        .late_timer = weight(w, 100000),
        .io_fails = weight(w, 10000),
        .open_fails = weight(w, 200000),
        .adapter = weight(w, 30000),
        .slots = weight(w, 100000),
        .leaves_bus = weight(w, 60000),
    };
    w->slots = 1 + below(w, SLOTS_MAX);
    w->fixture = below(w, 6) == 0;
    for (unsigned s = 0; s < w->slots; s++) {
        w->network[s] = below(w, 3) == 0;
        w->native[s] = below(w, 4) == 0 && !w->fixture && !w->network[s];
        w->in_slot[s] = w->was_in_slot[s] = -1;
    }
    w->config = usual_config();
    w->config.baud_max = below(w, 2) ? 115200 : 921600;
    w->config.retries = below(w, 4) ? -1 : (int)below(w, 3);
    w->config.confirm = below(w, 8) ? KL_CONFIRM_READBACK : KL_CONFIRM_ACK;
    w->config.stubs = below(w, 2) ? sim_stubs() : NULL;
    w->config.max_flashing = below(w, 3) ? 0 : 1 + below(w, 3);
    w->config.fixture = w->fixture;
    if (seed / 3 % 3 == 1 || getenv("NVS"))
        w->config.nvs = sim_nvs(seed / 9 % 2 ? KL_NVS_MERGE : KL_NVS_REFUSE);
    if (w->config.nvs)
        w->config.confirm = seed % 4 == 1 ? KL_CONFIRM_READBACK : KL_CONFIRM_FLASH;
    bool prints = w->config.nvs && w->config.confirm == KL_CONFIRM_READBACK;
    if (prints)
        saw(SIM_PRINTED);
    else if (seed / 2 % 3 == 1 || getenv("EXAM"))
        w->config.exam = sim_exam();
    if (w->config.exam)
        saw(SIM_EXAM);
    if (w->config.confirm == KL_CONFIRM_ACK)
        saw(SIM_ACK_ONLY);
    if (w->config.stubs)
        saw(SIM_STUB);
    w->st = calloc(1, kl_station_size());
    disk_make_keys(w, 4 + below(w, 20));
}

/* No sum guards the address of a write: a damaged one may have hit the NVS. A person has to look.
 */
static bool has_rubbish_in_nvs(const struct world *w, const struct sim_board *b)
{
    const struct kl_nvs_delivery *d = w->config.nvs;
    uint32_t size;
    const uint8_t *flash = kl_vboard_flash(b->v, &size);
    enum kl_nvs_state state;

    if (!d || size < d->offset + d->size)
        return false;
    state = kl_nvs_look((struct kl_nvs_image){flash + d->offset, d->size});
    return state != KL_NVS_IS_BLANK && state != KL_NVS_IS_SOUND;
}

/* Only a person can help this board: its key was seen elsewhere, or it stored a damaged line. */
static bool needs_a_person(const struct world *w, const struct sim_board *b)
{
    const char *stored = board_holds(w, b);
    bool holds_own = stored[0] == '\0', promised = false;

    for (unsigned i = 0; i < w->key_count; i++) {
        const struct sim_key *k = &w->key[i];
        bool own = memcmp(&k->mac, &b->mac, sizeof k->mac) == 0;
        if (own && (k->burnt || k->foreign))
            return true;
        promised |= own;
        holds_own |= own && strcmp(stored, k->key.line) == 0; /* its label, too */
    }
    return !holds_own || (!promised && has_rubbish_in_nvs(w, b));
}

/* A healthy board that was here before, whatever became of its key; else a new one. */
static int board_for_calm(struct world *w)
{
    int b = drawer(w);

    if (b < 0 || below(w, 2) || !w->board[b].healthy)
        return new_board(w);
    for (unsigned s = 0; w->fixture && s < w->slots; s++)
        if (w->was_in_slot[s] == b)
            return new_board(w); /* the station may not have noticed that it left */
    for (unsigned i = 0; i < w->board_count; i++)
        if ((int)i != b && memcmp(&w->board[i].mac, &w->board[b].mac, sizeof(struct kl_mac)) == 0)
            return new_board(w); /* two boards with one MAC may be in each other's way */
    if (needs_a_person(w, &w->board[b]))
        return new_board(w);
    saw(SIM_SAME_BACK_CALM);
    return b;
}

/* The second phase: faults have stopped, and every healthy board must get its key. */
static void must_converge(struct world *w)
{
    kl_us until;
    struct kl_snapshot *snap = malloc(sizeof *snap);

    w->calm = true;
    w->disk_bad_until = 0;
    tell(w, "calm");
    if (w->stopped_at)
        crash(w);
    for (unsigned s = 0; s < w->slots; s++) {
        take_out(w, s);
        w->comes_at[s] = 0;
        if (w->no_adapter[s] && w->network[s])
            add_slot(w, s);
        w->no_adapter[s] = false;
        if (w->fixture)
            say_plugged(w, s, true);
    }
    /* At a needle bed others may take their places while the results still stand. */
    step_until(w,
               w->now + (w->fixture && below(w, 2) ? KL_SEC(1 + (kl_us)below(w, 6)) : KL_SEC(20)));
    command(w, KL_CMD_RESUME);
    for (unsigned k = 0; k < w->key_count; k++)
        w->key[k].in_csv = true;
    disk_make_keys(w, w->slots);
    disk_load(w);
    for (unsigned s = 0; s < w->slots; s++)
        put_in(w, s, board_for_calm(w));
    until = w->now + KL_SEC(120);
    while (w->now < until && !w->violation[0])
        step_until(w, w->now + KL_SEC(10));
    kl_station_look(w->st, snap);
    for (unsigned s = 0; s < w->slots && !w->violation[0]; s++)
        if (w->in_slot[s] >= 0 && snap->slot[s].state != KL_ST_DONE)
            violated(w, "slot %u holds a healthy board that is %s (%s), not done", s + 1,
                     kl_state_name(snap->slot[s].state),
                     kl_fault_info(snap->slot[s].fault.reason).name);
    free(snap);
}

void world_live(struct world *w, kl_us until)
{
    struct kl_snapshot *snap = malloc(sizeof *snap);

    while (w->now < until && !w->violation[0]) {
        life(w);
        look(w, snap);
        drain(w);
        step_until(w, w->now + KL_MS(100) + (kl_us)below(w, 600000));
        oracle_boards(w);
    }
    free(snap);
}

bool world_play(struct world *w)
{
    kl_us end = KL_SEC(60) + (kl_us)below(w, 120) * KL_SEC(1);

    world_boot(w);
    world_live(w, end);
    if (!w->violation[0])
        must_converge(w);
    oracle_boards(w);
    return !w->violation[0];
}

void world_finish(struct world *w)
{
    forget_events(w);
    free(w->heap);
    for (unsigned b = 0; b < w->board_count; b++)
        kl_vboard_destroy(w->board[b].v);
    kl_station_finish(w->st);
    free(w->st);
    kl_pool_memory_free(w->memory);
}
