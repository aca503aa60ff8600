/* seal.c: see seal.h. */
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "keyline/secret.h"

enum {
    FILE_MAX = 1024,
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    EPOCH = 4,
    WRAPPED = KL_FDB_UUID + EPOCH + KL_SEAL_KEY,
    BOUND_MAX = 32 + KL_FDB_UUID + EPOCH + KL_FINGERPRINT + KL_LINE_MAX,
};

_Static_assert(WRAPPED + crypto_box_SEALBYTES <= KL_FDB_SEALED_KEY_MAX, "a sealed pool key fits");
_Static_assert(NONCE + KL_LINE_MAX + TAG <= KL_FDB_BOX_MAX, "a sealed key fits");
_Static_assert(KL_SEAL_KEY == crypto_box_PUBLICKEYBYTES, "X25519");
_Static_assert(KL_SEAL_KEY == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "XChaCha20");

static const char public_mark[] = "kl1";

bool kl_seal_start(void)
{
    return sodium_init() >= 0;
}

void kl_seal_uuid(struct kl_request_id *out)
{
    randombytes_buf(out->b, sizeof out->b);
    out->b[6] = (uint8_t)((out->b[6] & 0x0f) | 0x40);
    out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80);
}

/* ---- public keys as text ---- */

void kl_seal_public_format(const struct kl_seal_public *key, char text[KL_SEAL_PUBLIC_TEXT])
{
    size_t mark = sizeof public_mark - 1;

    kl_copy(text, KL_SEAL_PUBLIC_TEXT, public_mark);
    sodium_bin2base64(text + mark, KL_SEAL_PUBLIC_TEXT - mark, key->b, sizeof key->b,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static bool from_base64(const char *text, uint8_t out[KL_SEAL_KEY])
{
    size_t size;

    return sodium_base642bin(out, KL_SEAL_KEY, text, strlen(text), NULL, &size, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           size == KL_SEAL_KEY;
}

bool kl_seal_public_parse(const char *text, struct kl_seal_public *key)
{
    size_t mark = sizeof public_mark - 1;

    return strncmp(text, public_mark, mark) == 0 && from_base64(text + mark, key->b);
}

/* ---- key files ---- */

static bool pair_fits(const struct kl_seal_pair *pair)
{
    struct kl_seal_public made;

    return crypto_scalarmult_base(made.b, pair->secret) == 0 &&
           memcmp(made.b, pair->public.b, sizeof made.b) == 0;
}

static bool write_new(const char *path, const char *text, size_t size, char error[KL_TEXT_MAX])
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good;
    int why;

    if (fd < 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path),
                  errno == EEXIST ? "is there already, and is not written over" : strerror(errno));
        return false;
    }
    good = kl_disk_write_all(fd, text, size) && kl_disk->sync(fd) == 0;
    good = good && kl_disk->sync_folder(path) == 0;
    why = errno;
    close(fd);
    if (!good) {
        unlink(path);
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), strerror(why));
    }
    return good;
}

bool kl_seal_pair_make(const char *path, const char *role, const char *name,
                       struct kl_seal_pair *pair, char error[KL_TEXT_MAX])
{
    char *text = kl_secret_alloc(FILE_MAX), public[KL_SEAL_PUBLIC_TEXT];
    bool good;
    size_t n;

    if (!text) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return false;
    }
    crypto_box_keypair(pair->public.b, pair->secret);
    kl_seal_public_format(&pair->public, public);
    n = kl_format(text, FILE_MAX,
                  "keyline %s key 1\nname: %s\npublic: %s\n"
                  "# Who has the next line can open what is sealed for this key.\nsecret: ",
                  role, name, public);
    sodium_bin2base64(text + n, FILE_MAX - n, pair->secret, sizeof pair->secret,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    n += strlen(text + n);
    text[n++] = '\n';
    good = write_new(path, text, n, error);
    kl_secret_free(text, FILE_MAX);
    if (!good)
        kl_wipe(pair, sizeof *pair);
    return good;
}

