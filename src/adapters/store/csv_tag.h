/*
 * csv_tag.h: which pool a CSV belongs to, as an attribute of the file (user.keyline.pool). It bears
 * witness where ledger and journal are gone, or lie where this user does not look. Programs that
 * write a new file in the CSV's place, and most copies, lose it: its absence means nothing.
 */
#ifndef KEYLINE_ADAPTERS_CSV_TAG_H
#define KEYLINE_ADAPTERS_CSV_TAG_H

#include "journal.h"

/* False if the file has none, or its file system has no attributes. */
bool kl_csv_tag_read(const char *csv, struct kl_pool_id *out);
/* False if it can't be written. Changes nothing of the file but its ctime. */
bool kl_csv_tag_write(const char *csv, const struct kl_pool_id *id);

#endif
