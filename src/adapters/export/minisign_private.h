/* minisign_private.h: the bytes behind the base64 of minisign's files, and how they are read. */
#ifndef KEYLINE_ADAPTERS_MINISIGN_PRIVATE_H
#define KEYLINE_ADAPTERS_MINISIGN_PRIVATE_H

#include <sodium.h>

#include "keyline/minisign.h"

struct minisign_public {
    uint8_t algorithm[2]; /* "Ed" */
    uint8_t id[8], key[crypto_sign_PUBLICKEYBYTES];
};

/* What the password encrypts. */
struct minisign_sealed {
    uint8_t id[8], key[crypto_sign_SECRETKEYBYTES], checksum[crypto_generichash_BYTES];
};

struct minisign_secret {
    uint8_t algorithm[2]; /* "Ed" */
    uint8_t kdf[2];       /* "Sc", or zeros: not encrypted */
    uint8_t checksum[2];  /* "B2" */
    uint8_t salt[crypto_pwhash_scryptsalsa208sha256_SALTBYTES];
    uint8_t operations[8], memory[8]; /* lowest byte first */
    struct minisign_sealed sealed;
};

struct minisign_signature {
    uint8_t algorithm[2]; /* "ED": of the digest; "Ed": of the bytes themselves */
    uint8_t id[8], signature[crypto_sign_BYTES];
};

struct kl_secret_key {
    uint8_t id[8], key[crypto_sign_SECRETKEYBYTES];
};

/* Before anything else of libsodium's. */
void minisign_ready(void);
/* Decodes a word of base64 that stands for exactly `size` bytes. */
bool minisign_decode(const char *word, void *out, size_t size);
/* Reads a small text file into `out`, NUL-terminated; false and a sentence. */
bool minisign_read(const char *path, char *out, size_t room, char error[KL_TEXT_MAX]);
/* Takes the next line off, without its line end; NULL if there is none. A '\r' goes with it. */
char *minisign_line(char **text);

#endif
