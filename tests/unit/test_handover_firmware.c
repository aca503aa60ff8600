/*
 * Whole conversations in virtual time with firmware as it was written for the original tool: the
 * model below follows that tool's example, with its weaknesses. Every board must get its key at
 * the first try, whatever the seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/handover.h"
#include "keyline/bundle_load.h"

enum {
    SEEDS = 100,
    RX_BUFFER = 256
};

#define BYTE_TIME ((kl_us)87) /* 115200 baud */

static uint32_t seed_state;

static uint32_t rnd(uint32_t below)
{
    seed_state ^= seed_state << 13;
    seed_state ^= seed_state >> 17;
    seed_state ^= seed_state << 5;
    return seed_state % below;
}

struct profile {
    const char *name;
    unsigned fields;
    const char *const *names; /* before the values */
    bool deaf;                /* lines that arrive in a part of its cycle are lost */
    bool dozes;               /* the same, always right after its prompt */
    bool chatty;              /* other parts log in between */
    bool loops;               /* prints its key again and again in loop() */
    bool flushes;             /* drops what waited when it starts to read, once */
    kl_us read_back_after;    /* the key is first shown in loop(), after this */
};

static const char *const key_names[] = {"Key1", "Key2", "Key3", "Key4", "Key5"};
static const char *const odd_names[] = {"UUID", "nwk skey", "AppKey (OTAA)", "x", "last-one"};

static const struct profile profiles[] = {
    {.name = "original", .fields = 3, .names = key_names},
    {.name = "deaf", .fields = 3, .names = key_names, .deaf = true},
    {.name = "dozes", .fields = 3, .names = key_names, .dozes = true},
    {.name = "five", .fields = 5, .names = odd_names, .deaf = true, .chatty = true},
    {.name = "loops", .fields = 3, .names = key_names, .loops = true, .chatty = true},
    {.name = "late", .fields = 3, .names = odd_names, .loops = true, .read_back_after = KL_SEC(3)},
    {.name = "flushes", .fields = 5, .names = key_names, .flushes = true, .deaf = true},
    {.name = "single", .fields = 1, .names = key_names, .deaf = true},
};

enum stage {
    BOOT,
    ANNOUNCE,
    PAUSE,  /* delay(500) */
    LISTEN, /* readStringUntil('\n'), one second at most */
    STORE,
    RUN
};

struct firmware {
    const struct profile *profile;
    enum stage stage;
    kl_us next;
    kl_us deaf_from, deaf_until;
    char rx[RX_BUFFER];
    size_t rx_size;
    bool losing; /* a line that began while it was deaf is lost to its end */
    bool flushed;
    char stored[RX_BUFFER + 1]; /* in flash */
    unsigned stores;
    /* what it printed and when each byte is through the wire */
    char out[1 << 16];
    size_t out_size, out_read;
    kl_us out_at;
};

static struct firmware fw;
static struct kl_handover h;
static struct kl_console console;
static struct kl_key key;
static struct kl_key in_custody;
static kl_us now;

static void put(const char *text)
{
    size_t size = strlen(text);

    if (fw.out_size + size > sizeof fw.out)
        return; /* a looping one has said enough */
    memcpy(fw.out + fw.out_size, text, size);
    if (fw.out_read == fw.out_size)
        fw.out_at = now;
    fw.out_size += size;
}

static void chatter(void)
{
    static const char *const lines[] = {
        "I (523) wifi: mode : sta (24:6f:28:aa:bb:cc)\r\n",
        "\x1b[0;33mW (612) app: battery low: 3\x1b[0m\r\n",
        "[  1204][V][main.cpp:30] loop(): tick\r\n",
        "heap 182344\r\n",
        "\r\n",
    };

    if (fw.profile->chatty && rnd(2))
        put(lines[rnd(5)]);
}

static void put_stored(void)
{
    char copy[RX_BUFFER + 1], line[400];
    char *rest = copy;

    snprintf(copy, sizeof copy, "%s", fw.stored);
    for (unsigned i = 0; i < fw.profile->fields; i++) {
        char *value = strsep(&rest, ",");
        snprintf(line, sizeof line, "%s: %s\r\n", fw.profile->names[i], value ? value : "");
        put(line);
        chatter();
    }
}

static void boot(void)
{
    put("ets Jul 29 2019 12:21:46\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 "
        "(SPI_FAST_FLASH_BOOT)\r\nconfigsip: 0, SPIWP:0xee\r\nmode:DIO, clock div:2\r\n"
        "load:0x3fff0030,len:1344\r\nentry 0x400805e4\r\n");
    chatter();
    fw.rx_size = 0;
    fw.losing = false;
    fw.stage = BOOT;
    fw.next = now + KL_MS(150 + rnd(1500));
}

