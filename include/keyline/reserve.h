/*
 * reserve.h: logs and events stop well before their disk is full. The rest is for the ledger and
 * the CSV.
 */
#ifndef KEYLINE_RESERVE_H
#define KEYLINE_RESERVE_H

#include "keyline/base.h"

enum {
    KL_RESERVE_KEPT = -1, /* beside errno's: not written, to keep the reserve */
};

/* Bytes that stay free on a disk of this size: a tenth, but 64 MiB at most. */
uint64_t kl_reserve_of(uint64_t disk);
/* Whether `size` more bytes may go to this open file. True for pipes and terminals, and where
   nobody can tell. */
bool kl_reserve_allows(int fd, size_t size);
/* strerror, with a sentence of its own for KL_RESERVE_KEPT. */
const char *kl_reserve_error(int error);

#endif
