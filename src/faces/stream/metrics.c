/*
 * metrics.c: --metrics FILE: how the bench stands, as text for Prometheus (docs/events.md).
 *
 * A worker writes the text to a file beside and renames that, a few seconds after something
 * changed. A reader never sees half of it, and the loop never waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faces/faces.h"
#include "keyline/buffer.h"

enum {
    WRITE_MS = 2000, /* at most once in so long */
    OUTCOMES = KL_FAULT_COUNT + 2,
    DONE = KL_FAULT_COUNT, /* outcomes that are no faults */
    SKIPPED = KL_FAULT_COUNT + 1,
};

static const double bounds[] = {0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120};

enum {
    BOUNDS = sizeof bounds / sizeof bounds[0]
};

struct histogram {
    uint64_t bucket[BOUNDS], count;
    double sum;
};

struct metrics {
    struct kl_shell *sh;
    char *file, *beside;
    uv_timer_t timer;
    uv_work_t work;
    bool working, ending, in_trouble;
    int error;              /* of the last write; belongs to the worker while it works */
    char *text, *written;   /* what is being written, and what was written last */
    struct kl_snapshot now; /* large */
    char slot[KL_SLOTS_MAX][KL_NAME_MAX];
    uint64_t results[KL_SLOTS_MAX][OUTCOMES];
    struct histogram stage[KL_ST_COUNT], board;
};

/* ---- text ---- */

static void add(struct kl_buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct kl_buffer *b, const char *format, ...)
{
    char line[1024];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    KL_ASSERT(n >= 0 && (size_t)n < sizeof line);
    kl_buffer_add(b, line, (size_t)n);
}

