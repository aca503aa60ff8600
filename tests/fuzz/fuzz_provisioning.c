/*
 * The board's half of the handover against any bytes at any times, and power cuts: what it stores
 * is one whole line of the input that came in time, or nothing.
 *
 * Input: the number of store operations until the power fails, the number of fields expected, then
 * bytes; 0xfe is followed by one that says how many times 16 ms pass.
 */
#include <stdlib.h>
#include <string.h>

#include "prov_bench.h"

enum {
    PASSES = 0xfe
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct prov_bench b;

/* What came since the last line end, as the wire saw it. */
static struct {
    uint8_t byte[2 * KL_PROV_LINE_MAX];
    size_t size, all;
    uint32_t began_ms;
} line;

static void must(bool condition)
{
    if (!condition)
        abort();
}

static bool is_lead(uint8_t byte)
{
    return byte <= ' ' || byte == 0x7f || byte == 0xff;
}

static void remember(uint8_t byte, uint32_t now)
{
    if (line.all == 0 && is_lead(byte))
        return;
    if (line.all == 0)
        line.began_ms = now;
    if (line.all++ < sizeof line.byte)
        line.byte[line.size++] = byte;
}

/* The stored fields are those of the line, in their order. */
static void must_be_the_line(void)
{
    size_t at = 0;

    for (unsigned i = 0; i < b.count; i++) {
        size_t end = at, n;
        while (end < line.size && line.byte[end] != ',')
            end++;
        must(i + 1 == b.count ? end == line.size : end < line.size);
        while (line.byte[at] == ' ' || line.byte[at] == '\t')
            at++;
        for (n = end; line.byte[n - 1] == ' ' || line.byte[n - 1] == '\t';)
            n--;
        must(strlen(b.field[i]) == n - at && memcmp(b.field[i], line.byte + at, n - at) == 0);
        must(n > at);
        at = end + 1;
    }
}

static void byte_comes(uint8_t byte, uint32_t now)
{
    unsigned restarts = b.restarts;

    if (byte != '\n' && byte != '\r')
        remember(byte, now);
    kl_prov_feed(&b.prov, byte, now);
    if (b.restarts > restarts) {
        must(byte == '\n' || byte == '\r');
        must(line.all <= KL_PROV_LINE_MAX && now - line.began_ms < KL_PROV_LINE_MS);
        must(b.count > 0 && (!b.config.fields || b.count == b.config.fields));
        must_be_the_line();
    }
    if (byte == '\n' || byte == '\r')
        line.size = line.all = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t now = 0;

    if (size < 2)
        return 0;
    memset(&line, 0, sizeof line);
    prov_bench_init(&b);
    b.config.digest_fields = 6;
    b.config.sha256 = kl_prov_sha256;
    b.config.fields = data[1] % (KL_PROV_FIELDS_MAX + 2u);
    prov_bench_start(&b);
    b.operations_left = data[0] < 40 ? data[0] : -1;
    b.cut = data[1] & 0x80 ? PROV_CUT_AFTER : PROV_CUT_BEFORE;
    for (size_t i = 2; i < size && !b.off && b.restarts == 0; i++) {
        if (data[i] == PASSES && i + 1 < size) {
            now += data[++i] * 16u;
            kl_prov_tick(&b.prov, now);
        } else {
            byte_comes(data[i], now);
        }
    }
    must(b.count <= KL_PROV_FIELDS_MAX);
    must(b.off || kl_prov_is_done(&b.prov) == (b.count > 0));
    must(b.writes <= b.count + 1 || b.off);
    prov_bench_start(&b);
    must(kl_prov_is_done(&b.prov) == (b.count > 0));
    must(memchr(b.out, '\0', b.out_size) == NULL);
    return 0;
}
