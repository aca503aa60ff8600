/*
 * loader_flash.c: erases and writes what differs, one block under way at a time.
 *
 * What each loader makes of lost and damaged blocks decides what may be sent again and what needs a
 * new beginning. (docs/esp-serial-protocol.md 1.5, 1.7, 2.2 to 2.4, 3.1, 3.3)
 */
#include "loader_private.h"

#include <string.h>

enum {
    CHECK,
    ERASE,
    REGION,
    GLANCE,
    COMPARE,
    BEGIN,
    DATA,
    BARRIER,
    DOUBT,
    NEXT,
    IDLE,
    ASIDE,
    GO_ON,
};

enum {
    RESTARTS_MAX = 3,
    RESTART_EARNED = 0x2000, /* each so many plain bytes written earn one more restart */
    BLOCK_TRIES = 3,
    BEGIN_TRIES = 4,
    ROM_BLOCK_OLD = 0x400, /* every ROM takes this size */
    ROM_BLOCK = 0x1800,
    BLOCK_OTG = 0x800,
    SMALL_BLOCK = 0x800,
    STUB_WINDOW = 0x8000,
    ERASE_BLOCK = 0x10000,
    ERASE_PIECE = 0x40000,
    REACH_24_BITS = 16 << 20,
    INFLATE_WINDOW = 64 << 10, /* a stub may write this much more than the block holds */
};

_Static_assert((int)BEGIN == (int)LDR_FLASH_BEGIN && (int)NEXT == (int)LDR_FLASH_NEXT,
               "other plans go to these");

#define ERASE_ALL_TIME KL_SEC(120)
#define WRITE_SECONDS  40 /* per MB, erase included */
#define MD5_SECONDS    8

kl_us ldr_time_per_mb(uint64_t bytes, unsigned seconds)
{
    return COMMAND_TIME + (kl_us)(bytes * seconds);
}

const struct kl_image *ldr_image(const struct kl_loader *l, unsigned region)
{
    KL_ASSERT(l->bundle && region < l->bundle->region_count);
    return kl_bundle_image(l->bundle, region, ldr_known_flash_size(l));
}

static const struct kl_image *image(const struct kl_loader *l)
{
    return ldr_image(l, l->flash.region);
}

static uint32_t region_offset(const struct kl_loader *l)
{
    return l->bundle->region[l->flash.region].offset;
}

/* ---- may these images be written to this chip? ---- */

static bool addresses_32_bits(const struct kl_loader *l)
{
    enum kl_chip_id id = l->chip->id;

    return !ldr_is_rom(l) && (id == KL_CHIP_ESP32S3 || id == KL_CHIP_ESP32C5 ||
                              id == KL_CHIP_ESP32P4 || id == KL_CHIP_ESP32C61);
}

static enum ldr_move check_reach(struct kl_loader *l)
{
    l->progress.total = 0;
    for (l->flash.region = 0; l->flash.region < l->bundle->region_count; l->flash.region++) {
        uint32_t size = image(l)->raw_size;
        uint32_t end = region_offset(l) + size;
        l->progress.total += size;
        if (end > ldr_known_flash_size(l) || (end > REACH_24_BITS && !addresses_32_bits(l))) {
            return ldr_fail(
                l, KL_FAULT_FLASH_TOO_SMALL, "%s ends at 0x%x, this loader reaches 0x%x",
                l->bundle->region[l->flash.region].name, end,
                end > ldr_known_flash_size(l) ? ldr_known_flash_size(l) : REACH_24_BITS);
        }
    }
    l->flash.region = 0;
    return MOVE_NEXT;
}

static enum ldr_move check(struct kl_loader *l)
{
    const struct kl_bundle *b = l->bundle;
    uint16_t revision = l->identity.revision;

