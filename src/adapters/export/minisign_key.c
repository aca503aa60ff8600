/* minisign_key.c: keys in minisign's files: made, written, read, opened with a password. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "keyline/secret.h"
#include "minisign_private.h"

#define PUBLIC_COMMENT "untrusted comment: minisign public key "
#define SECRET_COMMENT "untrusted comment: minisign encrypted secret key"
#define PLAIN_COMMENT  "untrusted comment: minisign secret key"

_Static_assert(sizeof(struct minisign_public) == 42, "as in minisign's files");
_Static_assert(sizeof(struct minisign_secret) == 158, "as in minisign's files");
_Static_assert(sizeof(struct minisign_signature) == 74, "as in minisign's files");

/* ---- public ---- */

void kl_public_key_id(const struct kl_public_key *key, char out[17])
{
    for (int i = 0; i < 8; i++)
        snprintf(out + 2 * i, 3, "%02X", key->id[7 - i]);
}

void kl_public_key_word(const struct kl_public_key *key, char out[64])
{
    struct minisign_public p = {.algorithm = {'E', 'd'}};

    memcpy(p.id, key->id, sizeof p.id);
    memcpy(p.key, key->key, sizeof p.key);
    sodium_bin2base64(out, 64, (const uint8_t *)&p, sizeof p, sodium_base64_VARIANT_ORIGINAL);
}

void kl_public_key_text(const struct kl_public_key *key, char out[KL_SIGN_KEY_TEXT])
{
    char id[17], word[64];

    kl_public_key_id(key, id);
    kl_public_key_word(key, word);
    snprintf(out, KL_SIGN_KEY_TEXT, PUBLIC_COMMENT "%s\n%s\n", id, word);
}

bool kl_public_key_parse(const char *word, struct kl_public_key *out)
{
    struct minisign_public p;

    if (!minisign_decode(word, &p, sizeof p) || memcmp(p.algorithm, "Ed", 2) != 0)
        return false;
    memcpy(out->id, p.id, sizeof out->id);
    memcpy(out->key, p.key, sizeof out->key);
    return true;
}

bool kl_public_key_load(const char *path, struct kl_public_key *out, char error[KL_TEXT_MAX])
{
    char text[4096], *at = text;
    const char *first, *second;

    if (!minisign_read(path, text, sizeof text, error))
        return false;
    first = minisign_line(&at);
    second = minisign_line(&at);
    /* With its comment line or without. */
    if ((second && kl_public_key_parse(second, out)) || (first && kl_public_key_parse(first, out)))
        return true;
    kl_format(error, KL_TEXT_MAX, "%s: this is no public key of minisign", kl_shown(path));
    return false;
}

/* ---- secret ---- */

struct kl_secret_key *kl_secret_key_new(void)
{
    struct kl_secret_key *key = kl_secret_alloc(sizeof *key);
    uint8_t public[crypto_sign_PUBLICKEYBYTES];

    if (!key)
        return NULL;
    minisign_ready();
    randombytes_buf(key->id, sizeof key->id);
    crypto_sign_keypair(public, key->key);
    return key;
}

void kl_secret_key_free(struct kl_secret_key *key)
{
    kl_secret_free(key, sizeof *key);
}

struct kl_public_key kl_secret_key_public(const struct kl_secret_key *key)
{
    struct kl_public_key out;

    memcpy(out.id, key->id, sizeof out.id);
    crypto_sign_ed25519_sk_to_pk(out.key, key->key);
    return out;
}

static void checksum(const struct minisign_secret *s, uint8_t out[crypto_generichash_BYTES])
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES);
    crypto_generichash_update(&state, s->algorithm, sizeof s->algorithm);
    crypto_generichash_update(&state, s->sealed.id, sizeof s->sealed.id);
    crypto_generichash_update(&state, s->sealed.key, sizeof s->sealed.key);
    crypto_generichash_final(&state, out, crypto_generichash_BYTES);
    sodium_memzero(&state, sizeof state);
}

static void put_number(uint8_t out[8], uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> (8 * i));
}

static uint64_t number_at(const uint8_t bytes[8])
{
    uint64_t n = 0;

    for (int i = 7; i >= 0; i--)
        n = n << 8 | bytes[i];
    return n;
}

/* Encrypts or decrypts: the two are the same. False if scrypt gets no memory. */
static bool cross(struct minisign_secret *s, const char *password)
{
    uint8_t *stream = kl_secret_alloc(sizeof s->sealed), *bytes = (uint8_t *)&s->sealed;
    bool done = stream && crypto_pwhash_scryptsalsa208sha256(
                              stream, sizeof s->sealed, password, strlen(password), s->salt,
                              number_at(s->operations), (size_t)number_at(s->memory)) == 0;

    for (size_t i = 0; done && i < sizeof s->sealed; i++)
        bytes[i] ^= stream[i];
    kl_secret_free(stream, sizeof s->sealed);
    return done;
}

static uint64_t default_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    uint64_t memory = crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE;
    uint64_t quarter = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 : memory;

    while (memory > quarter && memory > crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_INTERACTIVE)
        memory /= 2;
    return memory;
}

static bool seal(struct minisign_secret *s, const char *password, uint64_t memory)
{
    memcpy(s->kdf, "Sc", 2);
    randombytes_buf(s->salt, sizeof s->salt);
    put_number(s->operations, crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE);
    for (uint64_t m = memory > 0 ? memory : default_memory();
         m >= crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_MIN; m /= 2) {
        put_number(s->memory, m);
        if (cross(s, password))
            return true;
    }
    return false;
}

