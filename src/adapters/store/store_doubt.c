/* store_doubt.c: what the store asks a person before a key leaves, and what it does with the
   answer. */
#include <string.h>

#include "adapters/host/disk.h"
#include "store_state.h"

/* ---- labels ---- */

/* The next row of the ledger, from `i` on, whose key has another label in the CSV. */
static uint32_t next_renamed(const struct kl_worker *w, const struct kl_shown *shown, uint32_t i,
                             uint32_t *at)
{
    for (; i < shown->content.ledger_count; i++) {
        *at = kl_table_find(w->csv.table, &shown->ledger[i].fingerprint);
        if (*at != UINT32_MAX && strcmp(w->csv.table->row[*at].label, shown->ledger[i].label) != 0)
            break;
    }
    return i;
}

static bool rename_all(struct kl_worker *w, struct kl_shown *shown, char error[KL_TEXT_MAX])
{
    uint32_t at = 0;

    if (!kl_ledger_begin(w->ledger, error))
        return false;
    for (uint32_t i = next_renamed(w, shown, 0, &at); i < shown->content.ledger_count;
         i = next_renamed(w, shown, i + 1, &at)) {
        struct kl_ledger_row *row = &shown->ledger[i];
        char reason[KL_TEXT_MAX];
        struct kl_ledger_change c = {.fingerprint = row->fingerprint,
                                     .mac = row->mac,
                                     .label = w->csv.table->row[at].label,
                                     .reason = reason,
                                     .station = w->station,
                                     .wall = kl_store_wall_clock()};

        kl_format(reason, sizeof reason, "was %s; confirmed by a person", row->label);
        if (kl_ledger_rename(w->ledger, &c, error) != KL_STORE_OK) {
            kl_ledger_rollback(w->ledger);
            return false;
        }
        row->label = c.label;
    }
    return kl_ledger_commit(w->ledger, error);
}

static void say_renamed(const struct kl_worker *w, const struct kl_shown *shown, uint32_t i,
                        uint32_t at, char error[KL_TEXT_MAX])
{
    const struct kl_ledger_row *row = &shown->ledger[i];
    uint32_t more = 0, other;
    char mac[18];

    for (uint32_t k = next_renamed(w, shown, i + 1, &other); k < shown->content.ledger_count;
         k = next_renamed(w, shown, k + 1, &other))
        more++;
    kl_mac_format(&row->mac, mac);
    kl_format(error, KL_TEXT_MAX, "%s: line %u: the key %.40s, which is %s %s, is called %.40s now",
              kl_shown(w->csv.named), w->csv.table->row[at].line, row->label,
              row->provisioned ? "provisioned to" : "reserved for", mac,
              w->csv.table->row[at].label);
    if (more > 0)
        kl_format(error + strlen(error), KL_TEXT_MAX - strlen(error), ", and %u more like that",
                  more);
}

enum kl_store_open_result kl_store_settle_names(struct kl_worker *w, struct kl_shown *shown,
                                                bool answered, char error[KL_TEXT_MAX])
{
    uint32_t at, i = next_renamed(w, shown, 0, &at);

    if (i == shown->content.ledger_count)
        return KL_STORE_OPENED;
    if (answered)
        return rename_all(w, shown, error) ? KL_STORE_OPENED : KL_STORE_BROKEN;
    say_renamed(w, shown, i, at, error);
    return KL_STORE_DOUBT;
}
