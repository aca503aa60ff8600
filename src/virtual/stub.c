/*
 * stub.c: the flasher stub, once one was uploaded. The board does not execute the uploaded code; it
 * acts as Espressif's current stub does (§1.4, §2, §8.3 and tests/rom-vectors/esp32-stub.jsonl).
 *
 * The stub acknowledges a block first and writes it afterwards. If that fails, it answers the next
 * command with the failure and does not carry it out.
 */
#include <stdlib.h>
#include <string.h>

#include <md5.h>

#include "vboard_inside.h"

enum { /* status and error byte as one number (§1.4) */
    BAD_LENGTH = 0xC000,
    BAD_CHECKSUM = 0xC100,
    BAD_COMMAND = 0xC300,
    FLASH_FAILED = 0xC400,
    NOT_WRITING = 0xC600,
    INFLATE_FAILED = 0xC700,
    NOT_ENOUGH = 0xC800,
    TOO_MUCH = 0xC900,
    NOT_IMPLEMENTED = 0xFF00,
    ANSWERS_LATER = 0xFFFF, /* no status: stub_catch_up() answers */
};

struct question {
    const uint8_t *data;
    size_t size;
    uint32_t checksum;
};

enum {
    ANSWER_MAX = 20,
    FLASH_DATA = 0x03,
    DEFLATE_DATA = 0x11,
};

struct answer {
    uint32_t value;
    uint8_t data[ANSWER_MAX];
    size_t size;
};

void stub_start(struct kl_vboard *b)
{
    struct loader *l = &b->loader;

    loader_forget_download(l);
    l->attached = true;
    l->failure = 0;
    l->reading = false;
    board_enter(b, BOARD_STUB);
    if (b->config.paced)
        b->work += KL_MS(10); /* the stub waits until the ROM's last answer has left */
    if (fault_is(b, FAULT_ID_STUB_RETURNS))
        board_set_baud(b, l->found_baud);
    loader_send(b, (const uint8_t *)"OHAI", 4);
    if (fault_takes(b, FAULT_ID_STUB_DIES))
        board_enter(b, BOARD_DEAD);
}

static void reply(struct kl_vboard *b, uint8_t op, const struct answer *a, uint16_t status)
{
    uint8_t frame[8 + ANSWER_MAX + 2] = {1, op};
    size_t size = a ? a->size : 0;

    frame[2] = (uint8_t)(size + 2);
    put_u32(frame + 4, a ? a->value : 0);
    if (a)
        memcpy(frame + 8, a->data, size);
    frame[8 + size] = (uint8_t)(status >> 8);
    frame[8 + size + 1] = (uint8_t)status;
    loader_send(b, frame, 8 + size + 2);
}

/* ---- what can wait ---- */

/* Keeps the question. On the board's own clock, b->work, the work is done when it always was: the
   next frame and a reset, which alone move that clock, do first what was put off. A power failure
   amid it would have to end all at this very moment; so with that fault nothing is put off. */
static bool put_off(struct kl_vboard *b, const struct question *q, kl_us by)
{
    struct loader *l = &b->loader;
    struct frame *from = q->data - 8 == l->next.data ? &l->next : &l->frame;
    uint8_t *empty = l->late.data;

    if (!b->config.paced || fault_is(b, FAULT_ID_DIES_WRITING))
        return false;
    l->late.data = from->data;
    l->late.size = q->size + 8;
    l->late.waiting = true;
    l->late_by = by;
    from->data = empty;
    return true;
}

/* ---- flash ---- */

/* Erases just in time. A blank sector costs only a look, until the first sector that is not blank:
   from there on the stub erases without looking (§3.3). */
static void erase_next(struct kl_vboard *b)
{
    struct loader *l = &b->loader;
    bool big = l->erase_at % 0x10000 == 0 && l->erase_left >= 0x10000;
    uint32_t step = SECTOR;

    if (!l->dirty) {
        flash_read_time(b, SECTOR, READ_PLAINLY);
        l->dirty = !flash_blank(b, l->erase_at, SECTOR);
    }
    if (l->dirty) {
        step = big ? 0x10000 : SECTOR;
        flash_erase(b, l->erase_at, step);
    }
    l->erase_at += step;
    l->erase_left -= step;
}

/* Lets an idle flash erase what comes next, while bytes still arrive (§3.3). */
static void erase_ahead(struct kl_vboard *b)
{
    if (b->loader.erase_left > 0 && b->flash_ready <= b->work)
        erase_next(b);
}