    KL_ASSERT(l->chip && !l->identity.flash_encrypted && !l->identity.secure_boot);
    memset(&l->progress, 0, sizeof l->progress);
    ldr_forget_proofs(l);
    l->flash.wrote = false;
    l->aside = (struct kl_loader_aside){.off = l->setup.memory.plain_verify};
    l->flash.owed = 0;
    l->flash.done_before = 0;
    l->flash.erase_at = 0;
    l->flash.begin_tries = 0;
    l->flash.looks_blank = b->erase_all;
    if (b->chip != l->chip->id)
        return ldr_fail(l, KL_FAULT_WRONG_CHIP, "images for %s, the chip is %s",
                        b->chip ? kl_chip(b->chip)->name : "no chip", l->chip->name);
    if (revision < b->rev_min || revision > b->rev_max)
        return ldr_fail(l, KL_FAULT_CHIP_REVISION, "revision %u.%u, the images need %u.%u to %u.%u",
                        revision / 100, revision % 100, b->rev_min / 100, b->rev_min % 100,
                        b->rev_max / 100, b->rev_max % 100);
    if (b->flash_end > ldr_known_flash_size(l))
        return ldr_fail(l, KL_FAULT_FLASH_TOO_SMALL, "%u KB, the images and partitions need %u KB",
                        ldr_known_flash_size(l) / 1024, (b->flash_end + 1023) / 1024);
    return check_reach(l);
}

/* ---- beginning: erase and announce ---- */

/* The ESP8266's ROM erases more than asked: ask for less (2.4). */
static uint32_t erase_size_to_ask(const struct kl_loader *l, uint32_t offset, uint32_t size)
{
    uint32_t sectors = (size + SECTOR - 1) / SECTOR;
    uint32_t head = 16 - offset / SECTOR % 16;

    KL_ASSERT(offset % SECTOR == 0 && ldr_is_rom(l));
    if (l->chip->id != KL_CHIP_ESP8266)
        return sectors * SECTOR;
    if (head > sectors)
        head = sectors;
    return (sectors < 2 * head ? (sectors + 1) / 2 : sectors - head) * SECTOR;
}

static void announce(struct kl_loader *l, uint8_t code, uint32_t word0, uint32_t blocks,
                     uint32_t offset, kl_us work)
{
    uint8_t payload[20] = {0};

    KL_ASSERT(offset % SECTOR == 0 && l->stream.block_size > 0);
    ldr_put_u32(payload, word0);
    ldr_put_u32(payload + 4, blocks);
    ldr_put_u32(payload + 8, l->stream.block_size);
    ldr_put_u32(payload + 12, offset);
    ldr_command(
        l, &(struct ldr_command){.code = code,
                                 .payload = payload,
                                 .payload_size = ldr_is_rom(l) && l->chip->rom_begin_20 ? 20 : 16,
                                 .judge = true,
                                 .work = work});
}

static enum ldr_move erase_all(struct kl_loader *l)
{
    uint32_t end = ldr_known_flash_size(l);

    if (!l->bundle->erase_all)
        return MOVE_NEXT;
    if (!ldr_is_rom(l)) {
        if (l->flash.erase_at > 0)
            return MOVE_NEXT;
        kl_us work = ldr_time_per_mb(end, 10);
        ldr_command(l,
                    &(struct ldr_command){.code = CMD_ERASE_FLASH,
                                          .tries = 2,
                                          .work = work < ERASE_ALL_TIME ? ERASE_ALL_TIME : work});
        return MOVE_WAIT;
    }
    if (end > REACH_24_BITS)
        end = REACH_24_BITS;
    if (l->flash.erase_at >= end)
        return MOVE_NEXT;
    l->stream.block_size = ROM_BLOCK_OLD;
    announce(l, CMD_FLASH_BEGIN, erase_size_to_ask(l, l->flash.erase_at, ERASE_PIECE),
             ERASE_PIECE / ROM_BLOCK_OLD, l->flash.erase_at,
             ldr_time_per_mb(ERASE_PIECE, WRITE_SECONDS));
    return MOVE_WAIT;
}