/* The rest of the line behind `name`, cut out of `text`; NULL if there is none. */
static char *value_of(char *text, const char *name)
{
    char *at = strstr(text, name), *end;

    if (!at || (at != text && at[-1] != '\n'))
        return NULL;
    at += strlen(name);
    if ((end = strchr(at, '\n')))
        *end = '\0';
    return at;
}

/* Secret first: each cuts the text off behind itself. */
static const char *parse_pair(char *text, struct kl_seal_pair *pair)
{
    char *secret = value_of(text, "secret: "), *public = secret ? value_of(text, "public: ") : NULL;

    if (strncmp(text, "keyline ", 8) != 0 || !secret || !public)
        return "is no key file of keyline";
    if (!kl_seal_public_parse(public, &pair->public) || !from_base64(secret, pair->secret) ||
        !pair_fits(pair))
        return "is damaged: its halves do not belong together";
    return NULL;
}

static const char *read_pair(int fd, char *text, struct kl_seal_pair *pair)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return "is no file";
    if ((st.st_mode & 077) != 0)
        return "may be read by others: chmod 600, if they have not read it yet";
    n = read(fd, text, FILE_MAX - 1);
    if (n < 0)
        return strerror(errno);
    text[n] = '\0';
    return parse_pair(text, pair);
}

bool kl_seal_pair_read(const char *path, struct kl_seal_pair *pair, char error[KL_TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = kl_secret_alloc(FILE_MAX);
    const char *why = "no memory";

    if (fd < 0)
        why = strerror(errno);
    else if (text)
        why = read_pair(fd, text, pair);
    if (fd >= 0)
        close(fd);
    kl_secret_free(text, FILE_MAX);
    if (!why)
        return true;
    kl_wipe(pair, sizeof *pair);
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), why);
    return false;
}

/* ---- the pool key ---- */

static void put_epoch(uint8_t out[EPOCH], uint32_t epoch)
{
    for (unsigned i = 0; i < EPOCH; i++)
        out[i] = (uint8_t)(epoch >> (24 - 8 * i));
}

void kl_seal_pool_key_make(uint32_t epoch, struct kl_seal_pool_key *out)
{
    KL_ASSERT(epoch > 0);
    out->epoch = epoch;
    crypto_aead_xchacha20poly1305_ietf_keygen(out->b);
}

bool kl_seal_pool_key(const struct kl_seal_pool_key *key, const uint8_t pool[KL_FDB_UUID],
                      const struct kl_seal_public *to, struct kl_fdb_sealed_key *out)
{
    uint8_t plain[WRAPPED];
    bool good;

    memcpy(plain, pool, KL_FDB_UUID);
    put_epoch(plain + KL_FDB_UUID, key->epoch);
    memcpy(plain + KL_FDB_UUID + EPOCH, key->b, KL_SEAL_KEY);
    good = crypto_box_seal(out->box, plain, sizeof plain, to->b) == 0;
    kl_wipe(plain, sizeof plain);
    out->epoch = key->epoch;
    out->size = WRAPPED + crypto_box_SEALBYTES;
    return good;
}

bool kl_seal_open_pool_key(const struct kl_fdb_sealed_key *sealed, const uint8_t pool[KL_FDB_UUID],
                           const struct kl_seal_pair *pair, struct kl_seal_pool_key *out)
{
    uint8_t plain[WRAPPED], epoch[EPOCH];
    bool good;

    put_epoch(epoch, sealed->epoch);
    good =
        sealed->size == WRAPPED + crypto_box_SEALBYTES &&
        crypto_box_seal_open(plain, sealed->box, sealed->size, pair->public.b, pair->secret) == 0 &&
        memcmp(plain, pool, KL_FDB_UUID) == 0 && memcmp(plain + KL_FDB_UUID, epoch, EPOCH) == 0;
    if (good) {
        out->epoch = sealed->epoch;
        memcpy(out->b, plain + KL_FDB_UUID + EPOCH, KL_SEAL_KEY);
    }
    kl_wipe(plain, sizeof plain);
    return good;
}

/* ---- one board's key ---- */