static void announce(void)
{
    put("Provisioning\r\n");
    fw.stage = PAUSE;
    fw.next = now + KL_MS(500);
    if (fw.profile->dozes) {
        fw.deaf_from = now;
        fw.deaf_until = now + KL_MS(200);
    } else if (fw.profile->deaf) {
        fw.deaf_from = now + KL_MS(rnd(100));
        fw.deaf_until = fw.deaf_from + KL_MS(rnd(200));
    }
}

/* The example splits at every comma here; it checks no more than that there are enough. */
static bool accepts(const char *line)
{
    unsigned commas = 0;

    for (const char *c = line; *c; c++)
        commas += *c == ',';
    return commas + 1 >= fw.profile->fields && line[0];
}

static void read_line(void)
{
    size_t size = 0;
    char line[RX_BUFFER + 1];

    while (size < fw.rx_size && fw.rx[size] != '\n')
        size++;
    bool complete = size < fw.rx_size;
    memcpy(line, fw.rx, size);
    line[size] = '\0';
    memmove(fw.rx, fw.rx + size + complete, fw.rx_size - size - complete);
    fw.rx_size -= size + complete;
    if (!accepts(line)) {
        announce();
        return;
    }
    snprintf(fw.stored, sizeof fw.stored, "%s", line);
    fw.stores++;
    fw.stage = STORE;
    fw.next = now + KL_MS(5 + rnd(400));
}

static void step_firmware(void)
{
    switch (fw.stage) {
    case BOOT:
        chatter();
        if (!fw.stored[0]) {
            announce();
            break;
        }
        put("Provisioned\r\n");
        if (!fw.profile->read_back_after)
            put_stored();
        fw.stage = RUN;
        fw.next = fw.profile->loops ? now + fw.profile->read_back_after + KL_MS(100) : KL_NEVER;
        break;
    case ANNOUNCE:
        announce();
        break;
    case PAUSE:
        if (fw.profile->flushes && !fw.flushed && fw.rx_size) {
            fw.rx_size = 0;
            fw.flushed = true;
        }
        chatter();
        fw.stage = fw.rx_size ? LISTEN : ANNOUNCE;
        fw.next = fw.rx_size && !memchr(fw.rx, '\n', fw.rx_size) ? now + KL_SEC(1) : now;
        break;
    case LISTEN:
        read_line();
        break;
    case STORE:
        put("Provisioned\r\n");
        boot();
        break;
    case RUN:
        put_stored();
        fw.next = now + fw.profile->read_back_after + KL_MS(100);
        break;
    }
}

static void receive(char c)
{
    if (fw.rx_size == 0 && now >= fw.deaf_from && now < fw.deaf_until)
        fw.losing = true;
    if (!fw.losing && fw.rx_size < RX_BUFFER)
        fw.rx[fw.rx_size++] = c;
    if (c != '\n')
        return;
    fw.losing = false;
    if (fw.stage == LISTEN)
        fw.next = now;
}

/* ---- the host's side, as the board does it ---- */

static char log_text[1 << 17];
static size_t log_size;
static bool asked, acknowledged, held;
static unsigned lines_sent;
static kl_us send_at;
static char wire[512]; /* from the host, on its way */
static size_t wire_size, wire_read;
static kl_us wire_at;

static void note(const char *text)
{
    size_t size = strlen(text);

    assert_true(log_size + size + 1 < sizeof log_text);
    memcpy(log_text + log_size, text, size);
    log_size += size;
    log_text[log_size++] = '\n';
    log_text[log_size] = '\0';
}

static void take_events(void)
{
    struct kl_handover_event ev;
    char line[KL_TEXT_MAX];

    while (kl_console_next(&console, line))
        note(line);
    while (kl_handover_event(&h, &ev)) {
        switch (ev.kind) {
        case KL_HO_ASKS:
            if (!asked)
                send_at = now + KL_MS(rnd(900)); /* the ledger's disk */
            asked = true;
            break;
        case KL_HO_ACK:
            acknowledged = true;
            break;
        case KL_HO_HOLDS:
            assert_true(ev.matches);
            held = true;
            break;
        case KL_HO_RESTART:
            assert_true(!asked || acknowledged);
            break;
        default:
            fail_msg("%s, seed: event %d, reason %d", fw.profile->name, ev.kind, ev.reason);
        }
    }
}

