/* export_sign.h: a list and its signature, written together. */
#ifndef KEYLINE_FACES_EXPORT_SIGN_H
#define KEYLINE_FACES_EXPORT_SIGN_H

#include "cli_keys.h"

struct export_signer;

/* Opens the secret key, with a password if it has one. KL_EXIT_OK, or the exit status after a word
   on stderr. */
int export_signer_open(const struct keys_export_args *x, struct export_signer **out);
void export_signer_close(struct export_signer *s);
/* Writes PATH and PATH.minisig: both, or none. The trusted comment tells date, pool and count. */
int export_write_signed(const struct export_signer *s, const char *path, struct kl_span text,
                        const char *pool, unsigned count);

#endif
