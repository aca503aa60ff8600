/* cli_pool.h: what the parts of `keyline pool` share. */
#ifndef KEYLINE_FACES_CLI_POOL_H
#define KEYLINE_FACES_CLI_POOL_H

#include "cli_keys.h"
#include "keyline/shared_pool.h"

struct pool_args {
    const char *pool, *owner, *recovery, *public_key, *role, *reason, *settle_as, *mac, *journal;
    const char *config;
    long lease_cap, allot, set_aside, alarm;
    bool plain, upgrade, anew, json, as_csv, header, yes, help;
    struct option_list accept;
    struct keys_export_args export;
};

/* Each: the exit status. `word`: what stands behind the verb. */
int pool_init(const struct pool_args *a, const struct option_list *word);
int pool_import(const struct pool_args *a, const struct option_list *word);
int pool_join(const struct pool_args *a, const struct option_list *word);
int pool_station(const struct pool_args *a, const struct option_list *word);
int pool_status(const struct pool_args *a, const struct option_list *word);
int pool_stations(const struct pool_args *a, const struct option_list *word);
int pool_lost(const struct pool_args *a, const struct option_list *word);
int pool_rekey(const struct pool_args *a, const struct option_list *word);
int pool_settle(const struct pool_args *a, const struct option_list *word);
int pool_reopen(const struct pool_args *a, const struct option_list *word);
int pool_close(const struct pool_args *a, const struct option_list *word);
int pool_export(const struct pool_args *a, const struct option_list *word);

/* "keyline pool: TEXT" on stderr; returns `exit`. */
int pool_complain(const char *text, int exit);
/* The exit status of what the pool answered; says `error` unless it is DONE. */
int pool_exit(enum kl_shared_result result, const char *error);
/* Connects; KL_EXIT_OK, or the exit status after a word on stderr. */
int pool_open(const struct pool_args *a, struct kl_shared **out);
/* Opens the pool keys with --owner; a plain pool needs none. */
int pool_unlock(const struct pool_args *a, struct kl_shared *s);
/* A line on a terminal while something takes long. */
void pool_progress(const char *what, uint64_t done, uint64_t of);
/* For what can't be undone: --yes, or `word` typed on the terminal. */
bool pool_confirm(const struct pool_args *a, const char *what, const char *word);

#endif
