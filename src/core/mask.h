/*
 * mask.h: takes key bytes out of text that came from a board, before anybody sees it.
 *
 * Three nets. The first knows the key that is being handed over and finds its fields as stored, in
 * the other case, with separators, as bytes in hex with or without 0x, in decimal, reversed, in
 * base64, and parts of all these from eight characters on. The second knows no key: any run of
 * eight or more hex bytes goes (addresses and MACs stay). The third takes what follows a word like
 * "key:" or "password=". The public label of a known key stays readable.
 */
#ifndef KEYLINE_MASK_H
#define KEYLINE_MASK_H

#include "keyline/key.h"

enum {
    KL_MASK_LINE_MAX = 1024 /* longer lines are cut, so that no key can hide in the rest */
};

/* Writes the line to `out` (another place) with "[masked]" for what must not be seen, and returns
   its size; what no longer fits into `capacity` is cut between two characters. Tabs become blanks,
   control and escape bytes '.', broken UTF-8 '?'. `key` may be NULL. */
size_t kl_mask_line(char *out, size_t capacity, const char *line, size_t size,
                    const struct kl_key *key);
/* Drops terminal control sequences (colours) from a line. Returns the new size. */
size_t kl_mask_strip_escapes(char *line, size_t size);

#endif
