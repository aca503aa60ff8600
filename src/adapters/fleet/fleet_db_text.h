/* fleet_db_text.h: bytes, ids and JSON as the pool's functions write them. */
#ifndef KEYLINE_ADAPTERS_FLEET_DB_TEXT_H
#define KEYLINE_ADAPTERS_FLEET_DB_TEXT_H

#include <jansson.h>

#include "fleet_db.h"

/* `out` has room for 2 * size + 1. */
void kl_fdb_hex(const uint8_t *bytes, size_t size, char *out);
/* The number of bytes; 0 if `hex` is no hex, or too long. */
size_t kl_fdb_unhex(const char *hex, uint8_t *out, size_t room);
void kl_fdb_write_uuid(const uint8_t uuid[KL_FDB_UUID], char out[37]);
bool kl_fdb_read_uuid(const char *text, uint8_t out[KL_FDB_UUID]);

/* Members of an object; 0 and "" if there is none of that kind. */
int64_t kl_fdb_number(const json_t *object, const char *name);
const char *kl_fdb_string(const json_t *object, const char *name);
/* A number that is written as text, because JSON's readers may round it. */
int64_t kl_fdb_int64(const json_t *object, const char *name);

#endif
