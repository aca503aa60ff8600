/* cli_keys_lint.c: `keyline keys lint`: explains what is wrong with a CSV, and mends a copy. */
#include <stdio.h>
#include <string.h>

#include "cli_keys.h"
#include "keyline/cli.h"
#include "keyline/lint.h"
#include "pool_view.h"

static void say_kinds(const struct kl_csv_verdict *v)
{
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < v->count; i++) {
        struct kl_csv_kind_info info = kl_csv_kind_info(v->finding[i].kind);

        kl_csv_finding_text(&v->finding[i], text);
        printf("  %s\n      %s: %s\n", text, info.word, kl_csv_finding_advice(&v->finding[i]));
    }
}

static void say_unfit(const struct kl_csv_lint *l)
{
    uint32_t named = l->unfit < KL_LINT_ROWS_MAX ? l->unfit : KL_LINT_ROWS_MAX;

    for (uint32_t i = 0; i < named; i++)
        printf("  line %u can't be a key: %s\n", (unsigned)l->row[i].line, l->row[i].why);
    if (l->unfit > named)
        printf("  %u more lines like that\n", (unsigned)(l->unfit - named));
}

/* Looks for one key under two labels and one label on two keys: only all rows together show
   that. */
static bool say_doubles(const struct keys_args *a, const char *path)
{
    struct kl_pool_counts n;
    struct pool_view v;
    char error[KL_TEXT_MAX];

    if (pool_view_open(path, a->header, true, a->journal, &v, error) != KL_EXIT_OK)
        return false; /* a file that is no list of keys has no doubles */
    n = v.pool.counts;
    pool_view_close(&v);
    if (n.conflicts > 0)
        printf(
            "  lines %u and %u have one label and different keys%s: give each key a label of its "
            "own\n",
            (unsigned)n.conflict_line_a, (unsigned)n.conflict_line_b,
            n.conflicts > 1 ? ", and they are not the only ones" : "");
    if (n.twins > 0)
        printf("  lines %u and %u have one secret under two labels%s: give each board a secret of "
               "its own\n",
               (unsigned)n.twin_line_a, (unsigned)n.twin_line_b,
               n.twins > 1 ? ", and they are not the only ones" : "");
    return n.conflicts > 0 || n.twins > 0;
}

/* True if nothing is wrong. */
static bool say(const struct keys_args *a, const char *path, const struct kl_csv_lint *l)
{
    char kinds[KL_TEXT_MAX];
    bool doubles;

    if (l->broken[0] != '\0') {
        printf("%s\n", l->broken);
        return false;
    }
    printf("%s: %u rows, keys of %u fields\n", path, (unsigned)l->rows, l->fields);
    say_kinds(&l->verdict);
    say_unfit(l);
    doubles = say_doubles(a, path);
    if (l->verdict.count > 0) {
        kl_csv_verdict_words(&l->verdict, kinds);
        printf("no station starts with this. Correct it; or, if it is meant so, --accept each of: "
               "%s\n",
               kinds);
    } else if (doubles) {
        printf("no station starts with this. Correct it\n");
    } else if (l->unfit > 0) {
        printf("these rows are not handed out\n");
    } else {
        printf("nothing is wrong\n");
    }
    return l->verdict.count == 0 && l->unfit == 0 && !doubles;
}

static int complain(const char *error)
{
    fprintf(stderr, "keyline keys: %s\n", error);
    return KL_EXIT_INPUT;
}

static int fix(const struct keys_args *a)
{
    char to[4096], error[KL_TEXT_MAX];
    struct kl_csv_lint now;
    bool fine;

    if ((size_t)snprintf(to, sizeof to, "%s.fixed", a->csv) >= sizeof to)
        return complain("the path is too long");
    if (!kl_csv_fix(a->csv, a->header, to, error) || !kl_csv_lint(to, a->header, &now, error))
        return complain(error);
    printf("\nwritten: ");
    fine = say(a, to, &now);
    printf("%s is as it was. Compare both; the new one holds your keys too, and has mode 0600.\n",
           a->csv);
    return fine ? keys_printed() : KL_EXIT_INPUT;
}

static int lint_list(const struct keys_args *a)
{
    char error[KL_TEXT_MAX];
    struct kl_csv_lint l;
    bool fine;

    if (!kl_csv_lint(a->csv, a->header, &l, error))
        return complain(error);
    fine = say(a, a->csv, &l);
    if (fine || !a->fix)
        return keys_printed() != KL_EXIT_OK ? KL_EXIT_FAILED : fine ? KL_EXIT_OK : KL_EXIT_INPUT;
    return fix(a);
}

int keys_lint(const struct keys_args *a)
{
    int exit = lint_list(a), check = KL_EXIT_OK;

    if (a->export.as >= 0)
        check = keys_export_check(a);
    return exit == KL_EXIT_OK ? check : exit;
}
