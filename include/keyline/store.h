/*
 * store.h: where the pool's decisions become durable: the CSV and the ledger (SQLite, FILE.ledger
 * beside it). A handful of dumb operations; deciding is the pool's.
 *
 * kl_store_open blocks and is called before the loop runs; everything else is asynchronous: one
 * worker job at a time takes all waiting requests, makes them durable in one commit, marks the CSV,
 * and answers on the loop. Requests are answered in order, always.
 */
#ifndef KEYLINE_STORE_H
#define KEYLINE_STORE_H

#include <stdio.h>
#include <uv.h>

#include "keyline/station.h"

struct kl_store;

enum kl_store_open_result {
    KL_STORE_OPENED,
    KL_STORE_BAD_CSV, /* exit 3 */
    KL_STORE_HELD,    /* exit 4: another station works on this CSV */
    KL_STORE_BROKEN,  /* exit 6: ledger or folder can't be written or read */
};

struct kl_store_options {
    const char *csv;
    bool header;               /* --csv-header: the first row is not a key */
    bool read_only;            /* keys, check: take no lock, write nothing */
    const char *station;       /* name kept in the history; NULL = the host's */
    const char *bundle_digest; /* hex, for the history; NULL = none */
};

/* What was read; owned by the store, valid until the next reload. */
struct kl_store_content {
    const struct kl_csv_row *rows;
    uint32_t row_count;
    const struct kl_ledger_row *ledger;
    uint32_t ledger_count;
    unsigned fields;
    bool lost_ledger; /* rows are marked, but there was no ledger: was it keyline that marked them?
                       */
    char warning[KL_TEXT_MAX]; /* "the first row looks like a header …"; "" = none */
};

/* `error` gets a sentence for a person, naming file and line. */
enum kl_store_open_result kl_store_open(const struct kl_store_options *options,
                                        struct kl_store **out, char error[KL_TEXT_MAX]);
const struct kl_store_content *kl_store_content(const struct kl_store *s);

struct kl_store_events {
    /* Answer to one request; `key` only for RESERVE and FETCH that went well, wiped afterwards. */
    void (*stored)(void *ctx, const struct kl_action *request, enum kl_store_status status,
                   const struct kl_key *key, const char *text);
    /* The CSV was changed by somebody else and has been read again: see kl_store_content. */
    void (*reloaded)(void *ctx);
    /* The CSV can't be marked or read, or can be again (text ""). Keys are still safe. */
    void (*trouble)(void *ctx, const char *text);
};

/* From here on requests are taken, and the CSV is watched for changes. */
void kl_store_start(struct kl_store *s, uv_loop_t *loop, const struct kl_store_events *events,
                    void *ctx);
/* A KL_AC_STORE action; copied. The answer's `request` has the same slot, generation, request id.
 */
void kl_store_submit(struct kl_store *s, const struct kl_action *request);
/* Makes everything durable, marks included, lets go of the CSV, then calls `closed`. From here on
   there is no news; the content stays as it is until kl_store_free. */
void kl_store_close(struct kl_store *s, void (*closed)(void *ctx), void *ctx);
/* A store that was never started, or that is closed. */
void kl_store_free(struct kl_store *s);

/* Holds the CSV as a station does, without opening anything: for what must not happen meanwhile.
   HELD: `error` says by whom. */
struct kl_station_lock;
enum kl_store_open_result kl_store_lock(const char *csv, struct kl_station_lock **out,
                                        char error[KL_TEXT_MAX]);
void kl_store_unlock(struct kl_station_lock *lock);
/* Who holds it; "" = nobody, as far as can be seen. Takes no lock. */
void kl_store_holder(const char *csv, char text[KL_TEXT_MAX]);

#endif
