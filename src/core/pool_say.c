/* pool_say.c: says in words which rows of the list no board gets, and what to do about them. */
#include "pool_private.h"

static void more(char text[KL_TEXT_MAX], uint32_t count, const char *end)
{
    size_t n = strlen(text);

    if (count > 1)
        n += kl_format(text + n, KL_TEXT_MAX - n, ", and %u more like that", count - 1);
    kl_format(text + n, KL_TEXT_MAX - n, "%s", end);
}

bool kl_pool_kept_back(const struct kl_pool *p, char text[KL_TEXT_MAX])
{
    const struct kl_pool_counts *c = &p->counts;

    text[0] = '\0';
    if (c->twins > 0) {
        kl_format(text, KL_TEXT_MAX, "lines %u and %u have one secret under two labels",
                  c->twin_line_a, c->twin_line_b);
        more(text, c->twins, ": kept back; give each key a secret of its own");
    } else if (c->conflicts > 0) {
        kl_format(text, KL_TEXT_MAX, "lines %u and %u have one label and different keys",
                  c->conflict_line_a, c->conflict_line_b);
        more(text, c->conflicts, ": kept back; give each key a label of its own");
    } else if (c->changed_line > 0) {
        kl_format(text, KL_TEXT_MAX,
                  "line %u has the label or the secret of a key that a board may have, and other "
                  "fields: kept back; put the old row back",
                  c->changed_line);
    } else if (c->bad_line > 0) {
        kl_format(text, KL_TEXT_MAX, "line %u can't be a key", c->bad_line);
        more(text, c->bad_lines, ": kept back; see keyline keys lint");
    }
    return text[0] != '\0';
}
