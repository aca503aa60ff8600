/*
 * loader_aside.c: MD5 of what is written already, asked for while the rest of a stream still comes,
 * so that little is left to compare after the last byte.
 *
 * A stub has two buffers: it works on one while bytes come into the other. A question needs one of
 * them, and the stub loses a block that comes before it has taken the question. So the loader asks
 * only when it knows the stub to be idle: right after a block that completes no window, and after
 * an answered question. Then the stub takes the question at once, and computes while the next block
 * comes. At the first sign of trouble the loader stops asking, and compares the rest in the plain
 * way. (docs/esp-serial-protocol.md 3.3, tests/rom-vectors/esp32-stub-interleaved.jsonl)
 */
#include "loader_private.h"

#include <string.h>

enum {
    ERASE_BLOCK = 0x10000,
    WINDOW = 0x8000,  /* a stub writes in such units: amid a stream only whole ones are written */
    UNIT_US = 40000,  /* what a stub needs for MD5 of a window, with some to spare */
    WRITE_US = 60000, /* and to write one */
    MD5_SECONDS = 8,  /* per MB, at most */
};

#define ANSWER_TIME KL_MS(500)
#define GAP         KL_MS(5) /* between question and block: measured with a real stub */
#define GAP_BEHIND  KL_MS(1) /* between two questions of which the stub has taken the first */

void ldr_forget_proofs(struct kl_loader *l)
{
    memset(l->flash.proved, 0, sizeof l->flash.proved);
    l->aside.out = false;
}

bool ldr_may_ask_amid(const struct kl_loader *l)
{
    return !ldr_is_rom(l) && !l->aside.off && l->bundle->md5 && l->setup.link != KL_LINK_RAW &&
           l->identify.console == KL_CONSOLE_UART;
}

/* ---- where in a stream ---- */

uint32_t ldr_bytes_in(const struct kl_loader *l, kl_us time)
{
    return (uint32_t)(time * l->identity.baud / 10000000);
}

static uint32_t steps(uint32_t bytes)
{
    return (bytes + KL_PACK_STEP - 1) / KL_PACK_STEP * KL_PACK_STEP;
}

static uint32_t windows_at(const struct kl_image *i, uint32_t at)
{
    KL_ASSERT(at % KL_PACK_STEP == 0 && at <= i->packed_size);
    return i->inflated_at[at / KL_PACK_STEP] / WINDOW;
}

/* How many windows a stub can sum up while one block comes. Near the end fewer, so that less is
   left afterwards. */
static uint32_t windows_a_question(const struct kl_loader *l, const struct kl_loader_stream *s)
{
    kl_us time = (kl_us)s->block_size * 10000000 / l->identity.baud;

    KL_ASSERT(s->block_size > 0);
    uint32_t most = time < UNIT_US ? 1 : (uint32_t)(time / UNIT_US);
    uint32_t left = ldr_image(l, l->flash.region)->raw_size / WINDOW - s->quiet_asked;
    return left > 2 * most ? most : (most + 1) / 2;
}

static void take_quiet(struct kl_loader_stream *s, uint32_t from, uint32_t to, uint32_t windows,
                       uint32_t most)
{
    s->quiet_from = from;
    s->quiet_to = to;
    if (s->quiet_soon > 0)
        return;
    s->quiet_asked = windows < s->quiet_asked + most ? windows : s->quiet_asked + most;
}

/* Finds the next quiet block: whole steps of the stream that complete no window and take long
   enough for the stub to write the window before. Takes the first such block with enough windows to
   ask for, or else the last with any. At least one whole block follows a question: the answer takes
   that long. */
void ldr_find_quiet(const struct kl_loader *l, struct kl_loader_stream *s)
{
    const struct kl_image *i = ldr_image(l, l->flash.region);
    uint32_t most = windows_a_question(l, s), asked = s->quiet_asked;
    uint32_t length = steps(ldr_bytes_in(l, WRITE_US));
    uint32_t from = s->quiet_to > 0 ? steps(s->sent + s->block_size) : s->quiet_start;

    KL_ASSERT(s->sent % KL_PACK_STEP == 0);
    if (s->quiet_to > 0 && s->quiet_soon > 0)
        s->quiet_soon--;
    s->quiet_from = s->quiet_to = 0;
    for (; from + length <= s->tail_at; from += KL_PACK_STEP) {
        uint32_t windows = windows_at(i, from);
        if (length > s->block_size || windows_at(i, from + length) != windows)
            continue;
        if (s->quiet_soon == 0 && windows <= asked)
            continue;
        s->quiet_asked = asked;
        take_quiet(s, from, from + length, windows, most);
        if (s->quiet_soon > 0 || windows >= asked + most)
            return;
    }
}

/* Where in the stream the stub has erased all: before that its flash has no time for sums. One
   block starts the erase of 64 KB. */
static uint32_t erased_by(const struct kl_loader *l)
{
    uint32_t blocks = ldr_image(l, l->flash.region)->raw_size / ERASE_BLOCK + 2;

    return l->flash.looks_blank ? 0 : steps(blocks * l->stream.block_size);
}

void ldr_plan_asides(struct kl_loader *l)
{
    struct kl_loader_stream *s = &l->stream;

    KL_ASSERT(!ldr_is_rom(l) && s->packed && s->sent == 0);
    s->quiet_from = s->quiet_to = s->quiet_asked = 0;
    s->quiet_soon = 0;
    s->quiet_start = erased_by(l);
    for (unsigned r = 0; r < l->flash.region; r++)
        if (l->flash.proved[r] < ldr_image(l, r)->raw_size)
            s->quiet_soon++;
    if (ldr_may_ask_amid(l))
        ldr_find_quiet(l, s);
}