static void host_sends(void)
{
    struct kl_io io;

    if (send_at <= now && kl_handover_phase(&h) == KL_HO_ASKED) {
        in_custody = key;
        kl_handover_send(&h, &in_custody, now);
        send_at = KL_NEVER;
    }
    if (!kl_handover_next(&h, &io))
        return;
    lines_sent += io.data[io.size - 1] == '\n';
    if (wire_read == wire_size) {
        wire_read = wire_size = 0;
        wire_at = now + KL_MS(rnd(16)); /* the adapter's latency */
    }
    assert_true(wire_size + io.size <= sizeof wire);
    memcpy(wire + wire_size, io.data, io.size);
    wire_size += io.size;
}

static kl_us least(kl_us a, kl_us b)
{
    return a < b ? a : b;
}

/* One instant of the world; false when there is nothing more to come. */
static void step_world(void)
{
    kl_us at = least(fw.next, kl_handover_deadline(&h));

    at = least(at, send_at);
    if (fw.out_read < fw.out_size)
        at = least(at, fw.out_at + BYTE_TIME * 16);
    if (wire_read < wire_size)
        at = least(at, wire_at + BYTE_TIME);
    now = at > now ? at : now;
    if (fw.out_read < fw.out_size && fw.out_at + BYTE_TIME * 16 <= now) {
        size_t n = 1 + rnd(64);
        if (n > fw.out_size - fw.out_read)
            n = fw.out_size - fw.out_read;
        fw.out_read += kl_handover_rx(&h, (const uint8_t *)fw.out + fw.out_read, n, now);
        fw.out_at = now;
    }
    if (wire_read < wire_size && wire_at + BYTE_TIME <= now) {
        wire_at = now;
        receive(wire[wire_read++]);
    }
    if (fw.next <= now)
        step_firmware();
    if (kl_handover_deadline(&h) <= now)
        kl_handover_tick(&h, now);
    take_events();
    host_sends();
}

static void start_world(const struct profile *profile, uint32_t seed)
{
    struct kl_handover_setup setup = {.console = &console,
                                      .prompt_timeout = KL_SEC(30),
                                      .ack_timeout = KL_SEC(30),
                                      .fields = profile->fields,
                                      .sha256 = kl_sha256};

    seed_state = seed * 2654435761u + 1;
    memset(&fw, 0, sizeof fw);
    fw.profile = profile;
    now = KL_SEC(1000);
    send_at = KL_NEVER;
    asked = acknowledged = held = false;
    lines_sent = 0;
    log_size = wire_size = wire_read = 0;
    memset(&in_custody, 0, sizeof in_custody);
    kl_console_init(&console, &in_custody, NULL);
    kl_handover_init(&h, &setup);
    kl_handover_listen(&h, &in_custody, now);
    boot();
}

static const char *const texts[] = {"70b3d57ed0061a2b", "D56789AB00EF01230456C0FE11DD22EE",
                                    "open sesame 42", "0011223344556677", "q7-Zk/81=+"};

static void build_key(unsigned fields)
{
    struct kl_span spans[5];

    for (unsigned i = 0; i < fields; i++)
        spans[i] = (struct kl_span){(const uint8_t *)texts[i], strlen(texts[i])};
    assert_true(kl_key_build(&key, spans, fields, kl_sha256));
}

static void assert_nothing_shown(const char *name, unsigned fields)
{
    for (unsigned i = 1; i < fields; i++)
        if (strstr(log_text, texts[i]))
            fail_msg("%s: field %u stands in the log", name, i);
}

static void every_board_gets_its_key_at_the_first_try(void **state)
{
    (void)state;
    for (size_t p = 0; p < sizeof profiles / sizeof profiles[0]; p++) {
        build_key(profiles[p].fields);
        for (uint32_t seed = 1; seed <= SEEDS; seed++) {
            start_world(&profiles[p], seed);
            while (!held && now < KL_SEC(1060))
                step_world();
            if (!held)
                fail_msg("%s, seed %u: not provisioned; stored \"%s\", %u lines sent",
                         profiles[p].name, seed, fw.stored, lines_sent);
            assert_string_equal(fw.stored, key.line);
            assert_int_equal(fw.stores, 1);
            kl_us end = now + KL_SEC(20);
            while (now < end && fw.next != KL_NEVER)
                step_world();
            assert_nothing_shown(profiles[p].name, profiles[p].fields);
            kl_handover_finish(&h);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_board_gets_its_key_at_the_first_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
