/*
 * bundle_files.h: which files make up a bundle, and where each belongs. Private to the bundle.
 *
 *   bundle_files.c   finds and loads them
 *   bundle_read.c    tells what each is, and whether it is whole
 *   bundle_check.c   puts each in its place and says everything that is wrong
 *   bundle_load.c    makes the bundle
 */
#ifndef KEYLINE_BUNDLE_FILES_H
#define KEYLINE_BUNDLE_FILES_H

#include <limits.h>

#include "image.h"
#include "keyline/bundle_load.h"

enum {
    SECTOR = 0x1000 /* what the flash erases at once */
};

#define OFFSET_UNKNOWN UINT32_MAX

enum role {
    ROLE_OTHER,
    ROLE_BOOTLOADER, /* what the ROM starts: on the ESP8266 the firmware itself */
    ROLE_TABLE,
    ROLE_APP,
    ROLE_MERGED,   /* all in one file, from address 0 */
    ROLE_OTA_DATA, /* which app to start */
};

struct part {
    enum role role;
    char path[PATH_MAX];
    uint32_t offset;
    uint8_t *data;
    size_t size;
    bool is_image;   /* info is valid */
    size_t image_at; /* where in the file the image begins; 0 but for a merged file */
    struct kl_image_info info;
};

struct parts {
    unsigned count;
    struct part part[KL_REGIONS_MAX];
    bool found_beside; /* the images were looked for, not named one by one */
    bool have_table;
    uint32_t table_offset;
    struct kl_partition_table table;
    enum kl_chip_id chip;
    int flash_mode, flash_freq; /* wanted for the bootloader's header, -1 = keep */
    unsigned flash_mhz;         /* flash_freq, as it was asked for; 0 = keep */
    bool keep_size;
    struct kl_bundle_report *report;
};

void problem(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void warning(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

void find_parts(struct parts *p, const struct kl_bundle_options *options);
void read_parts(struct parts *p);
void check_parts(struct parts *p);

struct part *part_with(struct parts *p, enum role role);
const char *file_name(const struct part *part);
/* Behind the last byte that erasing for this part would clear. */
uint64_t end_of(const struct part *part);
/* Where the app belongs: factory, or else the first OTA slot. */
uint32_t app_place(const struct parts *p);
const struct kl_partition *partition_at(const struct parts *p, uint32_t offset);
/* A merged file: bootloader at some chip's place, partition table at 0x8000. */
bool looks_merged(const struct part *part);

#endif
