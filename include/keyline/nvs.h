/*
 * nvs.h: the chips' key-value storage (NVS, version 2): building an image and reading one.
 *
 * Source of the format: ESP-IDF's documentation of NVS ("Internals") and what its partition
 * generator writes; docs/nvs.md tells it in our words. A partition is pages of 4096 bytes. A page
 * is a header of 32 bytes, a bitmap with two bits for each entry, and 126 entries of 32 bytes. An
 * entry holds a number, or begins a string or a piece of a blob whose bytes fill the entries
 * behind it.
 *
 * Builder and reader share only the constants here, so that each proves the other. Nothing here
 * allocates. An image holds secrets as soon as its values do: the caller keeps it in secret memory
 * and wipes it.
 */
#ifndef KEYLINE_NVS_H
#define KEYLINE_NVS_H

#include "keyline/base.h"

enum {
    KL_NVS_PAGE = 4096,
    KL_NVS_ENTRY = 32,        /* bytes of an entry */
    KL_NVS_ENTRIES = 126,     /* in a page */
    KL_NVS_FIRST_ENTRY = 64,  /* where they begin in it */
    KL_NVS_NAME_MAX = 15,     /* bytes of a key's or a namespace's name */
    KL_NVS_STRING_MAX = 4000, /* bytes of a string, its NUL included */
    KL_NVS_SIZE_MIN = 0x3000, /* bytes of a partition that the chip may write to */
    KL_NVS_NAMESPACES_MAX = 254,
};

/* What an entry holds, as its second byte says. */
enum kl_nvs_type {
    KL_NVS_U8 = 0x01,
    KL_NVS_I8 = 0x11,
    KL_NVS_U16 = 0x02,
    KL_NVS_I16 = 0x12,
    KL_NVS_U32 = 0x04,
    KL_NVS_I32 = 0x14,
    KL_NVS_U64 = 0x08,
    KL_NVS_I64 = 0x18,
    KL_NVS_STRING = 0x21,
    KL_NVS_BLOB_V1 = 0x41, /* written by old versions of the chips' library */
    KL_NVS_BLOB_DATA = 0x42,
    KL_NVS_BLOB = 0x48, /* the index of a blob in pieces: what stands for the whole of it */
};

/* How a value is written down as text. X(NAME, "word"): the words are the generator's own. */
#define KL_NVS_ENCODINGS(X)                                                                        \
    X(U8, "u8")                                                                                    \
    X(I8, "i8")                                                                                    \
    X(U16, "u16")                                                                                  \
    X(I16, "i16")                                                                                  \
    X(U32, "u32")                                                                                  \
    X(I32, "i32")                                                                                  \
    X(U64, "u64")                                                                                  \
    X(I64, "i64")                                                                                  \
    X(STRING, "string")                                                                            \
    X(HEX2BIN, "hex2bin")                                                                          \
    X(BASE64, "base64")                                                                            \
    X(BLOB, "blob")

enum kl_nvs_encoding {
#define X(name, word) KL_NVS_AS_##name,
    KL_NVS_ENCODINGS(X)
#undef X
    KL_NVS_ENCODING_COUNT
};
/* "binary" is read too: the generator's word for "blob". False if `word` is none. */
bool kl_nvs_encoding_of(struct kl_span word, enum kl_nvs_encoding *out);
const char *kl_nvs_encoding_word(enum kl_nvs_encoding e);

/* Why a value, a name or an image can't be. X(NAME, "text for a person, without the value") */
#define KL_NVS_VERDICTS(X)                                                                         \
    X(OK, "")                                                                                      \
    X(NO_NAME, "the name is empty")                                                                \
    X(LONG_NAME, "the name is longer than 15 bytes")                                               \
    X(ODD_NAME, "the name holds a byte that no name may hold")                                     \
    X(NO_NUMBER, "the value is not a whole number")                                                \
    X(LEADING_ZERO, "the number begins with 0: write 0x before a hexadecimal one")                 \
    X(OUT_OF_RANGE, "the number does not fit its type")                                            \
    X(ODD_HEX, "the value has an odd number of hexadecimal digits")                                \
    X(NO_HEX, "the value is not hexadecimal")                                                      \
    X(NO_BASE64, "the value is not base64")                                                        \
    X(LONG_STRING, "the string is longer than 3999 bytes")                                         \
    X(NUL_INSIDE, "the string holds a NUL")                                                        \
    X(NAMESPACES, "there are more than 254 namespaces")                                            \
    X(NO_VALUE, "the row has no value for this place")                                             \
    X(FULL, "the partition is too small for what it is to hold")

enum kl_nvs_verdict {
#define X(name, text) KL_NVS_##name,
    KL_NVS_VERDICTS(X)
#undef X
    KL_NVS_VERDICT_COUNT
};
const char *kl_nvs_verdict_text(enum kl_nvs_verdict v);