static enum ldr_move erased(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->bundle->erase_all);
    if (outcome == KL_OUT_REFUSED && ++l->flash.begin_tries < BEGIN_TRIES)
        return MOVE_AGAIN;
    if (outcome == KL_OUT_REFUSED) {
        l->fault.chip_error = l->reply.error;
        return ldr_fail(l, KL_FAULT_REFUSED, "erasing at 0x%x: error 0x%04x%s", l->flash.erase_at,
                        l->reply.error, ldr_is_rom(l) ? " (only a stub reaches all flash)" : "");
    }
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    l->flash.erase_at = ldr_is_rom(l) ? l->flash.erase_at + ERASE_PIECE : ldr_known_flash_size(l);
    return MOVE_AGAIN;
}

static enum ldr_move next_region(struct kl_loader *l)
{
    KL_ASSERT(l->flash.region <= l->bundle->region_count);
    if (l->flash.region == l->bundle->region_count) {
        l->flash.proved_for = l->bundle;
        return MOVE_DONE;
    }
    l->progress.region = l->flash.region;
    l->diff = (struct kl_loader_diff){.on = false};
    l->flash.resume_at = 0;
    l->flash.until = image(l)->raw_size;
    l->flash.restarts = 0;
    l->flash.begin_tries = 0;
    l->flash.doubtful = false;
    return MOVE_NEXT;
}

bool ldr_can_md5(const struct kl_loader *l)
{
    return !ldr_is_rom(l) || l->chip->rom_deflate;
}

void ldr_ask_md5_of(struct kl_loader *l, uint32_t from, uint32_t size)
{
    uint8_t payload[16] = {0};

    KL_ASSERT(ldr_can_md5(l) && size > 0);
    ldr_put_u32(payload, region_offset(l) + from);
    ldr_put_u32(payload + 4, size);
    ldr_command(l,
                &(struct ldr_command){.code = CMD_MD5,
                                      .payload = payload,
                                      .payload_size = sizeof payload,
                                      .result = ldr_is_rom(l) ? 32 : 16,
                                      .work = ldr_time_per_mb(size, MD5_SECONDS) + l->flash.owed});
    l->flash.owed = 0;
}

void ldr_ask_md5(struct kl_loader *l, uint32_t from)
{
    KL_ASSERT(from < image(l)->raw_size);
    ldr_ask_md5_of(l, from, image(l)->raw_size - from);
}

/* A ROM writes it in hex, a stub raw (2.2). */
bool ldr_answer_is(const struct kl_loader *l, const uint8_t md5[16])
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *found = l->reply.result;

    if (!ldr_is_rom(l))
        return memcmp(found, md5, 16) == 0;
    for (int i = 0; i < 16; i++)
        if (found[2 * i] != (uint8_t)digits[md5[i] >> 4] ||
            found[2 * i + 1] != (uint8_t)digits[md5[i] & 15])
            return false;
    return true;
}

bool ldr_is_right_md5(const struct kl_loader *l, uint32_t from)
{
    const struct kl_image *i = image(l);
    uint8_t md5[16];

    if (from == 0)
        return ldr_answer_is(l, i->md5);
    kl_bundle_md5(l->bundle, i->raw + from, i->raw_size - from, md5);
    return ldr_answer_is(l, md5);
}

const uint8_t ldr_blank_md5[16] = {0x6A, 0xE5, 0x9E, 0x64, 0x85, 0x03, 0x77, 0xEE, 0x54,
                                   0x70, 0xC8, 0x54, 0x76, 0x15, 0x51, 0xEA}; /* of KL_HEAD 0xFF */

/* May the image be in the flash already? After a region whose place was blank only an image that
   looks blank itself may be. */
static bool may_be_there(const struct kl_loader *l)
{
    return ldr_can_md5(l) && image(l)->raw_size > 0 &&
           (!l->flash.looks_blank || memcmp(image(l)->head_md5, ldr_blank_md5, 16) == 0);
}

