/* bytes.h: little-endian figures and text in files of the chips. Private to the bundle. */
#ifndef KEYLINE_ADAPTERS_BYTES_H
#define KEYLINE_ADAPTERS_BYTES_H

#include "keyline/base.h"

static inline uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* True if all `size` bytes are `value`. */
static inline bool all_are(const uint8_t *data, size_t size, uint8_t value)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != value)
            return false;
    return true;
}

/* Copies text from a file for a terminal, without anything that could move the cursor. `out` has
   size + 1. */
static inline void copy_text(char *out, const uint8_t *text, size_t size)
{
    size_t n = 0;

    for (; n < size && text[n]; n++)
        out[n] = text[n] < ' ' || text[n] > '~' ? '?' : (char)text[n];
    out[n] = '\0';
}

#endif
