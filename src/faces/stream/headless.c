/*
 * headless.c: one readable line per change.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "faces/face_text.h"
#include "faces/faces.h"
#include "keyline/sink.h"

struct headless {
    struct kl_shell *sh;
    struct kl_stats *stats;
    int64_t wall; /* of the last result */
    struct kl_sink *sink;
    bool journal; /* the journal reads the lines: each begins with its level and has no time */
};

/* As in syslog. */
enum level {
    LEVEL_WARNING = 4,
    LEVEL_NOTICE = 5,
    LEVEL_INFO = 6,
};

enum {
    LINE_MAX_BYTES = 1024
};

static void state_line(const struct kl_note *n, char *out, size_t size)
{
    const char *state = kl_state_name(n->state);
    char fault[KL_TEXT_MAX * 2];

    if (!n->fault) {
        snprintf(out, size, "%s", state);
        return;
    }
    kl_fault_text(n->fault, fault, sizeof fault);
    snprintf(out, size, "%s: %s", state, fault);
}

static void result_line(const struct kl_attempt *t, char *out, size_t size)
{
    struct kl_fault fault = {.reason = t->reason, .chip_error = t->chip_error};
    char took[32], why[KL_TEXT_MAX * 2];

    kl_duration(t->ended - t->started, took, sizeof took);
    kl_copy(fault.detail, sizeof fault.detail, t->detail);
    kl_fault_text(&fault, why, sizeof why);
    if (t->result == KL_ST_DONE)
        snprintf(out, size, "PASS in %s: the board %s key %s%s%s", took,
                 t->already ? "already has" : "has", t->label,
                 t->exam.result == KL_EXAM_PASSED ? " and passed its test" : "",
                 t->tries > 1 ? ", not at the first try" : "");
    else if (t->result == KL_ST_SKIPPED)
        snprintf(out, size, "SKIPPED after %s", took);
    else
        snprintf(out, size, "FAIL after %s: %s. What to do: %s", took, why,
                 kl_fault_info(t->reason).advice);
}

bool note_line(const struct kl_note *n, char *out, size_t size)
{
    const char *text = n->text ? n->text : "";

    switch (n->kind) {
    case KL_NOTE_STATE:
        state_line(n, out, size);
        return true;
    case KL_NOTE_CHIP:
        kl_identity_text(n->identity, out, size);
        return true;
    case KL_NOTE_KEY:
        snprintf(out, size, "key %s %s%s%s", n->label, n->what, text[0] ? ": " : "", text);
        return true;
    case KL_NOTE_RESULT:
        result_line(n->attempt, out, size);
        return true;
    case KL_NOTE_PORT:
    case KL_NOTE_POWER:
    case KL_NOTE_COMMAND:
    case KL_NOTE_STATION:
        snprintf(out, size, "%s", text);
        return true;
    case KL_NOTE_LOG:
        snprintf(out, size, "| %s", text);
        return true;
    case KL_NOTE_PROGRESS:
        return false;
    }
    return false;
}

struct kl_stats_result stats_result(const struct kl_noted *noted)
{
    const struct kl_attempt *t = noted->note->attempt;

    KL_ASSERT(noted->note->kind == KL_NOTE_RESULT && t);
    return (struct kl_stats_result){
        .mac = t->mac,
        .slot = noted->slot_name,
        .result = t->result,
        .reason = t->reason,
        .tries = t->tries,
        .baud = t->baud,
        .took = t->ended - t->started,
        .wall = noted->wall,
    };
}

static enum level level_of(const struct kl_note *n)
{
    if (n->kind == KL_NOTE_RESULT && n->attempt->result == KL_ST_FAILED)
        return LEVEL_WARNING;
    return n->kind == KL_NOTE_STATION ? LEVEL_NOTICE : LEVEL_INFO;
}

static void on_note(void *ctx, const struct kl_noted *noted)
{
    struct headless *h = ctx;
    char time[16], text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128];
    int n;

    if (noted->note->kind == KL_NOTE_RESULT) {
        struct kl_stats_result r = stats_result(noted);
        h->wall = noted->wall;
        kl_stats_add(h->stats, &r);
    }
    if (noted->note->kind == KL_NOTE_LOG || !note_line(noted->note, text, sizeof text))
        return;
    kl_clock_time(noted->wall, time);
    if (h->journal)
        snprintf(time, sizeof time, "<%d>", (int)level_of(noted->note));
    n = snprintf(line, sizeof line, "%s%s%-16s %s\n", time, h->journal ? "" : "  ",
                 noted->note->slot == KL_BENCH ? "*" : noted->slot_name, text);
    kl_sink_write(h->sink, line, (size_t)n);
}

static void write_figures(struct headless *h)
{
    struct kl_stats_view *figures = malloc(sizeof *figures);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    KL_ASSERT(figures && out);
    kl_stats_look(h->stats, h->wall, figures);
    kl_stats_print(figures, out);
    fclose(out);
    if (size > 0)
        kl_sink_write(h->sink, text, size);
    free(text);
    free(figures);
}

static void on_ending(void *ctx, int exit_status)
{
    struct headless *h = ctx;
    struct kl_snapshot *snap = malloc(sizeof *snap);
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 64];
    int n;

    KL_ASSERT(snap);
    if (!h->journal)
        write_figures(h);
    kl_shell_look(h->sh, snap);
    kl_summary_text(snap, text, sizeof text);
    n = snprintf(line, sizeof line, "%ssummary: %s; exit status %d\n", h->journal ? "<5>" : "",
                 text, exit_status);
    kl_sink_write(h->sink, line, (size_t)n);
    free(snap);
}

static bool on_busy(void *ctx)
{
    return kl_sink_busy(((struct headless *)ctx)->sink);
}

static const struct kl_listener listener = {
    .note = on_note,
    .ending = on_ending,
    .busy = on_busy,
};

bool headless_goes_to_journal(int fd)
{
    const char *told = getenv("JOURNAL_STREAM");
    struct stat s;
    char here[64];

    if (!told || fstat(fd, &s) != 0)
        return false;
    snprintf(here, sizeof here, "%llu:%llu", (unsigned long long)s.st_dev,
             (unsigned long long)s.st_ino);
    return strcmp(told, here) == 0;
}

struct headless *headless_create(struct kl_shell *sh, int fd)
{
    struct headless *h = calloc(1, sizeof *h);

    KL_ASSERT(h);
    h->sh = sh;
    h->stats = kl_stats_create();
    KL_ASSERT(h->stats);
    h->journal = headless_goes_to_journal(fd);
    h->sink = kl_sink_create(kl_shell_loop(sh), fd, false, "the output", NULL, NULL);
    KL_ASSERT(h->sink);
    kl_shell_listen(sh, &listener, h);
    return h;
}

bool headless_free(struct headless *h)
{
    bool gone = !h || kl_sink_free(h->sink);

    if (gone && h)
        kl_stats_free(h->stats);
    if (gone)
        free(h);
    return gone;
}
