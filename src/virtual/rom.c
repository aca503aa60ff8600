/*
 * rom.c: the ROM loader's commands, strictly (§1, §2 and tests/rom-vectors).
 *
 * Left-overs are part of the answer. The value word keeps the last register or SYNC pattern; data
 * commands leave the previous error number beside a status of 0.
 */
#include <stdio.h>
#include <string.h>

#include "vboard_inside.h"

enum { /* error numbers (§1.4) */
    BAD_MESSAGE = 0x05,
    FAILED = 0x06,
    BAD_CHECKSUM = 0x07,
    WRITE_ERROR = 0x08,
    READ_LENGTH = 0x0A,
    INFLATE_ERROR = 0x0B,
    ADLER_ERROR = 0x0C,
};

struct question {
    const uint8_t *data; /* the payload as it came: the ROM trusts no size field */
    size_t size;
    uint32_t checksum;
};

enum {
    ANSWER_MAX = 64
};

struct answer {
    uint8_t data[ANSWER_MAX];
    size_t size;
};

static void reply(struct kl_vboard *b, uint8_t op, const struct answer *a, uint8_t status,
                  uint8_t error)
{
    struct loader *l = &b->loader;
    uint8_t frame[8 + ANSWER_MAX + 4] = {1, op};
    size_t size = (a ? a->size : 0) + b->chip->rom_status_size;

    frame[2] = (uint8_t)size;
    put_u32(frame + 4, l->last_value);
    if (a)
        memcpy(frame + 8, a->data, a->size);
    frame[8 + size - b->chip->rom_status_size] = status;
    frame[8 + size - b->chip->rom_status_size + 1] = error;
    loader_send(b, frame, 8 + size);
}

/* ---- flash ---- */

/* The ESP8266's ROM counts the sectors before the first 64 KiB boundary twice (§2.4). */
static uint32_t esp8266_erases(uint32_t offset, uint32_t size)
{
    uint32_t sectors = (size + SECTOR - 1) / SECTOR, head = 16 - offset / SECTOR % 16;

    return (sectors + (sectors < head ? sectors : head)) * SECTOR;
}

static uint8_t begin_erased(struct kl_vboard *b, uint32_t size, uint32_t offset)
{
    struct loader *l = &b->loader;

    if (!l->attached || fault_is(b, FAULT_ID_NO_FLASH)) {
        board_complain(b, "flash begin before the flash is attached");
        return FAILED;
    }
    if (offset % SECTOR != 0) {
        board_complain(b, "flash begin at 0x%x: not on a sector", (unsigned)offset);
        return FAILED;
    }
    if ((uint64_t)offset + size > l->params_size) {
        board_complain(b, "flash begin of 0x%x at 0x%x: past 0x%x", (unsigned)size,
                       (unsigned)offset, (unsigned)l->params_size);
        return FAILED;
    }
    flash_erase(b, offset, b->chip->id == KL_CHIP_ESP8266 ? esp8266_erases(offset, size) : size);
    flash_wait(b);
    return 0;
}

static uint8_t begin(struct kl_vboard *b, const struct question *q, bool deflate)
{
    struct loader *l = &b->loader;

    if (q->size != (b->chip->rom_begin_20 ? 20u : 16u)) {
        board_complain(b, "flash begin of %zu bytes", q->size);
        return BAD_MESSAGE;
    }
    uint32_t size = get_u32(q->data), block = get_u32(q->data + 8), offset = get_u32(q->data + 12);
    if (block > ROM_BLOCK_MAX) {
        board_complain(b, "blocks of 0x%x refused", (unsigned)block);
        return BAD_MESSAGE;
    }
    if (b->chip->id == KL_CHIP_ESP8266)
        l->attached = true;
    l->into = deflate ? INTO_DEFLATE : INTO_FLASH; /* even if it fails (§2.2) */
    l->expected = 0;
    l->block_size = block;
    l->address = offset;
    if (deflate)
        loader_inflate_start(b);
    return size == 0 && block == 0 ? 0 : begin_erased(b, size, offset);
}