/* What the box is bound to: it opens at its own place only. */
static size_t bind_to(uint8_t out[BOUND_MAX], const uint8_t pool[KL_FDB_UUID], uint32_t epoch,
                      const struct kl_fingerprint *fp, const void *label, size_t label_size)
{
    static const char mark[] = "keyline sealed key 1";
    size_t n = sizeof mark;

    _Static_assert(sizeof mark <= 32, "room for it");
    memcpy(out, mark, sizeof mark);
    memcpy(out + n, pool, KL_FDB_UUID);
    put_epoch(out + n + KL_FDB_UUID, epoch);
    n += KL_FDB_UUID + EPOCH;
    memcpy(out + n, fp->b, KL_FINGERPRINT);
    n += KL_FINGERPRINT;
    memcpy(out + n, label, label_size);
    return n + label_size;
}

size_t kl_seal_fields(const struct kl_key *key, const struct kl_seal_pool_key *pool_key,
                      const uint8_t pool[KL_FDB_UUID], uint8_t box[KL_FDB_BOX_MAX])
{
    struct kl_span label = kl_key_field(key, 0);
    uint8_t bound[BOUND_MAX];
    unsigned long long size;
    size_t n;

    KL_ASSERT(key->count > 0 && label.size <= KL_LINE_MAX);
    n = bind_to(bound, pool, pool_key->epoch, &key->fingerprint, label.data, label.size);
    randombytes_buf(box, NONCE);
    if (crypto_aead_xchacha20poly1305_ietf_encrypt(box + NONCE, &size, (const uint8_t *)key->line,
                                                   strlen(key->line), bound, n, NULL, box,
                                                   pool_key->b) != 0)
        return 0;
    return NONCE + (size_t)size;
}

/* Fields have no commas inside: kl_key_build() sees to that on the way in. */
static bool build(const char *line, kl_sha256_fn *sha256, struct kl_key *key)
{
    struct kl_span field[KL_FIELDS_MAX];
    unsigned count = 0;

    for (const char *at = line;; at++) {
        const char *end = strchrnul(at, ',');
        if (count == KL_FIELDS_MAX)
            return false;
        field[count++] = (struct kl_span){(const uint8_t *)at, (size_t)(end - at)};
        at = end;
        if (*at == '\0')
            break;
    }
    return kl_key_build(key, field, count, sha256);
}

static bool open_line(const struct kl_fdb_row *row, const struct kl_seal_pool_key *pool_key,
                      const uint8_t pool[KL_FDB_UUID], char line[KL_LINE_MAX + 1])
{
    size_t label_size = strlen(row->label);
    unsigned long long size;
    uint8_t bound[BOUND_MAX];
    size_t n;

    if (row->epoch != pool_key->epoch || label_size > KL_LINE_MAX ||
        row->box.size < NONCE + TAG + 1 || row->box.size > NONCE + TAG + KL_LINE_MAX)
        return false;
    n = bind_to(bound, pool, row->epoch, &row->fingerprint, row->label, label_size);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt((uint8_t *)line, &size, NULL,
                                                   row->box.data + NONCE, row->box.size - NONCE,
                                                   bound, n, row->box.data, pool_key->b) != 0)
        return false;
    line[size] = '\0';
    return strlen(line) == size;
}

bool kl_seal_open_fields(const struct kl_fdb_row *row, const struct kl_seal_pool_key *pool_key,
                         const uint8_t pool[KL_FDB_UUID], kl_sha256_fn *sha256, struct kl_key *key)
{
    char line[KL_LINE_MAX + 1] = "";
    struct kl_span label;
    bool good = open_line(row, pool_key, pool, line) && build(line, sha256, key);

    kl_wipe(line, sizeof line);
    if (good) {
        label = kl_key_field(key, 0);
        good = key->count == row->fields && label.size == strlen(row->label) &&
               memcmp(label.data, row->label, label.size) == 0 &&
               kl_fingerprint_equal(&key->fingerprint, &row->fingerprint);
    }
    if (!good)
        kl_wipe(key, sizeof *key);
    return good;
}
