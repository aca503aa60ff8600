/* What real ROMs and the real stub answered, packet by packet (tests/rom-vectors), given to the
   loader's engine: it asks each question in the same bytes and understands each answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/loader_private.h"

static uint8_t request[32768];
static size_t request_size;
static struct kl_loader_reply heard;
static enum kl_loader_outcome outcome;

/* A plan of one step, which asks the recorded question. */
static size_t result_of(uint8_t code, const struct kl_loader *l)
{
    switch (code) {
    case CMD_MD5:
        return ldr_is_rom(l) ? 32 : 16;
    case CMD_SECURITY_INFO:
        return 20;
    case 0x0E: /* READ_FLASH_SLOW */
        return 64;
    default:
        return 0;
    }
}

static bool is_data(uint8_t code)
{
    return code == CMD_FLASH_DATA || code == CMD_MEM_DATA || code == CMD_DEFL_DATA;
}

static enum ldr_move ask(struct kl_loader *l)
{
    uint8_t code = request[1];
    struct ldr_command c = {
        .code = code,
        .payload = request + 8,
        .payload_size = request_size - 8,
        .result = (uint8_t)result_of(code, l),
        .shorter = code == CMD_SECURITY_INFO ? 12 : 0,
        .tries = 1,
        .judge = true,
        .optional = ldr_is_rom(l),
        .work = KL_MS(100),
    };

    if (is_data(code)) {
        c.block = request + 24;
        c.block_size = request_size - 24;
        c.sequence = ldr_get_u32(request + 12);
    }
    ldr_command(l, &c);
    return MOVE_WAIT;
}

static enum ldr_move answered(struct kl_loader *l, enum kl_loader_outcome o)
{
    outcome = o;
    heard = l->reply;
    return MOVE_NEXT;
}

static const struct kl_loader_step plan[] = {{ask, answered, {NULL}}, PLAN_END};

static size_t unhex(const char *text, uint8_t *out)
{
    size_t n = 0;

    for (; text[2 * n]; n++) {
        unsigned value;
        assert_int_equal(sscanf(text + 2 * n, "%2x", &value), 1);
        out[n] = (uint8_t)value;
    }
    return n;
}

static size_t frame_of(const uint8_t *packet, size_t size, uint8_t *out, size_t room)
{
    size_t used = 1;

    out[0] = 0xC0;
    used = kl_slip_escape(out, used, room, packet, size);
    out[used] = 0xC0;
    return used + 1;
}

static void send_reply(struct kl_loader *l, const char *hex, kl_us now)
{
    uint8_t packet[256], frame[520];
    size_t size = unhex(hex, packet);

    kl_loader_rx(l, frame, frame_of(packet, size, frame, sizeof frame), now);
}

static void start(struct kl_loader *l, bool stub)
{
    static struct kl_console console;
    struct kl_loader_setup setup = {
        .console = &console, .link = KL_LINK_SERIAL, .baud_max = 115200};

    kl_console_init(&console, NULL, NULL);
    kl_loader_init(l, &setup);
    l->identity.stub = stub;
    l->walk.status = KL_LOADER_BUSY;
    l->now = 0;
    l->walk.step = plan;
    ask(l);
}

/* Bad checksums and wrong headers can't be asked for through the engine. */
static bool is_well_formed(void)
{
    uint8_t sum = 0xEF;

    if (request[0] != 0 || (size_t)(request[2] | request[3] << 8) != request_size - 8)
        return false;
    for (size_t i = 24; is_data(request[1]) && i < request_size; i++)
        sum ^= request[i];
    return !is_data(request[1]) || request[4] == sum;
}

static void check_request(struct kl_loader *l)
{
    static uint8_t expected[65536];
    size_t size = frame_of(request, request_size, expected, sizeof expected);
    struct kl_io io;

    assert_true(kl_loader_next(l, &io));
    assert_int_equal(io.kind, KL_IO_WRITE);
    if (is_well_formed()) {
        assert_int_equal(io.size, size);
        assert_memory_equal(io.data, expected, size);
    }
}

static void check_answer(const json_t *replies, bool stub)
{
    uint8_t packet[256];
    size_t size;

    if (json_array_size(replies) == 0) {
        assert_int_equal(outcome, KL_OUT_SILENT);
        return;
    }
    size = unhex(json_string_value(json_array_get(replies, 0)), packet);
    size_t tail = stub ? 2 : 4;
    size_t result = size - 8 - tail;
    if (packet[0] != 1 || size < 10) {
        assert_int_equal(outcome, KL_OUT_SILENT);
    } else if (packet[1] != request[1]) {
        assert_int_equal(outcome, packet[9] == 0x05 && packet[8] ? KL_OUT_UNKNOWN : KL_OUT_SILENT);
    } else if (packet[8 + result] != 0) {
        assert_int_equal(outcome, KL_OUT_REFUSED);
        assert_int_equal(heard.error, packet[8 + result] << 8 | packet[9 + result]);
    } else {
        assert_int_equal(outcome, KL_OUT_OK);
        assert_int_equal(heard.value, ldr_get_u32(packet + 4));
        assert_int_equal(heard.size, result);
        assert_memory_equal(heard.result, packet + 8, result);
        assert_int_equal(heard.status_size, tail);
    }
}

static void play(const char *file, bool stub)
{
    static char line[200000];
    static struct kl_loader l;
    char path[512];
    unsigned played = 0;

    snprintf(path, sizeof path, "%s/tests/rom-vectors/%s", KL_SOURCE_DIR, file);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        json_t *vector = json_loads(line, 0, NULL);
        const char *send = json_string_value(json_object_get(vector, "send"));
        const json_t *replies = json_object_get(vector, "replies");
        const char *name = json_string_value(json_object_get(vector, "name"));
        if (send && !(stub && strstr(name, "mem end"))) {
            request_size = unhex(send, request);
            start(&l, stub);
            check_request(&l);
            outcome = KL_OUT_IO;
            for (size_t i = 0; i < json_array_size(replies); i++)
                send_reply(&l, json_string_value(json_array_get(replies, i)), KL_MS(1));
            for (int i = 0; i < 4 && l.walk.status == KL_LOADER_BUSY; i++)
                kl_loader_tick(&l, kl_loader_deadline(&l));
            print_message("%s\n", name);
            check_answer(replies, stub);
            played++;
        }
        json_decref(vector);
    }
    fclose(in);
    assert_true(played > 25);
}

static void esp32_rom(void **state)
{
    (void)state;
    play("esp32.jsonl", false);
}

static void esp32c3_rom(void **state)
{
    (void)state;
    play("esp32c3.jsonl", false);
}

static void esp32_stub(void **state)
{
    (void)state;
    play("esp32-stub.jsonl", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(esp32_rom),
        cmocka_unit_test(esp32c3_rom),
        cmocka_unit_test(esp32_stub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
