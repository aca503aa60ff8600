/* store_folder.c: see store_folder.h. */
#include "store_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

struct scratch dir;
char csv[200], ledger[220];

int make_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    snprintf(ledger, sizeof ledger, "%s.ledger", csv);
    return 0;
}

int remove_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

const char rows[] = "dev-1,0011223344556677,8899AABBCCDDEEFF0011223344556601\n"
                    "dev-2,0011223344556678,8899AABBCCDDEEFF0011223344556602\n"
                    "dev-3,0011223344556679,8899AABBCCDDEEFF0011223344556603\n"
                    "dev-4,001122334455667a,8899AABBCCDDEEFF0011223344556604\n";

const char *edited(const char *text, const char *from, const char *to)
{
    static char out[1024];
    const char *at = strstr(text, from);

    assert_non_null(at);
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

int64_t number(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int64_t value;

    assert_int_equal(sqlite3_open_v2(ledger, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

void opens(struct store_bench *b, uint32_t answers)
{
    enum kl_store_open_result result = bench_open_answered(b, csv, answers);

    if (result != KL_STORE_OPENED)
        fail_msg("%s", b->error);
}

void stops(enum kl_doubt doubt, const char *words)
{
    struct store_bench b;

    assert_int_equal(bench_open(&b, csv), KL_STORE_DOUBT);
    assert_int_equal(b.doubt, doubt);
    if (strstr(b.error, words) == NULL)
        fail_msg("%s", b.error);
}

const struct kl_ledger_row *entry(const struct store_bench *b, const char *label)
{
    const struct kl_store_content *c = kl_store_content(b->store);
    struct kl_fingerprint fp = bench_key(b, label);

    for (uint32_t i = 0; i < c->ledger_count; i++)
        if (kl_fingerprint_equal(&c->ledger[i].fingerprint, &fp))
            return &c->ledger[i];
    return NULL;
}

void copy_file(const char *from, const char *to)
{
    size_t size;
    char *data = file_read(from, &size);

    assert_non_null(data);
    unlink(to);
    file_write(to, data, size);
    free(data);
}
