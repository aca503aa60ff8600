/*
 * bundle_load.h: reads images from disk, checks everything that can be wrong with them before any
 * board is touched, patches the bootloader's header per flash size, and compresses once.
 *
 * Blocking: call it before the loop runs, or on a worker.
 */
#ifndef KEYLINE_BUNDLE_LOAD_H
#define KEYLINE_BUNDLE_LOAD_H

#include "keyline/bundle.h"

enum {
    KL_IMAGES_MAX = 64, /* files in a bundle */
    KL_BUNDLE_PROBLEMS_MAX = 32,
    KL_BUNDLE_LINE_MAX = 2048, /* a line holds paths, and what to type instead */
};

struct kl_bundle_options {
    const char *firmware; /* a program, a merged image, a build's folder, or its list of images */
    const char *const *images; /* --image OFFSET:FILE, beside firmware or without it (NULL) */
    unsigned image_count;
    enum kl_chip_id chip; /* --chip, NONE = from the images */
    int flash_mode;       /* header value, -1 = keep */
    unsigned flash_mhz;   /* 0 = keep */
    bool keep_size;       /* --flash-size keep */
    bool erase_all;
};

/* Every problem is one sentence that names the file and says what to do. */
struct kl_bundle_report {
    unsigned problem_count;
    char problem[KL_BUNDLE_PROBLEMS_MAX][KL_BUNDLE_LINE_MAX];
    unsigned warning_count;
    char warning[KL_BUNDLE_PROBLEMS_MAX][KL_BUNDLE_LINE_MAX];
    unsigned found_count; /* lines that say which file was taken, for what, and why */
    char found[KL_BUNDLE_PROBLEMS_MAX][KL_BUNDLE_LINE_MAX];
    unsigned left_out_count; /* lines about files beside it that are not flashed */
    char left_out[KL_BUNDLE_PROBLEMS_MAX][KL_BUNDLE_LINE_MAX];
};

/* NULL if there is any problem; the report holds all that were found. Free with kl_bundle_free. */
struct kl_bundle *kl_bundle_load(const struct kl_bundle_options *options,
                                 struct kl_bundle_report *report);
void kl_bundle_free(struct kl_bundle *b);

/* Flasher stubs. `where`: "auto" (KEYLINE_STUB_DIR, then the usual places), "none", or a folder
   that holds <chip>.json. Missing stubs are no error. `note` says what was found. Never NULL but
   for "none". */
struct kl_stubs *kl_stubs_load(const char *where, char note[KL_TEXT_MAX]);
void kl_stubs_free(struct kl_stubs *s);

/* One JSON file (docs/esp-serial-protocol.md 8.1); NULL and `error` if it is not one. */
struct kl_stub *kl_stub_parse(const char *json, size_t size, char error[KL_TEXT_MAX]);
void kl_stub_free(struct kl_stub *s);

/* nettle, as a kl_sha256_fn and a kl_md5_fn */
void kl_sha256(const void *data, size_t size, uint8_t out[32]);
void kl_md5(const void *data, size_t size, uint8_t out[16]);

#endif
