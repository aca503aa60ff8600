/*
 * stats.h: what became of the boards, slot by slot: for the dashboard's page, the table at the end
 * and `keyline report`. The caller feeds results, of a running station or from the history; no
 * clock.
 */
#ifndef KEYLINE_STATS_H
#define KEYLINE_STATS_H

#include <stdio.h>

#include "keyline/station.h"

enum {
    KL_STATS_REASONS = 3, /* the most frequent ones of a slot */
};

/* One turn of a board, once it is over. */
struct kl_stats_result {
    struct kl_mac mac; /* not set: nobody knows which board it was */
    const char *slot;
    enum kl_state result; /* DONE, FAILED; SKIPPED does not count */
    enum kl_reason reason;
    unsigned tries; /* 1 = done or failed at the first try */
    uint32_t baud;
    kl_us took;
    int64_t wall; /* when it ended */
};

struct kl_stats_slot {
    char name[KL_NAME_MAX];
    unsigned turns, done, failed; /* turns of boards; a board may have had several */
    unsigned first_pass;          /* turns that were done at the first try */
    kl_us last;                   /* of the last one that was done; 0 = none */
    kl_us median;                 /* of those that were done; 0 = none */
    uint32_t baud;                /* of the last one that was done; 0 = none */
    struct {
        enum kl_reason reason;
        unsigned count;
    } reason[KL_STATS_REASONS]; /* the most frequent first; count 0 = no more */
    bool worse;                 /* than the other slots, by more than chance */
};

/* What is shown. Boards are counted by MAC, however often each was tried. */
struct kl_stats_view {
    uint32_t done, failed;    /* boards, by their last result */
    uint32_t first_pass;      /* boards that were done at the first try of their first turn */
    uint32_t boards_per_hour; /* over the last hour of work; 0 = not known yet */
    kl_us last_took;          /* of the last result; 0 = none yet */
    char last_slot[KL_NAME_MAX];
    enum kl_state last_result;
    unsigned slot_count;
    struct kl_stats_slot slot[KL_SLOTS_MAX]; /* by name: A2 before A10 */
};

struct kl_stats;
/* NULL if memory is out. */
struct kl_stats *kl_stats_create(void);
void kl_stats_free(struct kl_stats *s);
void kl_stats_add(struct kl_stats *s, const struct kl_stats_result *r);
/* `wall`: now. */
void kl_stats_look(const struct kl_stats *s, int64_t wall, struct kl_stats_view *out);
/* The table, at most 80 columns wide; nothing if there was no result. */
void kl_stats_print(const struct kl_stats_view *v, FILE *out);
#define KL_STATS_HEADING "turns  done  fail first    median    baud  fails by reason"
/* One row of the table, without the slot's name; reasons that don't fit in `size` bytes are left
   out. */
void kl_stats_slot_text(const struct kl_stats_slot *s, char *out, size_t size);

#endif
