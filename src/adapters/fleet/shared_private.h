/* shared_private.h: what the files of shared_pool.h have in common. */
#ifndef KEYLINE_ADAPTERS_SHARED_PRIVATE_H
#define KEYLINE_ADAPTERS_SHARED_PRIVATE_H

#include "fleet_db_link.h"
#include "keyline/shared_pool.h"
#include "seal.h"

enum {
    KL_SHARED_EPOCHS_MAX = 256,
    KL_SHARED_PATIENCE_MS = 20000,
    KL_SHARED_BULK_MS = 60 * 60 * 1000, /* for ten million rows in one statement */
};

/* In secret memory. */
struct kl_shared_secrets {
    struct kl_seal_pair pair;
    struct kl_seal_pool_key key[KL_SHARED_EPOCHS_MAX]; /* newest first */
    struct kl_key one;
};

struct kl_shared {
    struct kl_fdb *db;
    struct kl_shared_secrets *secret;
    bool unlocked, plain;
    unsigned key_count, fields;
    uint32_t epoch;
    uint8_t pool[KL_FDB_UUID];
    char name[KL_NAME_MAX];
};

/* The answer for a command, with `error`. */
enum kl_shared_result kl_shared_judge(enum kl_fleet_result result, const struct kl_fdb_why *why,
                                      char error[KL_TEXT_MAX]);
/* A step of a transaction that is going on; `out` may be NULL. */
enum kl_shared_result kl_shared_step(struct kl_shared *s, const char *sql, int count,
                                     const char *const *value, PGresult **out,
                                     char error[KL_TEXT_MAX]);
enum kl_shared_result kl_shared_begin(struct kl_shared *s, char error[KL_TEXT_MAX]);
/* Goes on from `so_far`: commits if it is DONE, else gives the transaction up. */
enum kl_shared_result kl_shared_end(struct kl_shared *s, enum kl_shared_result so_far,
                                    char error[KL_TEXT_MAX]);
/* One query in a transaction of its own. */
enum kl_shared_result kl_shared_run(struct kl_shared *s, const char *sql, int count,
                                    const char *const *value, PGresult **out,
                                    char error[KL_TEXT_MAX]);
/* Reads id, name and epoch of the pool. */
enum kl_shared_result kl_shared_meet(struct kl_shared *s, char error[KL_TEXT_MAX]);
/* The pool key of an epoch; NULL = this pool was not unlocked for it. */
const struct kl_seal_pool_key *kl_shared_key(const struct kl_shared *s, uint32_t epoch);
/* Seals `key` for owner, recovery and every active station, or, of a plain pool, also keeps it as
   it is. In a transaction. */
enum kl_shared_result kl_shared_seal_key(struct kl_shared *s, const struct kl_seal_pool_key *key,
                                         char error[KL_TEXT_MAX]);
/* … for one holder. */
enum kl_shared_result kl_shared_seal_for(struct kl_shared *s, const struct kl_seal_pool_key *key,
                                         const struct kl_seal_public *to, char error[KL_TEXT_MAX]);
/* "\x…" for a bytea; `out` has room for 2 * size + 3. */
const char *kl_shared_bytea(const uint8_t *bytes, size_t size, char *out);

#endif
