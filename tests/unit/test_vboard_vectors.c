/*
 * Plays every question of tests/rom-vectors to a virtual board and compares its answers with the
 * recorded ones of real ROMs and of the real stub, as that folder's README says: opcode, size,
 * status, error and result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "keyline/vboard.h"

enum {
    FRAMES_MAX = 16,
    FRAME_MAX = 20000,
};

struct frames {
    uint8_t data[FRAMES_MAX][256];
    size_t size[FRAMES_MAX];
    unsigned count;
    char text[8192]; /* outside of frames */
    size_t text_size;
};

static kl_us now;

static struct kl_vboard *new_board(enum kl_chip_id chip)
{
    struct kl_vboard_config config = {.chip = chip, .mac = {{0x02, 0x52, 0x42, 0, 0, 1}}};
    struct kl_vboard *b = kl_vboard_create(&config);

    assert_non_null(b);
    kl_vboard_power(b, true, now);
    return b;
}

/* Reset into the loader as a USB adapter does it, both lines at once. */
static void into_loader(struct kl_vboard *b)
{
    kl_vboard_lines(b, false, true, now);
    now += KL_MS(100);
    kl_vboard_lines(b, true, false, now);
    now += KL_MS(50);
    kl_vboard_lines(b, false, false, now);
}

static void into_program(struct kl_vboard *b)
{
    kl_vboard_lines(b, false, true, now);
    now += KL_MS(100);
    kl_vboard_lines(b, false, false, now);
    now += KL_MS(50);
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    assert_true(n <= FRAME_MAX);
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'}, *end;
        out[i] = (uint8_t)strtoul(pair, &end, 16);
        assert_ptr_equal(end, pair + 2);
    }
    return n;
}

static void send_framed(struct kl_vboard *b, const uint8_t *packet, size_t size)
{
    static uint8_t wire[2 * FRAME_MAX + 2];
    size_t n = 0;

    wire[n++] = 0xC0;
    for (size_t i = 0; i < size; i++) {
        bool escape = packet[i] == 0xC0 || packet[i] == 0xDB;
        if (escape)
            wire[n++] = 0xDB;
        wire[n++] = !escape ? packet[i] : packet[i] == 0xC0 ? 0xDC : 0xDD;
    }
    wire[n++] = 0xC0;
    kl_vboard_rx(b, wire, n, now);
}

static void collect(struct kl_vboard *b, struct frames *out)
{
    uint8_t bytes[8192];
    size_t n = kl_vboard_tx(b, bytes, sizeof bytes, now);
    bool open = false, escape = false;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        uint8_t c = bytes[i];
        if (c == 0xC0) {
            if (open && out->size[out->count] > 0) {
                out->count++;
                open = false;
            } else {
                open = true;
            }
            continue;
        }
        if (!open) {
            out->text[out->text_size++] = (char)c;
            continue;
        }
        if (c == 0xDB) {
            escape = true;
            continue;
        }
        if (escape)
            c = c == 0xDC ? 0xC0 : 0xDB;
        escape = false;
        assert_true(out->count < FRAMES_MAX && out->size[out->count] < 256);
        out->data[out->count][out->size[out->count]++] = c;
    }
}

/* Opcode, size, status, error, result. READ_REG's result is the value word. */
static void same_answer(const char *name, const uint8_t *got, size_t got_size, const uint8_t *want,
                        size_t want_size, size_t status_size)
{
    if (want_size < 10 || want[0] != 1) { /* the stub's greeting, the monitor's echo */
        assert_int_equal(got_size, want_size);
        assert_memory_equal(got, want, want_size);
        return;
    }
    size_t result = want_size - 8 - status_size;
    if (got_size != want_size || memcmp(got, want, 4) != 0)
        fail_msg("%s: header or size differ (%02x %02x, %zu bytes)", name, got[0], got[1],
                 got_size);
    if (want[1] == 0x0A && memcmp(got + 4, want + 4, 4) != 0)
        fail_msg("%s: register value differs", name);
    if (memcmp(got + 8, want + 8, result + 2) != 0)
        fail_msg("%s: result, status or error differ (%02x %02x, expected %02x %02x)", name,
                 got[8 + result], got[9 + result], want[8 + result], want[9 + result]);
}

