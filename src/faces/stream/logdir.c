/*
 * logdir.c: a log file per board, named by its MAC. Lines that came before the MAC are kept back
 * until it is known. If it never is, they go to a file named by the slot.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faces/face_text.h"
#include "faces/faces.h"
#include "keyline/buffer.h"
#include "keyline/reserve.h"
#include "log_rate.h"

enum {
    FILE_NAME_MAX = 96,
    LINE_HEAD = 40,          /* about: time and slot */
    SLOT_LIMIT = 256 * 1024, /* kept back per slot */
    LIMIT = 16 << 20,        /* on the way to the disk */
    FILE_LIMIT = 4 << 20,    /* a larger file becomes FILE.1; the older FILE.1 goes */
};

struct chunk {
    char file[FILE_NAME_MAX];
    struct kl_buffer text;
    struct chunk *next;
};

struct logdir {
    struct kl_shell *sh;
    char folder[PATH_MAX];
    struct kl_buffer kept[KL_SLOTS_MAX]; /* until the MAC is known */
    struct log_rate rate[KL_SLOTS_MAX + 1];
    struct chunk *first, *last;
    size_t waiting;
    uv_work_t work;
    struct chunk *leaving;
    bool working;
    int error, told_error;
};

/* ---- on the worker ---- */

static void make_room(const char *path, size_t size)
{
    char old[PATH_MAX + FILE_NAME_MAX + 2];
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
        (uint64_t)st.st_size + size <= FILE_LIMIT)
        return;
    snprintf(old, sizeof old, "%s.1", path);
    rename(path, old); /* if that fails, the file grows on */
}

static int write_chunk(const struct logdir *l, const struct chunk *c)
{
    char path[PATH_MAX + FILE_NAME_MAX];
    int fd, error = 0;

    snprintf(path, sizeof path, "%s/%s", l->folder, c->file);
    make_room(path, c->text.size);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return errno;
    if (!kl_reserve_allows(fd, c->text.size))
        error = KL_RESERVE_KEPT;
    for (size_t done = 0; done < c->text.size && !error;) {
        ssize_t n = write(fd, c->text.data + done, c->text.size - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            error = errno;
    }
    close(fd);
    return error;
}

static void on_work(uv_work_t *work)
{
    struct logdir *l = work->data;

    l->error = 0;
    for (const struct chunk *c = l->leaving; c && !l->error; c = c->next)
        l->error = write_chunk(l, c);
}

/* ---- on the loop ---- */

static void free_chunks(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        kl_buffer_free(&c->text);
        free(c);
        c = next;
    }
}

static void start(struct logdir *l);

static void on_worked(uv_work_t *work, int status)
{
    struct logdir *l = work->data;
    char text[KL_TEXT_MAX];

    (void)status;
    l->working = false;
    free_chunks(l->leaving);
    l->leaving = NULL;
    if (l->error && l->error != l->told_error) {
        kl_format(text, sizeof text, "the log files can't be written: %s",
                  kl_reserve_error(l->error));
        kl_shell_note(l->sh, text);
    }
    l->told_error = l->error;
    start(l);
}

static void start(struct logdir *l)
{
    if (l->working || !l->first)
        return;
    l->leaving = l->first;
    l->first = l->last = NULL;
    l->waiting = 0;
    l->working = true;
    uv_queue_work(kl_shell_loop(l->sh), &l->work, on_work, on_worked);
}

static void queue(struct logdir *l, const char *file, const char *data, size_t size)
{
    if (size == 0 || l->waiting + size > LIMIT)
        return;
    if (!l->last || strcmp(l->last->file, file) != 0) {
        struct chunk *c = calloc(1, sizeof *c);
        KL_ASSERT(c);
        kl_copy(c->file, sizeof c->file, file);
        if (l->last)
            l->last->next = c;
        else
            l->first = c;
        l->last = c;
    }
    kl_buffer_add(&l->last->text, data, size);
    l->waiting += size;
}

static void mac_file(const struct kl_mac *mac, char out[FILE_NAME_MAX])
{
    kl_format(out, FILE_NAME_MAX, "%02x%02x%02x%02x%02x%02x.log", mac->b[0], mac->b[1], mac->b[2],
              mac->b[3], mac->b[4], mac->b[5]);
}

static void slot_file(const char *slot, char out[FILE_NAME_MAX])
{
    kl_format(out, FILE_NAME_MAX, "slot-%s.log", slot);
    for (char *c = out; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", *c))
            *c = '_';
}

static void release_kept(struct logdir *l, const struct kl_noted *noted, const struct kl_mac *mac)
{
    struct kl_buffer *kept = &l->kept[noted->note->slot];
    char file[FILE_NAME_MAX];

    if (mac)
        mac_file(mac, file);
    else
        slot_file(noted->slot_name, file);
    queue(l, file, kept->data, kept->size);
    kept->size = 0;
}

/* Whether this note ends a board's turn: its MAC will not come any more. */
static bool ends(const struct kl_note *n)
{
    return n->kind == KL_NOTE_RESULT || (n->kind == KL_NOTE_STATE && n->state == KL_ST_EMPTY);
}

static void put_line(struct logdir *l, const struct kl_noted *noted, const char *text)
{
    char time[32], line[1200];
    int n;

    kl_iso_time(noted->wall, time);
    n = snprintf(line, sizeof line, "%s %s%s%s\n", time, noted->slot_name,
                 noted->slot_name[0] ? " " : "", text);
    if (noted->note->slot == KL_BENCH)
        queue(l, "station.log", line, (size_t)n);
    else if (l->kept[noted->note->slot].size < SLOT_LIMIT)
        kl_buffer_add(&l->kept[noted->note->slot], line, (size_t)n);
}

static void on_note(void *ctx, const struct kl_noted *noted)
{
    struct logdir *l = ctx;
    const struct kl_identity *id = noted->note->identity;
    const struct kl_mac *mac = id && kl_mac_is_set(&id->mac) ? &id->mac : NULL;
    struct log_rate *rate = &l->rate[noted->note->slot];
    char text[1024], gap[KL_TEXT_MAX];

    if (!note_line(noted->note, text, sizeof text) ||
        (noted->note->kind == KL_NOTE_LOG &&
         !log_rate_take(rate, (kl_us)(uv_hrtime() / 1000), strlen(text) + LINE_HEAD)))
        return;
    if (log_rate_gap(rate, gap))
        put_line(l, noted, gap);
    put_line(l, noted, text);
    if (noted->note->slot != KL_BENCH && (mac || ends(noted->note)))
        release_kept(l, noted, mac);
    start(l);
}

static bool on_busy(void *ctx)
{
    return ((struct logdir *)ctx)->working;
}

static const struct kl_listener listener = {
    .note = on_note,
    .busy = on_busy,
};

struct logdir *logdir_create(struct kl_shell *sh, const char *folder, char error[KL_TEXT_MAX])
{
    struct logdir *l;

    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) || access(folder, W_OK | X_OK) != 0) {
        kl_format(error, KL_TEXT_MAX, "--log-dir %s: %s", folder, strerror(errno));
        return NULL;
    }
    l = calloc(1, sizeof *l);
    KL_ASSERT(l);
    l->sh = sh;
    l->work.data = l;
    kl_copy(l->folder, sizeof l->folder, folder);
    kl_shell_listen(sh, &listener, l);
    return l;
}

bool logdir_free(struct logdir *l)
{
    if (!l)
        return true;
    if (l->working)
        return false;
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++)
        kl_buffer_free(&l->kept[i]);
    free_chunks(l->first);
    free(l);
    return true;
}
