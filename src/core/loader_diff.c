/*
 * loader_diff.c: flashes a region of which much is there already: a program's previous version.
 *
 * A few sectors tell whether the flash holds something related to the image. If so, the loader
 * compares pieces of 64 KB, and sectors of 4 KB in those that differ. It writes only sectors that
 * differ, in plain blocks. If anything goes wrong, it writes the whole region. Only stubs do this:
 * a ROM sums up too slowly, and its end throws it out of its loader.
 */
#include "loader_private.h"

enum {
    SAMPLE,
    PIECE,
    SECTORS,
    RUN,
    CHECK,
    AFTER,
};

enum {
    PIECE_SIZE = 0x10000,
    SECTORS_A_PIECE = PIECE_SIZE / SECTOR,
    SAMPLES = 12,
    ALIKE = 8,            /* this many equal samples: the region is related */
    UNLIKE = 5,           /* this many unlike: it is not, or too much changed */
    REGION_MIN = 0x20000, /* smaller regions are compared and written as a whole */
    ENOUGH_TO_JUDGE = 64, /* sectors looked at */
    DIFFERS_MAX_PERCENT = 30,
};

_Static_assert((int)CHECK == (int)LDR_DIFF_CHECK, "the flash plan goes there");

bool ldr_may_differ_in_parts(const struct kl_loader *l)
{
    return !ldr_is_rom(l) && l->bundle->md5 && !l->bundle->erase_all &&
           ldr_image(l, l->flash.region)->raw_size >= REGION_MIN;
}

static uint32_t end_of(const struct kl_loader *l, uint32_t from, uint32_t size)
{
    uint32_t raw = ldr_image(l, l->flash.region)->raw_size;

    return raw - from < size ? raw : from + size;
}

static bool answer_is_of(const struct kl_loader *l, uint32_t from, uint32_t to)
{
    uint8_t md5[16];

    KL_ASSERT(from < to);
    l->bundle->md5(ldr_image(l, l->flash.region)->raw + from, to - from, md5);
    return ldr_answer_is(l, md5);
}

/* Forgets all comparisons of this region and writes it whole. */
enum ldr_move ldr_write_all(struct kl_loader *l)
{
    l->diff.on = false;
    l->flash.resume_at = 0;
    l->flash.until = ldr_image(l, l->flash.region)->raw_size;
    return ldr_go_to(l, ldr_flash_begin);
}

/* ---- is it related? ---- */

/* Does an equal sector prove anything? One of a single value may stand in any program. */
static bool tells_something(const uint8_t *sector)
{
    for (unsigned i = 1; i < SECTOR; i++)
        if (sector[i] != sector[0])
            return true;
    return false;
}

static uint32_t sample_at(const struct kl_loader *l)
{
    const struct kl_image *i = ldr_image(l, l->flash.region);
    uint32_t sectors = i->raw_size / SECTOR;
    uint32_t at = (2 * l->diff.sample + 1) * sectors / (2 * SAMPLES), last = at + sectors / SAMPLES;

    while (at + 1 < last && at + 1 < sectors && !tells_something(i->raw + at * SECTOR))
        at++;
    return at * SECTOR;
}

static enum ldr_move ask_sample(struct kl_loader *l)
{
    KL_ASSERT(ldr_may_differ_in_parts(l));
    if (l->diff.on) /* its head was the image's already */
        return MOVE_NEXT;
    if (l->diff.sample == SAMPLES || l->diff.unlike == UNLIKE)
        return ldr_write_all(l);
    ldr_ask_md5_of(l, sample_at(l), SECTOR);
    return MOVE_WAIT;
}

static enum ldr_move sampled(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    uint32_t at = sample_at(l);

    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK)
        return ldr_write_all(l);
    l->diff.sample++;
    if (!answer_is_of(l, at, at + SECTOR))
        l->diff.unlike++;
    else if (tells_something(ldr_image(l, l->flash.region)->raw + at))
        l->diff.alike++;
    l->diff.on = l->diff.alike == ALIKE;
    return MOVE_AGAIN;
}

/* ---- what differs ---- */

static enum ldr_move ask_piece(struct kl_loader *l)
{
    uint32_t raw = ldr_image(l, l->flash.region)->raw_size;

    KL_ASSERT(l->diff.on && l->diff.at <= raw);
    if (l->diff.at == raw)
        return ldr_go_to(l, &ldr_diff_plan[AFTER]);
    l->diff.sector = 0;
    l->diff.differs = 0;
    if (l->diff.deep)
        return MOVE_NEXT;
    ldr_ask_md5_of(l, l->diff.at, end_of(l, l->diff.at, PIECE_SIZE) - l->diff.at);
    return MOVE_WAIT;
}

static void piece_is_right(struct kl_loader *l)
{
    l->diff.at = end_of(l, l->diff.at, PIECE_SIZE);
    if (l->progress.done < l->flash.done_before + l->diff.at)
        l->progress.done = l->flash.done_before + l->diff.at;
}