/* Looks at the first sector: if it differs, the MD5 of the whole region is not needed. */
static enum ldr_move glance(struct kl_loader *l)
{
    if (!may_be_there(l) || image(l)->raw_size <= 2 * KL_HEAD)
        return MOVE_NEXT;
    ldr_ask_md5_of(l, 0, KL_HEAD);
    return MOVE_WAIT;
}

static enum ldr_move glanced(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(ldr_can_md5(l));
    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK)
        return MOVE_NEXT;
    l->diff.on = ldr_answer_is(l, image(l)->head_md5);
    l->diff.head_differs = !l->diff.on;
    l->flash.looks_blank = ldr_answer_is(l, ldr_blank_md5);
    if (!l->flash.looks_blank && ldr_may_differ_in_parts(l))
        return ldr_go_to(l, ldr_diff_plan);
    if (l->diff.on) {
        l->diff.on = false;
        return MOVE_NEXT;
    }
    return ldr_go_to(l, ldr_flash_begin);
}

static enum ldr_move compare(struct kl_loader *l)
{
    if (!may_be_there(l))
        return MOVE_NEXT;
    ldr_ask_md5(l, 0);
    return MOVE_WAIT;
}

static enum ldr_move compared(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(may_be_there(l));
    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK || !ldr_is_right_md5(l, 0))
        return MOVE_NEXT;
    l->progress.skipped++;
    l->flash.proved[l->flash.region] = image(l)->raw_size;
    ldr_note(l, "%s is there already", l->bundle->region[l->flash.region].name);
    return ldr_go_to(l, ldr_flash_next);
}

static uint32_t largest_block(const struct kl_loader *l)
{
    KL_ASSERT(l->chip);
    if (l->identify.console == KL_CONSOLE_OTG)
        return ldr_is_rom(l) && l->flash.rom_block ? l->flash.rom_block : BLOCK_OTG;
    if (!ldr_is_rom(l))
        return KL_BLOCK_MAX;
    if (!l->chip->rom_deflate)
        return ROM_BLOCK_OLD;
    return l->flash.rom_block ? l->flash.rom_block : ROM_BLOCK;
}

/* Where in the stream the tail begins. A stub writes whole windows of what it inflates; it writes
   the tail only at the end of the stream. */
static uint32_t find_tail(const struct kl_image *i)
{
    uint32_t in_windows = (i->raw_size - 1) / STUB_WINDOW * STUB_WINDOW;

    KL_ASSERT(i->raw_size > 0);
    for (uint32_t at = 0; at < i->packed_size; at += KL_PACK_STEP)
        if (i->inflated_at[at / KL_PACK_STEP] >= in_windows)
            return at;
    return i->packed_size;
}

/* Where the present part of the stream ends: quiet blocks and the tail begin and end one. */
static uint32_t end_of_part(const struct kl_loader_stream *s, uint32_t size)
{
    if (s->sent < s->quiet_from)
        return s->quiet_from;
    if (s->sent < s->quiet_to)
        return s->quiet_to;
    return s->sent < s->tail_at ? s->tail_at : size;
}

/* All blocks of a part have one size: a short one would arrive before the stub has written the one
   ahead. The tail has blocks of its own: the stub writes the last window while they come, and has
   little left to write after them. */
static uint32_t next_len(const struct kl_loader *l, const struct kl_loader_stream *s, uint32_t size)
{
    if (l->diff.parts.on)
        return ldr_parts_len(l, s);
    uint32_t left = end_of_part(s, size) - s->sent;
    uint32_t most = s->sent < s->tail_at ? s->block_size : s->tail_block;

    KL_ASSERT(s->sent <= size && most > 0);
    if (left <= most || !s->packed)
        return left < most ? left : most;
    uint32_t blocks = left / most + (left % most > 0);
    return left / blocks + (left % blocks > 0);
}

/* Divides the stream and returns its number of blocks. A stub starts one erase for each block, so a
   stream that is all tail comes in small blocks, unless the flash looks blank. */
