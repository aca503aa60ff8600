/*
 * events.c: the event stream: one JSON object per line (docs/events.md).
 *
 * It can hold no secret: it gets only labels, MACs and masked log lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faces/face_text.h"
#include "faces/faces.h"
#include "json_text.h"
#include "keyline/sink.h"
#include "log_rate.h"

enum {
    FILE_LIMIT = 64 << 20, /* a file that grows past it is renamed to FILE.1 … */
    FILES_KEPT = 4,        /* … and so many of these are kept */
    LOG_HEAD = 160,        /* about: what stands around a log line */
};

struct events {
    struct kl_shell *sh;
    struct kl_sink *sink;
    struct log_rate rate[KL_SLOTS_MAX + 1];
};

/* ---- objects ---- */

static void set_text(json_t *o, const char *name, const char *text)
{
    if (text && text[0])
        json_object_set_new(o, name, kl_json_text(text));
}

static void set_number(json_t *o, const char *name, uint64_t value)
{
    json_object_set_new(o, name, json_integer((json_int_t)value));
}

static void set_seconds(json_t *o, const char *name, kl_us time)
{
    if (time != KL_NEVER)
        json_object_set_new(o, name, json_real((double)(time / 1000) / 1000));
}

static void set_time(json_t *o, const char *name, int64_t wall)
{
    char text[32];

    kl_iso_time(wall, text);
    set_text(o, name, text);
}

static void set_mac(json_t *o, const struct kl_mac *mac)
{
    char text[18];

    if (!kl_mac_is_set(mac))
        return;
    kl_mac_format(mac, text);
    set_text(o, "mac", text);
}

static void set_eui64(json_t *o, const struct kl_eui64 *eui)
{
    char text[24];

    kl_eui64_format(eui, text);
    set_text(o, "eui64", text);
}

static void set_reason(json_t *o, enum kl_reason reason, const char *detail, uint16_t chip_error)
{
    struct kl_fault_info info = kl_fault_info(reason);

    if (reason == KL_FAULT_NONE)
        return;
    set_text(o, "reason", info.name);
    set_text(o, "what", info.text);
    set_text(o, "advice", info.advice);
    set_text(o, "detail", detail);
    if (chip_error)
        set_number(o, "chip_error", chip_error);
}

static void set_chip(json_t *o, enum kl_chip_id id, uint16_t revision, uint32_t flash_id,
                     uint32_t flash_size)
{
    const struct kl_chip *chip = kl_chip(id);
    char text[16];

    if (!chip)
        return;
    set_text(o, "chip", chip->slug);
    kl_format(text, sizeof text, "%u.%u", revision / 100u, revision % 100u);
    set_text(o, "revision", text);
    kl_format(text, sizeof text, "%02x%02x%02x", flash_id & 0xff, flash_id >> 8 & 0xff,
              flash_id >> 16 & 0xff);
    set_text(o, "flash_id", text);
    set_number(o, "flash_size", flash_size);
}

static void state_object(json_t *o, const struct kl_note *n)
{
    const struct kl_fault *f = n->fault;

    set_text(o, "state", kl_state_name(n->state));
    set_text(o, "before", kl_state_name(n->before));
    if (f)
        set_reason(o, f->reason, f->detail, f->chip_error);
}

static void chip_object(json_t *o, const struct kl_identity *id)
{
    KL_ASSERT(id);
    set_chip(o, id->chip, id->revision, id->flash_id, id->flash_size);
    set_eui64(o, &id->eui64);
    set_number(o, "crystal_mhz", id->crystal_mhz);
    set_text(o, "loader", id->stub ? "stub" : "rom");
    set_number(o, "baud", id->baud);
}

static void progress_object(json_t *o, const struct kl_loader_progress *p)
{
    set_number(o, "bytes", p->done);
    set_number(o, "total", p->total);
    set_number(o, "wire", p->wire);
    set_number(o, "region", p->region);
    set_number(o, "blocks_again", p->retries);
    set_number(o, "regions_kept", p->skipped);
}

