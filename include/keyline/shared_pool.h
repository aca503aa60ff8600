/*
 * shared_pool.h: what the owner of a pool that several stations share does with it (docs/fleet.md):
 * makes it, brings keys, adds stations, declares one lost, settles, reopens.
 *
 * Blocking, for commands. `error` gets a sentence for a person. Key bytes are in secret memory and
 * on stacks; the owner's key never leaves his machine.
 */
#ifndef KEYLINE_SHARED_POOL_H
#define KEYLINE_SHARED_POOL_H

#include "keyline/key.h"

enum kl_shared_result {
    KL_SHARED_DONE,
    KL_SHARED_INPUT, /* a file, a name or a number is not what it should be */
    KL_SHARED_NO,    /* the pool or its rules say no: a person has to decide */
    KL_SHARED_AWAY,  /* the database can't be reached, or can't do it now: nothing was done */
    KL_SHARED_DOUBT, /* it may have been done: the same again tells */
};

struct kl_shared;

/* Loads what speaks to PostgreSQL, once; before threads start, if the program is to have any.
   False: it is not installed, or not to be trusted. Nothing but the database needs it. */
bool kl_shared_ready(char error[KL_TEXT_MAX]);

/* `service`: a name in libpq's service file, a connection text or a URI. */
enum kl_shared_result kl_shared_open(const char *service, struct kl_shared **out,
                                     char error[KL_TEXT_MAX]);
void kl_shared_close(struct kl_shared *s);

/* What is there, as JSON: "pool", "stations", "alarms", or "station" and its name. free() it. */
enum kl_shared_result kl_shared_look(struct kl_shared *s, const char *what, const char *name,
                                     char **json, char error[KL_TEXT_MAX]);

/* ---- the owner's key ---- */

/* Reads the owner's or the recovery key's file, and opens the pool keys with it. A plain pool needs
   no file: `path` may be NULL. Before import, adding stations, rekeying and exporting secrets. */
enum kl_shared_result kl_shared_unlock(struct kl_shared *s, const char *path,
                                       char error[KL_TEXT_MAX]);

/* ---- making it ---- */

struct kl_shared_init {
    const char *name;
    bool plain;             /* the pool key lies in the database: no files */
    const char *owner_file; /* made anew */
    const char *recovery_file;
    uint32_t lease_cap; /* keys that a station may hold unreported; 0 = the usual */
};
enum kl_shared_result kl_shared_init(struct kl_shared *s, const struct kl_shared_init *how,
                                     char error[KL_TEXT_MAX]);
/* Brings the schema of a pool that is there to what this program speaks. `*from` gets its version.
 */
enum kl_shared_result kl_shared_upgrade(struct kl_shared *s, int *from, char error[KL_TEXT_MAX]);

struct kl_shared_import {
    const char *csv;
    bool header;
    uint32_t accept;     /* bits 1 << enum kl_csv_kind */
    const char *journal; /* where the list's second record is; NULL = the usual place */
    void (*progress)(void *ctx, uint32_t rows, uint32_t of);
    void *ctx;
};
struct kl_shared_imported {
    uint32_t rows, fresh, spent,
        known;      /* new and free; new, but used before; in the pool already */
    uint32_t aside; /* free in the pool until now, but used according to the list: now lost */
};
/* All rows or none. What the list's ledger or marks say is used never becomes free. */
enum kl_shared_result kl_shared_import(struct kl_shared *s, const struct kl_shared_import *how,
                                       struct kl_shared_imported *out, char error[KL_TEXT_MAX]);

/* ---- stations ---- */

/* On the station: makes its key if there is none. `path` gets the file, `public` what the owner
 * needs. */
bool kl_shared_join(const char *service, const char *name, char path[4096], char public[64],
                    bool *made, char error[KL_TEXT_MAX]);

/* On a station that was declared lost: puts all that it had of this pool into another folder, `to`;
   "" = it had nothing. False and `error`, also while a station works on it. */
bool kl_shared_put_aside(const char *service, char to[4096], char error[KL_TEXT_MAX]);

struct kl_shared_station {
    const char *name, *role, *public;
    uint32_t lease_cap; /* 0 = the pool's */
    int64_t allotment;  /* -1 = no limit */
};
/* Also changes the numbers of one that is there, if role and key are the same. */
enum kl_shared_result kl_shared_add_station(struct kl_shared *s,
                                            const struct kl_shared_station *how,
                                            char error[KL_TEXT_MAX]);
/* Its unreported keys are lost from here on, and there is a new pool key if the pool is unlocked.
 */
enum kl_shared_result kl_shared_lose(struct kl_shared *s, const char *station, const char *why,
                                     uint32_t *keys, char error[KL_TEXT_MAX]);
/* Seals all free keys under the newest pool key; makes a new one first if a station was lost
 * without. Can be broken off and repeated. */
enum kl_shared_result kl_shared_rekey(struct kl_shared *s,
                                      void (*progress)(void *ctx, uint64_t done), void *ctx,
                                      uint64_t *done, char error[KL_TEXT_MAX]);

/* ---- what only a person can say ---- */

/* `as`: "provisioned" (on `mac`; all zero = the board that it was kept for), "spent", "free". */
enum kl_shared_result kl_shared_settle(struct kl_shared *s, const char *label, const char *as,
                                       const struct kl_mac *mac, const char *why,
                                       char error[KL_TEXT_MAX]);
struct kl_shared_lost {
    const char *label, *station, *why; /* station "" = none had it */
    struct kl_mac mac;                 /* the board that it was kept for; all zero = none */
};
/* The lost keys that nobody has settled yet, in the order in which they came into the pool. `each`
   returns false to stop. */
enum kl_shared_result kl_shared_lost_keys(struct kl_shared *s,
                                          bool (*each)(void *ctx, const struct kl_shared_lost *k),
                                          void *ctx, char error[KL_TEXT_MAX]);
/* An alarm that was looked into. */
enum kl_shared_result kl_shared_settle_alarm(struct kl_shared *s, int64_t alarm, const char *why,
                                             char error[KL_TEXT_MAX]);
/* `set_aside`: free keys that become lost first; -1 = not said. `*aside` gets how many did. */
enum kl_shared_result kl_shared_reopen(struct kl_shared *s, int64_t set_aside, const char *why,
                                       int64_t *aside, char error[KL_TEXT_MAX]);
enum kl_shared_result kl_shared_shut(struct kl_shared *s, const char *why, char error[KL_TEXT_MAX]);

/* ---- who got what ---- */

struct kl_shared_given {
    const char *label, *station, *build, *how;
    struct kl_mac mac;
    struct kl_fingerprint fingerprint;
    int64_t provisioned;      /* microseconds since 1970 */
    const struct kl_key *key; /* NULL unless asked for; wiped afterwards */
};
/* Provisioned keys in the order in which they came into the pool. `each` returns false to stop. */
enum kl_shared_result kl_shared_given(struct kl_shared *s, bool keys,
                                      bool (*each)(void *ctx, const struct kl_shared_given *g),
                                      void *ctx, char error[KL_TEXT_MAX]);
/* Keeps in the pool's history that a person did this. */
enum kl_shared_result kl_shared_note(struct kl_shared *s, const char *what, const char *text,
                                     char error[KL_TEXT_MAX]);

#endif
