/* Tests of what is told about the keys before any board is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faces/cli/report.h"

static char *told;

static struct kl_fingerprint fp(unsigned n)
{
    return (struct kl_fingerprint){{(uint8_t)n, (uint8_t)(n >> 8), 7}};
}

static struct kl_pool_row row(const char *label, unsigned n, uint32_t line)
{
    return (struct kl_pool_row){.label = label, .fingerprint = fp(n), .line = line};
}

static struct kl_ledger_row entry(const char *label, unsigned n, bool provisioned, unsigned board)
{
    return (struct kl_ledger_row){.label = label,
                                  .fingerprint = fp(n),
                                  .provisioned = provisioned,
                                  .mac = {{0x24, 0x6f, 0x28, 0, 0, (uint8_t)board}}};
}

static bool report(const struct kl_store_content *content)
{
    size_t size;
    FILE *out;
    bool good;

    free(told);
    assert_non_null(out = open_memstream(&told, &size));
    good = kl_report_keys(out, "keys.csv", content, NULL);
    fclose(out);
    return good;
}

static void says(const char *words)
{
    if (strstr(told, words) == NULL)
        fail_msg("not said: %s\n%s", words, told);
}

static void every_kind_of_key_is_counted_and_named(void **state)
{
    struct kl_pool_row rows[] = {row("free", 1, 1),    row("mine", 2, 2),  row("spent", 3, 3),
                                 row("foreign", 4, 4), row("free", 1, 5),  row("bad", 6, 6),
                                 row("new", 8, 7),     row("proved", 9, 8)};
    struct kl_ledger_row ledger[] = {entry("mine", 2, false, 0x21), entry("spent", 3, true, 0x22),
                                     entry("new", 7, false, 0x23), entry("gone", 10, true, 0x24),
                                     entry("proved", 9, true, 0x25)};
    struct kl_store_content content = {
        .rows = rows, .row_count = 8, .ledger = ledger, .ledger_count = 5, .fields = 3};

    (void)state;
    rows[2].marked = rows[3].marked = true;
    rows[5].bad = true;
    assert_true(report(&content));
    says("keys.csv: 9 keys: 1 free, 2 reserved, 4 provisioned, 2 kept back\n");
    says("  mine is reserved for 24:6f:28:00:00:21: plug that board in to settle it\n");
    says("  new is reserved for 24:6f:28:00:00:23: plug that board in to settle it\n");
    says("  1 row is an exact copy of another");
    says("  1 row was marked by another tool");
    says("  1 row can't be sent to a board");
    says("  1 key of the ledger has other fields in the CSV");
    says("  1 key of the ledger is no longer in the CSV");
    says("  1 provisioned key lacks its mark");
}

static void many_reservations_are_not_all_listed(void **state)
{
    struct kl_pool_row rows[14];
    struct kl_ledger_row ledger[14];
    struct kl_store_content content = {
        .rows = rows, .row_count = 14, .ledger = ledger, .ledger_count = 14, .fields = 3};
    char labels[14][8];

    (void)state;
    for (unsigned i = 0; i < 14; i++) {
        snprintf(labels[i], sizeof labels[i], "d%02u", i);
        rows[i] = row(labels[i], i + 1, i + 1);
        ledger[i] = entry(labels[i], i + 1, false, i + 1);
    }
    assert_true(report(&content));
    says("  d09 is reserved for 24:6f:28:00:00:0a");
    says("  and 4 more: see keyline keys status\n");
    assert_null(strstr(told, "d10 is"));
}

static void one_label_with_two_keys_stops_the_start(void **state)
{
    struct kl_pool_row rows[] = {row("a", 1, 3), row("b", 2, 4), row("a", 3, 17)};
    struct kl_store_content content = {.rows = rows, .row_count = 3, .fields = 3};

    (void)state;
    assert_false(report(&content));
}

static void warnings_come_first(void **state)
{
    struct kl_pool_row rows[] = {row("a", 1, 1)};
    struct kl_store_content content = {.rows = rows, .row_count = 1, .lost_ledger = true};

    (void)state;
    rows[0].marked = true;
    kl_copy(content.warning, sizeof content.warning, "the first row looks like a header");
    assert_true(report(&content));
    says("warning: rows are marked and there was no ledger");
    says("keys.csv.ledger back");
    says("keys.csv: warning: the first row looks like a header\n");
}

static int forget(void **state)
{
    (void)state;
    free(told);
    told = NULL;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_key_is_counted_and_named),
        cmocka_unit_test(many_reservations_are_not_all_listed),
        cmocka_unit_test(one_label_with_two_keys_stops_the_start),
        cmocka_unit_test(warnings_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, forget);
}
