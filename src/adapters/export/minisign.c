/* minisign.c: makes and checks signatures. */
#include "keyline/minisign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/regular.h"
#include "minisign_private.h"

#define UNTRUSTED "untrusted comment: "
#define TRUSTED   "trusted comment: "

enum {
    SIGNATURE_FILE_MAX = 16384,
};

void minisign_ready(void)
{
    KL_ASSERT(sodium_init() >= 0);
}

bool minisign_decode(const char *word, void *out, size_t size)
{
    size_t length = 0;
    const char *end = NULL;

    return sodium_base642bin(out, size, word, strlen(word), NULL, &length, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           length == size && *end == '\0';
}

bool minisign_read(const char *path, char *out, size_t room, char error[KL_TEXT_MAX])
{
    const char *trouble;
    FILE *file = kl_fopen_regular(path, &trouble);
    size_t size;

    if (!file) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), trouble);
        return false;
    }
    setvbuf(file, NULL, _IONBF, 0); /* it may be secret: no copy in the stream's buffer */
    size = fread(out, 1, room, file);
    fclose(file);
    if (size == room) {
        kl_format(error, KL_TEXT_MAX, "%s: it is too long for such a file", kl_shown(path));
        kl_wipe(out, room);
        return false;
    }
    out[size] = '\0';
    if (strlen(out) == size)
        return true;
    kl_format(error, KL_TEXT_MAX, "%s: this is not text", kl_shown(path));
    return false;
}

char *minisign_line(char **text)
{
    char *line = *text, *end;

    if (!line || *line == '\0')
        return NULL;
    end = line + strcspn(line, "\n");
    *text = *end == '\0' ? end : end + 1;
    if (end > line && end[-1] == '\r')
        end[-1] = '\0';
    *end = '\0';
    return line;
}

/* ---- signing ---- */

static bool global_signature(const struct kl_secret_key *key,
                             const uint8_t signature[crypto_sign_BYTES], const char *comment,
                             uint8_t out[crypto_sign_BYTES])
{
    uint8_t both[crypto_sign_BYTES + KL_SIGN_COMMENT_MAX];
    size_t size = strlen(comment);

    memcpy(both, signature, crypto_sign_BYTES);
    memcpy(both + crypto_sign_BYTES, comment, size);
    return crypto_sign_detached(out, NULL, both, crypto_sign_BYTES + size, key->key) == 0;
}

bool kl_sign(const struct kl_secret_key *key, const void *data, size_t size, const char *comment,
             char out[KL_SIGNATURE_TEXT])
{
    struct minisign_signature s = {.algorithm = {'E', 'D'}};
    uint8_t digest[crypto_generichash_BYTES_MAX], global[crypto_sign_BYTES];
    char first[sodium_base64_ENCODED_LEN(sizeof s, sodium_base64_VARIANT_ORIGINAL)];
    char second[sodium_base64_ENCODED_LEN(sizeof global, sodium_base64_VARIANT_ORIGINAL)];

    KL_ASSERT(strlen(comment) < KL_SIGN_COMMENT_MAX && comment[strcspn(comment, "\r\n")] == '\0');
    minisign_ready();
    memcpy(s.id, key->id, sizeof s.id);
    if (crypto_generichash(digest, sizeof digest, data, size, NULL, 0) != 0 ||
        crypto_sign_detached(s.signature, NULL, digest, sizeof digest, key->key) != 0 ||
        !global_signature(key, s.signature, comment, global))
        return false;
    sodium_bin2base64(first, sizeof first, (const uint8_t *)&s, sizeof s,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(second, sizeof second, global, sizeof global, sodium_base64_VARIANT_ORIGINAL);
    return (size_t)snprintf(out, KL_SIGNATURE_TEXT,
                            UNTRUSTED "signature from keyline, as of minisign\n%s\n" TRUSTED
                                      "%s\n%s\n",
                            first, comment, second) < KL_SIGNATURE_TEXT;
}

/* ---- checking ---- */

struct parsed {
    struct minisign_signature s;
    const char *comment;
    uint8_t global[crypto_sign_BYTES];
};

static bool no_signature(struct kl_signature_check *out, const char *path, const char *what)
{
    out->verdict = KL_NO_SIGNATURE;
    kl_format(out->error, KL_TEXT_MAX, "%s: %s", kl_shown(path), what);
    return false;
}

static bool parse(char *text, const char *path, struct parsed *p, struct kl_signature_check *out)
{
    const char *untrusted = minisign_line(&text), *first = minisign_line(&text);
    const char *trusted = minisign_line(&text), *second = minisign_line(&text);

    if (!untrusted || strncmp(untrusted, UNTRUSTED, strlen(UNTRUSTED)) != 0)
        return no_signature(out, path, "this is no minisign signature");
    if (!first || !minisign_decode(first, &p->s, sizeof p->s) || p->s.algorithm[0] != 'E' ||
        (p->s.algorithm[1] != 'D' && p->s.algorithm[1] != 'd'))
        return no_signature(out, path, "line 2 should be a signature; the file is cut or damaged");
    if (!trusted || strncmp(trusted, TRUSTED, strlen(TRUSTED)) != 0)
        return no_signature(out, path,
                            "line 3 should be the trusted comment; the file is cut or damaged");
    if (!second || !minisign_decode(second, p->global, sizeof p->global))
        return no_signature(out, path,
                            "line 4 should be the comment's signature; the file is cut or damaged");
    p->comment = trusted + strlen(TRUSTED);
    return true;
}

static bool is_comment_signed(const struct parsed *p, const struct kl_public_key *key)
{
    size_t size = strlen(p->comment);
    uint8_t *both = malloc(crypto_sign_BYTES + size);
    bool good;

    if (!both)
        return false;
    memcpy(both, p->s.signature, crypto_sign_BYTES);
    memcpy(both + crypto_sign_BYTES, p->comment, size);
    good = crypto_sign_verify_detached(p->global, both, crypto_sign_BYTES + size, key->key) == 0;
    free(both);
    return good;
}

static bool digest_file(int fd, uint8_t out[crypto_generichash_BYTES_MAX])
{
    crypto_generichash_state state;
    uint8_t chunk[1 << 16];
    ssize_t size;

    crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES_MAX);
    while ((size = read(fd, chunk, sizeof chunk)) > 0)
        crypto_generichash_update(&state, chunk, (unsigned long long)size);
    crypto_generichash_final(&state, out, crypto_generichash_BYTES_MAX);
    return size == 0;
}