static void result_object(json_t *o, const struct kl_attempt *t)
{
    json_t *took = json_object();

    set_text(o, "result", kl_state_name(t->result));
    set_mac(o, &t->mac);
    set_eui64(o, &t->eui64);
    set_text(o, "label", t->label);
    set_reason(o, t->reason, t->detail, t->chip_error);
    set_chip(o, t->chip, t->revision, t->flash_id, t->flash_size);
    set_number(o, "baud", t->baud);
    set_number(o, "tries", t->tries);
    set_time(o, "started", t->wall_started);
    set_time(o, "ended", t->wall_ended);
    set_seconds(o, "seconds", t->ended - t->started);
    for (int s = 0; s < KL_ST_COUNT; s++)
        if (t->took[s] > 0)
            set_seconds(took, kl_state_name((enum kl_state)s), t->took[s]);
    json_object_set_new(o, "took", took);
    json_object_set_new(o, "already", json_boolean(t->already));
    json_object_set_new(o, "acknowledged_only", json_boolean(t->acknowledged_only));
    if (t->exam.result != KL_EXAM_NONE) {
        set_text(o, "test", kl_exam_result_name(t->exam.result));
        set_number(o, "texts_came", t->exam.came);
        set_number(o, "texts_expected", t->exam.due);
    }
}

static void command_object(json_t *o, const struct kl_command *c)
{
    struct kl_command_info info = kl_command_info(c->kind);

    set_text(o, "command", info.name);
    set_text(o, "operator", c->operator_name);
    if (info.argument[0])
        set_text(o, info.argument, c->argument);
}

static json_t *new_object(int64_t wall, const char *event)
{
    json_t *o = json_object();

    KL_ASSERT(o);
    set_time(o, "time", wall);
    set_text(o, "event", event);
    return o;
}

json_t *event_object(const struct kl_noted *noted)
{
    static const char *const names[] = {
        [KL_NOTE_PORT] = "port",       [KL_NOTE_STATE] = "state",
        [KL_NOTE_CHIP] = "chip",       [KL_NOTE_PROGRESS] = "progress",
        [KL_NOTE_KEY] = "key",         [KL_NOTE_RESULT] = "result",
        [KL_NOTE_LOG] = "log",         [KL_NOTE_STATION] = "station",
        [KL_NOTE_COMMAND] = "command", [KL_NOTE_POWER] = "power",
    };
    const struct kl_note *n = noted->note;
    json_t *o = new_object(noted->wall, names[n->kind]);

    set_text(o, "slot", noted->slot_name);
    set_text(o, "port", noted->port);
    if (noted->note->slot != KL_BENCH && n->identity)
        set_mac(o, &n->identity->mac);
    if (n->kind == KL_NOTE_STATE)
        state_object(o, n);
    else if (n->kind == KL_NOTE_CHIP)
        chip_object(o, n->identity);
    else if (n->kind == KL_NOTE_PROGRESS)
        progress_object(o, n->progress);
    else if (n->kind == KL_NOTE_RESULT)
        result_object(o, n->attempt);
    if (n->kind == KL_NOTE_KEY) {
        set_text(o, "what", n->what);
        set_text(o, "label", n->label);
    }
    if (n->kind == KL_NOTE_COMMAND)
        command_object(o, n->command);
    if (n->kind == KL_NOTE_LOG)
        json_object_set_new(o, "text", kl_json_text(n->text));
    else
        set_text(o, "text", n->text);
    return o;
}

static json_t *pool_object(const struct kl_fleet_view *f)
{
    json_t *o = json_object();

    set_text(o, "name", f->name);
    set_text(o, "station", f->station);
    json_object_set_new(o, "online", json_boolean(f->online));
    if (f->left >= 0)
        set_number(o, "free", (uint64_t)f->left);
    set_number(o, "unsent", (uint64_t)f->unsent);
    set_number(o, "unchecked", f->unchecked);
    set_number(o, "alarms", f->alarms);
    set_text(o, "trouble", f->trouble);
    return o;
}

