/* cli_answers.h: what the store doubts, and a person's answer: by an option, or on the terminal. */
#ifndef KEYLINE_FACES_CLI_ANSWERS_H
#define KEYLINE_FACES_CLI_ANSWERS_H

#include "keyline/cli.h"
#include "keyline/store.h"

/* Opens the store, and asks on the terminal whatever has to be answered first (`ask`; else only
   options->answers count). Exit status; what is wrong was said on stderr. */
enum kl_exit answers_open(struct kl_store_options *options, bool ask, struct kl_store **out);

#endif