/* `apart`: two frames, and 5 ms between them. */
static void send_raw(struct kl_vboard *b, const uint8_t *bytes, size_t size, bool apart)
{
    size_t first = size;

    for (size_t i = 1; apart && first == size && i < size; i++)
        if (bytes[i - 1] == 0xC0 && bytes[i] == 0xC0)
            first = i;
    kl_vboard_rx(b, bytes, first, now);
    if (first < size) {
        now += KL_MS(5);
        kl_vboard_rx(b, bytes + first, size - first, now);
    }
}

static void play_question(struct kl_vboard *b, const json_t *row, size_t status_size)
{
    static uint8_t packet[FRAME_MAX], want[FRAME_MAX];
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *send = json_string_value(json_object_get(row, "send"));
    const char *raw = json_string_value(json_object_get(row, "raw"));
    const json_t *replies = json_object_get(row, "replies");
    struct frames got;
    size_t i;
    json_t *reply;

    if (send)
        send_framed(b, packet, from_hex(send, packet));
    else if (raw)
        send_raw(b, packet, from_hex(raw, packet),
                 strstr(json_string_value(json_object_get(row, "note")), "between them"));
    now += KL_MS(20);
    collect(b, &got);
    if (got.count != json_array_size(replies))
        fail_msg("%s: %u answers, expected %zu", name, got.count, json_array_size(replies));
    json_array_foreach(replies, i, reply)
    {
        size_t size = from_hex(json_string_value(reply), want);
        same_answer(name, got.data[i], got.size[i], want, size, status_size);
    }
}

/* The recording's host follows a rate that it asked for. */
static void follow_baud(struct kl_vboard *b, const json_t *row)
{
    const char *send = json_string_value(json_object_get(row, "send"));
    uint8_t packet[FRAME_MAX];

    if (send && from_hex(send, packet) == 16 && packet[1] == 0x0F)
        kl_vboard_baud(
            b, packet[8] | packet[9] << 8 | packet[10] << 16 | (uint32_t)packet[11] << 24, now);
}

static unsigned play(struct kl_vboard *b, const char *file, size_t status_size)
{
    char path[512], *line = NULL;
    size_t room = 0;
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/tests/rom-vectors/%s", KL_SOURCE_DIR, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (getline(&line, &room, f) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        const char *name = json_string_value(json_object_get(row, "name"));
        struct frames got;
        if (strcmp(name, "boot text in loader mode") == 0) {
            into_loader(b);
            collect(b, &got);
            assert_non_null(strstr(got.text, "rst:0x1 (POWERON"));
            assert_non_null(strstr(got.text, "waiting for download"));
        } else if (strncmp(name, "boot text, blank flash", 22) == 0) {
            const char *want = json_string_value(json_object_get(row, "text"));
            into_program(b);
            collect(b, &got);
            assert_memory_equal(got.text, want, 20); /* the banner */
            assert_non_null(strstr(got.text, "(SPI_FAST_FLASH_BOOT)"));
            assert_non_null(strstr(got.text, "invalid header: 0x"));
        } else {
            if (strcmp(name, "read reg short payload") == 0) {
                kl_vboard_baud(b, 115200, now);
                into_loader(b);
                collect(b, &got);
            }
            play_question(b, row, status_size);
            follow_baud(b, row);
            count++;
        }
        json_decref(row);
    }
    free(line);
    fclose(f);
    return count;
}

static void esp32_rom_answers_as_recorded(void **state)
{
    struct kl_vboard *b = new_board(KL_CHIP_ESP32);

    (void)state;
    assert_true(play(b, "esp32.jsonl", 4) >= 60);
    kl_vboard_destroy(b);
}

static void esp32c3_rom_answers_as_recorded(void **state)
{
    struct kl_vboard *b = new_board(KL_CHIP_ESP32C3);

    (void)state;
    assert_true(play(b, "esp32c3.jsonl", 4) >= 60);
    kl_vboard_destroy(b);
}

