/*
 * journal.h: the second witness: what became of each key, in another place than the ledger, bound
 * to the pool by its id. Stations only ever append records; the last one of a key counts. No
 * secrets. The format is in docs/ledger.md.
 *
 * Blocking; one thread at a time. Stations write the ledger first. So a journal that knows more
 * than its ledger stands beside an old copy.
 */
#ifndef KEYLINE_ADAPTERS_JOURNAL_H
#define KEYLINE_ADAPTERS_JOURNAL_H

#include "keyline/store.h"

enum {
    KL_POOL_ID = 16
};

struct kl_pool_id {
    uint8_t b[KL_POOL_ID];
};

enum kl_journal_kind {
    KL_JOURNAL_RESERVED = 1,
    KL_JOURNAL_PROVISIONED,
    KL_JOURNAL_RELEASED,
};

struct kl_journal_record {
    enum kl_journal_kind kind;
    struct kl_mac mac;
    int64_t change; /* number of this change in the ledger's history */
    int64_t wall;   /* microseconds since 1970 */
    struct kl_fingerprint fingerprint, kin;
    const char *label; /* NULL or "" = not known. In what a journal gives out: the journal's */
};

struct kl_journal;

/* The folder of all journals: `wanted`, or the host's, or this user's. False and `error` if there
   is none and none can be made (`make`). */
bool kl_journal_folder(const char *wanted, bool make, char out[4096], char error[KL_TEXT_MAX]);

/* Reads it. NULL without an error text if the folder has no journal of this pool. */
struct kl_journal *kl_journal_open(const char *folder, const struct kl_pool_id *pool,
                                   char error[KL_TEXT_MAX]);
/* Makes a new one, in place of any other: with these records, for the pool at this path. NULL and
   `error` if it can't be made. */
struct kl_journal *kl_journal_make(const char *folder, const struct kl_pool_id *pool,
                                   const char *path, const struct kl_journal_record *records,
                                   size_t count, char error[KL_TEXT_MAX]);
void kl_journal_close(struct kl_journal *j);

/* Not durable before kl_journal_sync. If either returns false and `error`, nobody knows what is on
   disk: make the journal anew. */
bool kl_journal_append(struct kl_journal *j, const struct kl_journal_record *records, size_t count,
                       char error[KL_TEXT_MAX]);
bool kl_journal_sync(struct kl_journal *j, char error[KL_TEXT_MAX]);
/* The file is still the one that we read or made, and it ends as we left it. */
bool kl_journal_is_whole(const struct kl_journal *j);

/* Frees the records: from here on the journal takes no memory for the keys that it knows. It can
   still be written, but no more be looked into until somebody opens it again. */
void kl_journal_forget(struct kl_journal *j);
bool kl_journal_has_forgotten(const struct kl_journal *j);

/* The last record of each key, in no order. Valid until the next append. Not once it has forgotten
   them. */
const struct kl_journal_record *kl_journal_records(const struct kl_journal *j, size_t *count);
const struct kl_journal_record *kl_journal_find(const struct kl_journal *j,
                                                const struct kl_fingerprint *fp);
int64_t kl_journal_last_change(const struct kl_journal *j);
bool kl_journal_is_of(const struct kl_journal *j, const struct kl_pool_id *pool);
/* Where its pool was when a station made the journal. */
const char *kl_journal_of(const struct kl_journal *j);

/* Every journal of this folder. `each` returns false to stop. This closes each journal
   afterwards. */
void kl_journal_each(const char *folder, bool (*each)(void *ctx, const struct kl_journal *j),
                     void *ctx);

#endif
