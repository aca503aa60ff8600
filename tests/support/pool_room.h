/* pool_room.h: loads a pool as the shell does: into new memory of just the size that it asks for,
   from rows that go away when the next load has returned. What is gone is overwritten and freed. */
#ifndef KEYLINE_TESTS_POOL_ROOM_H
#define KEYLINE_TESTS_POOL_ROOM_H

#include <stdlib.h>
#include <string.h>

#include "keyline/pool.h"

struct pool_room {
    struct kl_pool_memory memory;
    struct kl_pool_row *rows;
    uint32_t row_count;
};

static inline void pool_room_drop(void *data, size_t size)
{
    if (data)
        memset(data, 0xa5, size);
    free(data);
}

static inline void pool_room_free(struct pool_room *r)
{
    struct kl_pool_memory *m = &r->memory;
    size_t table = kl_index_size(m->capacity) * sizeof *m->by_mac;

    pool_room_drop(m->key, m->capacity * sizeof *m->key);
    pool_room_drop(m->mac, m->capacity * sizeof *m->mac);
    pool_room_drop(m->by_fingerprint, table);
    pool_room_drop(m->by_mac, table);
    pool_room_drop(m->own, m->own_capacity * sizeof *m->own);
    pool_room_drop(m->text, m->text_size);
    for (uint32_t i = 0; i < r->row_count; i++)
        pool_room_drop((void *)(uintptr_t)r->rows[i].label, strlen(r->rows[i].label));
    pool_room_drop(r->rows, r->row_count * sizeof *r->rows);
    *r = (struct pool_room){0};
}

/* As the store tells it: the list has this key. */
static inline bool pool_room_is_listed(const struct kl_pool_row *rows, uint32_t n,
                                       const struct kl_fingerprint *fp)
{
    for (uint32_t i = 0; i < n; i++)
        if (kl_fingerprint_equal(&rows[i].fingerprint, fp))
            return true;
    return false;
}

/* The memory is as small as may be: a pool that needs more fails an assertion. */
static inline void pool_room_load(struct pool_room *r, struct kl_pool *p,
                                  const struct kl_pool_row *rows, uint32_t n,
                                  const struct kl_ledger_row *told, uint32_t m)
{
    struct kl_ledger_row *ledger = calloc(m + (size_t)1, sizeof *ledger);
    struct kl_pool_size size;
    struct pool_room old = *r;
    size_t keys;

    for (uint32_t i = 0; i < m; i++) {
        ledger[i] = told[i];
        ledger[i].listed = pool_room_is_listed(rows, n, &told[i].fingerprint);
    }
    size = kl_pool_size_of(p, rows, n, ledger, m);
    keys = (size_t)size.keys;
    r->memory = (struct kl_pool_memory){
        .key = calloc(keys, sizeof(struct kl_pool_key)),
        .mac = calloc(keys, sizeof(struct kl_mac)),
        .capacity = (uint32_t)keys,
        .by_fingerprint = calloc(kl_index_size((uint32_t)keys), sizeof(uint32_t)),
        .by_mac = calloc(kl_index_size((uint32_t)keys), sizeof(uint32_t)),
        .own = calloc((size_t)size.own, sizeof(struct kl_pool_row)),
        .own_capacity = (uint32_t)size.own,
        .text = malloc(size.text),
        .text_size = size.text,
    };
    r->rows = malloc(n * sizeof *rows);
    r->row_count = n;
    for (uint32_t i = 0; i < n; i++) {
        r->rows[i] = rows[i];
        r->rows[i].label = strdup(rows[i].label);
    }
    kl_pool_load(p, &r->memory, r->rows, n, ledger, m);
    free(ledger);
    pool_room_free(&old);
}

#endif