static void head(struct kl_buffer *b, const char *name, const char *type, const char *help)
{
    add(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Escapes text as a label's value, without the quotes around it. */
static const char *quoted(const char *text, char out[4 * KL_NAME_MAX])
{
    size_t n = 0;

    for (; *text && n + 2 < 4 * KL_NAME_MAX; text++) {
        if (*text == '\\' || *text == '"')
            out[n++] = '\\';
        out[n++] = (unsigned char)*text < ' ' ? '?' : *text;
    }
    out[n] = '\0';
    return out;
}

static void add_keys(struct kl_buffer *b, const struct kl_pool_counts *c)
{
    head(b, "keyline_keys", "gauge", "Keys of the CSV and the ledger by state.");
    add(b, "keyline_keys{state=\"free\"} %u\n", (unsigned)c->free);
    add(b, "keyline_keys{state=\"reserved\"} %u\n", (unsigned)c->reserved);
    add(b, "keyline_keys{state=\"provisioned\"} %u\n", (unsigned)c->provisioned);
    add(b, "keyline_keys{state=\"blocked\"} %u\n", (unsigned)c->blocked);
    head(b, "keyline_keys_in_doubt", "gauge", "Reserved keys whose board is not on the bench.");
    add(b, "keyline_keys_in_doubt %u\n", (unsigned)c->in_doubt);
}

static void add_pool(struct kl_buffer *b, const struct kl_fleet_view *f)
{
    if (!f->there)
        return;
    head(b, "keyline_pool_online", "gauge", "1 if the shared pool's database answers.");
    add(b, "keyline_pool_online %d\n", f->online);
    head(b, "keyline_pool_trouble", "gauge", "1 if the shared pool gives this station no keys.");
    add(b, "keyline_pool_trouble %d\n", f->trouble[0] != '\0');
    if (f->left >= 0) {
        head(b, "keyline_pool_free", "gauge", "Free keys in the shared pool, as last heard.");
        add(b, "keyline_pool_free %lld\n", (long long)f->left);
    }
    head(b, "keyline_pool_unsent", "gauge", "Results that the shared pool has not heard yet.");
    add(b, "keyline_pool_unsent %lld\n", (long long)f->unsent);
    head(b, "keyline_pool_unchecked", "gauge", "Boards served while its database was silent.");
    add(b, "keyline_pool_unchecked %u\n", (unsigned)f->unchecked);
    head(b, "keyline_pool_alarms", "gauge", "Alarms of the shared pool that name this station.");
    add(b, "keyline_pool_alarms %u\n", (unsigned)f->alarms);
}

static void add_slots(struct kl_buffer *b, const struct kl_snapshot *s)
{
    unsigned in[KL_ST_COUNT] = {0}, plugged = 0;

    for (unsigned i = 0; i < s->slot_count; i++) {
        in[s->slot[i].state]++;
        plugged += s->slot[i].plugged;
    }
    head(b, "keyline_slots", "gauge", "Slots by what their board is at.");
    for (int state = 0; state < KL_ST_COUNT; state++)
        add(b, "keyline_slots{state=\"%s\"} %u\n", kl_state_name((enum kl_state)state), in[state]);
    head(b, "keyline_ports", "gauge", "Ports that are there.");
    add(b, "keyline_ports %u\n", plugged);
}

static void add_state(struct kl_buffer *b, const struct kl_snapshot *s)
{
    head(b, "keyline_store_trouble", "gauge", "1 if the ledger or the CSV can't be written.");
    add(b, "keyline_store_trouble %d\n", s->store_trouble);
    head(b, "keyline_volatile", "gauge", "1 if the keys lie on storage that forgets them.");
    add(b, "keyline_volatile %d\n", s->forgets);
    head(b, "keyline_hub_trouble", "gauge", "1 if many boards of a hub fail: its supply or cable.");
    add(b, "keyline_hub_trouble %d\n", s->warning[0] && !s->store_trouble);
    head(b, "keyline_few_keys", "gauge", "1 if no more than --warn-keys are left.");
    add(b, "keyline_few_keys %d\n", s->few_keys);
    head(b, "keyline_paused", "gauge", "1 if nothing new is begun.");
    add(b, "keyline_paused %d\n", s->paused || s->stopping);
}

static void add_results(struct kl_buffer *b, const struct metrics *m)
{
    static const char *const words[] = {"failed", "done", "skipped"};
    char slot[4 * KL_NAME_MAX];

    head(b, "keyline_results_total", "counter", "Boards whose turn is over, by outcome and slot.");
    for (unsigned s = 0; s < KL_SLOTS_MAX; s++)
        for (int o = 0; o < OUTCOMES; o++)
            if (m->results[s][o] > 0)
                add(b, "keyline_results_total{result=\"%s\",reason=\"%s\",slot=\"%s\"} %llu\n",
                    words[o < KL_FAULT_COUNT ? 0 : o - KL_FAULT_COUNT + 1],
                    o < KL_FAULT_COUNT ? kl_fault_info((enum kl_reason)o).name : "",
                    quoted(m->slot[s], slot), (unsigned long long)m->results[s][o]);
}

/* `labels`: "" or "stage=\"flashing\"". */
static void add_histogram(struct kl_buffer *b, const char *name, const char *labels,
                          const struct histogram *h)
{
    const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "",
               *close = labels[0] ? "}" : "";

    for (unsigned i = 0; i < BOUNDS; i++)
        add(b, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma, bounds[i],
            (unsigned long long)h->bucket[i]);
    add(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)h->count);
    add(b, "%s_sum%s%s%s %.3f\n", name, open, labels, close, h->sum);
    add(b, "%s_count%s%s%s %llu\n", name, open, labels, close, (unsigned long long)h->count);
}

static void add_times(struct kl_buffer *b, const struct metrics *m)
{
    char label[64];

    head(b, "keyline_board_seconds", "histogram", "The try in which a board was done.");
    add_histogram(b, "keyline_board_seconds", "", &m->board);
    head(b, "keyline_stage_seconds", "histogram",
         "Time that boards that were done spent in a state.");
    for (int s = 0; s < KL_ST_COUNT; s++) {
        if (m->stage[s].count == 0)
            continue;
        snprintf(label, sizeof label, "stage=\"%s\"", kl_state_name((enum kl_state)s));
        add_histogram(b, "keyline_stage_seconds", label, &m->stage[s]);
    }
}

static char *compose(struct metrics *m)
{
    struct kl_buffer b = {0};

    kl_shell_look(m->sh, &m->now);
    head(&b, "keyline_info", "gauge", "The station's version.");
    add(&b, "keyline_info{version=\"%s\"} 1\n", KEYLINE_VERSION);
    add_keys(&b, &m->now.keys);
    add_pool(&b, &m->now.fleet);
    add_slots(&b, &m->now);
    add_state(&b, &m->now);
    add_results(&b, m);
    add_times(&b, m);
    kl_buffer_add(&b, "", 1);
    return b.data;
}

/* ---- the file ---- */

static bool write_all(int fd, const char *text)
{
    size_t size = strlen(text), done = 0;

    while (done < size) {
        ssize_t n = write(fd, text + done, size - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* On a worker. The exporter is another user, who has to be able to read the file. */
static void write_file(uv_work_t *work)
{
    struct metrics *m = work->data;
    int fd = open(m->beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool good = fd >= 0 && fchmod(fd, 0644) == 0 && write_all(fd, m->text);

    m->error = good ? 0 : errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        m->error = errno;
        good = false;
    }
    if (good && rename(m->beside, m->file) != 0)
        m->error = errno;
    if (m->error != 0 && fd >= 0)
        unlink(m->beside);
}

static void tell_trouble(struct metrics *m)
{
    char text[KL_TEXT_MAX];

    if ((m->error != 0) == m->in_trouble)
        return;
    m->in_trouble = m->error != 0;
    if (m->error != 0)
        kl_format(text, sizeof text, "--metrics %s: %s", m->file, strerror(m->error));
    else
        kl_copy(text, sizeof text, "the metrics file is written again");
    kl_shell_note(m->sh, text);
}

static void begin_write(struct metrics *m);

static void on_written(uv_work_t *work, int status)
{
    struct metrics *m = work->data;

    (void)status;
    m->working = false;
    free(m->written);
    m->written = m->error == 0 ? m->text : NULL;
    if (m->error != 0)
        free(m->text);
    m->text = NULL;
    tell_trouble(m);
    if (m->ending && m->error == 0)
        begin_write(m); /* write what changed meanwhile */
    else if (m->error != 0 && !m->ending)
        uv_timer_again(&m->timer);
}

static void begin_write(struct metrics *m)
{
    char *text;

    if (m->working)
        return;
    text = compose(m);
    if (m->written && strcmp(text, m->written) == 0) {
        free(text);
        return;
    }
    m->text = text;
    m->work.data = m;
    m->working = uv_queue_work(kl_shell_loop(m->sh), &m->work, write_file, on_written) == 0;
}

static void on_timer(uv_timer_t *timer)
{
    uv_timer_stop(timer);
    begin_write(timer->data);
}

/* ---- what happens ---- */

static void measure(struct histogram *h, kl_us time)
{
    double seconds = (double)time / 1e6;

    for (unsigned i = 0; i < BOUNDS; i++)
        h->bucket[i] += seconds <= bounds[i];
    h->count++;
    h->sum += seconds;
}

static void on_note(void *ctx, const struct kl_noted *noted)
{
    struct metrics *m = ctx;
    const struct kl_attempt *t = noted->note->attempt;
    unsigned slot = noted->note->slot;

    if (noted->note->kind != KL_NOTE_RESULT || slot >= KL_SLOTS_MAX)
        return;
    if (strcmp(m->slot[slot], noted->slot_name) != 0) /* another port has this slot now */
        memset(m->results[slot], 0, sizeof m->results[slot]);
    kl_copy(m->slot[slot], KL_NAME_MAX, noted->slot_name);
    m->results[slot][t->result == KL_ST_DONE      ? DONE
                     : t->result == KL_ST_SKIPPED ? SKIPPED
                                                  : (int)t->reason]++;
    if (t->result != KL_ST_DONE)
        return;
    measure(&m->board, t->ended - t->started);
    for (int s = 0; s < KL_ST_COUNT; s++)
        if (t->took[s] > 0)
            measure(&m->stage[s], t->took[s]);
}

static void on_changed(void *ctx)
{
    struct metrics *m = ctx;

    if (!m->ending && !uv_is_active((uv_handle_t *)&m->timer))
        uv_timer_start(&m->timer, on_timer, m->written ? WRITE_MS : 1, WRITE_MS);
}

static void on_ending(void *ctx, int exit_status)
{
    struct metrics *m = ctx;

    (void)exit_status;
    m->ending = true;
    uv_timer_stop(&m->timer);
    begin_write(m);
}

static bool on_busy(void *ctx)
{
    return ((struct metrics *)ctx)->working;
}

static const struct kl_listener listener = {
    .note = on_note,
    .changed = on_changed,
    .ending = on_ending,
    .busy = on_busy,
};

struct metrics *metrics_create(struct kl_shell *sh, const char *file)
{
    struct metrics *m = calloc(1, sizeof *m);
    size_t size = strlen(file);

    KL_ASSERT(m);
    m->sh = sh;
    m->file = strdup(file);
    m->beside = malloc(size + sizeof ".new");
    KL_ASSERT(m->file && m->beside);
    snprintf(m->beside, size + sizeof ".new", "%s.new", file);
    uv_timer_init(kl_shell_loop(sh), &m->timer);
    m->timer.data = m;
    kl_shell_listen(sh, &listener, m);
    return m;
}

void metrics_close(struct metrics *m)
{
    if (m)
        uv_close((uv_handle_t *)&m->timer, NULL);
}

bool metrics_free(struct metrics *m)
{
    if (!m)
        return true;
    if (m->working)
        return false;
    free(m->file);
    free(m->beside);
    free(m->written);
    free(m);
    return true;
}
