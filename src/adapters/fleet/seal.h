/*
 * seal.h: who can read a key that lies in the shared pool. Keys are encrypted on their owner's
 * machine under the pool key, which the database never sees; the pool key is sealed for each
 * station, for the owner and for a recovery key. libsodium does all of it.
 *
 * Every struct here that holds a secret lives in memory of kl_secret_alloc() and is wiped by its
 * owner (kl_wipe); the functions wipe what they leave on the stack. No error text holds a byte of a
 * key.
 *
 * A pool key has an epoch, from 1. A lost station makes a new one; keys that were leased before
 * keep the epoch under which they were sealed.
 */
#ifndef KEYLINE_ADAPTERS_FLEET_SEAL_H
#define KEYLINE_ADAPTERS_FLEET_SEAL_H

#include "fleet_db.h"

enum {
    KL_SEAL_KEY = 32,         /* bytes of a pool key, of a public key and of a secret one */
    KL_SEAL_PUBLIC_TEXT = 52, /* "kl1" and base64 of a public key, NUL included */
};

struct kl_seal_public {
    uint8_t b[KL_SEAL_KEY];
};
/* Secret: secret memory only. */
struct kl_seal_pair {
    struct kl_seal_public public;
    uint8_t secret[KL_SEAL_KEY];
};
/* Secret: secret memory only. */
struct kl_seal_pool_key {
    uint32_t epoch;
    uint8_t b[KL_SEAL_KEY];
};

/* Once, before the others. False if the library can't be used. */
bool kl_seal_start(void);
/* A request's id, a token: a random UUID of version 4. */
void kl_seal_uuid(struct kl_request_id *out);

/* ---- key files: station.key, NAME.owner, the recovery key ---- */

/* Makes a pair and writes its file, mode 0600, durably; the file must not exist. `role`: "station",
   "owner" or "recovery", `name`: of the pool or station; both stand in the file, for people. */
bool kl_seal_pair_make(const char *path, const char *role, const char *name,
                       struct kl_seal_pair *pair, char error[KL_TEXT_MAX]);
/* Reads one. Refuses a file that others may read, or whose halves do not belong together. */
bool kl_seal_pair_read(const char *path, struct kl_seal_pair *pair, char error[KL_TEXT_MAX]);
/* What a person gives the owner to register a station, and back. */
void kl_seal_public_format(const struct kl_seal_public *key, char text[KL_SEAL_PUBLIC_TEXT]);
bool kl_seal_public_parse(const char *text, struct kl_seal_public *key);

/* ---- the pool key ---- */

void kl_seal_pool_key_make(uint32_t epoch, struct kl_seal_pool_key *out);
/* For whoever has the secret half of `to`. `*out` is public: it may lie in the database. The pool's
   id is inside, so one pool's key can't be passed off as another's. */
bool kl_seal_pool_key(const struct kl_seal_pool_key *key, const uint8_t pool[KL_FDB_UUID],
                      const struct kl_seal_public *to, struct kl_fdb_sealed_key *out);
/* False if it was not sealed for `pair`, or not for this pool and epoch. */
bool kl_seal_open_pool_key(const struct kl_fdb_sealed_key *sealed, const uint8_t pool[KL_FDB_UUID],
                           const struct kl_seal_pair *pair, struct kl_seal_pool_key *out);

/* ---- one board's key ---- */

/*
 * Box: 24 bytes of nonce, then the line of `key` encrypted and authenticated (XChaCha20-Poly1305);
 * bound to pool, label, fingerprint and epoch. `box` has room for KL_FDB_BOX_MAX; the size is
 * returned, 0 if it can't be done.
 */
size_t kl_seal_fields(const struct kl_key *key, const struct kl_seal_pool_key *pool_key,
                      const uint8_t pool[KL_FDB_UUID], uint8_t box[KL_FDB_BOX_MAX]);
/*
 * Opens one box into `key`, which lies in secret memory; it is wiped unless all is well. False: the
 * box is damaged, belongs to another label, pool or epoch, or its fields do not give the row's
 * fingerprint and field count. `row->label` is the whole label.
 */
bool kl_seal_open_fields(const struct kl_fdb_row *row, const struct kl_seal_pool_key *pool_key,
                         const uint8_t pool[KL_FDB_UUID], kl_sha256_fn *sha256, struct kl_key *key);

#endif