/* ---- one question behind the other ---- */

static struct ldr_command md5_of(const struct kl_loader *l, uint8_t payload[16], uint32_t from,
                                 uint32_t size)
{
    ldr_put_u32(payload, l->bundle->region[l->flash.region].offset + from);
    ldr_put_u32(payload + 4, size);
    return (struct ldr_command){.code = CMD_MD5,
                                .payload = payload,
                                .payload_size = 16,
                                .result = 16,
                                .work = KL_SEC(1) + (kl_us)size * MD5_SECONDS};
}

/* The stub is idle when the first question comes, and takes it before the second one is there. A
   later one goes out when the stub has taken the one before. */
void ldr_ask_md5_ahead(struct kl_loader *l, uint32_t from, uint32_t size, bool is_out,
                       uint32_t next_size)
{
    uint8_t payload[16] = {0}, next_payload[16] = {0};
    struct ldr_command c = md5_of(l, payload, from, size);
    struct ldr_command next = md5_of(l, next_payload, from + size, next_size);

    KL_ASSERT(ldr_may_ask_amid(l) && size > 0 && (is_out || next_size > 0));
    ldr_command_ahead(l, &c, is_out, next_size > 0 ? &next : NULL,
                      ldr_bytes_in(l, is_out ? GAP_BEHIND : GAP));
}

/* ---- the question amid a stream ---- */

bool ldr_wants_aside(const struct kl_loader *l)
{
    return l->stream.quiet_to > 0 && l->stream.sent == l->stream.quiet_to;
}

/* Asks a question that changes nothing: once it has answered, the stub is idle. */
enum ldr_move ldr_ask_idle(struct kl_loader *l)
{
    uint8_t payload[4];

    KL_ASSERT(ldr_wants_aside(l));
    if (l->aside.off)
        return MOVE_NEXT;
    ldr_put_u32(payload, MAGIC_REG);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_REG,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 2,
                                         .judge = true,
                                         .work = COMMAND_TIME + l->flash.owed});
    return MOVE_WAIT;
}

static void choose_range(struct kl_loader *l)
{
    l->aside.region = (uint8_t)l->flash.region;
    l->aside.to = l->stream.quiet_asked * WINDOW;
    for (unsigned r = 0; r < l->flash.region; r++)
        if (l->flash.proved[r] < ldr_image(l, r)->raw_size) {
            l->aside.region = (uint8_t)r;
            l->aside.to = ldr_image(l, r)->raw_size;
            break;
        }
    l->aside.from = l->flash.proved[l->aside.region];
}

/* Question and block may arrive in one piece, however far apart they leave. Bytes outside of any
   frame keep them apart on the wire. */
enum ldr_move ldr_ask_aside(struct kl_loader *l)
{
    uint8_t payload[16] = {0};

    KL_ASSERT(ldr_wants_aside(l) && !l->aside.out);
    if (l->aside.off) { /* the stream keeps the blocks that BEGIN announced */
        ldr_find_quiet(l, &l->stream);
        return MOVE_NEXT;
    }
    choose_range(l);
    KL_ASSERT(l->aside.from < l->aside.to);
    ldr_put_u32(payload, l->bundle->region[l->aside.region].offset + l->aside.from);
    ldr_put_u32(payload + 4, l->aside.to - l->aside.from);
    l->aside.out = l->aside.behind = true;
    ldr_tell(
        l,
        &(struct ldr_command){.code = CMD_MD5, .payload = payload, .payload_size = sizeof payload},
        ldr_bytes_in(l, GAP), GAP);
    ldr_find_quiet(l, &l->stream);
    return MOVE_WAIT;
}

kl_us ldr_aside_time(const struct kl_loader *l)
{
    KL_ASSERT(l->aside.out);
    return KL_SEC(1) + (kl_us)(l->aside.to - l->aside.from) * MD5_SECONDS;
}

void ldr_aside_failed(struct kl_loader *l, const char *why)
{
    if (l->aside.off) /* this is the second trouble: silence after a wrong sum */
        return;
    ldr_note(l, "comparing only after writing from now on: %s", why);
    l->aside.out = false;
    l->aside.off = true;
    l->setup.memory.plain_verify = true;
    l->flash.doubtful = true;
}

/* `data` is what follows the header. */
void ldr_take_aside(struct kl_loader *l, const uint8_t *data, size_t size)
{
    const struct kl_image *i = ldr_image(l, l->aside.region);
    uint8_t md5[16];

    KL_ASSERT(l->aside.out && l->aside.to <= i->raw_size);
    if (size != sizeof md5 + 2 || data[sizeof md5] != 0) {
        ldr_aside_failed(l, "refused");
        return;
    }
    kl_bundle_md5(l->bundle, i->raw + l->aside.from, l->aside.to - l->aside.from, md5);
    if (memcmp(md5, data, sizeof md5) != 0) {
        ldr_aside_failed(l, "a sum is wrong");
        return;
    }
    l->aside.out = false;
    l->flash.proved[l->aside.region] = l->aside.to;
    ldr_hurry(l, ANSWER_TIME); /* now the stub has only the block to do */
}