static uint32_t divide(struct kl_loader *l, uint32_t to_send)
{
    struct kl_loader_stream *s = &l->stream, ahead;
    uint32_t blocks = 0, most = largest_block(l);

    KL_ASSERT(to_send > 0);
    s->tail_at = s->quiet_from = s->quiet_to = 0;
    s->block_size = s->tail_block = most;
    /* The stub erases single sectors one by one, each while the next one comes; it erases a piece
       of 64 KB at once. Where the wire has a rate, ldr_parts_len does better. */
    bool has_rate = l->identify.console == KL_CONSOLE_UART;
    if (l->diff.on && (l->diff.parts.on ? !has_rate : to_send < ERASE_BLOCK))
        s->block_size = s->tail_block = SECTOR < most ? SECTOR : most;
    if (l->diff.parts.on)
        ldr_parts_start(l, s);
    if (!ldr_is_rom(l) && s->packed && !l->diff.parts.on) {
        s->tail_at = find_tail(image(l));
        if (s->tail_at == 0 && !l->flash.looks_blank)
            s->tail_block = SMALL_BLOCK;
        ldr_plan_asides(l);
    }
    for (ahead = *s; ahead.sent < to_send; blocks++) {
        uint32_t len = next_len(l, &ahead, to_send);
        if (l->diff.parts.on)
            ldr_parts_pass(l, &ahead, len);
        ahead.sent += len;
        if (ahead.sent == ahead.quiet_to)
            ldr_find_quiet(l, &ahead);
    }
    return blocks;
}

static uint32_t stream_size(const struct kl_loader *l)
{
    if (l->diff.parts.on)
        return ldr_parts_size(l);
    return l->stream.packed ? image(l)->packed_size : l->flash.until - l->flash.resume_at;
}

static enum ldr_move begin_region(struct kl_loader *l)
{
    const struct kl_image *i = image(l);
    uint32_t raw = l->flash.until - l->flash.resume_at,
             offset = region_offset(l) + l->flash.resume_at;
    kl_us work = COMMAND_TIME;

    KL_ASSERT(l->flash.resume_at <= l->flash.until && l->flash.until <= i->raw_size);
    if (raw == 0) {
        return ldr_go_to(l, ldr_flash_next);
    }
    /* Never packed for a ROM: it ends a stream with a whole window, which overwrites the
       neighbours. */
    l->diff.parts.on = false;
    l->stream.packed =
        !ldr_is_rom(l) && (l->diff.on ? ldr_parts_begin(l, l->flash.resume_at, l->flash.until)
                                      : i->packed && i->packed_size < i->raw_size);
    l->stream.sequence = 0;
    l->stream.sent = 0;
    l->stream.block_tries = 0;
    l->flash.owed = 0;
    uint32_t to_send = stream_size(l);
    uint32_t blocks = divide(l, to_send);
    if (ldr_is_rom(l)) /* a ROM erases all of it before it answers */
        work = ldr_time_per_mb(raw + SECTOR, WRITE_SECONDS);
    announce(l, l->stream.packed ? CMD_DEFL_BEGIN : CMD_FLASH_BEGIN,
             ldr_is_rom(l) ? erase_size_to_ask(l, offset, raw) : raw, blocks, offset, work);
    return MOVE_WAIT;
}

