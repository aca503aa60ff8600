/*
 * flasher_args.h: a build's own list of images: ESP-IDF's build/flasher_args.json, or the words for
 * a flasher's command line (flash_args, flash_project_args, ESP-AT's download.config). Pure: text
 * in, facts out.
 */
#ifndef KEYLINE_ADAPTERS_FLASHER_ARGS_H
#define KEYLINE_ADAPTERS_FLASHER_ARGS_H

#include "keyline/bundle_load.h"

enum {
    KL_FLASHER_NAME_MAX = 1024
};

struct kl_flasher_file {
    uint32_t offset;
    char name[KL_FLASHER_NAME_MAX]; /* relative to the list's folder, or absolute; with slashes */
};

struct kl_flasher_args {
    unsigned count;
    struct kl_flasher_file file[KL_IMAGES_MAX];
    char chip[24];  /* as written; "" if it is not named */
    int mode;       /* for the image header; -1 = keep, or the list does not say */
    bool keep_size; /* it says that the header's flash size is to stay */
    bool encrypted; /* some image is meant for a chip with flash encryption */
    bool has_app, has_table;
    uint32_t app, table; /* where the program and the partition table go, if the list says so */
};

/* NULL, or what is wrong, as the end of a sentence that began with the file's name. Both take a
   byte order mark, and text of 16-bit units as Windows writes it. */
const char *kl_flasher_args_parse(const char *json, size_t size, struct kl_flasher_args *out,
                                  char why[KL_TEXT_MAX]);
const char *kl_flash_args_parse(const char *text, size_t size, struct kl_flasher_args *out,
                                char why[KL_TEXT_MAX]);

#endif
