#include "report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "faces/faces.h"

#include "keyline/shell.h"

enum {
    NAMED_MAX = 10 /* reserved keys that are listed one by one */
};

void kl_report_error(const char *format, ...)
{
    char text[KL_TEXT_MAX * 2];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "%skeyline: %s\n", headless_goes_to_journal(STDERR_FILENO) ? "<3>" : "", text);
}

static void print_reserved(FILE *out, const struct kl_pool *pool)
{
    unsigned named = 0;
    char mac[18];

    for (uint32_t i = 0; i < pool->count && named < NAMED_MAX; i++) {
        const struct kl_pool_key *k = kl_pool_key(pool, i);
        if (k->state != KL_KEY_RESERVED)
            continue;
        kl_mac_format(kl_pool_mac(pool, i), mac);
        fprintf(out, "  %s is reserved for %s: plug that board in to settle it\n",
                kl_pool_row_of(pool, i)->label, mac);
        named++;
    }
    if (pool->counts.reserved > named)
        fprintf(out, "  and %u more: see keyline keys status\n", pool->counts.reserved - named);
}

static void print_count(FILE *out, uint32_t n, const char *one, const char *many)
{
    if (n > 0)
        fprintf(out, "  %u %s\n", n, n == 1 ? one : many);
}

static void print_notes(FILE *out, const struct kl_pool_counts *c)
{
    print_count(out, c->copies, "row is an exact copy of another and counts as the same key",
                "rows are exact copies of others and count as the same keys");
    print_count(out, c->foreign, "row was marked by another tool: its board is not known",
                "rows were marked by another tool: their boards are not known");
    print_count(out, c->bad_lines, "row can't be sent to a board and is not handed out",
                "rows can't be sent to a board and are not handed out");
    print_count(out, c->changed, "key of the ledger has other fields in the CSV: it is kept back",
                "keys of the ledger have other fields in the CSV: they are kept back");
    print_count(out, c->vanished, "key of the ledger is no longer in the CSV",
                "keys of the ledger are no longer in the CSV");
    print_count(out, c->unmarked, "provisioned key lacks its mark in the CSV: it is added",
                "provisioned keys lack their mark in the CSV: it is added");
}

static bool judge(FILE *out, const char *csv, const struct kl_pool *pool)
{
    const struct kl_pool_counts *c = &pool->counts;

    if (c->conflicts > 0) {
        kl_report_error("%s: lines %u and %u have one label and different keys: a board could get "
                        "either. Correct the file%s.",
                        csv, c->conflict_line_a, c->conflict_line_b,
                        c->conflicts > 1 ? "; there are more such pairs" : "");
        return false;
    }
    if (c->twins > 0) {
        kl_report_error("%s: lines %u and %u have one secret under two labels: two boards would "
                        "get it. Correct the file%s.",
                        csv, c->twin_line_a, c->twin_line_b,
                        c->twins > 1 ? "; there are more such pairs" : "");
        return false;
    }
    fprintf(out, "%s: %u keys: %u free, %u reserved, %u provisioned", csv, c->total, c->free,
            c->reserved, c->provisioned);
    if (c->blocked > 0)
        fprintf(out, ", %u kept back", c->blocked);
    fprintf(out, "\n");
    print_reserved(out, pool);
    print_notes(out, c);
    return true;
}

void kl_report_lost_ledger(const char *csv, const struct kl_store_content *content,
                           char text[KL_TEXT_MAX])
{
    text[0] = '\0';
    if (content->lost_ledger)
        kl_format(text, KL_TEXT_MAX,
                  "warning: rows are marked and there was no ledger. If keyline marked them, stop "
                  "now and put %s.ledger back: only it knows which keys boards were being given",
                  csv);
}

bool kl_report_keys(FILE *out, const char *csv, const struct kl_store_content *content,
                    struct kl_loaded_keys *loaded)
{
    struct kl_pool pool = {0};
    struct kl_pool_size size = kl_pool_size_of(&pool, content->rows, content->row_count,
                                               content->ledger, content->ledger_count);
    struct kl_pool_memory *memory = kl_pool_memory_alloc(&size);
    char lost[KL_TEXT_MAX];
    bool good;

    KL_ASSERT(memory);
    kl_report_lost_ledger(csv, content, lost);
    if (lost[0])
        fprintf(out, "%s\n", lost);
    if (content->forgets[0])
        fprintf(out, "%s: for demonstrations only: it lies on %s\n", csv, content->forgets);
    if (content->warning[0])
        fprintf(out, "%s: warning: %s\n", csv, content->warning);
    kl_pool_load(&pool, memory, content->rows, content->row_count, content->ledger,
                 content->ledger_count);
    good = judge(out, csv, &pool);
    if (loaded)
        *loaded = (struct kl_loaded_keys){pool, memory};
    else
        kl_pool_memory_free(memory);
    return good;
}
