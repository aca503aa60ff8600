/*
 * nvs_load.h: where a CSV's values go in a board's NVS, and images of it, from and to files.
 *
 * Blocking. All that is read may be secret: it lives in secret memory. An error is a sentence that
 * names file, line and column, and never a value.
 */
#ifndef KEYLINE_NVS_LOAD_H
#define KEYLINE_NVS_LOAD_H

#include "keyline/nvs_delivery.h"
#include "keyline/nvs_schema.h"

enum {
    KL_NVS_FILE_MAX = 1 << 20,  /* bytes of an image, or of a schema's file */
    KL_NVS_SIZE_USUAL = 0x6000, /* bytes of the partition in ESP-IDF's own tables */
    KL_NVS_TABLE_AT = 0x8000,   /* where those tables lie */
    KL_NVS_TABLE_SIZE = KL_NVS_PAGE,
};

/* Reads the CSV's header row, and `file` (NULL = the header says all). NULL and `error` if they are
   no schema. Free with kl_nvs_schema_free. */
struct kl_nvs_schema *kl_nvs_schema_load(const char *csv, const char *file,
                                         char error[KL_TEXT_MAX]);
void kl_nvs_schema_free(struct kl_nvs_schema *s); /* wipes it */

/* A row after the header. */
struct kl_nvs_row {
    uint32_t line;
    bool marked;
    const struct kl_key *key; /* NULL: it can't be a key, see `why` */
    const char *why;
};
/* Each row behind the header, in order; `each` returns false to stop. False and `error` if the file
   can't be read to its end. */
bool kl_nvs_rows(const char *csv, bool (*each)(void *ctx, const struct kl_nvs_row *row), void *ctx,
                 char error[KL_TEXT_MAX]);

/* Where an NVS partition lies. */
struct kl_nvs_where {
    uint32_t offset, size; /* whole sectors */
    bool encrypted;        /* the table has nvs_keys: the firmware encrypts its NVS */
};
/* Finds it in a partition table's bytes, KL_NVS_TABLE_SIZE of them. False and `error`: that is no
   table, or it has no such partition; then `error` names those that it has. */
bool kl_nvs_where(const uint8_t *table, const char *label, struct kl_nvs_where *out,
                  char error[KL_TEXT_MAX]);

/* All that a station needs for --deliver nvs, in secret memory. NULL and `error` if the bundle's
   partition table has no such partition, or none that can be written. The schema stays the
   caller's. */
struct kl_nvs_delivery *kl_nvs_delivery_new(const struct kl_bundle *bundle, const char *label,
                                            const struct kl_nvs_schema *schema,
                                            enum kl_nvs_policy policy, char error[KL_TEXT_MAX]);
void kl_nvs_delivery_free(struct kl_nvs_delivery *d);

/* A whole file, at most KL_NVS_FILE_MAX bytes, in secret memory: give it back with
   kl_secret_free(data, KL_NVS_FILE_MAX). NULL and `error`. */
uint8_t *kl_nvs_file_read(const char *path, size_t *size, char error[KL_TEXT_MAX]);
/* Writes a new file that only its owner may read; refuses one that is there. False and `error`;
   nothing is left behind then. */
bool kl_nvs_file_write(const char *path, const uint8_t *data, size_t size, char error[KL_TEXT_MAX]);

#endif