static void command(struct kl_vboard *b, uint8_t op, uint8_t sum, const uint8_t *data, size_t size)
{
    uint8_t packet[256] = {0, op, (uint8_t)size, (uint8_t)(size >> 8), sum};

    memcpy(packet + 8, data, size);
    send_framed(b, packet, 8 + size);
}

/* The upload that the recording leaves out: something at the recorded entry address. */
static void upload_stub(struct kl_vboard *b)
{
    static const uint8_t sync[36] = {0x07, 0x07, 0x12, 0x20};
    static const uint8_t begin[16] = {4, 0,    0, 0, 1,    0,    0,    0,
                                      0, 0x18, 0, 0, 0x2C, 0x90, 0x0A, 0x40};
    static const uint8_t data[20] = {4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8};
    struct frames got;

    into_loader(b);
    command(b, 0x08, 0, sync, sizeof sync);
    collect(b, &got);
    command(b, 0x05, 0, begin, sizeof begin);
    command(b, 0x07, 0xEF ^ 1 ^ 2 ^ 4 ^ 8, data, sizeof data);
    collect(b, &got);
    assert_int_equal(got.count, 2);
}

static void stub_plays(const char *file, unsigned at_least)
{
    struct kl_vboard *b = new_board(KL_CHIP_ESP32);
    char path[512], *line = NULL;
    size_t room = 0;
    unsigned count = 0;

    upload_stub(b);
    snprintf(path, sizeof path, "%s/tests/rom-vectors/%s", KL_SOURCE_DIR, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (; getline(&line, &room, f) > 0; count++) {
        json_t *row = json_loads(line, 0, NULL);
        assert_non_null(row);
        /* the first answer is still the ROM's, with four status bytes */
        play_question(b, row, count == 0 ? 4 : 2);
        follow_baud(b, row);
        json_decref(row);
    }
    free(line);
    fclose(f);
    assert_true(count >= at_least);
    kl_vboard_destroy(b);
}

static void stub_answers_as_recorded(void **state)
{
    (void)state;
    stub_plays("esp32-stub.jsonl", 35);
}

static void stub_answers_amid_a_stream_as_recorded(void **state)
{
    (void)state;
    stub_plays("esp32-stub-interleaved.jsonl", 38);
}

/* Two frames in one segment: the first is answered, the second lost, and from then on every frame
   is taken for the gap between two, until one comes with a delimiter more. */
static void a_frame_too_early_leaves_the_stub_out_of_step(void **state)
{
    static const uint8_t read[] = {0xC0, 0, 0x0A, 4, 0, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0x40, 0xC0};
    static const uint8_t start[] = {0, 0x06, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x2C, 0x90, 0x0A, 0x40};
    struct kl_vboard *b = new_board(KL_CHIP_ESP32);
    uint8_t both[2 * sizeof read];
    struct frames got;

    (void)state;
    upload_stub(b);
    send_framed(b, start, sizeof start);
    collect(b, &got);
    assert_int_equal(got.count, 2);
    memcpy(both, read, sizeof read);
    memcpy(both + sizeof read, read, sizeof read);
    kl_vboard_rx(b, both, sizeof both, now);
    collect(b, &got);
    assert_int_equal(got.count, 1);
    for (int i = 0; i < 3; i++) {
        now += KL_SEC(1);
        kl_vboard_rx(b, read, sizeof read, now);
        collect(b, &got);
        assert_int_equal(got.count, 0);
    }
    kl_vboard_rx(b, read, 1, now);
    kl_vboard_rx(b, read, sizeof read, now);
    collect(b, &got);
    assert_int_equal(got.count, 1);
    kl_vboard_destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(esp32_rom_answers_as_recorded),
        cmocka_unit_test(esp32c3_rom_answers_as_recorded),
        cmocka_unit_test(stub_answers_as_recorded),
        cmocka_unit_test(stub_answers_amid_a_stream_as_recorded),
        cmocka_unit_test(a_frame_too_early_leaves_the_stub_out_of_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