static json_t *summary_object(const struct kl_snapshot *s, int64_t wall, int exit_status)
{
    json_t *o = new_object(wall, "summary"), *keys = json_object();

    set_number(o, "done", s->done);
    set_number(o, "failed", s->failed);
    set_number(o, "skipped", s->skipped);
    set_number(o, "first_pass", s->first_pass);
    set_number(o, "boards_per_hour", s->boards_per_hour);
    set_seconds(o, "median_seconds", s->median_board);
    set_number(keys, "free", s->keys.free);
    set_number(keys, "reserved", s->keys.reserved);
    set_number(keys, "provisioned", s->keys.provisioned);
    set_number(keys, "blocked", s->keys.blocked);
    set_number(keys, "in_doubt", s->keys.in_doubt);
    json_object_set_new(o, "keys", keys);
    if (s->fleet.there)
        json_object_set_new(o, "pool", pool_object(&s->fleet));
    json_object_set_new(o, "exit", json_integer(exit_status));
    return o;
}

/* ---- the stream ---- */

static void write_object(struct events *e, json_t *o)
{
    char *line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    size_t size = line ? strlen(line) : 0;

    if (line) {
        line[size] = '\n';
        kl_sink_write(e->sink, line, size + 1);
    }
    free(line);
    json_decref(o);
}

/* Limits what boards print, never what became of them. */
static void on_note(void *ctx, const struct kl_noted *noted)
{
    struct events *e = ctx;
    struct log_rate *rate = &e->rate[noted->note->slot];
    char gap[KL_TEXT_MAX];
    json_t *o;

    if (noted->note->kind == KL_NOTE_LOG &&
        !log_rate_take(rate, (kl_us)(uv_hrtime() / 1000), strlen(noted->note->text) + LOG_HEAD))
        return;
    if (log_rate_gap(rate, gap)) {
        o = new_object(noted->wall, "log");
        set_text(o, "slot", noted->slot_name);
        set_text(o, "port", noted->port);
        set_text(o, "text", gap);
        write_object(e, o);
    }
    write_object(e, event_object(noted));
}

static int64_t wall_now(void)
{
    uv_timeval64_t now;

    uv_gettimeofday(&now);
    return now.tv_sec * 1000000 + now.tv_usec;
}

static void on_ending(void *ctx, int exit_status)
{
    struct events *e = ctx;
    struct kl_snapshot *snap = malloc(sizeof *snap);

    KL_ASSERT(snap);
    kl_shell_look(e->sh, snap);
    write_object(e, summary_object(snap, wall_now(), exit_status));
    free(snap);
}

static bool on_busy(void *ctx)
{
    return kl_sink_busy(((struct events *)ctx)->sink);
}

static void on_trouble(void *ctx, const char *text)
{
    struct events *e = ctx;

    kl_shell_note(e->sh, text[0] ? text : "the events file is written again");
}

static const struct kl_listener listener = {
    .note = on_note,
    .ending = on_ending,
    .busy = on_busy,
};

struct events *events_create(struct kl_shell *sh, const char *file, char error[KL_TEXT_MAX])
{
    bool standard = strcmp(file, "-") == 0;
    int fd = standard ? STDOUT_FILENO : open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct events *e;

    if (fd < 0) {
        kl_format(error, KL_TEXT_MAX, "--events %s: %s", file, strerror(errno));
        return NULL;
    }
    e = calloc(1, sizeof *e);
    KL_ASSERT(e);
    e->sh = sh;
    e->sink = kl_sink_create(kl_shell_loop(sh), fd, !standard, "the events file", on_trouble, e);
    KL_ASSERT(e->sink);
    if (!standard)
        kl_sink_rotate(e->sink, file, FILE_LIMIT, FILES_KEPT);
    kl_shell_listen(sh, &listener, e);
    return e;
}

bool events_free(struct events *e)
{
    bool gone = !e || kl_sink_free(e->sink);

    if (gone)
        free(e);
    return gone;
}
