/*
 * loader_diff.c: flashes a region of which much is there already: a program's previous version.
 *
 * A few sectors tell whether the flash holds something related to the image. If so, the loader
 * compares pieces of 64 KB, and sectors of 4 KB in those that differ. Then it writes each run of
 * sectors that differ. If anything goes wrong, it writes the whole region. Only stubs do this: a
 * ROM sums up too slowly, and its end throws it out of its loader.
 */
#include "loader_private.h"

enum {
    SAMPLE,
    BLANK,
    PIECE,
    EDGE,
    TIP,
    HALF,
    REST,
    SECTORS,
    RUN,
    CHECK,
    AFTER,
};

enum {
    PIECE_SIZE = 0x10000,
    SECTOR_US = 51000, /* what a common flash needs to erase and write a sector, */
    PIECE_US = 252000, /* and a piece */
    SECTORS_A_PIECE = PIECE_SIZE / SECTOR,
    SAMPLES = 12,
    SAMPLE_STEP = 5,      /* so that the first few come from all over the region */
    ALIKE_ALL = 4,        /* this many equal samples and no other, … */
    ALIKE = 8,            /* … or this many: the region is related */
    UNLIKE = 5,           /* this many unlike: it is not, or too much changed */
    LONG_CHANGE = 3,      /* sectors: it probably goes on without a gap */
    REGION_MIN = 0x20000, /* smaller regions are compared and written as a whole */
    ENOUGH_TO_JUDGE = 64, /* sectors looked at */
    /* A run costs as much as one more sector. So one sector in three may differ if each stands
       alone, and nearly two in three if they stand together. */
    COST_MAX_PERCENT = 62,
};

_Static_assert((int)CHECK == (int)LDR_DIFF_CHECK, "the flash plan goes there");

bool ldr_may_differ_in_parts(const struct kl_loader *l)
{
    return !ldr_is_rom(l) && l->bundle->md5 && !l->bundle->erase_all &&
           ldr_image(l, l->flash.region)->raw_size >= REGION_MIN &&
           ldr_image(l, l->flash.region)->raw_size <= KL_DIFF_SECTORS * SECTOR;
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
    kl_bundle_md5(l->bundle, ldr_image(l, l->flash.region)->raw + from, to - from, md5);
    return ldr_answer_is(l, md5);
}

/* Forgets all comparisons of this region and writes it whole. */
enum ldr_move ldr_write_all(struct kl_loader *l)
{
    l->diff.on = l->diff.ahead = l->diff.chained = false;
    l->flash.resume_at = 0;
    l->flash.until = ldr_image(l, l->flash.region)->raw_size;
    return ldr_go_to(l, ldr_flash_begin);
}

/* What to do after a question that was not answered with a sum. */
static enum ldr_move give_up(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    return outcome == KL_OUT_SILENT ? ldr_fail_by(l, outcome) : ldr_write_all(l);
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
    uint32_t n = l->diff.sample * SAMPLE_STEP % SAMPLES;
    uint32_t at = (2 * n + 1) * sectors / (2 * SAMPLES), last = at + sectors / SAMPLES;

    while (at + 1 < last && at + 1 < sectors && !tells_something(i->raw + at * SECTOR))
        at++;
    return at * SECTOR;
}

/* A board's program may have been smaller: what lies behind it is blank. */
static void note_blank(struct kl_loader *l, uint32_t at)
{
    if (!ldr_answer_is(l, ldr_blank_md5)) {
        l->diff.dirty_to = at >= l->diff.dirty_to ? at + SECTOR : l->diff.dirty_to;
        l->diff.blank_from = at > l->diff.blank_from ? 0 : l->diff.blank_from;
    } else if (at >= l->diff.dirty_to && (l->diff.blank_from == 0 || at < l->diff.blank_from)) {
        l->diff.blank_from = at;
    }
}

/* A stub erases without looking, from the first sector on that is not blank. Is that what the whole
   takes long for? */
