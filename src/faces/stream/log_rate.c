#include "log_rate.h"

bool log_rate_take(struct log_rate *r, kl_us now, size_t size)
{
    int64_t passed = now - r->at;

    r->at = now;
    if (passed > KL_SEC(LOG_BURST / LOG_RATE))
        r->used = 0;
    else if (passed > 0)
        r->used -= passed * LOG_RATE / 1000000;
    if (r->used < 0)
        r->used = 0;
    /* After a gap an eighth of the burst must be free first: few long gaps, not many short ones. */
    if (r->used + (int64_t)size > LOG_BURST - (r->left_out > 0 ? LOG_BURST / 8 : 0)) {
        r->left_out++;
        return false;
    }
    r->used += (int64_t)size;
    return true;
}

bool log_rate_gap(struct log_rate *r, char text[KL_TEXT_MAX])
{
    if (r->left_out == 0)
        return false;
    kl_format(text, KL_TEXT_MAX, "%llu lines are left out here: the board prints more than %u kB/s",
              (unsigned long long)r->left_out, LOG_RATE / 1024u);
    r->left_out = 0;
    return true;
}
