/*
 * base.h: the few things every other keyline header needs.
 *
 * Nothing here does I/O. `core` includes only the C standard library's freestanding-style headers
 * (stdbool, stddef, stdint, limits, string, stdarg) and headers of keyline/.
 */
#ifndef KEYLINE_BASE_H
#define KEYLINE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Microseconds on a clock that never goes back. The shell reads it; the core is handed it. */
typedef int64_t kl_us;

#define KL_NEVER  INT64_MAX
#define KL_MS(n)  ((kl_us)(n)*1000)
#define KL_SEC(n) ((kl_us)(n)*1000000)

/* Limits. Everything in the core has one, and nothing is allocated after start. */
enum {
    KL_SLOTS_MAX = 64,  /* panes on one bench */
    KL_FIELDS_MAX = 32, /* fields in a key (CSV columns, the mark not counted) */
    KL_LINE_MAX = 255,  /* bytes of a key line without its newline: the firmware's buffer
                           is 256 (docs/firmware.md) */
    KL_COLUMNS_MAX = 64, /* fields in a long key, which is not handed over but written into NVS … */
    KL_KEY_MAX = 16383,  /* … and bytes of all of them, with what stands between */
    KL_LABEL_MAX = 64,   /* bytes of a label that are shown; longer ones end in "…" */
    KL_NAME_MAX = 64,    /* slot names, NUL included */
    KL_PORT_MAX = 160,   /* port paths and URLs, NUL included */
    KL_TEXT_MAX = 256,   /* one line for a person, NUL included */
    KL_REGIONS_MAX = 80, /* stretches of flash in a bundle */
};

/* Bytes that belong to somebody else. */
struct kl_span {
    const uint8_t *data;
    size_t size;
};

/* A factory MAC, first byte on the air first. All zero means "not known". */
struct kl_mac {
    uint8_t b[6];
};

bool kl_mac_is_set(const struct kl_mac *mac);
bool kl_mac_equal(const struct kl_mac *a, const struct kl_mac *b);
/* Writes "aa:bb:cc:dd:ee:ff" and a NUL. */
void kl_mac_format(const struct kl_mac *mac, char out[18]);
/* Reads the same, in either case; false if `text` is anything else. */
bool kl_mac_parse(const char *text, struct kl_mac *mac);

/* An IEEE EUI-64, as chips with an 802.15.4 radio have one beside their MAC. All zero means
   "none". */
struct kl_eui64 {
    uint8_t b[8];
};

/* Writes "aa:bb:cc:ff:fe:dd:ee:ff" and a NUL; "" if there is none. */
void kl_eui64_format(const struct kl_eui64 *eui, char out[24]);

/* Copies as much of `text` as fits and always ends it with a NUL; true if all of it fitted. */
bool kl_copy(char *out, size_t size, const char *text);

/* As snprintf, but cuts what does not fit and returns the length written. The one way to format in
   the core: base.c alone may include <stdio.h>. */
size_t kl_format(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t kl_vformat(char *out, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/* FNV-1a of 64 bits: for tables, and to tell whether something changed. It proves nothing: where
   nobody may forge, use SHA-256. kl_hash_more() goes on where another hash ended. */
#define KL_HASH_START 0xcbf29ce484222325u
uint64_t kl_hash_more(uint64_t hash, const void *data, size_t size);
uint64_t kl_hash(const void *data, size_t size);

/* Overwrites secrets in a way that the compiler can't drop. */
void kl_wipe(void *data, size_t size);

/* SHA-256 of `size` bytes, handed to the core by whoever owns a library for it (nettle). */
typedef void kl_sha256_fn(const void *data, size_t size, uint8_t out[32]);

/*
 * Fails only for a broken caller, never for bad input. Release builds check it too. Stopping at any
 * instant is safe (docs/custody.md); going on with a broken invariant is not.
 */
#define KL_ASSERT(condition)                                                                       \
    ((condition) ? (void)0 : kl_assert_failed(#condition, __FILE__, __LINE__))

_Noreturn void kl_assert_failed(const char *condition, const char *file, int line);
/* Called with the failed condition before the program ends; main sets it once. The default does
   nothing. */
extern void (*kl_assert_report)(const char *condition, const char *file, int line);

#endif
