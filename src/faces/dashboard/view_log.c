/* view_log.c: a ring of log lines for the dashboard. */
#include <stdlib.h>
#include <string.h>

#include "view.h"

bool kl_log_init(struct kl_log *log, unsigned size)
{
    *log = (struct kl_log){.size = size, .line = calloc(size, sizeof(char *))};
    return log->line;
}

void kl_log_add(struct kl_log *log, const char *text)
{
    char *copy = strdup(text);
    unsigned at = (log->head + log->count) % (log->size ? log->size : 1);

    if (!copy || !log->size) {
        free(copy);
        return;
    }
    if (log->count == log->size) {
        free(log->line[log->head]);
        at = log->head;
        log->head = (log->head + 1) % log->size;
        log->dropped++;
    } else {
        log->count++;
    }
    log->line[at] = copy;
}

const char *kl_log_line(const struct kl_log *log, unsigned i)
{
    return i < log->count ? log->line[(log->head + i) % log->size] : NULL;
}

void kl_log_finish(struct kl_log *log)
{
    for (unsigned i = 0; i < log->count; i++)
        free(log->line[(log->head + i) % log->size]);
    free(log->line);
    *log = (struct kl_log){0};
}
