#include "patterns.h"

struct reader {
    void (*complain)(void *ctx, const char *text);
    void *ctx;
    bool good;
};

static bool match(const void *pattern, const char *text, size_t size)
{
    return kl_pattern_match(pattern, text, size);
}

static void refuse(struct reader *r, const char *option, const char *text, const char *why)
{
    char line[KL_TEXT_MAX];

    kl_format(line, sizeof line, "--%s %.*s: %s", option, (int)KL_PATTERN_TEXT_MAX, text, why);
    r->complain(r->ctx, line);
    r->good = false;
}

static bool compile(struct reader *r, struct kl_pattern *out, const char *option, const char *text)
{
    char why[KL_TEXT_MAX];

    if (text[0] == '\0') {
        refuse(r, option, "\"\"", "an empty pattern would match every line");
        return false;
    }
    if (kl_pattern_compile(out, text, why))
        return true;
    refuse(r, option, text, why);
    return false;
}

static void take_word(struct reader *r, struct kl_pattern *out, const void **word,
                      const char *option, const char *text)
{
    if (text && compile(r, out, option, text))
        *word = out;
}

static unsigned take_texts(struct reader *r, struct kl_exam_text *out, const char *option,
                           const struct option_list *list)
{
    if (list->count > KL_EXAM_MAX) {
        refuse(r, option, "…", "at most 16 of them are taken");
        return 0;
    }
    for (unsigned i = 0; i < list->count; i++) {
        out[i].source = list->item[i];
        if (compile(r, &out[i].pattern, option, list->item[i]) &&
            kl_pattern_match(&out[i].pattern, "", 0))
            refuse(r, option, list->item[i],
                   "it would match every line, as it matches no text at all");
    }
    return list->count;
}

bool patterns_compile(struct patterns *p, const struct station_args *a,
                      void (*complain)(void *ctx, const char *text), void *ctx)
{
    struct reader r = {.complain = complain, .ctx = ctx, .good = true};

    *p = (struct patterns){.words = {.match = match}};
    take_word(&r, &p->prompt, &p->words.prompt, "prompt", a->prompt);
    take_word(&r, &p->ack, &p->words.ack, "ack", a->ack);
    take_word(&r, &p->fields, &p->words.fields, "field-names", a->field_names);
    p->texts.timeout = a->expect_timeout;
    p->texts.expects = take_texts(&r, p->texts.expect, "expect", &a->expect);
    p->texts.rejects = take_texts(&r, p->texts.reject, "reject", &a->reject);
    if (p->texts.expects + p->texts.rejects > 0)
        p->exam = &p->texts;
    return r.good;
}