static bool may_skip_erasing(const struct kl_loader *l)
{
    const struct kl_image *i = ldr_image(l, l->flash.region);
    kl_us wire = (kl_us)i->packed_size * 10000000 / l->identity.baud;
    kl_us flash = (kl_us)(i->raw_size / PIECE_SIZE) * PIECE_US;

    return l->diff.blank_from > 0 && i->parts &&
           (l->identify.console != KL_CONSOLE_UART || wire < flash);
}

static enum ldr_move ask_sample(struct kl_loader *l)
{
    KL_ASSERT(ldr_may_differ_in_parts(l));
    if (l->diff.on) /* its head was the image's already */
        return ldr_go_to(l, &ldr_diff_plan[PIECE]);
    if (l->diff.sample == SAMPLES || l->diff.unlike == UNLIKE)
        return may_skip_erasing(l) ? MOVE_NEXT : ldr_write_all(l);
    ldr_ask_md5_of(l, sample_at(l), SECTOR);
    return MOVE_WAIT;
}

static enum ldr_move sampled(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    uint32_t at = sample_at(l);

    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    l->diff.sample++;
    note_blank(l, at);
    if (!answer_is_of(l, at, at + SECTOR))
        l->diff.unlike++;
    else if (tells_something(ldr_image(l, l->flash.region)->raw + at))
        l->diff.alike++;
    l->diff.on = l->diff.alike == (l->diff.unlike == 0 ? ALIKE_ALL : ALIKE);
    return MOVE_AGAIN;
}

/* ---- what is blank ---- */

/* The middle between what is not blank and what is, at a place where the flash erases 64 KB at
 * once. */
static uint32_t between(const struct kl_loader *l)
{
    uint32_t offset = l->bundle->region[l->flash.region].offset;
    uint32_t middle = offset + l->diff.dirty_to + (l->diff.blank_from - l->diff.dirty_to) / 2;

    return (middle + PIECE_SIZE - 1) / PIECE_SIZE * PIECE_SIZE - offset;
}

/* Finds where the blank part begins. It is written as a stream of its own, for which the stub looks
   at each sector before it erases it. */
static enum ldr_move ask_blank(struct kl_loader *l)
{
    uint32_t raw = ldr_image(l, l->flash.region)->raw_size;
    uint32_t sectors = (raw + SECTOR - 1) / SECTOR;

    KL_ASSERT(l->diff.blank_from >= l->diff.dirty_to && l->diff.blank_from % SECTOR == 0);
    if (between(l) < l->diff.blank_from) {
        ldr_ask_md5_of(l, between(l), SECTOR);
        return MOVE_WAIT;
    }
    for (uint32_t n = 0; n < sectors; n++)
        l->diff.differs[n / 32] |= 1u << n % 32;
    l->diff.written = sectors;
    l->diff.split = l->diff.blank_from / SECTOR;
    l->diff.at = raw;
    l->diff.on = true;
    return ldr_go_to(l, &ldr_diff_plan[RUN]);
}

static enum ldr_move blank_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    if (ldr_answer_is(l, ldr_blank_md5))
        l->diff.blank_from = between(l);
    else
        l->diff.dirty_to = between(l) + SECTOR;
    return MOVE_AGAIN;
}

/* ---- what differs ---- */

static bool differs(const struct kl_loader *l, uint32_t sector)
{
    KL_ASSERT(sector < KL_DIFF_SECTORS);
    return l->diff.differs[sector / 32] >> sector % 32 & 1;
}

static void mark(struct kl_loader *l, unsigned sector)
{
    uint32_t n = l->diff.at / SECTOR + sector;

    KL_ASSERT(n < KL_DIFF_SECTORS && sector < SECTORS_A_PIECE);
    l->diff.written++;
    l->diff.runs += n == 0 || !differs(l, n - 1);
    l->diff.differs[n / 32] |= 1u << n % 32;
}

static unsigned sectors_here(const struct kl_loader *l)
{
    uint32_t size = end_of(l, l->diff.at, PIECE_SIZE) - l->diff.at;

    return (size + SECTOR - 1) / SECTOR;
}

static void ask_sectors(struct kl_loader *l, unsigned first, unsigned count)
{
    uint32_t from = l->diff.at + first * SECTOR;

    KL_ASSERT(count > 0 && first + count <= SECTORS_A_PIECE);
    ldr_ask_md5_of(l, from, end_of(l, from, count * SECTOR) - from);
}

