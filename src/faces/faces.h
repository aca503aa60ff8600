/*
 * faces.h: the faces of a running station, each a listener of the shell. Create them before the
 * shell runs and free them after it. If a free returns false, something still hangs in a write.
 */
#ifndef KEYLINE_FACES_H
#define KEYLINE_FACES_H

#include <jansson.h>

#include "faces/stream/wire.h"
#include "keyline/shell.h"

/* headless.c: one readable line per change. Takes no ownership of `fd`. */
struct headless;
struct headless *headless_create(struct kl_shell *sh, int fd);
bool headless_free(struct headless *h);
/* Whether the journal reads what is written to `fd` (the service manager says so): then each line
   begins with its level, "<4>". */
bool headless_goes_to_journal(int fd);
/* A note as one line without time and slot; false for progress, which gets no line. */
bool note_line(const struct kl_note *n, char *out, size_t size);

/* What the figures need of a note about a result. */
struct kl_stats_result stats_result(const struct kl_noted *noted);

/* events.c: one JSON object per line (docs/events.md). */
struct events;
/* `file`: a name, or "-" for standard output. NULL and a sentence if it can't be opened. */
struct events *events_create(struct kl_shell *sh, const char *file, char error[KL_TEXT_MAX]);
bool events_free(struct events *e);
/* The same object for other faces; NULL if there is nothing to tell. */
json_t *event_object(const struct kl_noted *noted);

/* logdir.c: what each board said, and what was done to it, in a file per board. */
struct logdir;
struct logdir *logdir_create(struct kl_shell *sh, const char *folder, char error[KL_TEXT_MAX]);
bool logdir_free(struct logdir *l);

/* hook.c: runs a program for each note of one kind, with the event on its standard input. `option`
   names the option that asked for it; the caller keeps the text. */
struct hook;
struct hook *hook_create(struct kl_shell *sh, const char *option, const char *command,
                         enum kl_note_kind kind);
bool hook_free(struct hook *h);

/* metrics.c: --metrics: how the bench stands, for Prometheus. NULL is fine. */
struct metrics;
struct metrics *metrics_create(struct kl_shell *sh, const char *file);
/* Close it before the loop's last run, free it after that run. */
void metrics_close(struct metrics *m);
bool metrics_free(struct metrics *m);

/* older.c: tells once that this program's file was replaced. NULL is fine. */
struct older;
struct older *older_create(struct kl_shell *sh);
/* Close it before the loop's last run, free it after that run. */
void older_close(struct older *o);
void older_free(struct older *o);

/* bench_status.c: what all stations of a shared pool may see of this one. NULL is fine. The caller
   keeps `hello`. */
struct bench_status;
struct bench_status *bench_status_create(struct kl_shell *sh, struct kl_store *store,
                                         const struct kl_wire_hello *hello);
/* Close it before the loop's last run, free it after that run. */
void bench_status_close(struct bench_status *b);
void bench_status_free(struct bench_status *b);

/* server.c: dashboards over a Unix socket. NULL and a sentence if there is no place for it. `csv`
   may be the socket's own name (kl_wire_is_socket): then the group of this process may talk to
   it. */
struct server;
struct server *server_create(struct kl_shell *sh, const char *csv,
                             const struct kl_wire_hello *hello, char error[KL_TEXT_MAX]);
/* `stale`: whether the images on disk differ from those that the station flashes. */
void server_build_changed(struct server *s, bool stale);
/* Close it before the loop's last run, free it after that run. */
void server_close(struct server *s);
void server_free(struct server *s);

#endif