bool kl_secret_key_text(const struct kl_secret_key *key, const char *password, uint64_t memory,
                        char out[KL_SIGN_SECRET_TEXT], char error[KL_TEXT_MAX])
{
    struct minisign_secret *s = kl_secret_alloc(sizeof *s);
    char *word = out;
    bool done = false;
    size_t n;

    minisign_ready();
    if (s) {
        memcpy(s->algorithm, "Ed", 2);
        memcpy(s->checksum, "B2", 2);
        memcpy(s->sealed.id, key->id, sizeof key->id);
        memcpy(s->sealed.key, key->key, sizeof key->key);
        checksum(s, s->sealed.checksum);
        done = password[0] == '\0' || seal(s, password, memory);
    }
    if (done) {
        n = (size_t)snprintf(out, KL_SIGN_SECRET_TEXT, "%s\n",
                             password[0] == '\0' ? PLAIN_COMMENT : SECRET_COMMENT);
        word = out + n;
        sodium_bin2base64(word, KL_SIGN_SECRET_TEXT - n, (const uint8_t *)s, sizeof *s,
                          sodium_base64_VARIANT_ORIGINAL);
        n = strlen(out);
        snprintf(out + n, KL_SIGN_SECRET_TEXT - n, "\n");
    } else {
        kl_copy(error, KL_TEXT_MAX, "there is no memory to encrypt the key");
    }
    kl_secret_free(s, sizeof *s);
    return done;
}

static enum kl_secret_key_result bad(const char *path, const char *what, char error[KL_TEXT_MAX])
{
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), what);
    return KL_SECRET_KEY_BAD;
}

/* A key without a password. minisign writes no checksum into it, but the key's second half follows
   from its first. */
static bool is_whole(const struct minisign_secret *s)
{
    uint8_t *again = kl_secret_alloc(crypto_sign_SECRETKEYBYTES);
    uint8_t public[crypto_sign_PUBLICKEYBYTES], sum[crypto_generichash_BYTES];
    bool whole = again && crypto_sign_seed_keypair(public, again, s->sealed.key) == 0 &&
                 sodium_memcmp(again, s->sealed.key, crypto_sign_SECRETKEYBYTES) == 0;

    checksum(s, sum);
    whole = whole && (sodium_is_zero(s->sealed.checksum, sizeof sum) ||
                      sodium_memcmp(sum, s->sealed.checksum, sizeof sum) == 0);
    kl_secret_free(again, crypto_sign_SECRETKEYBYTES);
    return whole;
}

static enum kl_secret_key_result open_key(struct minisign_secret *s, const char *path,
                                          const char *password, char error[KL_TEXT_MAX])
{
    static const uint8_t plain[2];
    uint8_t sum[crypto_generichash_BYTES];
    bool locked = memcmp(s->kdf, "Sc", 2) == 0;

    if (memcmp(s->algorithm, "Ed", 2) != 0 || memcmp(s->checksum, "B2", 2) != 0 ||
        (!locked && memcmp(s->kdf, plain, 2) != 0))
        return bad(path, "it is of a kind that keyline does not know", error);
    if (locked && !password)
        return KL_SECRET_KEY_LOCKED;
    if (locked && !cross(s, password)) {
        kl_format(error, KL_TEXT_MAX,
                  "%s: opening it takes %llu MiB of memory, and this machine does not have them",
                  kl_shown(path), (unsigned long long)(number_at(s->memory) >> 20));
        return KL_SECRET_KEY_BAD;
    }
    if (!locked)
        return is_whole(s) ? KL_SECRET_KEY_OPEN : bad(path, "it is damaged", error);
    checksum(s, sum);
    if (sodium_memcmp(sum, s->sealed.checksum, sizeof sum) == 0)
        return KL_SECRET_KEY_OPEN;
    kl_format(error, KL_TEXT_MAX, "%s: this is not its password", kl_shown(path));
    return KL_SECRET_KEY_WRONG;
}

struct reading_key {
    char text[4096];
    struct minisign_secret secret;
};

enum kl_secret_key_result kl_secret_key_load(const char *path, const char *password,
                                             struct kl_secret_key **out, char error[KL_TEXT_MAX])
{
    struct reading_key *r = kl_secret_alloc(sizeof *r);
    enum kl_secret_key_result result = KL_SECRET_KEY_BAD;
    const char *first, *second;
    char *at;

    *out = NULL;
    minisign_ready();
    if (!r)
        return bad(path, "no memory", error);
    if (minisign_read(path, r->text, sizeof r->text, error)) {
        at = r->text;
        first = minisign_line(&at);
        second = minisign_line(&at);
        if (!first || !second || strncmp(first, "untrusted comment: ", 19) != 0 ||
            !minisign_decode(second, &r->secret, sizeof r->secret))
            result = bad(path, "this is no secret key of minisign", error);
        else
            result = open_key(&r->secret, path, password, error);
    }
    if (result == KL_SECRET_KEY_OPEN && (*out = kl_secret_alloc(sizeof **out))) {
        memcpy((*out)->id, r->secret.sealed.id, sizeof(*out)->id);
        memcpy((*out)->key, r->secret.sealed.key, sizeof(*out)->key);
    } else if (result == KL_SECRET_KEY_OPEN) {
        result = bad(path, "no memory", error);
    }
    kl_secret_free(r, sizeof *r);
    return result;
}
