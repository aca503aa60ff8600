/* Fuzzes the patterns of --expect and --reject: whatever is written and whatever a board says, a
   match takes at most so many steps as the pattern has times the text has bytes; and what stands in
   other words for the same pattern matches the same. The input is a length, a pattern of it, and a
   text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keyline/base.h"

/* Each step that the matcher follows asserts something: that is how they are counted. */
static uint64_t followed;
#undef KL_ASSERT
#define KL_ASSERT(condition) (followed++, (condition) ? (void)0 : abort())
#include "core/pattern.c"

enum {
    PATTERN_MAX = KL_PATTERN_TEXT_MAX - 16, /* other words need room, too */
    LINE_MAX_HERE = 256,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool match_in_time(const struct kl_pattern *p, const char *text, size_t size)
{
    followed = 0;
    bool found = kl_pattern_match(p, text, size);
    if (followed > (uint64_t)p->steps * (size + 1) + 1)
        abort();
    return found;
}

/* The pattern between two others. Too large: says nothing. */
static void expect_same(const char *before, const char *pattern, const char *behind,
                        const char *text, size_t size, bool found)
{
    static struct kl_pattern p;
    char words[2 * KL_PATTERN_TEXT_MAX], error[KL_TEXT_MAX];

    kl_format(words, sizeof words, "%s%s%s", before, pattern, behind);
    if (kl_pattern_compile(&p, words, error) && match_in_time(&p, text, size) != found)
        abort();
}

static void check(const struct kl_pattern *p, const char *pattern, const char *text, size_t size)
{
    bool found = match_in_time(p, text, size);

    if (p->steps > KL_PATTERN_STEPS_MAX || p->sets > KL_PATTERN_SETS_MAX)
        abort();
    expect_same("(", pattern, ")", text, size, found);
    expect_same("(", pattern, "){1}", text, size, found);
    expect_same("^.*(", pattern, ")", text, size, found);
    expect_same("(", pattern, ").*$", text, size, found);
    expect_same("\\Wx{3}~{9}y|(", pattern, ")", text, size, found); /* not in these texts */
    expect_same("(", pattern, ")*", text, size, true);
    expect_same("(", pattern, "){0,2}", text, size, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kl_pattern p;
    char pattern[PATTERN_MAX + 1], error[KL_TEXT_MAX], text[LINE_MAX_HERE];

    if (size == 0)
        return 0;
    size_t length = data[0] % PATTERN_MAX;
    length = length < size - 1 ? length : size - 1;
    memcpy(pattern, data + 1, length);
    pattern[length] = '\0';
    size_t rest = size - 1 - length < sizeof text ? size - 1 - length : sizeof text;
    for (size_t i = 0; i < rest;
         i++) /* no ~: one of the other words needs a byte that never comes */
        text[i] = data[1 + length + i] == '~' ? '-' : (char)data[1 + length + i];
    error[0] = '\0';
    if (kl_pattern_compile(&p, pattern, error))
        check(&p, pattern, text, rest);
    else if (!error[0])
        abort();
    return 0;
}