static enum ldr_move region_begun(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->flash.begin_tries < BEGIN_TRIES);
    /* The first write ends what was found in place: it is compared again. A begin sent twice ends
       all proofs: a damaged first one may have erased elsewhere. */
    if (!l->flash.wrote || l->op.sent > 1)
        ldr_forget_proofs(l);
    l->flash.wrote = true;
    if (l->diff.on && l->op.sent > 1)
        return ldr_write_all(l);
    if (outcome == KL_OUT_OK)
        return MOVE_NEXT;
    if (outcome != KL_OUT_REFUSED)
        return ldr_fail_by(l, outcome);
    if (++l->flash.begin_tries >= BEGIN_TRIES) {
        l->fault.chip_error = l->reply.error;
        return ldr_fail(l, KL_FAULT_REFUSED, "%s at 0x%x: error 0x%04x",
                        l->bundle->region[l->flash.region].name, region_offset(l), l->reply.error);
    }
    /* Never go on after a refused begin (2.2); some ROMs take only small blocks. */
    if (ldr_is_rom(l) && (l->reply.error & 0xFF) == ROM_BAD_MESSAGE && l->flash.begin_tries > 1)
        l->flash.rom_block = ROM_BLOCK_OLD;
    return MOVE_AGAIN;
}

/* ---- blocks ---- */

/* Raw bytes that are certainly out once `sent` bytes of the stream are in. */
static uint32_t raw_after(const struct kl_loader *l, uint32_t sent)
{
    const struct kl_image *i = image(l);

    if (!l->stream.packed)
        return l->flash.resume_at + sent;
    if (l->diff.parts.on)
        return ldr_parts_raw(l, sent);
    return sent >= i->packed_size ? i->raw_size : i->inflated_at[sent / KL_PACK_STEP];
}

static kl_us work_of_block(const struct kl_loader *l)
{
    uint32_t from = raw_after(l, l->stream.sent);
    uint32_t to = raw_after(l, l->stream.sent + l->stream.block_len + KL_PACK_STEP - 1);

    return (kl_us)(to - from + INFLATE_WINDOW) * WRITE_SECONDS;
}

static const uint8_t *block_bytes(struct kl_loader *l)
{
    if (l->diff.parts.on)
        return ldr_parts_block(l, l->stream.sent, l->stream.block_len);
    return (l->stream.packed ? image(l)->packed : image(l)->raw + l->flash.resume_at) +
           l->stream.sent;
}

static enum ldr_move send_block(struct kl_loader *l)
{
    uint32_t size = stream_size(l);
    kl_us work;

    KL_ASSERT(l->stream.sent <= size);
    if (l->stream.sent == size)
        return ldr_go_to(l, &ldr_flash_plan[BARRIER]);
    if (ldr_wants_aside(l))
        return ldr_go_to(l, &ldr_flash_plan[IDLE]);
    l->stream.block_len = next_len(l, &l->stream, size);
    work = work_of_block(l);
    /* A stub acknowledges first and works afterwards, so the next command waits for that work
       (3.1). */
    ldr_command(
        l, &(struct ldr_command){
               .code = l->stream.packed ? CMD_DEFL_DATA : CMD_FLASH_DATA,
               .block = block_bytes(l),
               .block_size = l->stream.block_len,
               /* plain blocks: only the ESP32 and later are known to take a short one */
               .padded_size = !ldr_is_rom(l) || l->chip->rom_deflate ? 0 : l->stream.block_size,
               .sequence = l->stream.sequence,
               .judge = true,
               .work = l->aside.out ? ldr_aside_time(l)
                                    : COMMAND_TIME + (ldr_is_rom(l) ? work : l->flash.owed),
           });
    l->flash.owed = ldr_is_rom(l) ? 0 : work;
    return MOVE_WAIT;
}

static enum kl_reason reason_of(const struct kl_loader *l)
{
    uint8_t code = ldr_is_rom(l) ? (uint8_t)l->reply.error : (uint8_t)(l->reply.error >> 8);

    switch (code) {
    case ROM_BAD_MESSAGE: /* the frame left intact */
    case ROM_BAD_CHECKSUM:
    case 0x0B: /* inflate, Adler-32, inflate parameter */
    case 0x0C:
    case 0x0D:
    case STUB_BAD_CHECKSUM:
    case 0xC0: /* data length, inflate, not enough, too much */
    case 0xC7:
    case 0xC8:
    case 0xC9:
        return KL_FAULT_LINE_NOISE;
    case 0x08: /* flash write, flash read */
    case 0x09:
    case 0xC4: /* SPI operation, SPI unlock */
    case 0xC5:
        return KL_FAULT_WRITE_FAILED;
    default:
        return KL_FAULT_REFUSED;
    }
}

