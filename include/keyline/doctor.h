/*
 * doctor.h: whether this host is fit to be a bench, and what to type where it is not.
 *
 * Looks only: changes nothing, opens no port. Blocks.
 */
#ifndef KEYLINE_DOCTOR_H
#define KEYLINE_DOCTOR_H

#include "keyline/ports.h"

enum kl_verdict {
    KL_FINE,
    KL_UNKNOWN, /* could not be checked: text says why */
    KL_NOTE,    /* good to know */
    KL_TROUBLE, /* the bench won't work well */
};

struct kl_finding {
    const char *check; /* "groups": its name, for machines too */
    enum kl_verdict verdict;
    char text[KL_TEXT_MAX];   /* what was found */
    char advice[KL_TEXT_MAX]; /* what to type or do; "" if nothing */
};

struct kl_doctor {
    const char *root; /* "" = this host; tests give a folder with proc, sys, etc, dev … in it */
    const char *csv;  /* where the keys are or will be */
    int64_t now;      /* seconds since 1970 */
    bool clock_synchronised;
    void (*tell)(void *ctx, const struct kl_finding *finding);
    void *ctx;
};

/* Tells at least one finding per check. Returns how many are KL_TROUBLE. */
unsigned kl_doctor_run(const struct kl_doctor *d);

#endif
