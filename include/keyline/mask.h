/*
 * mask.h: takes key bytes out of text that came from a board, before anybody sees it.
 *
 * Two nets. One knows the key that is being handed over and finds its fields as stored, in the
 * other case, with separators, and as bytes in hex with or without 0x. The other knows no key:
 * any run of eight or more hex bytes goes, and the values of a read-back go whole, except the
 * public label.
 */
#ifndef KEYLINE_MASK_H
#define KEYLINE_MASK_H

#include "keyline/key.h"

/* Replaces what must not be seen in line[0 … *size) by "[masked]" (the text may shrink or grow up
   to `capacity`; what no longer fits is cut). Control and escape bytes become '.', broken UTF-8
   '?'. `key` may be NULL. Returns true if something was masked. */
bool kl_mask_line(char *line, size_t *size, size_t capacity, const struct kl_key *key);

#endif