/* Checks what every data command checks first. A bad checksum too moves the sequence on (§1.7). */
static uint8_t take_block(struct kl_vboard *b, const struct question *q, unsigned into)
{
    struct loader *l = &b->loader;

    if (l->into != into || q->size < 16) {
        board_complain(b, "data without begin");
        return BAD_MESSAGE;
    }
    size_t size = q->size - 16;
    if (get_u32(q->data) != size || size > l->block_size) {
        board_complain(b, "data of %zu bytes in blocks of 0x%x", size, (unsigned)l->block_size);
        return BAD_MESSAGE;
    }
    if (get_u32(q->data + 4) != l->expected) {
        board_complain(b, "block %u came, %u is next", (unsigned)get_u32(q->data + 4),
                       (unsigned)l->expected);
        return BAD_MESSAGE;
    }
    l->expected++;
    if (loader_checksum(q->data + 16, size) != (q->checksum & 0xFF)) {
        board_complain(b, "bad checksum on block %u", (unsigned)l->expected - 1);
        return BAD_CHECKSUM;
    }
    return fault_takes(b, FAULT_ID_WRITE_FAILS) && into != INTO_RAM ? WRITE_ERROR : 0;
}

static bool write_on(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    bool holds = flash_program(b, b->loader.address, data, size);

    flash_wait(b);
    b->loader.address += (uint32_t)size;
    if (!holds)
        board_complain(b, "the flash does not hold what was written: not erased?");
    return holds;
}

/* The ROM writes whole windows. The bytes behind the stream's end fall on sectors that nobody
   erased, and the ROM does not look at what becomes of them. */
static bool write_window(struct kl_vboard *b, const uint8_t *data, size_t size)
{
    write_on(b, data, size);
    return true;
}

static uint8_t do_flash_begin(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    return begin(b, q, false);
}

static uint8_t do_deflate_begin(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    return begin(b, q, true);
}

static uint8_t do_flash_data(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    uint8_t error = take_block(b, q, INTO_FLASH);

    (void)a;
    if (error)
        return error;
    return write_on(b, q->data + 16, q->size - 16) ? 0 : WRITE_ERROR;
}

static uint8_t do_deflate_data(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    uint8_t error = take_block(b, q, INTO_DEFLATE);

    (void)a;
    if (error)
        return error;
    switch (loader_inflate(b, q->data + 16, q->size - 16, write_window, true)) {
    case INFLATE_BROKEN:
        board_complain(b, "the compressed stream is broken");
        return INFLATE_ERROR;
    case INFLATE_ADLER:
        board_complain(b, "the compressed stream's sum is wrong");
        return ADLER_ERROR;
    default:
        return 0;
    }
}

static uint8_t do_md5(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    uint8_t md5[16];

    if (q->size != 16)
        return BAD_MESSAGE;
    uint32_t address = get_u32(q->data), size = get_u32(q->data + 4);
    if (!b->loader.attached || (uint64_t)address + size > b->loader.params_size) {
        board_complain(b, "MD5 of 0x%x at 0x%x: not attached, or past the end", (unsigned)size,
                       (unsigned)address);
        return FAILED;
    }
    flash_read_time(b, size, READ_FOR_ROM_MD5);
    md5_of_flash(b, address, size, md5);
    for (int i = 0; i < 16; i++) {
        a->data[2 * i] = (uint8_t) "0123456789abcdef"[md5[i] >> 4];
        a->data[2 * i + 1] = (uint8_t) "0123456789abcdef"[md5[i] & 15];
    }
    a->size = 32;
    return 0;
}

static uint8_t do_read_slow(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    uint8_t error = 0;

    if (q->size != 8)
        return BAD_MESSAGE;
    uint32_t address = get_u32(q->data), size = get_u32(q->data + 4);
    if (size > 64)
        error = READ_LENGTH; /* the buffer comes all the same (§1.3) */
    for (uint32_t i = 0; !error && i < size; i++)
        b->loader.slow_read[i] = b->loader.attached && (uint64_t)address + i < b->flash_size
                                     ? b->flash[address + i]
                                     : 0xFF;
    memcpy(a->data, b->loader.slow_read, 64);
    a->size = 64;
    return error;
}

static uint8_t do_attach(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 8 && q->size != 4)
        return BAD_MESSAGE;
    b->loader.attached = true;
    return 0;
}

static uint8_t do_set_params(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size != 24)
        return BAD_MESSAGE;
    b->loader.params_size = get_u32(q->data + 4);
    return 0;
}

/* ---- RAM ---- */

/* A C3 with secure boot runs nothing from RAM (§4.7). */
static bool ram_locked(const struct kl_vboard *b)
{
    return b->chip->id == KL_CHIP_ESP32C3 && fault_is(b, FAULT_ID_SECURE_BOOT);
}

