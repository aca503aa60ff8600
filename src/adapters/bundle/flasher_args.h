/* flasher_args.h: ESP-IDF's list of images, build/flasher_args.json. Pure: text in, facts out. */
#ifndef KEYLINE_ADAPTERS_FLASHER_ARGS_H
#define KEYLINE_ADAPTERS_FLASHER_ARGS_H

#include "keyline/bundle.h"

enum {
    KL_FLASHER_NAME_MAX = 1024
};

struct kl_flasher_file {
    uint32_t offset;
    char name[KL_FLASHER_NAME_MAX]; /* relative to the list's folder, or absolute */
};

struct kl_flasher_args {
    unsigned count;
    struct kl_flasher_file file[KL_REGIONS_MAX];
    char chip[24];  /* as written; "" if it is not named */
    int mode;       /* for the image header, -1 if it says nothing to the point */
    bool encrypted; /* some image is meant for a chip with flash encryption */
};

/* NULL, or what is wrong, as the end of a sentence that began with the file's name. */
const char *kl_flasher_args_parse(const char *json, size_t size, struct kl_flasher_args *out,
                                  char why[KL_TEXT_MAX]);

#endif
