/*
 * bundle_files.h: which files make up a bundle, and where each belongs. Private to the bundle.
 *
 *   bundle_files.c   finds and reads them
 *   flasher_args.c   reads ESP-IDF's list of them
 *   bundle_check.c   says everything that is wrong
 *   bundle_load.c    makes the bundle
 */
#ifndef KEYLINE_BUNDLE_FILES_H
#define KEYLINE_BUNDLE_FILES_H

#include <limits.h>

#include "keyline/bundle_load.h"
#include "keyline/image.h"

enum role {
    ROLE_OTHER,
    ROLE_BOOTLOADER,
    ROLE_TABLE,
    ROLE_APP,
    ROLE_MERGED, /* all in one file, from address 0 */
};

enum {
    OFFSET_UNKNOWN = UINT32_MAX
};

struct part {
    enum role role;
    char path[PATH_MAX];
    uint32_t offset;
    uint8_t *data;
    size_t size;
    bool is_image; /* info is valid */
    struct kl_image_info info;
};

struct parts {
    unsigned count;
    struct part part[KL_REGIONS_MAX];
    bool have_table;
    struct kl_partition_table table;
    enum kl_chip_id chip;
    int flash_mode, flash_freq; /* wanted for the bootloader's header, -1 = keep */
    bool keep_size;
    struct kl_bundle_report *report;
};

void problem(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void warning(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads a file into the next part; false (and a problem, if `needed`) if it can't be read. */
bool add_part(struct parts *p, enum role role, const char *path, uint32_t offset, bool needed);
void find_parts(struct parts *p, const struct kl_bundle_options *options);
bool read_flasher_args(struct parts *p, const char *path);
void check_parts(struct parts *p);
struct part *part_with(struct parts *p, enum role role);
const char *file_name(const struct part *part);

#endif
