#include "patterns.h"

#include <locale.h>
#include <string.h>

/* The text may hold a part of a key. In this locale, and with letter case counting, the C library
   reads the text in place and copies nothing of it to its own memory. */
static bool match(const void *pattern, const char *text, size_t size)
{
    regmatch_t whole = {.rm_so = 0, .rm_eo = (regoff_t)size};

    return regexec(pattern, text, 1, &whole, REG_STARTEND) == 0;
}

static bool compile(regex_t *out, const void **pattern, const char *option, const char *text,
                    char error[KL_TEXT_MAX])
{
    char why[128];
    int status;

    if (!text)
        return true;
    if (!text[0]) {
        kl_format(error, KL_TEXT_MAX, "--%s: an empty pattern would match every line", option);
        return false;
    }
    status = regcomp(out, text, REG_EXTENDED);
    if (status == 0) {
        *pattern = out;
        return true;
    }
    regerror(status, out, why, sizeof why);
    kl_format(error, KL_TEXT_MAX, "--%s %s: no regular expression: %s", option, text, why);
    return false;
}

bool patterns_compile(struct patterns *p, const char *prompt, const char *ack, const char *fields,
                      char error[KL_TEXT_MAX])
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
    bool good;

    *p = (struct patterns){.words = {.match = match}};
    if (!plain) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return false;
    }
    before = uselocale(plain);
    good = compile(&p->prompt, &p->words.prompt, "prompt", prompt, error) &&
           compile(&p->ack, &p->words.ack, "ack", ack, error) &&
           compile(&p->fields, &p->words.fields, "field-names", fields, error);
    uselocale(before);
    freelocale(plain);
    return good;
}

void patterns_free(struct patterns *p)
{
    if (p->words.prompt)
        regfree(&p->prompt);
    if (p->words.ack)
        regfree(&p->ack);
    if (p->words.fields)
        regfree(&p->fields);
    p->words = (struct kl_words){.match = NULL};
}