static bool are_right(const struct kl_loader *l, unsigned first, unsigned count)
{
    uint32_t from = l->diff.at + first * SECTOR;

    return answer_is_of(l, from, end_of(l, from, count * SECTOR));
}

/* Is so much to be written that a compressed stream of all is faster? */
static bool is_too_much(const struct kl_loader *l)
{
    return l->diff.looked >= ENOUGH_TO_JUDGE &&
           (l->diff.written + l->diff.runs) * 100 > l->diff.looked * COST_MAX_PERCENT;
}

static kl_us wire_time(const struct kl_loader *l, uint32_t first, uint32_t count)
{
    const struct kl_image *i = ldr_image(l, l->flash.region);
    uint32_t bytes = i->parts ? i->part_at[first + count] - i->part_at[first] : count * SECTOR;

    return (kl_us)bytes * 10000000 / l->identity.baud;
}

/* A flash erases 64 KB in little more time than three sectors: where many sectors of a whole piece
   differ, the others are written with them. */
static bool is_faster_whole(const struct kl_loader *l, uint32_t first, unsigned changed)
{
    uint32_t at = l->bundle->region[l->flash.region].offset + l->diff.at;
    kl_us parts = (kl_us)changed * SECTOR_US, whole;

    if (at % PIECE_SIZE != 0 || sectors_here(l) < SECTORS_A_PIECE)
        return false;
    whole = wire_time(l, first, SECTORS_A_PIECE);
    return (whole > PIECE_US ? whole : PIECE_US) * 5 / 4 < parts;
}

/* All is known about this piece. Where sectors differ here and there, the next piece is looked at
   sector by sector too. Where the end of a long change lies in it, the next piece is probably
   right. */
static enum ldr_move leave_piece(struct kl_loader *l)
{
    unsigned count = sectors_here(l), changed = 0, ends = 0;
    uint32_t first = l->diff.at / SECTOR;

    for (unsigned n = 0; n < count; n++)
        changed += differs(l, first + n);
    for (unsigned n = 0; n < count && is_faster_whole(l, first, changed); n++)
        if (!differs(l, first + n))
            mark(l, n);
    for (unsigned n = 0; n < count; n++) {
        ends += differs(l, first + n) && (n + 1 == count || !differs(l, first + n + 1));
        if (!differs(l, first + n))
            l->diff.right += end_of(l, l->diff.at + n * SECTOR, SECTOR) - l->diff.at - n * SECTOR;
    }
    bool ends_one = ends == 1 && differs(l, first) && (l->diff.edge > 0 || first == 0);
    l->diff.deep = changed > 0 && !ends_one;
    for (l->diff.edge = 0; l->diff.edge < count; l->diff.edge++)
        if (!differs(l, first + count - 1 - l->diff.edge))
            break;
    l->diff.looked += count;
    l->diff.at = end_of(l, l->diff.at, PIECE_SIZE);
    if (l->progress.done < l->flash.done_before + l->diff.right)
        l->progress.done = l->flash.done_before + l->diff.right;
    return is_too_much(l) ? ldr_write_all(l) : ldr_go_to(l, &ldr_diff_plan[PIECE]);
}

static enum ldr_move ask_piece(struct kl_loader *l)
{
    uint32_t raw = ldr_image(l, l->flash.region)->raw_size;

    KL_ASSERT(l->diff.on && l->diff.at <= raw);
    if (l->diff.at == raw)
        return ldr_go_to(l, &ldr_diff_plan[RUN]);
    l->diff.sector = 0;
    l->diff.sectors_end = (uint8_t)sectors_here(l);
    l->diff.ending = l->diff.edge > 0;
    if (l->diff.at == 0 && l->diff.head_differs) {
        mark(l, 0);
        l->diff.sector = 1;
        l->diff.ending = true;
        return ldr_go_to(l, &ldr_diff_plan[REST]);
    }
    if (l->diff.edge > 0 && l->diff.sectors_end > 2)
        return ldr_go_to(l, &ldr_diff_plan[EDGE]);
    if (l->diff.deep)
        return ldr_go_to(l, &ldr_diff_plan[SECTORS]);
    ask_sectors(l, 0, l->diff.sectors_end);
    return MOVE_WAIT;
}