/* A deflate stream can restart only from its beginning. Plain blocks go on at the sector of the one
   that failed (1.7). */
static enum ldr_move start_over(struct kl_loader *l)
{
    uint32_t reached = raw_after(l, l->stream.sent);

    ldr_forget_proofs(l);
    KL_ASSERT(l->flash.region < l->bundle->region_count);
    if (l->diff.on)
        ldr_write_all(l);
    else if (!l->stream.packed)
        l->flash.resume_at = (l->flash.resume_at + l->stream.sent) / SECTOR * SECTOR;
    if (++l->flash.restarts > RESTARTS_MAX + l->flash.resume_at / RESTART_EARNED) {
        l->fault.chip_error = l->reply.error;
        return ldr_fail(l, reason_of(l), "%s at 0x%x: error 0x%04x",
                        l->bundle->region[l->flash.region].name, region_offset(l) + reached,
                        l->reply.error);
    }
    if (ldr_is_rom(l) && (l->reply.error & 0xFF) == ROM_BAD_CHECKSUM)
        l->flash.rom_block = ROM_BLOCK_OLD; /* a small block loses less */
    l->flash.begin_tries = 0;
    l->flash.doubtful = true;
    l->progress.retries++;
    return ldr_go_to(l, ldr_flash_begin);
}

static void block_taken(struct kl_loader *l)
{
    uint64_t done;

    KL_ASSERT(l->stream.block_len > 0);
    l->progress.wire += l->stream.block_len;
    if (l->diff.parts.on)
        ldr_parts_pass(l, &l->stream, l->stream.block_len);
    l->stream.sent += l->stream.block_len;
    l->stream.sequence++;
    l->stream.block_tries = 0;
    done = l->flash.done_before + raw_after(l, l->stream.sent);
    if (l->diff.on)
        done += l->diff.right - l->flash.resume_at;
    if (done > l->progress.done) /* a restart does not move the shown progress back */
        l->progress.done = done;
}

static enum ldr_move block_sent(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    uint16_t error = l->reply.error;
    bool again = l->op.sent > 1;

    l->progress.retries += l->op.sent - 1u;
    l->flash.doubtful |= again;
    if (l->aside.out || (l->aside.behind && again))
        ldr_aside_failed(l, again ? "silence" : "no answer");
    l->aside.behind = false;
    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome == KL_OUT_OK) {
        block_taken(l);
        return MOVE_AGAIN;
    }
    /* A ROM that took the block before its answer was lost refuses to take it twice (1.7). But it
       may also be refusing the damaged first frame: only a second refusal is certain. */
    if (ldr_is_rom(l) && (error & 0xFF) == ROM_BAD_MESSAGE &&
        (again || l->stream.block_tries > 0)) {
        if (l->stream.block_tries++ > 0)
            block_taken(l);
        else
            l->progress.retries++;
        return MOVE_AGAIN;
    }
    if (!ldr_is_rom(l) && error >> 8 == STUB_BAD_CHECKSUM &&
        ++l->stream.block_tries < BLOCK_TRIES) {
        l->progress.retries++;
        return MOVE_AGAIN; /* the stub has not moved on */
    }
    return start_over(l);
}

/* ---- end ---- */

/* A stub answers END once the last block is in flash. A ROM needs no END: it writes before it
   answers, and END would make it leave its loader (2.3). Behind a run of sectors the sum over it
   waits as well, and tells more. */
static enum ldr_move barrier(struct kl_loader *l)
{
    uint8_t payload[4];

    KL_ASSERT(!l->aside.out);
    if (ldr_is_rom(l) || l->diff.on)
        return MOVE_NEXT;
    ldr_put_u32(payload, 1);
    ldr_command(l, &(struct ldr_command){.code = l->stream.packed ? CMD_DEFL_END : CMD_FLASH_END,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .judge = true,
                                         .work = COMMAND_TIME + l->flash.owed});
    l->flash.owed = 0;
    return MOVE_WAIT;
}

