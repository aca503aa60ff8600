#include "prov_bench.h"

#include <string.h>

/* True if the operation takes place; *answer is what its caller gets. */
static bool operate(struct prov_bench *b, bool *answer)
{
    *answer = false;
    if (b->off)
        return false;
    if (b->operations_left != 0) {
        if (b->operations_left > 0)
            b->operations_left--;
        b->writes++;
        *answer = true;
        return true;
    }
    b->operations_left = -1;
    b->off = !b->lies;
    return b->cut == PROV_CUT_AFTER;
}

static unsigned count(void *ctx)
{
    return ((struct prov_bench *)ctx)->count;
}

static bool set_count(void *ctx, unsigned value)
{
    struct prov_bench *b = ctx;
    bool answer;

    if (operate(b, &answer))
        b->count = value;
    return answer;
}

static bool write_field(void *ctx, unsigned field, const char *text, size_t size)
{
    struct prov_bench *b = ctx;
    bool answer;

    if (operate(b, &answer)) {
        memset(b->field[field], 0, sizeof b->field[field]);
        memcpy(b->field[field], text, size);
    }
    return answer;
}

static bool read_field(void *ctx, unsigned field, char *out, size_t size)
{
    struct prov_bench *b = ctx;
    size_t n = strlen(b->field[field]);

    if (b->unreadable >> field & 1u || n >= size)
        return false;
    memcpy(out, b->field[field], n + 1);
    return true;
}

static bool erase(void *ctx)
{
    struct prov_bench *b = ctx;
    bool answer;

    if (operate(b, &answer))
        memset(b->field, 0, sizeof b->field);
    return answer;
}

static void console(void *ctx, const char *text, size_t size)
{
    struct prov_bench *b = ctx;

    if (b->off || size >= sizeof b->out - b->out_size)
        return;
    memcpy(b->out + b->out_size, text, size);
    b->out_size += size;
    b->out[b->out_size] = '\0';
}

static void restart(void *ctx)
{
    ((struct prov_bench *)ctx)->restarts++;
}

void prov_bench_init(struct prov_bench *b)
{
    memset(b, 0, sizeof *b);
    b->operations_left = -1;
    b->config = (struct kl_prov_config){
        .store = {.ctx = b,
                  .count = count,
                  .set_count = set_count,
                  .write = write_field,
                  .read = read_field,
                  .erase = erase},
        .ctx = b,
        .print = console,
        .restart = restart,
    };
}

void prov_bench_clear(struct prov_bench *b)
{
    b->out_size = 0;
    b->out[0] = '\0';
}

void prov_bench_start(struct prov_bench *b)
{
    prov_bench_clear(b);
    b->off = false;
    b->operations_left = -1;
    kl_prov_start(&b->prov, &b->config, 0);
}

void prov_bench_bytes(struct prov_bench *b, const void *data, size_t size, uint32_t now_ms)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++)
        kl_prov_feed(&b->prov, bytes[i], now_ms);
}

void prov_bench_type(struct prov_bench *b, const char *text)
{
    prov_bench_bytes(b, text, strlen(text), 10);
}
