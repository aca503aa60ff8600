/* bundle_folder.h: a folder with images of a demo chip, loaded as a bundle: for tests of
   bundles. */
#ifndef KEYLINE_TESTS_BUNDLE_FOLDER_H
#define KEYLINE_TESTS_BUNDLE_FOLDER_H

#include "keyline/bundle_load.h"
#include "keyline/demo_images.h"

/* cmocka set-up and tear-down: a new folder with the ESP32's bootloader.bin, partitions.bin and
   firmware.bin. */
int bundle_folder_new(void **state);
int bundle_folder_drop(void **state);

extern const char *bundle_folder(void);
extern struct kl_bundle_report bundle_report; /* of the last load */

/* A path in it, valid for the next few calls. */
const char *in_folder(const char *name);
void put_file(const char *name, const void *data, size_t size);
/* The same, and frees the image. */
void put_image(const char *name, struct kl_demo_image image);
struct kl_demo_image get_file(const char *name);
void put_table(const struct kl_demo_partition *rows, unsigned count);

struct kl_bundle *load_firmware(const char *path);
/* "OFFSET:NAME" of files in the folder, NULL at the end. */
struct kl_bundle *load_images(const char *const *images);

/* Fails the test unless loading failed and a problem holds these words. Frees the bundle if there
   is one. */
void expect_problem(struct kl_bundle *b, const char *words);
void expect_warning(const char *words);
/* Fails the test with the first problem if loading failed. */
struct kl_bundle *expect_good(struct kl_bundle *b);
/* The region at this offset; the test fails if there is none. */
unsigned region_at(const struct kl_bundle *b, uint32_t offset);

#endif