/* Is this a valid name of a key or a namespace? */
enum kl_nvs_verdict kl_nvs_check_name(struct kl_span name);
/* Could `text` be stored so? Needs no image. */
enum kl_nvs_verdict kl_nvs_check_value(enum kl_nvs_encoding e, struct kl_span text);

/* ---- building ---- */

struct kl_nvs_build {
    uint8_t *image;
    uint32_t pages; /* pages that the builder may fill; the chip keeps one more free */
    uint32_t page;  /* being filled */
    unsigned entry; /* the next free entry of that page */
    uint8_t namespace_count;
    uint8_t namespace; /* of the values that follow; 0 = none yet */
};

/* Where the bytes of a string or blob come from: `read` gives `n` of them from `offset` on. */
struct kl_nvs_source {
    size_t size;
    void (*read)(const void *self, size_t offset, uint8_t *out, size_t n);
    const void *self;
};

/* Begins an image in `image`: `size` bytes, a multiple of KL_NVS_PAGE, at least KL_NVS_SIZE_MIN.
   After any verdict but OK the image is of no use. */
void kl_nvs_begin(struct kl_nvs_build *b, uint8_t *image, uint32_t size);
/* Values put from now on belong to this namespace; a new one is added. */
enum kl_nvs_verdict kl_nvs_namespace(struct kl_nvs_build *b, const char *name);
/* Adds a value that is written down as `text`. A namespace must have been named. */
enum kl_nvs_verdict kl_nvs_put(struct kl_nvs_build *b, const char *name, enum kl_nvs_encoding e,
                               struct kl_span text);
/* The same for values that are bytes already: a number of `type` (8 bytes, little endian, the
   unused ones 0xFF), a string with its NUL, or a blob. */
enum kl_nvs_verdict kl_nvs_put_number(struct kl_nvs_build *b, const char *name,
                                      enum kl_nvs_type type, const uint8_t data[8]);
enum kl_nvs_verdict kl_nvs_put_bytes(struct kl_nvs_build *b, const char *name,
                                     enum kl_nvs_type type, const struct kl_nvs_source *source);

/* ---- reading ---- */

/* What a partition's bytes are. X(NAME, "text") */
#define KL_NVS_STATES(X)                                                                           \
    X(BLANK, "empty")                                                                              \
    X(SOUND, "sound")                                                                              \
    X(DAMAGED, "damaged")                                                                          \
    X(ENCRYPTED, "encrypted, or damaged throughout")                                               \
    X(FOREIGN, "no NVS")

enum kl_nvs_state {
#define X(name, text) KL_NVS_IS_##name,
    KL_NVS_STATES(X)
#undef X
    KL_NVS_STATE_COUNT
};
const char *kl_nvs_state_text(enum kl_nvs_state s);

struct kl_nvs_image {
    const uint8_t *data;
    uint32_t size; /* a multiple of KL_NVS_PAGE */
};

struct kl_nvs_item {
    char name[KL_NVS_NAME_MAX + 1];
    uint8_t namespace; /* its number in this image */
    enum kl_nvs_type type;
    uint32_t size; /* bytes of the value; of a string with its NUL */
    uint32_t at;   /* where its first entry stands in the image */
};

/* Where a walk over an image's items stands. All zero: at its begin. */
struct kl_nvs_walk {
    bool begun, ended;
    uint32_t page, seq; /* in the order in which the chip filled them */
    unsigned entry;
};

/* Looks at all of an image. SOUND: each item that counts is whole. */
enum kl_nvs_state kl_nvs_look(struct kl_nvs_image image);
/* The next item that counts: the newest of its name, with right checksums. It passes over
   namespaces' own entries and pieces of blobs. False after the last one. */
bool kl_nvs_next(struct kl_nvs_image image, struct kl_nvs_walk *walk, struct kl_nvs_item *out);
/* The item `name` in the namespace `namespace`; false if there is none. */
bool kl_nvs_find(struct kl_nvs_image image, const char *namespace, const char *name,
                 struct kl_nvs_item *out);
/* The name of a namespace by its number; false if there is none. */
bool kl_nvs_namespace_name(struct kl_nvs_image image, uint8_t number,
                           char out[KL_NVS_NAME_MAX + 1]);
/* `n` bytes of an item's value from `offset` on; all of them must be there. */
void kl_nvs_read(struct kl_nvs_image image, const struct kl_nvs_item *item, size_t offset,
                 uint8_t *out, size_t n);
/* Is the item what kl_nvs_put would make of `text`? */
bool kl_nvs_equals(struct kl_nvs_image image, const struct kl_nvs_item *item,
                   enum kl_nvs_encoding e, struct kl_span text);

#endif