static uint16_t begin(struct kl_vboard *b, const struct question *q, bool deflate)
{
    struct loader *l = &b->loader;

    if (q->size != 16 && q->size != 20)
        return BAD_LENGTH;
    l->remaining = get_u32(q->data);
    l->block_size = get_u32(q->data + 8);
    l->packed_remaining = get_u32(q->data + 4) * l->block_size;
    l->address = get_u32(q->data + 12);
    l->into = deflate ? INTO_DEFLATE : INTO_FLASH;
    l->erase_at = l->address & ~(uint32_t)(SECTOR - 1);
    l->erase_left =
        ((l->address + l->remaining + SECTOR - 1) & ~(uint32_t)(SECTOR - 1)) - l->erase_at;
    l->dirty = false;
    if (deflate)
        loader_inflate_start(b);
    if (fault_is(b, FAULT_ID_NO_FLASH))
        return FLASH_FAILED;
    erase_ahead(b);
    return 0;
}

static bool write_on(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    struct loader *l = &b->loader;

    if (fault_takes(b, FAULT_ID_WRITE_FAILS) || fault_is(b, FAULT_ID_NO_FLASH))
        return false;
    while (l->erase_left > 0 && l->erase_at < l->address + size)
        erase_next(b);
    flash_program(b, l->address, data, size); /* the stub does not check the cells */
    flash_wait(b);
    l->address += (uint32_t)size;
    l->remaining -= (uint32_t)size; /* wraps if too much came; END tells */
    return true;
}

static uint16_t check_block(struct kl_vboard *b, const struct question *q, size_t size)
{
    if (loader_checksum(q->data + 16, size) != q->checksum) {
        board_complain(b, "bad checksum");
        return BAD_CHECKSUM;
    }
    return 0;
}

static uint16_t do_flash_data(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size < 16)
        return NOT_ENOUGH;
    if (b->loader.into != INTO_FLASH && b->loader.into != INTO_DEFLATE)
        return NOT_WRITING;
    if (get_u32(q->data) != q->size - 16)
        return TOO_MUCH;
    return check_block(b, q, q->size - 16);
}

static uint16_t after_flash_data(struct kl_vboard *b, const struct question *q)
{
    size_t size = q->size - 16;

    if (size > b->loader.remaining)
        size = b->loader.remaining;
    return write_on(b, q->data + 16, size) ? 0 : FLASH_FAILED;
}

static uint16_t do_deflate_data(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size < 16)
        return BAD_LENGTH;
    if (b->loader.into != INTO_FLASH && b->loader.into != INTO_DEFLATE)
        return NOT_WRITING;
    uint32_t size = get_u32(q->data);
    return size > q->size - 16 ? BAD_CHECKSUM : check_block(b, q, size);
}

static uint16_t after_deflate_data(struct kl_vboard *b, const struct question *q)
{
    if (b->loader.into != INTO_DEFLATE)
        return INFLATE_FAILED;
    if (get_u32(q->data + 4) == 0)
        b->loader.window_used = 0;
    erase_ahead(b);
    switch (loader_inflate(b, q->data + 16, get_u32(q->data), write_on, false)) {
    case INFLATED:
        return 0;
    case INFLATE_FLASH:
        return FLASH_FAILED;
    default:
        board_complain(b, "the compressed stream is broken");
        return INFLATE_FAILED;
    }
}

static uint16_t do_flash_begin(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    return begin(b, q, false);
}

static uint16_t do_deflate_begin(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    return begin(b, q, true);
}

/* The barrier: answers once all that was announced is in flash (§2.3). Ignores the flag. */
static uint16_t do_end(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    struct loader *l = &b->loader;

    (void)a;
    if (q->size != 4)
        return BAD_LENGTH;
    if (l->into != INTO_FLASH && l->into != INTO_DEFLATE)
        return NOT_WRITING;
    if (l->remaining != 0) {
        board_complain(b, "end with 0x%x bytes missing", (unsigned)l->remaining);
        return BAD_LENGTH;
    }
    flash_wait(b);
    l->into = INTO_NOTHING;
    return 0;
}

static uint16_t sum_up(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    md5_of_flash(b, get_u32(q->data), get_u32(q->data + 4), a->data);
    a->size = 16;
    return fault_is(b, FAULT_ID_NO_FLASH) ? FLASH_FAILED : 0;
}

static uint16_t do_md5(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    if (q->size != 16)
        return BAD_LENGTH;
    flash_read_time(b, get_u32(q->data + 4), READ_FOR_MD5);
    if (!fault_is(b, FAULT_ID_NO_FLASH) && put_off(b, q, b->work))
        return ANSWERS_LATER;
    return sum_up(b, q, a);
}

