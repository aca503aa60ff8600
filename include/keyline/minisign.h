/*
 * minisign.h: signatures of files as minisign makes and checks them: Ed25519 over the BLAKE2b
 * digest of the file, with a trusted comment that is signed too. Keys are minisign's own files, so
 * either program takes what the other one made.
 *
 * A secret key lies in secret memory (keyline/secret.h) and is wiped when it is freed.
 */
#ifndef KEYLINE_MINISIGN_H
#define KEYLINE_MINISIGN_H

#include "keyline/base.h"

enum {
    KL_SIGN_KEY_TEXT = 192,      /* the two lines of a public key, NUL included */
    KL_SIGN_SECRET_TEXT = 320,   /* … of a secret key */
    KL_SIGN_COMMENT_MAX = 512,   /* a trusted comment that we write, NUL included */
    KL_SIGNATURE_TEXT = 1024,    /* a whole signature file that we write, NUL included */
    KL_SIGN_PASSWORD_MAX = 1024, /* bytes, NUL included */
    KL_SIGN_COMMENT_READ = 8192, /* a trusted comment that we read, NUL included */
};

struct kl_public_key {
    uint8_t id[8], key[32];
};

struct kl_secret_key; /* in secret memory */

/* "RWQ…": the key as one word, and its id as people see it: 16 hex digits. */
void kl_public_key_word(const struct kl_public_key *key, char out[64]);
void kl_public_key_id(const struct kl_public_key *key, char out[17]);
/* Reads such a word; false if it is none. */
bool kl_public_key_parse(const char *word, struct kl_public_key *out);
/* Reads a .pub file; false and a sentence. */
bool kl_public_key_load(const char *path, struct kl_public_key *out, char error[KL_TEXT_MAX]);

/* ---- the secret half ---- */

/* A new pair. NULL if there is no memory. */
struct kl_secret_key *kl_secret_key_new(void);
void kl_secret_key_free(struct kl_secret_key *key);
struct kl_public_key kl_secret_key_public(const struct kl_secret_key *key);
void kl_public_key_text(const struct kl_public_key *key, char out[KL_SIGN_KEY_TEXT]);
/*
 * The text of its file, which is secret too. `password` "" writes it unencrypted. scrypt takes a
 * few seconds on purpose, and up to `memory` bytes (0: what minisign takes, or a quarter of this
 * machine's memory if that is less). False and a sentence.
 */
bool kl_secret_key_text(const struct kl_secret_key *key, const char *password, uint64_t memory,
                        char out[KL_SIGN_SECRET_TEXT], char error[KL_TEXT_MAX]);

enum kl_secret_key_result {
    KL_SECRET_KEY_OPEN,
    KL_SECRET_KEY_LOCKED, /* it needs a password, and none was given */
    KL_SECRET_KEY_WRONG,  /* not that password */
    KL_SECRET_KEY_BAD,    /* no file of a secret key, or it can't be read */
};
/* Reads a secret key's file. `password` NULL: look whether it needs one. */
enum kl_secret_key_result kl_secret_key_load(const char *path, const char *password,
                                             struct kl_secret_key **out, char error[KL_TEXT_MAX]);

/* ---- signing ---- */

/* The text of the file FILE.minisig for these bytes. `comment` is the trusted one: one line. */
bool kl_sign(const struct kl_secret_key *key, const void *data, size_t size, const char *comment,
             char out[KL_SIGNATURE_TEXT]);

enum kl_verdict {
    KL_SIGNED,         /* by this key, and both file and comment are as they were signed */
    KL_OTHER_KEY,      /* the signature says that another key made it */
    KL_FORGED,         /* signature or comment were changed, or made by somebody else */
    KL_OTHER_CONTENTS, /* a good signature of this key, for other bytes than these */
    KL_NO_SIGNATURE,   /* the signature file is none, or cut short: `error` says where */
    KL_UNREADABLE,     /* a file can't be read: `error` */
};
struct kl_signature_check {
    enum kl_verdict verdict;
    char comment[KL_SIGN_COMMENT_READ]; /* trusted only if SIGNED or OTHER_CONTENTS; else "" */
    char made_by[17];                   /* OTHER_KEY: that key's id */
    char error[KL_TEXT_MAX];
};
/* Checks `path` against the signature file beside it. */
void kl_verify(const char *path, const char *signature, const struct kl_public_key *key,
               struct kl_signature_check *out);

#endif
