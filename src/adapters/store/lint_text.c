/* lint_text.c: says in words what a CSV's judge found. */
#include <string.h>

#include "keyline/lint.h"

struct kl_csv_kind_info kl_csv_kind_info(enum kl_csv_kind kind)
{
    static const struct kl_csv_kind_info infos[] = {
#define X(name, word, text, advice) [KL_CSV_##name] = {word, text, advice},
        KL_CSV_KINDS(X)
#undef X
    };
    KL_ASSERT(kind < KL_CSV_KIND_COUNT);
    return infos[kind];
}

bool kl_csv_kind_by_word(const char *word, enum kl_csv_kind *kind)
{
    for (int i = 0; i < KL_CSV_KIND_COUNT; i++)
        if (strcmp(kl_csv_kind_info((enum kl_csv_kind)i).word, word) == 0) {
            *kind = (enum kl_csv_kind)i;
            return true;
        }
    return false;
}

/* "line 7", "lines 7, 8 and 20 more", with ", column 2" */
static size_t say_where(const struct kl_csv_finding *f, char *out, size_t size)
{
    uint32_t named = 0;
    size_t n;

    while (named < f->count && named < KL_CSV_LINES_MAX && f->line[named] > 0)
        named++;
    n = named == 0 ? kl_format(out, size, "the file")
                   : kl_format(out, size, "line%s", f->count > 1 ? "s" : "");
    for (uint32_t i = 0; i < named; i++) {
        const char *before = i == 0 ? " " : i + 1 == f->count ? " and " : ", ";
        n += kl_format(out + n, size - n, "%s%u", before, (unsigned)f->line[i]);
    }
    if (named > 0 && f->count > named)
        n += kl_format(out + n, size - n, " and %u more", (unsigned)(f->count - named));
    if (f->column > 0)
        n += kl_format(out + n, size - n, ", column %u", (unsigned)f->column);
    return n;
}

void kl_csv_finding_text(const struct kl_csv_finding *f, char text[KL_TEXT_MAX])
{
    size_t n = say_where(f, text, KL_TEXT_MAX);

    kl_format(text + n, KL_TEXT_MAX - n, ": %s", kl_csv_kind_info(f->kind).text);
}

const char *kl_csv_finding_advice(const struct kl_csv_finding *f)
{
    /* --csv-header skips the first row alone. */
    if (f->kind == KL_CSV_HEADER && (f->count > 1 || f->line[0] > 1))
        return "were two lists pasted one behind the other? keyline keys lint --fix leaves it out";
    return kl_csv_kind_info(f->kind).advice;
}

bool kl_csv_refused(const struct kl_csv_verdict *v, uint32_t accepted, char text[KL_TEXT_MAX])
{
    text[0] = '\0';
    for (unsigned i = 0; i < v->count; i++) {
        const struct kl_csv_finding *f = &v->finding[i];
        struct kl_csv_kind_info info = kl_csv_kind_info(f->kind);

        if (accepted & 1u << f->kind)
            continue;
        kl_csv_finding_text(f, text);
        kl_format(text + strlen(text), KL_TEXT_MAX - strlen(text), ": %s; or --accept %s",
                  kl_csv_finding_advice(f), info.word);
        return true;
    }
    return false;
}

void kl_csv_verdict_words(const struct kl_csv_verdict *v, char text[KL_TEXT_MAX])
{
    size_t n = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < v->count; i++)
        if (i == 0 || v->finding[i].kind != v->finding[i - 1].kind)
            n += kl_format(text + n, KL_TEXT_MAX - n, "%s%s", n > 0 ? ", " : "",
                           kl_csv_kind_info(v->finding[i].kind).word);
}