static uint8_t do_ram_begin(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    struct loader *l = &b->loader;

    (void)a;
    if (q->size != 16 || get_u32(q->data + 8) > ROM_BLOCK_MAX || ram_locked(b)) {
        board_complain(b, "RAM begin refused");
        return BAD_MESSAGE;
    }
    l->into = INTO_RAM;
    l->expected = 0;
    l->block_size = get_u32(q->data + 8);
    l->segment[l->segments % SEGMENTS_KEPT] =
        (struct segment){get_u32(q->data + 12), get_u32(q->data), 0};
    l->segments++;
    return 0;
}

static uint8_t do_ram_data(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    struct loader *l = &b->loader;
    uint8_t error = take_block(b, q, INTO_RAM);

    (void)a;
    if (!error)
        l->segment[(l->segments - 1) % SEGMENTS_KEPT].got += (uint32_t)(q->size - 16);
    return error;
}

/* A stub can run only if it came whole and its entry lies inside what was loaded. */
static bool could_run(const struct loader *l, uint32_t entry)
{
    unsigned count = l->segments < SEGMENTS_KEPT ? l->segments : SEGMENTS_KEPT;
    bool inside = false;

    for (unsigned i = 0; i < count; i++) {
        const struct segment *s = &l->segment[i];
        if (s->got != s->size)
            return false;
        inside |= entry >= s->address && entry - s->address < s->size;
    }
    return inside;
}

static uint8_t do_ram_end(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)b;
    (void)a;
    return q->size == 8 ? 0 : BAD_MESSAGE;
}

static void after_ram_end(struct kl_vboard *b, const struct question *q)
{
    uint32_t stay = get_u32(q->data), entry = get_u32(q->data + 4);

    if (stay)
        return;
    if (!could_run(&b->loader, entry)) {
        board_complain(b, "RAM end: nothing whole is loaded at 0x%x", (unsigned)entry);
        board_enter(b, BOARD_DEAD);
    } else if (fault_is(b, FAULT_ID_ROM_HANGS) || fault_takes(b, FAULT_ID_STUB_FAILS)) {
        board_enter(b, BOARD_DEAD);
    } else {
        stub_start(b);
    }
}

/* ---- the rest ---- */

static uint8_t do_sync(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)q;
    (void)a;
    b->loader.last_value = 0x20120707;
    return 0;
}

/* The ROM does not check the length (recorded: "read reg short payload"). */
static uint8_t do_read_reg(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    uint8_t address[4] = {0};

    (void)a;
    memcpy(address, q->data, q->size < 4 ? q->size : 4);
    b->loader.last_value = regs_read(b, get_u32(address));
    return 0;
}

static uint8_t do_write_reg(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)a;
    if (q->size == 0 || q->size % 16 != 0)
        return BAD_MESSAGE;
    for (size_t i = 0; i < q->size; i += 16) {
        regs_write(b, get_u32(q->data + i), get_u32(q->data + i + 4), get_u32(q->data + i + 8));
        if (b->config.paced)
            b->work += get_u32(q->data + i + 12);
    }
    return 0;
}

static uint8_t do_baud(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)b;
    (void)a;
    return q->size == 8 && get_u32(q->data) > 0 && !fault_takes(b, FAULT_ID_NO_BAUD) ? 0
                                                                                     : BAD_MESSAGE;
}

/* The ROM divides a clock that it may be wrong about (§4.4). */
static void after_baud(struct kl_vboard *b, const struct question *q)
{
    uint64_t rate = (uint64_t)get_u32(q->data) * crystal_hz(b) / rom_assumes_hz(b);

    if (fault_is(b, FAULT_ID_ROM_HANGS))
        board_enter(b, BOARD_DEAD);
    else
        board_set_baud(b, rate ? (uint32_t)rate : 1);
}

static uint8_t do_security(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)q;
    loader_security_info(b, a->data, &a->size);
    return 0;
}

static uint8_t do_end(struct kl_vboard *b, const struct question *q, struct answer *a)
{
    (void)b;
    (void)a;
    return q->size == 4 ? 0 : BAD_MESSAGE;
}

/* The chip leaves the loader whatever the flag says (§2.3). */
static void after_end(struct kl_vboard *b, const struct question *q)
{
    bool stay = get_u32(q->data) != 0;

    if (b->chip->id == KL_CHIP_ESP8266) {
        b->io0_latched = stay;
        board_reset(b, CAUSE_SOFTWARE);
    } else if (!stay) { /* no new look at the strap: back into the loader */
        board_reset(b, CAUSE_SOFTWARE);
    } else if (b->v->end_is_monitor) {
        board_say(b, "flash read err, 631\r\nFalling back to built-in command interpreter.\r\n"
                     "OK\r\n>");
        board_enter(b, BOARD_MONITOR);
    } else {
        board_say(b, "user code done\r\n"
                     "Guru Meditation Error: Core 0 panic'ed (Instruction access fault)\r\n");
        board_enter(b, BOARD_DEAD);
    }
}

