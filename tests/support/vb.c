/* vb.c: see vb.h. */
#include "vb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <md5.h>
#include <sha2.h>

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

void vb_open(struct vb *v, const struct kl_vboard_config *config)
{
    memset(v, 0, sizeof *v);
    v->chip = config->chip;
    v->board = kl_vboard_create(config);
    assert_non_null(v->board);
    kl_vboard_power(v->board, true, v->now);
}

void vb_close(struct vb *v)
{
    kl_vboard_destroy(v->board);
}

void vb_clear(struct vb *v)
{
    memset(v->text, 0, sizeof v->text);
    v->text_size = 0;
    v->frames = 0;
    v->open = v->escape = false;
    v->frame_size = 0;
}

static void take(struct vb *v, uint8_t c)
{
    if (c == 0xC0) {
        if (v->open && v->frame_size > 0) {
            v->frames++;
            v->open = false;
        } else {
            v->open = true;
            v->frame_size = 0;
        }
    } else if (!v->open) {
        if (v->text_size + 1 < sizeof v->text)
            v->text[v->text_size++] = c ? (char)c : '?';
    } else if (c == 0xDB) {
        v->escape = true;
    } else if (v->frame_size < sizeof v->frame) {
        v->frame[v->frame_size++] = !v->escape ? c : c == 0xDC ? 0xC0 : 0xDB;
        v->escape = false;
    }
}

static void listen(struct vb *v)
{
    uint8_t bytes[512];
    size_t n;

    while ((n = kl_vboard_tx(v->board, bytes, sizeof bytes, v->now)) > 0)
        for (size_t i = 0; i < n; i++)
            take(v, bytes[i]);
}

void vb_wait(struct vb *v, kl_us time)
{
    kl_us end = v->now + time;

    listen(v);
    for (;;) {
        kl_us due = kl_vboard_deadline(v->board);
        if (due > end)
            break;
        if (due > v->now)
            v->now = due;
        kl_vboard_tick(v->board, v->now);
        listen(v);
    }
    v->now = end;
    kl_vboard_tick(v->board, v->now);
    listen(v);
}

void vb_send(struct vb *v, const char *text)
{
    kl_vboard_rx(v->board, (const uint8_t *)text, strlen(text), v->now);
}

void vb_into_loader(struct vb *v)
{
    kl_vboard_lines(v->board, false, true, v->now);
    vb_wait(v, KL_MS(100));
    kl_vboard_lines(v->board, true, false, v->now);
    vb_wait(v, KL_MS(50));
    kl_vboard_lines(v->board, false, false, v->now);
}

void vb_into_program(struct vb *v)
{
    kl_vboard_lines(v->board, false, true, v->now);
    vb_wait(v, KL_MS(100));
    kl_vboard_lines(v->board, false, false, v->now);
    vb_wait(v, KL_MS(10));
}

static void send_frame(struct vb *v, const uint8_t *packet, size_t size)
{
    static uint8_t wire[2 * 20000 + 2];
    size_t n = 0;

    wire[n++] = 0xC0;
    for (size_t i = 0; i < size; i++) {
        bool escape = packet[i] == 0xC0 || packet[i] == 0xDB;
        if (escape)
            wire[n++] = 0xDB;
        wire[n++] = !escape ? packet[i] : packet[i] == 0xC0 ? 0xDC : 0xDD;
    }
    wire[n++] = 0xC0;
    kl_vboard_rx(v->board, wire, n, v->now);
}

int vb_command(struct vb *v, uint8_t op, const void *data, size_t size, uint32_t checksum,
               size_t status_size)
{
    static uint8_t packet[20000];

    assert_true(8 + size <= sizeof packet);
    memset(packet, 0, 8);
    packet[1] = op;
    packet[2] = (uint8_t)size;
    packet[3] = (uint8_t)(size >> 8);
    put32(packet + 4, checksum);
    memcpy(packet + 8, data, size);
    vb_clear(v);
    send_frame(v, packet, 8 + size);
    for (int i = 0; i < 600 && v->frames == 0; i++)
        vb_wait(v, KL_MS(100));
    if (v->frames == 0 || v->frame_size < 8 + status_size)
        return -1;
    const uint8_t *status = v->frame + v->frame_size - status_size;
    return status[0] << 8 | status[1];
}

int vb_sync(struct vb *v)
{
    uint8_t data[36] = {7, 7, 0x12, 0x20};

    memset(data + 4, 0x55, 32);
    return vb_command(v, 0x08, data, sizeof data, 0, kl_chip(v->chip)->rom_status_size);
}

static uint32_t xor_sum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0xEF;

    for (size_t i = 0; i < size; i++)
        sum ^= data[i];
    return sum;
}

