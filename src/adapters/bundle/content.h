/* content.h: what a file is by its bytes alone (docs/esp-serial-protocol.md 7.7). Pure. */
#ifndef KEYLINE_ADAPTERS_CONTENT_H
#define KEYLINE_ADAPTERS_CONTENT_H

#include "keyline/base.h"

enum kl_content {
    KL_CONTENT_UNKNOWN,
    KL_CONTENT_BLANK, /* nothing but 0xFF, or nothing but 0 */
    KL_CONTENT_IMAGE, /* begins like an ESP image, whole or not */
    KL_CONTENT_TABLE,
    KL_CONTENT_OTADATA, /* with a choice in it; without one it is BLANK */
    KL_CONTENT_NVS,
    KL_CONTENT_SPIFFS,
    KL_CONTENT_LITTLEFS,
    KL_CONTENT_FAT,
    KL_CONTENT_MCUBOOT, /* a program for MCUboot */
    KL_CONTENT_ULP,
    KL_CONTENT_ELF,
    KL_CONTENT_UF2,
    KL_CONTENT_HEX,
    KL_CONTENT_ARCHIVE, /* zip or gzip */
    KL_CONTENT_TEXT,
    KL_CONTENT_SECRET, /* looks encrypted: every byte value, evenly */
};

enum kl_content kl_content_of(const uint8_t *data, size_t size);
const char *kl_content_name(enum kl_content content); /* "a LittleFS", "an ELF file" … */

#endif