static enum ldr_move piece_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    uint32_t to = end_of(l, l->diff.at, PIECE_SIZE);

    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK)
        return ldr_write_all(l);
    if (!answer_is_of(l, l->diff.at, to))
        return MOVE_NEXT;
    l->diff.looked += (to - l->diff.at + SECTOR - 1) / SECTOR;
    piece_is_right(l);
    return MOVE_AGAIN;
}

static enum ldr_move ask_sector(struct kl_loader *l)
{
    uint32_t from = l->diff.at + l->diff.sector * SECTOR;

    KL_ASSERT(l->diff.sector <= SECTORS_A_PIECE);
    if (l->diff.sector == SECTORS_A_PIECE || from >= end_of(l, l->diff.at, PIECE_SIZE))
        return MOVE_NEXT;
    ldr_ask_md5_of(l, from, end_of(l, from, SECTOR) - from);
    return MOVE_WAIT;
}

/* Is so much to be written that a compressed stream is faster? */
static bool is_too_much(const struct kl_loader *l)
{
    return l->diff.looked >= ENOUGH_TO_JUDGE &&
           l->diff.written * 100 > l->diff.looked * DIFFERS_MAX_PERCENT;
}

static enum ldr_move sector_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    uint32_t from = l->diff.at + l->diff.sector * SECTOR;

    KL_ASSERT(l->diff.sector < SECTORS_A_PIECE);
    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK)
        return ldr_write_all(l);
    if (!answer_is_of(l, from, end_of(l, from, SECTOR))) {
        l->diff.differs |= 1u << l->diff.sector;
        l->diff.written++;
    }
    l->diff.sector++;
    l->diff.looked++;
    l->diff.deep = l->diff.differs != 0;
    return is_too_much(l) ? ldr_write_all(l) : MOVE_AGAIN;
}

/* ---- what is written ---- */

/* Begins the next run of sectors that differ; the flash plan writes it and comes back to CHECK. */
static enum ldr_move begin_run(struct kl_loader *l)
{
    unsigned first = 0, count = 0;

    KL_ASSERT(l->diff.on);
    if (l->diff.differs == 0) {
        piece_is_right(l);
        return ldr_go_to(l, &ldr_diff_plan[PIECE]);
    }
    while (!(l->diff.differs >> first & 1))
        first++;
    while (first + count < SECTORS_A_PIECE && l->diff.differs >> (first + count) & 1)
        count++;
    l->diff.differs &= (uint32_t) ~(((1u << count) - 1) << first);
    l->diff.run_from = l->flash.resume_at = l->diff.at + first * SECTOR;
    l->flash.until = end_of(l, l->diff.run_from, count * SECTOR);
    return ldr_go_to(l, ldr_flash_begin);
}

static enum ldr_move ask_run(struct kl_loader *l)
{
    KL_ASSERT(l->diff.on && l->diff.run_from < l->flash.until);
    ldr_ask_md5_of(l, l->diff.run_from, l->flash.until - l->diff.run_from);
    return MOVE_WAIT;
}

static enum ldr_move run_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome == KL_OUT_SILENT)
        return ldr_fail_by(l, outcome);
    if (outcome == KL_OUT_OK && answer_is_of(l, l->diff.run_from, l->flash.until))
        return ldr_go_to(l, &ldr_diff_plan[RUN]);
    l->progress.retries++;
    ldr_forget_proofs(l);
    return ldr_write_all(l);
}

/* MD5 has proved every byte of the region: the old ones before, the written ones afterwards. */
static enum ldr_move end_diff(struct kl_loader *l)
{
    const char *name = l->bundle->region[l->flash.region].name;

    KL_ASSERT(l->diff.on);
    l->diff.on = false;
    l->flash.proved[l->flash.region] = ldr_image(l, l->flash.region)->raw_size;
    if (l->diff.written == 0) {
        l->progress.skipped++;
        ldr_note(l, "%s is there already", name);
    } else {
        ldr_note(l, "%s: %u KB of %u differed", name, l->diff.written * (SECTOR / 1024),
                 ldr_image(l, l->flash.region)->raw_size / 1024);
    }
    return ldr_go_to(l, ldr_flash_next);
}

const struct kl_loader_step ldr_diff_plan[] = {
    [SAMPLE] = {ask_sample, sampled, {ldr_flash_begin}},
    [PIECE] = {ask_piece, piece_seen, {&ldr_diff_plan[AFTER], ldr_flash_begin}},
    [SECTORS] = {ask_sector, sector_seen, {ldr_flash_begin}},
    [RUN] = {begin_run, NULL, {&ldr_diff_plan[PIECE], ldr_flash_begin}},
    [CHECK] = {ask_run, run_seen, {&ldr_diff_plan[RUN], ldr_flash_begin}},
    [AFTER] = {end_diff, NULL, {ldr_flash_next}},
    PLAN_END,
};
