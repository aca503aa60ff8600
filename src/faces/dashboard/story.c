#include "story.h"

#include <stdio.h>
#include <string.h>

#include "faces/face_text.h"
#include "keyline/store.h"

enum {
    LINES_MAX = 500,
    LAST_WORDS = 10,
};

/* The words for a reason's name; a name that is not known stands for itself. */
static const char *reason_words(const char *name)
{
    for (int r = KL_FAULT_NONE + 1; r < KL_FAULT_COUNT; r++)
        if (strcmp(kl_fault_info((enum kl_reason)r).name, name) == 0)
            return kl_fault_info((enum kl_reason)r).text;
    return name;
}

static bool add_entry(void *ctx, const struct kl_ledger_entry *e)
{
    struct kl_log *log = ctx;
    const char *why = reason_words(e->reason);
    char when[32], text[KL_TEXT_MAX * 3];

    kl_iso_time(e->wall, when);
    snprintf(text, sizeof text, "%.10s %.8s  %s %s%s%s%s%s%s%s", when, when + 11, e->what, e->label,
             e->slot[0] ? " in slot " : "", e->slot, e->result[0] ? ": " : "", e->result,
             why[0] ? ": " : "", why);
    kl_log_add(log, text);
    if (e->detail[0]) {
        snprintf(text, sizeof text, "%21s%s", "", e->detail);
        kl_log_add(log, text);
    }
    return true;
}

static void read_ledger(struct kl_log *log, const struct kl_in_doubt *key, const char *csv)
{
    struct kl_store_options options = {.csv = csv, .mode = KL_STORE_RECORD};
    struct kl_store *store = NULL;
    char error[KL_TEXT_MAX] = "", mac[18];

    kl_mac_format(&key->mac, mac);
    if (kl_store_open(&options, &store, error) != KL_STORE_OPENED ||
        !kl_store_history(store, mac, NULL, add_entry, log, error))
        kl_log_add(log, error[0] ? error : "the ledger can't be read");
    kl_store_free(store);
}

/* The board may be on the bench again, in any slot. */
static void add_last_words(struct kl_model *m, const struct kl_in_doubt *key)
{
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < m->snap.slot_count; i++) {
        const struct kl_log *log = &m->log[i];
        unsigned first = log->count > LAST_WORDS ? log->count - LAST_WORDS : 0;
        if (!kl_mac_equal(&m->snap.slot[i].identity.mac, &key->mac))
            continue;
        snprintf(text, sizeof text, "It is in slot %u %s now. What it said last:", i + 1,
                 m->snap.slot[i].name);
        kl_log_add(&m->story, text);
        for (unsigned n = first; n < log->count; n++)
            kl_log_add(&m->story, kl_log_line(log, n));
        return;
    }
    kl_log_add(&m->story,
               "Its board is not on the bench. What it said stands in --log-dir, by its MAC.");
}

void dashboard_story(struct kl_model *m, unsigned chosen, const char *csv)
{
    char text[KL_TEXT_MAX], mac[18];

    kl_log_finish(&m->story);
    if (chosen >= m->in_doubt_count || !kl_log_init(&m->story, LINES_MAX))
        return;
    kl_mac_format(&m->in_doubt[chosen].mac, mac);
    snprintf(text, sizeof text, "Reserved for the board %s. Times are UTC.", mac);
    kl_log_add(&m->story, text);
    read_ledger(&m->story, &m->in_doubt[chosen], csv);
    add_last_words(m, &m->in_doubt[chosen]);
}
