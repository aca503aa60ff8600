#include "csv_asks.h"

#include <string.h>

enum {
    ALIKE_ROWS = 3,  /* so many rows make a rule … */
    ALIKE_DIGITS = 8 /* … about values of so many hex digits */
};

/* ---- asking ---- */

static void name_it(struct kl_csv_asks *a, const struct kl_file_id *of)
{
    const uint64_t file[] = {(uint64_t)of->dev, (uint64_t)of->ino, (uint64_t)of->size,
                             (uint64_t)of->mtim.tv_sec, (uint64_t)of->mtim.tv_nsec};
    uint64_t hash =
        kl_hash_more(kl_hash(file, sizeof file), a->question.text, strlen(a->question.text));

    kl_format(a->question.id, sizeof a->question.id, "%08x", (unsigned)(hash ^ hash >> 32));
}

void kl_csv_ask(struct kl_csv_asks *a, enum kl_csv_question what, const struct kl_file_id *of,
                const char *text)
{
    KL_ASSERT(what != KL_ASKS_NOTHING);
    a->what = what;
    kl_copy(a->question.text, sizeof a->question.text, text);
    name_it(a, of);
}

void kl_csv_ask_nothing(struct kl_csv_asks *a)
{
    a->what = KL_ASKS_NOTHING;
    memset(&a->question, 0, sizeof a->question);
    kl_csv_ask_hold(a, NULL);
}

void kl_csv_ask_hold(struct kl_csv_asks *a, struct kl_table *t)
{
    kl_table_free(a->held);
    a->held = t;
}

bool kl_csv_is_answered(const struct kl_csv_asks *a, enum kl_csv_question what,
                        const struct kl_file_id *of)
{
    return (a->answered >> what & 1) != 0 && kl_file_id_equal(&a->answered_of, of);
}

bool kl_csv_take_answer(struct kl_csv_asks *a, const char *id, const struct kl_file_id *of)
{
    if (a->what == KL_ASKS_NOTHING || strcmp(id, a->question.id) != 0)
        return false;
    if (!kl_file_id_equal(&a->answered_of, of))
        a->answered = 0;
    a->answered_of = *of;
    a->answered |= 1u << a->what;
    if (a->what == KL_ASKS_KIND && a->held)
        a->passed = a->held->verdict;
    return true;
}

/* ---- what is suspicious ---- */

/* A person has seen as many findings of this kind in this column. */
static bool is_passed(const struct kl_csv_verdict *passed, const struct kl_csv_finding *f)
{
    for (unsigned i = 0; i < passed->count; i++)
        if (passed->finding[i].kind == f->kind && passed->finding[i].column == f->column)
            return passed->finding[i].count >= f->count;
    return false;
}

bool kl_csv_is_suspicious(const struct kl_csv_asks *a, const struct kl_csv_verdict *v,
                          uint32_t accepted, char text[KL_TEXT_MAX])
{
    struct kl_csv_verdict left = {.count = 0};

    for (unsigned i = 0; i < v->count; i++)
        if (!is_passed(&a->passed, &v->finding[i]))
            left.finding[left.count++] = v->finding[i];
    return kl_csv_refused(&left, accepted, text);
}

static bool is_alike(const struct kl_column_form *c)
{
    return c->hex && c->odd_line == 0 && c->rows >= ALIKE_ROWS && c->size >= ALIKE_DIGITS;
}

bool kl_csv_is_other_list(const struct kl_table *old, const struct kl_table *fresh,
                          char text[KL_TEXT_MAX])
{
    text[0] = '\0';
    if (old->fields == 0 || fresh->fields == 0)
        return false;
    if (old->fields != fresh->fields) {
        kl_format(text, KL_TEXT_MAX,
                  "most rows have %u fields now, and had %u: is this another list?", fresh->fields,
                  old->fields);
        return true;
    }
    /* Who let findings of the judge pass has looked at these rows. */
    for (unsigned i = 1; i < fresh->fields && text[0] == '\0' && fresh->verdict.count == 0; i++) {
        const struct kl_column_form *was = &old->form[i], *is = &fresh->form[i];
        bool begins_alike = is->hex && is->size == was->size;
        if (!is_alike(was) || (begins_alike && is->odd_line == 0))
            continue;
        kl_format(text, KL_TEXT_MAX,
                  "line %u, column %u: not the %u hex digits of all rows before: is this another "
                  "list?",
                  begins_alike ? is->odd_line : is->first_line, i + 1, was->size);
    }
    return text[0] != '\0';
}