static enum ldr_move piece_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    return are_right(l, 0, l->diff.sectors_end) ? leave_piece(l)
                                                : ldr_go_to(l, &ldr_diff_plan[SECTORS]);
}

/* A change may go on from the piece before. If so, does it fill this piece? */
static enum ldr_move ask_edge(struct kl_loader *l)
{
    KL_ASSERT(l->diff.edge > 0 && l->diff.sector == 0);
    ask_sectors(l, 0, 1);
    return MOVE_WAIT;
}

static enum ldr_move edge_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    l->diff.sector = 1;
    if (are_right(l, 0, 1))
        return ldr_go_to(l, &ldr_diff_plan[REST]);
    mark(l, 0);
    return MOVE_NEXT;
}

static enum ldr_move ask_tip(struct kl_loader *l)
{
    KL_ASSERT(l->diff.sectors_end > 2);
    ask_sectors(l, l->diff.sectors_end - 1u, 1);
    return MOVE_WAIT;
}

/* Both ends differ: what lies between is written with them, which costs less than questions. */
static enum ldr_move tip_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    if (are_right(l, l->diff.sectors_end - 1u, 1)) {
        l->diff.half_to = --l->diff.sectors_end;
        return ldr_go_to(l, &ldr_diff_plan[l->diff.edge >= LONG_CHANGE ? HALF : SECTORS]);
    }
    for (unsigned n = 1; n < l->diff.sectors_end; n++)
        mark(l, n);
    return leave_piece(l);
}

/* A long change ends in this piece: finds where, by halves. */
static enum ldr_move ask_half(struct kl_loader *l)
{
    KL_ASSERT(l->diff.sector <= l->diff.half_to && l->diff.half_to <= l->diff.sectors_end);
    if (l->diff.sector < l->diff.half_to) {
        ask_sectors(l, (l->diff.sector + l->diff.half_to) / 2u, 1);
        return MOVE_WAIT;
    }
    if (l->diff.half_to >= l->diff.sectors_end - 1)
        return leave_piece(l);
    l->diff.sector = (uint8_t)(l->diff.half_to + 1);
    return MOVE_NEXT;
}

static enum ldr_move half_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    unsigned middle = (l->diff.sector + l->diff.half_to) / 2u;

    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    if (are_right(l, middle, 1)) {
        l->diff.half_to = (uint8_t)middle;
        return MOVE_AGAIN;
    }
    for (; l->diff.sector <= middle; l->diff.sector++)
        mark(l, l->diff.sector);
    return MOVE_AGAIN;
}

/* Where a change ended, all else in the piece is probably right. */
static enum ldr_move ask_rest(struct kl_loader *l)
{
    KL_ASSERT(l->diff.ending && l->diff.sector < l->diff.sectors_end);
    l->diff.ending = false;
    ask_sectors(l, l->diff.sector, l->diff.sectors_end - (unsigned)l->diff.sector);
    return MOVE_WAIT;
}

static enum ldr_move rest_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    return are_right(l, l->diff.sector, l->diff.sectors_end - (unsigned)l->diff.sector)
               ? leave_piece(l)
               : MOVE_NEXT;
}

static uint32_t sector_size(const struct kl_loader *l, unsigned sector)
{
    uint32_t from = l->diff.at + sector * SECTOR;

    return end_of(l, from, SECTOR) - from;
}

/* While the stub sums up one sector, the question for the next one is on its way. */
static enum ldr_move ask_sector(struct kl_loader *l)
{
    unsigned n = l->diff.sector, left = (unsigned)l->diff.sectors_end - n;
    bool is_out = l->diff.ahead && !l->wire.unsent;

