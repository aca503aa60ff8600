/* nvs_value.h: turns values as people write them into bytes. For the builder only. */
#ifndef CORE_NVS_VALUE_H
#define CORE_NVS_VALUE_H

#include "keyline/nvs.h"

/* A text that kl_nvs_check_value found right, as bytes. */
struct nvs_text {
    enum kl_nvs_encoding encoding;
    struct kl_span text;
};

bool nvs_is_number(enum kl_nvs_encoding e);
enum kl_nvs_type nvs_type_of(enum kl_nvs_encoding e);
/* The number as an entry holds it: little endian, the unused bytes 0xFF. */
void nvs_number(const struct nvs_text *t, uint8_t out[8]);
/* The source of its bytes; a string's NUL is one of them. `t` stays the caller's. */
struct kl_nvs_source nvs_text_source(const struct nvs_text *t);

#endif