static uint16_t do_erase_chip(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)q;
    (void)a;
    flash_erase(b, 0, b->flash_size);
    flash_wait(b);
    return 0;
}

static uint16_t do_erase_region(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 8 || get_u32(q->data) % SECTOR || get_u32(q->data + 4) % SECTOR)
        return BAD_LENGTH;
    flash_erase(b, get_u32(q->data), get_u32(q->data + 4));
    flash_wait(b);
    return 0;
}

/* ---- reading back: one packet in flight, each acknowledged (§2.2) ---- */

static uint16_t do_read(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)b;
    (void)a;
    return q->size == 16 ? 0 : BAD_LENGTH;
}

static void send_packet(struct kl_vboard *b)
{
    struct loader *l = &b->loader;
    uint8_t packet[SECTOR];
    uint32_t n = l->read_left < l->read_packet ? l->read_left : l->read_packet;

    for (uint32_t i = 0; i < n; i++)
        packet[i] = (uint64_t)l->read_at + i < b->flash_size ? b->flash[l->read_at + i] : 0xFF;
    flash_read_time(b, n, READ_PLAINLY);
    MD5Update(l->read_md5, packet, n);
    l->read_at += n;
    l->read_left -= n;
    loader_send(b, packet, n);
}

static void end_reading(struct kl_vboard *b)
{
    uint8_t md5[16];

    b->loader.reading = false;
    MD5Final(md5, b->loader.read_md5);
    loader_send(b, md5, sizeof md5);
}

static uint16_t after_read(struct kl_vboard *b, const struct question *q)
{
    struct loader *l = &b->loader;

    l->read_at = get_u32(q->data);
    l->read_left = l->read_size = get_u32(q->data + 4);
    l->read_packet = get_u32(q->data + 8);
    if (l->read_packet > SECTOR || l->read_packet == 0)
        return BAD_LENGTH;
    if (!l->read_md5)
        l->read_md5 = malloc(sizeof(MD5_CTX));
    KL_ASSERT(l->read_md5);
    MD5Init(l->read_md5);
    l->reading = true;
    if (l->read_left > 0)
        send_packet(b);
    else
        end_reading(b);
    return 0;
}

static void read_acknowledged(struct kl_vboard *b, const uint8_t *frame, size_t size)
{
    struct loader *l = &b->loader;

    if (size != 4 || (l->read_left == 0 && get_u32(frame) >= l->read_size))
        end_reading(b);
    else if (l->read_left > 0)
        send_packet(b);
}

/* ---- RAM ---- */

static uint16_t do_ram_begin(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 16)
        return BAD_LENGTH;
    b->loader.into = INTO_RAM;
    b->loader.remaining = get_u32(q->data);
    return 0;
}

static uint16_t do_ram_data(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size < 16)
        return NOT_ENOUGH;
    if (b->loader.into != INTO_RAM)
        return NOT_WRITING;
    if (get_u32(q->data) != q->size - 16 || q->size - 16 > b->loader.remaining)
        return TOO_MUCH;
    b->loader.remaining -= (uint32_t)(q->size - 16);
    return 0;
}

static uint16_t do_ram_end(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 8)
        return BAD_LENGTH;
    return b->loader.into == INTO_RAM ? 0 : NOT_WRITING;
}

static uint16_t after_ram_end(struct kl_vboard *b, const struct question *q)
{
    b->loader.into = INTO_NOTHING;
    if (get_u32(q->data) == 0) { /* somebody's own program, which no virtual board can run */
        board_complain(b, "a program was started from RAM by the stub");
        board_enter(b, BOARD_DEAD);
    }
    return 0;
}

/* ---- the rest ---- */

static uint16_t do_sync(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 36)
        return BAD_LENGTH;
    for (int i = 0; i < 7; i++)
        reply(b, 0x08, NULL, 0);
    return 0;
}

static uint16_t do_read_reg(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    if (q->size != 4)
        return BAD_LENGTH;
    a->value = regs_read(b, get_u32(q->data));
    return 0;
}

static uint16_t do_write_reg(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size == 0 || q->size % 16 != 0)
        return NOT_ENOUGH;
    for (size_t i = 0; i < q->size; i += 16) {
        if (b->config.paced)
            b->work += get_u32(q->data + i + 12);
        regs_write(b, get_u32(q->data + i), get_u32(q->data + i + 4), get_u32(q->data + i + 8));
    }
    return 0;
}

static uint16_t do_attach(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)b;
    (void)a;
    return q->size == 4 ? 0 : BAD_LENGTH;
}