static enum ldr_move barrier_passed(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(!ldr_is_rom(l));
    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK && l->op.sent == 1)
        return start_over(l);
    /* A second END is refused if the stub heard the first: MD5 tells which it was. */
    l->flash.doubtful |= outcome != KL_OUT_OK;
    return MOVE_NEXT;
}

static enum ldr_move resolve_doubt(struct kl_loader *l)
{
    if (!l->flash.doubtful || !ldr_can_md5(l))
        return MOVE_NEXT;
    if (l->diff.on) {
        ldr_forget_proofs(l);
        return ldr_write_all(l);
    }
    ldr_ask_md5(l, 0);
    return MOVE_WAIT;
}

static enum ldr_move doubt_resolved(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->flash.doubtful);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (ldr_is_right_md5(l, 0)) {
        l->flash.proved[l->flash.region] = image(l)->raw_size;
        return MOVE_NEXT;
    }
    l->reply.error = 0;
    l->stream.sent = 0; /* nobody knows which block failed: write them all again */
    l->flash.resume_at = 0;
    if (l->flash.restarts >= RESTARTS_MAX)
        return ldr_fail(l, KL_FAULT_VERIFY_FAILED, "%s at 0x%x",
                        l->bundle->region[l->flash.region].name, region_offset(l));
    return start_over(l);
}

/* ---- amid the stream ---- */

/* A refusal here is about the block before. */
static enum ldr_move idle_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(!ldr_is_rom(l) && !l->aside.out);
    l->flash.owed = 0;
    if (outcome == KL_OUT_OK && l->op.sent == 1)
        return MOVE_NEXT;
    if (outcome == KL_OUT_REFUSED)
        return start_over(l);
    ldr_aside_failed(l, "silence");
    return MOVE_NEXT;
}

static enum ldr_move go_on(struct kl_loader *l)
{
    KL_ASSERT(!ldr_wants_aside(l));
    return ldr_go_to(l, &ldr_flash_plan[DATA]);
}

static enum ldr_move leave_region(struct kl_loader *l)
{
    KL_ASSERT(l->flash.region < l->bundle->region_count);
    if (l->diff.on)
        return ldr_go_to(l, ldr_diff_check);
    l->flash.done_before += image(l)->raw_size;
    if (l->progress.done < l->flash.done_before)
        l->progress.done = l->flash.done_before;
    l->flash.region++;
    return ldr_go_to(l, &ldr_flash_plan[REGION]);
}

const struct kl_loader_step ldr_flash_plan[] = {
    [CHECK] = {check, NULL, {NULL}},
    [ERASE] = {erase_all, erased, {NULL}},
    [REGION] = {next_region, NULL, {NULL}},
    [GLANCE] = {glance, glanced, {ldr_flash_begin, ldr_diff_plan}},
    [COMPARE] = {compare, compared, {ldr_flash_next}},
    [BEGIN] = {begin_region, region_begun, {ldr_flash_next, ldr_flash_begin}},
    [DATA] = {send_block,
              block_sent,
              {ldr_flash_begin, &ldr_flash_plan[BARRIER], &ldr_flash_plan[IDLE]}},
    [BARRIER] = {barrier, barrier_passed, {ldr_flash_begin}},
    [DOUBT] = {resolve_doubt, doubt_resolved, {ldr_flash_begin}},
    [NEXT] = {leave_region, NULL, {&ldr_flash_plan[REGION], ldr_diff_check}},
    [IDLE] = {ldr_ask_idle, idle_seen, {ldr_flash_begin}},
    [ASIDE] = {ldr_ask_aside, NULL, {NULL}},
    [GO_ON] = {go_on, NULL, {&ldr_flash_plan[DATA]}},
    PLAN_END,
};