    KL_ASSERT(l->diff.sector <= l->diff.sectors_end && !(is_out && left == 0));
    if (left == 0)
        return leave_piece(l);
    l->diff.ahead = left > 1 && !l->diff.ending && ldr_may_ask_amid(l);
    l->diff.chained = is_out || l->diff.ahead;
    if (l->diff.chained)
        ldr_ask_md5_ahead(l, l->diff.at + n * SECTOR, sector_size(l, n), is_out,
                          l->diff.ahead ? sector_size(l, n + 1) : 0);
    else
        ask_sectors(l, n, 1);
    return MOVE_WAIT;
}

/* Answers do not say of what they are: if one is missing, those before may have been taken for
   others. */
static enum ldr_move chain_broke(struct kl_loader *l)
{
    ldr_aside_failed(l, "an answer is missing");
    return ldr_write_all(l);
}

static enum ldr_move sector_seen(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (l->diff.chained && (outcome != KL_OUT_OK || l->wire.damaged > 0))
        return chain_broke(l);
    if (outcome != KL_OUT_OK)
        return give_up(l, outcome);
    bool right = are_right(l, l->diff.sector, 1);
    if (!right)
        mark(l, l->diff.sector);
    l->diff.sector++;
    if (right && l->diff.ending && l->diff.sector < l->diff.sectors_end)
        return ldr_go_to(l, &ldr_diff_plan[REST]);
    return MOVE_AGAIN;
}

/* ---- what is written ---- */

/* Begins the next run of sectors that differ; the flash plan writes it and comes back to CHECK. */
static enum ldr_move begin_run(struct kl_loader *l)
{
    uint32_t raw = ldr_image(l, l->flash.region)->raw_size;
    uint32_t sectors = (raw + SECTOR - 1) / SECTOR, first = l->diff.run_from / SECTOR, end;

    KL_ASSERT(l->diff.on && l->diff.at == raw);
    while (first < sectors && !differs(l, first))
        first++;
    if (first == sectors)
        return ldr_go_to(l, &ldr_diff_plan[AFTER]);
    for (end = first; end < sectors && differs(l, end) && (end == first || end != l->diff.split);
         end++)
        l->diff.differs[end / 32] &= ~(1u << end % 32);
    l->diff.run_from = l->flash.resume_at = first * SECTOR;
    l->flash.until = end_of(l, l->diff.run_from, (end - first) * SECTOR);
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
    if (outcome == KL_OUT_OK && answer_is_of(l, l->diff.run_from, l->flash.until)) {
        l->diff.right += l->flash.until - l->diff.run_from;
        return ldr_go_to(l, &ldr_diff_plan[RUN]);
    }
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
    [SAMPLE] = {ask_sample, sampled, {&ldr_diff_plan[PIECE], ldr_flash_begin}},
    [BLANK] = {ask_blank, blank_seen, {&ldr_diff_plan[RUN], ldr_flash_begin}},
    [PIECE] = {ask_piece,
               piece_seen,
               {&ldr_diff_plan[RUN], &ldr_diff_plan[EDGE], &ldr_diff_plan[SECTORS],
                &ldr_diff_plan[REST], &ldr_diff_plan[PIECE], ldr_flash_begin}},
    [EDGE] = {ask_edge,
              edge_seen,
              {&ldr_diff_plan[SECTORS], &ldr_diff_plan[REST], ldr_flash_begin}},
    [TIP] = {ask_tip,
             tip_seen,
             {&ldr_diff_plan[SECTORS], &ldr_diff_plan[HALF], &ldr_diff_plan[PIECE],
              ldr_flash_begin}},
    [HALF] = {ask_half, half_seen, {&ldr_diff_plan[PIECE], ldr_flash_begin}},
    [REST] = {ask_rest, rest_seen, {&ldr_diff_plan[PIECE], ldr_flash_begin}},
    [SECTORS] = {ask_sector,
                 sector_seen,
                 {&ldr_diff_plan[PIECE], &ldr_diff_plan[REST], ldr_flash_begin}},
    [RUN] = {begin_run, NULL, {&ldr_diff_plan[AFTER], ldr_flash_begin}},
    [CHECK] = {ask_run, run_seen, {&ldr_diff_plan[RUN], ldr_flash_begin}},
    [AFTER] = {end_diff, NULL, {ldr_flash_next}},
    PLAN_END,
};