static uint16_t do_set_params(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)b;
    (void)a;
    return q->size == 24 ? 0 : BAD_LENGTH;
}

static uint16_t do_baud(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 8 || get_u32(q->data) == 0)
        return BAD_LENGTH;
    return fault_takes(b, FAULT_ID_NO_BAUD) ? BAD_COMMAND : 0;
}

static uint16_t after_baud(struct kl_vboard *b, const struct question *q)
{
    board_set_baud(b, get_u32(q->data));
    return 0;
}

static uint16_t do_security(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    if (q->size != 0)
        return BAD_LENGTH;
    if (!b->chip->has_security_info)
        return NOT_IMPLEMENTED;
    loader_security_info(b, a->data, &a->size);
    return 0;
}

static const struct command {
    uint8_t op;
    uint16_t (*ask)(struct kl_vboard *, const struct question *, struct answer *);
    uint16_t (*after)(struct kl_vboard *, const struct question *);
} commands[] = {
    {0x02, do_flash_begin, NULL},
    {FLASH_DATA, do_flash_data, after_flash_data},
    {0x04, do_end, NULL},
    {0x05, do_ram_begin, NULL},
    {0x06, do_ram_end, after_ram_end},
    {0x07, do_ram_data, NULL},
    {0x08, do_sync, NULL},
    {0x09, do_write_reg, NULL},
    {0x0A, do_read_reg, NULL},
    {0x0B, do_set_params, NULL},
    {0x0D, do_attach, NULL},
    {0x0F, do_baud, after_baud},
    {0x10, do_deflate_begin, NULL},
    {DEFLATE_DATA, do_deflate_data, after_deflate_data},
    {0x12, do_end, NULL},
    {0x13, do_md5, NULL},
    {0x14, do_security, NULL},
    {0xD0, do_erase_chip, NULL},
    {0xD1, do_erase_region, NULL},
    {0xD2, do_read, after_read},
};

static bool writes(uint8_t op)
{
    return op == FLASH_DATA || op == DEFLATE_DATA;
}

static void run(struct kl_vboard *b, uint8_t op, const struct question *q)
{
    struct loader *l = &b->loader;
    struct answer a = {.size = 0};

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *c = &commands[i];
        if (c->op != op)
            continue;
        uint16_t status = c->ask(b, q, &a);
        if (status == ANSWERS_LATER)
            return;
        reply(b, op, status ? NULL : &a, status);
        if (!status && c->after && !(writes(op) && put_off(b, q, KL_NEVER)))
            l->failure = c->after(b, q);
        return;
    }
    if (op >= 0xD5 && op <= 0xEF) { /* plug-ins, of which none is loaded */
        reply(b, op, NULL, NOT_IMPLEMENTED);
        return;
    }
    board_complain(b, "opcode 0x%02x refused by the stub", op);
    reply(b, op, NULL, BAD_COMMAND);
}

void stub_catch_up(struct kl_vboard *b)
{
    struct loader *l = &b->loader;
    struct answer a = {.size = 0};

    if (!l->late.waiting)
        return;
    l->late.waiting = false;
    const uint8_t *frame = l->late.data;
    struct question q = {frame + 8, l->late.size - 8, get_u32(frame + 4)};
    if (frame[1] == DEFLATE_DATA) {
        l->failure = after_deflate_data(b, &q);
    } else if (frame[1] == FLASH_DATA) {
        l->failure = after_flash_data(b, &q);
    } else {
        uint16_t status = sum_up(b, &q, &a);
        reply(b, frame[1], status ? NULL : &a, status);
    }
    l->busy_until = b->work;
}

void stub_frame(struct kl_vboard *b, const uint8_t *frame, size_t size)
{
    struct loader *l = &b->loader;

    if (l->reading) {
        read_acknowledged(b, frame, size);
        return;
    }
    if (size < 8 || frame[1] == 0xD3) /* RUN_USER_CODE: nothing happens, no answer */
        return;
    struct question q = {frame + 8, size - 8, get_u32(frame + 4)};
    if (frame[1] == 0x08 && fault_takes(b, FAULT_ID_NO_SYNC))
        return;
    if (frame[0] != 0) {
        reply(b, frame[1], NULL, BAD_COMMAND);
    } else if (q.size != (size_t)(frame[2] | frame[3] << 8)) {
        reply(b, frame[1], NULL, BAD_LENGTH);
    } else if (l->failure) {
        uint16_t failure = l->failure;
        l->failure = 0;
        reply(b, frame[1], NULL, failure);
    } else {
        run(b, frame[1], &q);
    }
}
