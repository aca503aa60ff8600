#include "keyline/lint.h"

#include <string.h>

#include "csv_table.h"
#include "keyline/store.h"

static void name_unfit(const struct kl_table *t, struct kl_csv_lint *out)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (!t->row[i].bad)
            continue;
        if (out->unfit < KL_LINT_ROWS_MAX) {
            out->row[out->unfit].line = t->row[i].line;
            out->row[out->unfit].why = kl_store_row_why(&t->row[i]);
        }
        out->unfit++;
    }
}

bool kl_csv_lint(const char *path, bool header, struct kl_csv_lint *out, char error[KL_TEXT_MAX])
{
    struct kl_table *t = NULL;
    enum kl_table_result result =
        kl_table_load(path, header ? KL_CSV_LONG_IF_PLACES : KL_CSV_PLAIN, &t, error);

    memset(out, 0, sizeof *out);
    if (result == KL_TABLE_BROKEN) {
        kl_copy(out->broken, sizeof out->broken, error);
        error[0] = '\0';
        return true;
    }
    if (result != KL_TABLE_OK)
        return false;
    out->rows = t->count;
    out->fields = t->fields;
    out->verdict = t->verdict;
    name_unfit(t, out);
    kl_table_free(t);
    return true;
}
