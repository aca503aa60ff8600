/* csv_mark.h: appends the mark to rows by putting a new file in the old one's place. */
#ifndef KEYLINE_ADAPTERS_CSV_MARK_H
#define KEYLINE_ADAPTERS_CSV_MARK_H

#include "csv_table.h"

/*
 * Marks `count` rows (ascending, none of them spent). Changes no other byte, nor owner and mode.
 * OK: the table describes the new file, and *fd is it, open, locked (flock) before it got its name.
 * CHANGED: somebody else wrote the file; nothing was done. ABSENT: it can't be done, `error` says
 * why, and the old file stands untouched.
 */
enum kl_table_result kl_csv_mark(struct kl_table *t, const uint32_t *rows, uint32_t count, int *fd,
                                 char error[KL_TEXT_MAX]);

/*
 * The same in three parts, because with a large file only the middle one is quick. Only that one
 * changes the table, and nobody may read rows while it runs.
 */
struct kl_csv_marking;
/* Writes and syncs the new file. NULL and `error` if there is no memory. `rows` must stay. */
struct kl_csv_marking *kl_csv_mark_write(const struct kl_table *t, const uint32_t *rows,
                                         uint32_t count, char error[KL_TEXT_MAX]);
/* Puts it in the old one's place, if the writing went well. */
void kl_csv_mark_place(struct kl_csv_marking *m, struct kl_table *t, char error[KL_TEXT_MAX]);
/* Syncs the folder, cleans up, frees `m`, and says how it went. */
enum kl_table_result kl_csv_mark_end(struct kl_csv_marking *m, int *fd, char error[KL_TEXT_MAX]);
/* Removes what a crash in the middle of that may have left behind: the new file, or after the
   exchange the old one. False and `error` if that file has rows that the table lacks: it may be
   somebody's work, so it stays. */
bool kl_csv_mark_clean(const struct kl_table *t, char error[KL_TEXT_MAX]);

#endif