/* The older kind of signature is made of the bytes themselves. */
static bool is_whole_file_signed(int fd, const struct parsed *p, const struct kl_public_key *key,
                                 bool *read)
{
    static const uint8_t none[1];
    struct stat st;
    void *bytes;
    bool good;

    *read = fstat(fd, &st) == 0;
    if (*read && st.st_size == 0)
        return crypto_sign_verify_detached(p->s.signature, none, 0, key->key) == 0;
    bytes = *read ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if ((*read = bytes != MAP_FAILED) == false)
        return false;
    good = crypto_sign_verify_detached(p->s.signature, bytes, (unsigned long long)st.st_size,
                                       key->key) == 0;
    munmap(bytes, (size_t)st.st_size);
    return good;
}

static bool is_file_signed(int fd, const struct parsed *p, const struct kl_public_key *key,
                           bool *read)
{
    uint8_t digest[crypto_generichash_BYTES_MAX];

    if (p->s.algorithm[1] == 'd')
        return is_whole_file_signed(fd, p, key, read);
    *read = digest_file(fd, digest);
    return *read &&
           crypto_sign_verify_detached(p->s.signature, digest, sizeof digest, key->key) == 0;
}

static void judge(int fd, const char *path, const struct parsed *p, const struct kl_public_key *key,
                  struct kl_signature_check *out)
{
    struct kl_public_key maker = {{0}, {0}};
    bool read = true, file_good;

    if (memcmp(p->s.id, key->id, sizeof key->id) != 0) {
        memcpy(maker.id, p->s.id, sizeof maker.id);
        kl_public_key_id(&maker, out->made_by);
        out->verdict = KL_OTHER_KEY;
        return;
    }
    if (!is_comment_signed(p, key)) {
        out->verdict = KL_FORGED;
        return;
    }
    file_good = is_file_signed(fd, p, key, &read);
    if (!read) {
        out->verdict = KL_UNREADABLE;
        kl_format(out->error, KL_TEXT_MAX, "%s: it can't be read to its end: %s", kl_shown(path),
                  strerror(errno));
        return;
    }
    out->verdict = file_good ? KL_SIGNED : KL_OTHER_CONTENTS;
    kl_copy(out->comment, sizeof out->comment, p->comment);
}

void kl_verify(const char *path, const char *signature, const struct kl_public_key *key,
               struct kl_signature_check *out)
{
    char text[SIGNATURE_FILE_MAX];
    const char *trouble;
    struct parsed p;
    int fd;

    minisign_ready();
    memset(out, 0, sizeof *out);
    out->verdict = KL_UNREADABLE;
    if (!minisign_read(signature, text, sizeof text, out->error))
        return;
    if ((fd = kl_open_regular(path, &trouble)) < 0) {
        kl_format(out->error, KL_TEXT_MAX, "%s: %s", kl_shown(path), trouble);
        return;
    }
    if (parse(text, signature, &p, out))
        judge(fd, path, &p, key, out);
    close(fd);
}
