/* cli_answers.h: what the store doubts, and how a person answers: by an option or on the
   terminal. */
#ifndef KEYLINE_FACES_CLI_ANSWERS_H
#define KEYLINE_FACES_CLI_ANSWERS_H

#include "keyline/cli.h"
#include "keyline/store.h"

/* A shared pool's database is silent: waits a while and says why; false: nobody waits any more. */
typedef bool answers_wait_fn(void *ctx, const char *why);

/* Opens the store. With `ask`, asks on the terminal whatever has to be answered first; else only
   options->answers count. `wait`: NULL = a pool that this machine has to meet first ends it.
   Returns the exit status, after a word on stderr if something is wrong. */
enum kl_exit answers_open(struct kl_store_options *options, bool ask, answers_wait_fn *wait,
                          void *ctx, struct kl_store **out);

#endif
