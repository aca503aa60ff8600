/*
 * prov_bench.h: a product around firmware/provisioning for tests. Its power can fail at any store
 * operation; it keeps what the console printed.
 */
#ifndef KEYLINE_PROV_BENCH_H
#define KEYLINE_PROV_BENCH_H

#include "provisioning.h"

/* What a store operation leaves behind if the power fails in it. NVS writes are all or nothing, but
   the caller does not learn which. */
enum prov_cut {
    PROV_CUT_BEFORE, /* nothing was written */
    PROV_CUT_AFTER,  /* it was written, and then the power was gone */
};

struct prov_bench {
    struct kl_prov_config config;
    struct kl_prov prov;
    /* the flash */
    char field[KL_PROV_FIELDS_MAX][KL_PROV_LINE_MAX + 1];
    unsigned count;
    /* power and wear */
    int operations_left; /* store operations until the power fails; -1 = it does not */
    enum prov_cut cut;
    bool off;
    bool lies;           /* the operation that meets the cut fails, but the power stays on */
    uint32_t unreadable; /* bit i: field i can't be read */
    unsigned writes;     /* operations that changed something, since the init */
    /* what was seen of it */
    unsigned restarts;
    char out[8192];
    size_t out_size;
};

void prov_bench_init(struct prov_bench *b);
/* Power on (again): forgets everything but the flash. */
void prov_bench_start(struct prov_bench *b);
void prov_bench_clear(struct prov_bench *b); /* the console */
/* Bytes that arrive all at `now_ms`; prov_bench_type: at 10 ms. */
void prov_bench_bytes(struct prov_bench *b, const void *data, size_t size, uint32_t now_ms);
void prov_bench_type(struct prov_bench *b, const char *text);

#endif
