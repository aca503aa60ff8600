/*
 * bundle_files.h: which files make up a bundle, and where each belongs. Private to the bundle.
 *
 *   bundle_files.c    loads files, keeps the list of them
 *   bundle_find.c     finds them: a file and its companions, a folder, --image
 *   bundle_lists.c    reads a build's own list of them
 *   bundle_read.c     tells what each is, and whether it is whole
 *   bundle_plan.c     puts each in its place, and tells which program the chip will start
 *   bundle_check.c    says everything that is wrong with the set of them
 *   bundle_regions.c  cuts and joins them to stretches of flash
 *   bundle_load.c     makes the bundle
 */
#ifndef KEYLINE_BUNDLE_FILES_H
#define KEYLINE_BUNDLE_FILES_H

#include <limits.h>

#include "boot_rule.h"
#include "content.h"
#include "flasher_args.h"
#include "image.h"
#include "keyline/bundle_load.h"

enum {
    SECTOR = 0x1000,               /* what the flash erases at once */
    PARTS_MAX = KL_IMAGES_MAX + 1, /* keyline makes one more: which program to start */
};

#define OFFSET_UNKNOWN UINT32_MAX

enum { /* types and subtypes of partitions */
    TYPE_APP = 0,
    TYPE_DATA = 1,
    TYPE_BOOTLOADER = 2, /* these two stand for what lies before the partitions */
    TYPE_TABLE = 3,
    DATA_OTA = 0,
    DATA_NVS = 2,
    DATA_NVS_KEYS = 4,
};

enum role {
    ROLE_OTHER,
    ROLE_BOOTLOADER, /* what the ROM starts: on the ESP8266 the firmware itself */
    ROLE_TABLE,
    ROLE_APP,
    ROLE_MERGED,   /* bootloader, table and program in one file */
    ROLE_OTA_DATA, /* which app to start */
    ROLE_NVS,
};

struct part {
    enum role role;
    enum kl_content content;
    char path[PATH_MAX];
    uint32_t offset;
    uint8_t *data;
    size_t size;
    bool made;       /* keyline made it: there is no such file */
    bool is_image;   /* info is valid */
    size_t image_at; /* where in the file the image begins; 0 but for a merged file */
    size_t table_at; /* merged: where in the file the partition table is */
    bool misplaced;  /* a problem with its place is reported already */
    struct kl_image_info info;
};

struct parts {
    unsigned count;
    struct part part[PARTS_MAX];
    bool found_beside; /* keyline looked for the images; nobody named them one by one */
    bool has_mcuboot;  /* MCUboot starts the program, by rules of its own */
    bool alone;        /* the ROM starts the program itself */
    bool have_table;
    uint32_t table_offset;
    struct kl_partition_table table;
    uint32_t wanted; /* where the list puts the build's program, or OFFSET_UNKNOWN */
    struct kl_boot_choice starts;
    bool wants_first_slot; /* the list names boot_app0.bin, which is missing: it would choose the
                              first slot */
    bool named;            /* a person named images with --image */
    char folder[PATH_MAX]; /* of the firmware; "" = none */
    bool encrypts;         /* the build switches flash encryption on */
    enum kl_chip_id chip;
    int flash_mode, flash_freq; /* wanted for the bootloader's header, -1 = keep */
    unsigned flash_mhz;         /* flash_freq, as a person wrote it; 0 = keep */
    bool header_asked;          /* mode or frequency come from the command line */
    bool keep_size;
    struct kl_bundle_report *report;
    char word[4][PATH_MAX + 2]; /* as_word's */
    unsigned next_word;
};

void problem(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void warning(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* found: a file that keyline took, and why. left_out: a file that lies there and that it did not
   take. */
void found(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void left_out(struct parts *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A path as a shell takes it for one word; valid for the next few calls. */
const char *as_word(struct parts *p, const char *path);

/* ---- files (bundle_files.c) ---- */

enum added {
    ADDED,
    ABSENT,
    UNREADABLE /* a problem is reported */
};

enum added add_part(struct parts *p, enum role role, const char *path, uint32_t offset);
/* The same for a file that the person named: its absence is a problem. */
bool add_named(struct parts *p, enum role role, const char *path, uint32_t offset);
void drop_part(struct parts *p, unsigned index);
/* NULL and why, with errno ENOENT if there is no such file; free() it. */
uint8_t *read_whole_file(const char *path, size_t *size, const char **why);
/* The path of `name` in the folder of `path`; false if it is too long. */
bool beside(char out[PATH_MAX], const char *path, const char *name);
const char *name_in(const char *path); /* behind its last slash */
bool is_file(const char *path);
bool is_folder(const char *path);

struct part *part_with(struct parts *p, enum role role);
const char *file_name(const struct part *part);
uint64_t sector_of(const struct part *part); /* where erasing for this part begins … */
uint64_t end_of(const struct part *part);    /* … and ends */

/* ---- lists (bundle_lists.c) ---- */

/* The list that a build left in the folder of `path`; false if there is none that can be read. */
bool list_beside(const char *path, char list[PATH_MAX], struct kl_flasher_args *args);
bool is_list(const char *path);
/* Reads the list; false and a problem if it is none. */
bool load_list(struct parts *p, const char *list, struct kl_flasher_args *args);
/* Finds a file of the list, even where an export moved it or flattened its folders; false if it is
   nowhere. */
bool file_of_list(const char *list, const char *name, char out[PATH_MAX]);
bool list_is_whole(const char *list, const struct kl_flasher_args *args);
bool list_names(const struct kl_flasher_args *args, const char *name);
void take_list(struct parts *p, const char *list, const struct kl_flasher_args *args);

/* ---- finding, reading, placing, checking ---- */

void find_parts(struct parts *p, const struct kl_bundle_options *options);
/* Tells what lies beside the firmware and stays unflashed. Call it once the table is known. */
void tell_left_out(struct parts *p);

/* True if the file holds all in one. Then image_at and table_at say where its bootloader and its
   table are. */
bool looks_merged(struct part *part);
uint32_t merged_place(struct part *part);   /* where in the flash it belongs */
bool stands_alone(const struct part *part); /* the ROM starts it, and it needs no other file */
void read_parts(struct parts *p);

const struct kl_partition *partition_at(const struct parts *p, uint32_t offset);
bool is_nvs_row(const struct kl_partition *row);
/* The bytes that these images put at a flash address, and how many follow; NULL if they put
   none. */
const uint8_t *bytes_at(const struct parts *p, uint32_t offset, size_t *size);
void plan_parts(struct parts *p);

void check_parts(struct parts *p);

/* ---- regions (bundle_regions.c) ---- */

/* Cuts and joins the parts to the bundle's regions, and compresses them. False if memory is out. */
bool make_regions(struct parts *p, struct kl_bundle *b);

#endif