enum {
    NOT_8266 = 1,
    NOT_SECURE = 2,  /* refused in secure download mode (§2.1) */
    KEEPS_ERROR = 4, /* leaves the last error number beside status 0 */
    HAS_INFO = 8,
};

static const struct command {
    uint8_t op;
    uint8_t traits;
    uint8_t (*ask)(struct kl_vboard *, const struct question *, struct answer *);
    void (*after)(struct kl_vboard *, const struct question *); /* once the answer is out */
} commands[] = {
    {0x02, KEEPS_ERROR, do_flash_begin, NULL},
    {0x03, KEEPS_ERROR, do_flash_data, NULL},
    {0x04, 0, do_end, after_end},
    {0x05, NOT_SECURE | KEEPS_ERROR, do_ram_begin, NULL},
    {0x06, NOT_SECURE, do_ram_end, after_ram_end},
    {0x07, NOT_SECURE | KEEPS_ERROR, do_ram_data, NULL},
    {0x08, 0, do_sync, NULL},
    {0x09, NOT_SECURE, do_write_reg, NULL},
    {0x0A, NOT_SECURE, do_read_reg, NULL},
    {0x0B, NOT_8266, do_set_params, NULL},
    {0x0D, NOT_8266, do_attach, NULL},
    {0x0E, NOT_8266 | NOT_SECURE, do_read_slow, NULL},
    {0x0F, NOT_8266, do_baud, after_baud},
    {0x10, NOT_8266 | KEEPS_ERROR, do_deflate_begin, NULL},
    {0x11, NOT_8266 | KEEPS_ERROR, do_deflate_data, NULL},
    {0x12, NOT_8266, do_end, after_end},
    {0x13, NOT_8266 | NOT_SECURE, do_md5, NULL},
    {0x14, HAS_INFO, do_security, NULL},
};

static const struct command *find(const struct kl_vboard *b, uint8_t op)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *c = &commands[i];
        if (c->op != op)
            continue;
        if ((c->traits & NOT_8266 && !b->chip->rom_deflate) ||
            (c->traits & NOT_SECURE && fault_is(b, FAULT_ID_SECURE_DOWNLOAD)) ||
            (c->traits & HAS_INFO && !b->chip->has_security_info))
            return NULL;
        return c;
    }
    return NULL;
}

/* Repeats the header of the previous answer; eight times if that answered a SYNC (§1.6). */
static void not_known(struct kl_vboard *b, uint8_t op)
{
    struct loader *l = &b->loader;

    board_complain(b, "opcode 0x%02x refused", op);
    for (int i = 0; i < (l->last_op == 0x08 ? 8 : 1); i++)
        reply(b, l->last_op, NULL, 1, BAD_MESSAGE);
    l->last_error = BAD_MESSAGE;
}

void rom_frame(struct kl_vboard *b, const uint8_t *frame, size_t size)
{
    struct loader *l = &b->loader;
    struct answer a = {.size = 0};

    if (size < 8)
        return;
    const struct command *c = frame[0] == 0 ? find(b, frame[1]) : NULL;
    struct question q = {frame + 8, size - 8, get_u32(frame + 4)};
    if (!c) {
        not_known(b, frame[1]);
        return;
    }
    if (c->op == 0x08 && fault_takes(b, FAULT_ID_NO_SYNC))
        return;
    uint8_t error = c->ask(b, &q, &a);
    if (error || !(c->traits & KEEPS_ERROR))
        l->last_error = error;
    l->last_op = c->op;
    for (int i = 0; i < (c->op == 0x08 ? 8 : 1); i++)
        reply(b, c->op, &a, error ? 1 : 0, l->last_error);
    if (!error && c->after)
        c->after(b, &q);
}

/* The ESP32's text monitor: echoes, and knows none of our words (recorded: "sync after flash
   end"). */
void monitor_rx(struct kl_vboard *b, uint8_t byte)
{
    if (byte == '\r' || byte == '\n')
        board_say(b, "\r\nHow?\r\n>");
    else if (byte == 0x08)
        board_send(b, (const uint8_t *)"\x08 \x08", 3, b->now);
    else if (byte != 0)
        board_send(b, &byte, 1, b->now);
}
