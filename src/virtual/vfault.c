/* vfault.c: faults by name: their table, the grammar of a list of faults, and damage on the
   wire. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vboard_inside.h"

static const struct row {
    const char *name;
    enum fault_argument argument;
    uint64_t figure;
    const char *text;
} rows[FAULT_ID_COUNT] = {
#define X(name, word, argument, figure, text)                                                      \
    [FAULT_ID_##name] = {word, FAULT_##argument, figure, text},
    VBOARD_FAULTS(X)
#undef X
};

bool kl_vboard_fault_info(unsigned i, struct kl_vboard_fault_info *out)
{
    static const char *const forms[] = {[FAULT_FLAG] = "",
                                        [FAULT_AT] = "[=BYTE]",
                                        [FAULT_TIMES] = "[=TIMES]",
                                        [FAULT_VALUE] = "[=N]",
                                        [FAULT_TEXT] = "[=A|B|…]"};
    if (i >= FAULT_ID_COUNT)
        return false;
    *out = (struct kl_vboard_fault_info){
        rows[i].name, forms[rows[i].argument], rows[i].text,
        rows[i].argument == FAULT_VALUE || rows[i].argument == FAULT_TIMES ? rows[i].figure : 0};
    return true;
}

static int find(const char *name, size_t size)
{
    for (int i = 0; i < FAULT_ID_COUNT; i++)
        if (strlen(rows[i].name) == size && strncmp(rows[i].name, name, size) == 0)
            return i;
    return -1;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u; /* splitmix64 */

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t board_random(struct kl_vboard *b)
{
    return next_random(&b->rng);
}

static bool set_fault(struct faults *f, int id, const char *value, size_t size, uint64_t *rng)
{
    const struct row *row = &rows[id];
    char text[24], *end = text;

    f->set[id] = true;
    if (row->argument == FAULT_TEXT) {
        if (size >= sizeof f->provisioned)
            return false;
        memcpy(f->provisioned, value ? value : "", size);
        f->provisioned[size] = '\0';
        for (char *c = f->provisioned; *c; c++)
            if (*c == '|')
                *c = ',';
        return true;
    }
    if (!value) {
        f->figure[id] = row->argument == FAULT_AT ? 1 + next_random(rng) % 20000
                        : row->argument == FAULT_TIMES && row->figure == 0 ? UINT64_MAX
                                                                           : row->figure;
        return true;
    }
    if (row->argument == FAULT_FLAG || size == 0 || size >= sizeof text)
        return false;
    memcpy(text, value, size);
    text[size] = '\0';
    f->figure[id] = strtoull(text, &end, 0);
    return *end == '\0' && text[0] != '-';
}

bool faults_parse(struct faults *f, const char *list, uint64_t *rng, char error[KL_TEXT_MAX])
{
    while (*list) {
        size_t size = strcspn(list, ",");
        const char *equals = memchr(list, '=', size);
        size_t name = equals ? (size_t)(equals - list) : size;
        int id = find(list, name);
        if (id < 0) {
            snprintf(error, KL_TEXT_MAX,
                     "no fault is called '%.*s': see keyline virtual "
                     "--list-faults",
                     (int)name, list);
            return false;
        }
        if (!set_fault(f, id, equals ? equals + 1 : NULL, equals ? size - name - 1 : 0, rng)) {
            snprintf(error, KL_TEXT_MAX, "bad figure for the fault %s: '%.*s'", rows[id].name,
                     (int)size, list);
            return false;
        }
        list += size;
        list += *list == ',';
    }
    return true;
}

bool fault_is(const struct kl_vboard *b, enum fault f)
{
    return b->faults.set[f];
}

uint64_t fault_figure(const struct kl_vboard *b, enum fault f)
{
    return b->faults.figure[f];
}

bool fault_takes(struct kl_vboard *b, enum fault f)
{
    if (!b->faults.set[f] || b->faults.figure[f] == 0)
        return false;
    if (b->faults.figure[f] != UINT64_MAX)
        b->faults.figure[f]--;
    return true;
}

/* ---- on the wire ---- */

static const enum fault rx_faults[] = {FAULT_ID_DROP_RX,    FAULT_ID_FLIP_RX,   FAULT_ID_DOUBLE_RX,
                                       FAULT_ID_DEAF_AFTER, FAULT_ID_UNPLUG_AT, FAULT_ID_RESET_AT};
static const enum fault tx_faults[] = {FAULT_ID_DROP_TX, FAULT_ID_FLIP_TX, FAULT_ID_DOUBLE_TX,
                                       FAULT_ID_SILENT_AFTER};

static uint64_t noise_gap(struct kl_vboard *b)
{
    uint64_t gap = 0;

    if (fault_is(b, FAULT_ID_NOISE))
        gap = fault_figure(b, FAULT_ID_NOISE);
    if (fault_is(b, FAULT_ID_NOISE_ABOVE) && b->chip_baud > fault_figure(b, FAULT_ID_NOISE_ABOVE))
        gap = gap == 0 || gap > 500 ? 500 : gap;
    return gap;
}

void fault_plan(struct kl_vboard *b, struct lane *lane)
{
    const enum fault *list = lane == &b->rx ? rx_faults : tx_faults;
    size_t count = lane == &b->rx ? sizeof rx_faults / sizeof *rx_faults
                                  : sizeof tx_faults / sizeof *tx_faults;
    uint64_t gap = noise_gap(b);

    lane->trouble = gap ? lane->count + 1 + board_random(b) % (2 * gap) : UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        uint64_t at = b->faults.figure[list[i]];
        if (b->faults.set[list[i]] && at > lane->count && at < lane->trouble)
            lane->trouble = at;
    }
}

/* `n` is the byte's number, from 1. */
unsigned fault_byte(struct kl_vboard *b, struct lane *lane, uint8_t byte, uint8_t out[2])
{
    bool rx = lane == &b->rx;
    uint64_t n = ++lane->count;
    unsigned left = 1;
    bool hit = false;

#define HITS(f) (b->faults.set[f] && b->faults.figure[f] == n)
    if (HITS(rx ? FAULT_ID_DROP_RX : FAULT_ID_DROP_TX))
        hit = true, left = 0;
    if (HITS(rx ? FAULT_ID_DOUBLE_RX : FAULT_ID_DOUBLE_TX))
        hit = true, left = 2;
    if (HITS(rx ? FAULT_ID_FLIP_RX : FAULT_ID_FLIP_TX))
        hit = true, byte ^= (uint8_t)(1u << board_random(b) % 8);
    if (rx && HITS(FAULT_ID_DEAF_AFTER))
        hit = true, b->dead_wire_rx = true;
    if (!rx && HITS(FAULT_ID_SILENT_AFTER))
        hit = true, b->dead_wire_tx = true;
    bool unplug = rx && HITS(FAULT_ID_UNPLUG_AT), reset = rx && HITS(FAULT_ID_RESET_AT);
#undef HITS
    if (!hit && !unplug && !reset && noise_gap(b))
        byte ^= (uint8_t)(1u << board_random(b) % 8);
    out[0] = out[1] = byte;
    fault_plan(b, lane);
    if (unplug)
        board_lose_power(b);
    else if (reset)
        board_reset(b, CAUSE_BROWNOUT);
    return unplug || reset ? 0 : left;
}
