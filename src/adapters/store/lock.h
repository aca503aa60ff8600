/*
 * lock.h: one station per CSV. Two locks; the kernel drops both when the process ends:
 *
 *   FILE.lock     beside the real file, so it holds through symbolic links, other paths and the
 *                 replacement of the CSV; it says who holds it
 *   the CSV       (its inode) so it holds through hard links, from whatever folder
 */
#ifndef KEYLINE_ADAPTERS_LOCK_H
#define KEYLINE_ADAPTERS_LOCK_H

#include <limits.h>

#include "keyline/base.h"

enum kl_lock_result {
    KL_LOCK_TAKEN,
    KL_LOCK_HELD,   /* `text`: by whom */
    KL_LOCK_FAILED, /* `text`: why */
};

struct kl_lock {
    int fd;
    int csv_fd;
    char path[PATH_MAX];
};

void kl_lock_init(struct kl_lock *l);
/* `csv` is a real path (no symbolic link in it). */
enum kl_lock_result kl_lock_take(struct kl_lock *l, const char *csv, char text[KL_TEXT_MAX]);
/* Somebody may have removed or replaced FILE.lock; takes it again. */
enum kl_lock_result kl_lock_keep(struct kl_lock *l, char text[KL_TEXT_MAX]);
/* Opens the CSV in a way that allows to lock it; -1 and errno. */
int kl_lock_open_csv(const char *csv);
/* The CSV is another file now. Owns `fd` from here on, whatever the result. */
enum kl_lock_result kl_lock_csv(struct kl_lock *l, int fd, char text[KL_TEXT_MAX]);
/* Tells who holds it, by the kernel's list of locks; "" = nobody that we can see. Takes nothing. */
void kl_lock_holder(const char *csv, char text[KL_TEXT_MAX]);
void kl_lock_drop(struct kl_lock *l);

#endif