void vb_flash(struct vb *v, uint32_t offset, const uint8_t *data, uint32_t size)
{
    const struct kl_chip *chip = kl_chip(v->chip);
    uint8_t words[24] = {0};
    uint8_t block[16 + 0x400];
    size_t status = chip->rom_status_size;
    uint32_t flash_size;

    kl_vboard_flash(v->board, &flash_size);
    if (chip->rom_deflate) {
        assert_int_equal(vb_command(v, 0x0D, words, 8, 0, status) >> 8, 0);
        put32(words + 4, flash_size);
        put32(words + 8, 0x10000);
        put32(words + 12, 0x1000);
        put32(words + 16, 0x100);
        put32(words + 20, 0xFFFF);
        assert_int_equal(vb_command(v, 0x0B, words, 24, 0, status) >> 8, 0);
    }
    memset(words, 0, sizeof words);
    put32(words, size);
    put32(words + 4, (size + 0x3FF) / 0x400);
    put32(words + 8, 0x400);
    put32(words + 12, offset);
    assert_int_equal(vb_command(v, 0x02, words, chip->rom_begin_20 ? 20 : 16, 0, status) >> 8, 0);
    for (uint32_t i = 0; i * 0x400 < size; i++) {
        uint32_t n = size - i * 0x400 < 0x400 ? size - i * 0x400 : 0x400;
        memset(block, 0, 16);
        put32(block, n);
        put32(block + 4, i);
        memcpy(block + 16, data + i * 0x400, n);
        assert_int_equal(vb_command(v, 0x03, block, 16 + n, xor_sum(block + 16, n), status) >> 8,
                         0);
    }
}

size_t vb_image(enum kl_chip_id id, uint8_t *out, size_t room, uint32_t body, uint8_t fill)
{
    const struct kl_chip *chip = kl_chip(id);
    bool old = chip->image_chip_id < 0;
    size_t header = old ? 8 : 24, at = header + 8 + body;

    assert_true(body % 4 == 0 && at + 64 <= room);
    memset(out, 0, room);
    out[0] = 0xE9;
    out[1] = 1;
    out[2] = 2;
    out[3] = (uint8_t)(kl_chip_flash_size_code(chip, 0x100000) | 0xF);
    put32(out + 4, 0x40080400);
    if (!old) {
        out[8] = 0xEE;
        out[12] = (uint8_t)chip->image_chip_id;
        out[21] = out[22] = 0xFF; /* any revision */
        out[23] = 1;
    }
    put32(out + header, 0x3FFF0030);
    put32(out + header + 4, body);
    memset(out + header + 8, fill, body);
    uint32_t sum = xor_sum(out + header + 8, body);
    at |= 15;
    out[at++] = (uint8_t)sum;
    if (!old) {
        SHA2_CTX sha;
        SHA256Init(&sha);
        SHA256Update(&sha, out, at);
        SHA256Final(out + at, &sha);
        at += 32;
    }
    return at;
}

static void row(uint8_t *p, uint8_t type, uint8_t subtype, uint32_t offset, uint32_t size,
                const char *name)
{
    memset(p, 0, 32);
    p[0] = 0xAA;
    p[1] = 0x50;
    p[2] = type;
    p[3] = subtype;
    put32(p + 4, offset);
    put32(p + 8, size);
    memcpy(p + 12, name, strlen(name));
}

size_t vb_partitions(uint8_t out[3072], uint32_t app_size)
{
    MD5_CTX md5;

    memset(out, 0xFF, 3072);
    row(out, 1, 2, 0x9000, 0x5000, "nvs");
    row(out + 32, 1, 1, 0xF000, 0x1000, "phy_init");
    row(out + 64, 0, 0, 0x10000, app_size, "factory");
    out[96] = out[97] = 0xEB;
    MD5Init(&md5);
    MD5Update(&md5, out, 96);
    MD5Final(out + 112, &md5);
    return 3072;
}

void vb_flash_firmware(struct vb *v, enum kl_chip_id id)
{
    uint8_t image[4096], table[3072];
    size_t size = vb_image(id, image, sizeof image, 1024, 0x11);

    vb_flash(v, kl_chip(id)->bootloader_offset, image, (uint32_t)size);
    if (kl_chip(id)->image_chip_id < 0) /* ESP8266: this is the program */
        return;
    size = vb_partitions(table, 0xF0000);
    vb_flash(v, 0x8000, table, (uint32_t)size);
    size = vb_image(id, image, sizeof image, 2048, 0x22);
    vb_flash(v, 0x10000, image, (uint32_t)size);
}
