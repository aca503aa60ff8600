/* wire_profile.c: see wire_profile.h. */
#include "wire_profile.h"

void wp_written(struct wire_profile *p, size_t size, uint32_t baud, kl_us now)
{
    if (p->free_at < now)
        p->free_at = now;
    p->free_at += (kl_us)(size * 10u * 1000000u / baud);
    p->written++;
}

static unsigned cause_of(const struct kl_loader *l)
{
    if (l->op.kind == KL_LOADER_OP_COMMAND)
        return l->op.code;
    return l->op.kind == KL_LOADER_OP_IO ? WP_LINES : WP_PAUSE;
}

static kl_us within(kl_us at, kl_us from, kl_us to)
{
    return at < from ? from : at < to ? at : to;
}

void wp_passes(struct wire_profile *p, const struct kl_loader *l, kl_us answers_at, kl_us from,
               kl_us to)
{
    struct wp_row *r = &p->row[l->walk.task][cause_of(l)];

    r->count += p->written;
    p->written = 0;
    if (to <= from)
        return;
    kl_us out = within(p->free_at, from, to);
    kl_us answered = within(answers_at, out, to);
    r->wire += out - from;
    if (l->op.kind != KL_LOADER_OP_COMMAND) {
        r->pause += to - out;
        return;
    }
    r->board += answered - out;
    r->answer += to - answered;
}

struct wp_row wp_sum(const struct wire_profile *p, enum kl_loader_task task, unsigned code)
{
    struct wp_row sum = {0};

    for (unsigned c = 0; c < WP_CAUSES; c++) {
        const struct wp_row *r = &p->row[task][c];
        if (code != WP_CAUSES && code != c)
            continue;
        sum.count += r->count;
        sum.wire += r->wire;
        sum.board += r->board;
        sum.answer += r->answer;
        sum.pause += r->pause;
    }
    return sum;
}

static const char *name_of(unsigned code)
{
    static const char *const names[] = {
        [0x02] = "FLASH_BEGIN", [0x03] = "FLASH_DATA",    [0x04] = "FLASH_END",
        [0x05] = "MEM_BEGIN",   [0x06] = "MEM_END",       [0x07] = "MEM_DATA",
        [0x08] = "SYNC",        [0x09] = "WRITE_REG",     [0x0A] = "READ_REG",
        [0x0B] = "SET_PARAMS",  [0x0D] = "SPI_ATTACH",    [0x0F] = "CHANGE_BAUDRATE",
        [0x10] = "DEFL_BEGIN",  [0x11] = "DEFL_DATA",     [0x12] = "DEFL_END",
        [0x13] = "MD5",         [0x14] = "SECURITY_INFO", [WP_LINES] = "lines, rate",
        [WP_PAUSE] = "pause",
    };

    return code < sizeof names / sizeof names[0] && names[code] ? names[code] : "other";
}

void wp_print(const struct wire_profile *p, FILE *out)
{
    static const char *const tasks[] = {"", "connect", "identify", "flash", "verify", "run"};

    fprintf(out, "%-9s %-16s %6s %9s %9s %9s %9s\n", "task", "under way", "times", "wire", "board",
            "answer", "pause");
    for (unsigned t = KL_LOADER_CONNECT; t <= KL_LOADER_RUN; t++)
        for (unsigned c = 0; c < WP_CAUSES; c++) {
            const struct wp_row *r = &p->row[t][c];
            if (r->count > 0 || r->wire + r->board + r->answer + r->pause > 0)
                fprintf(out, "%-9s %-16s %6u %9.1f %9.1f %9.1f %9.1f\n", tasks[t], name_of(c),
                        r->count, (double)r->wire / 1000, (double)r->board / 1000,
                        (double)r->answer / 1000, (double)r->pause / 1000);
        }
}
