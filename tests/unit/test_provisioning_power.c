/*
 * Power cuts and failing flash at every single store operation, in every mixture of lives that the
 * board's half of the handover can lead: whatever happens, a board is never found with part of a
 * key, or with a mixture of two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "prov_bench.h"

static const char *const lines[] = {"a1,a2,a3\n", "b1,b2,b3,b4,b5\n", "c1\n"};

enum {
    LINES = 3,
    MORE_THAN_ENOUGH = 16, /* operations of any one step */
};

static struct prov_bench b;

/* The printout of a board that holds lines[i]. */
static void printout(unsigned i, char out[256])
{
    char fields[64], *rest = fields, *field;
    size_t used = (size_t)snprintf(out, 256, "Provisioned\r\n");

    snprintf(fields, sizeof fields, "%.*s", (int)strcspn(lines[i], "\n"), lines[i]);
    for (unsigned n = 1; (field = strsep(&rest, ",")) != NULL; n++)
        used += (size_t)snprintf(out + used, 256 - used, "Key%u: %s\r\n", n, field);
}

/* Which line the board turns out to hold at its next start; -1 = none. */
static int what_it_holds(void)
{
    char expected[256];

    prov_bench_start(&b);
    if (strcmp(b.out, "Provisioning\r\n") == 0)
        return -1;
    for (unsigned i = 0; i < LINES; i++) {
        printout(i, expected);
        if (strcmp(b.out, expected) == 0)
            return (int)i;
    }
    fail_msg("a board with part of a key: %s", b.out);
    return -1;
}

static void give(unsigned line, bool all_at_once)
{
    const char *text = lines[line];

    if (all_at_once) {
        prov_bench_type(&b, text);
        return;
    }
    for (uint32_t t = 20; *text; text++, t += 20) {
        kl_prov_tick(&b.prov, t);
        prov_bench_bytes(&b, text, 1, t);
    }
}

static void cut_after(int operations, enum prov_cut cut, bool lies)
{
    b.operations_left = operations;
    b.cut = cut;
    b.lies = lies;
}

/* Storing `line` is interrupted at operation n, then it is given again. */
static void interrupt_storing(unsigned line, int n, enum prov_cut cut, bool at_once)
{
    prov_bench_init(&b);
    prov_bench_start(&b);
    cut_after(n, cut, false);
    give(line, at_once);
    bool acknowledged = strstr(b.out, "Provisioned") != NULL;
    int held = what_it_holds();
    assert_true(held == -1 || held == (int)line);
    if (acknowledged)
        assert_int_equal(held, line);
    if (held == -1) {
        give(line, at_once);
        assert_int_equal(what_it_holds(), line);
    }
}

static void a_cut_while_storing_leaves_nothing_or_all(void **state)
{
    (void)state;
    for (unsigned line = 0; line < LINES; line++)
        for (int n = 0; n < MORE_THAN_ENOUGH; n++)
            for (int way = 0; way < 4; way++)
                interrupt_storing(line, n, way & 1 ? PROV_CUT_AFTER : PROV_CUT_BEFORE, way & 2);
}

static void a_cut_while_forgetting_leaves_nothing_or_all(void **state)
{
    (void)state;
    for (int n = 0; n < MORE_THAN_ENOUGH; n++) {
        for (int cut = PROV_CUT_BEFORE; cut <= PROV_CUT_AFTER; cut++) {
            prov_bench_init(&b);
            prov_bench_start(&b);
            give(1, true);
            prov_bench_start(&b);
            cut_after(n, (enum prov_cut)cut, false);
            bool gone = kl_prov_forget(&b.prov);
            int held = what_it_holds();
            assert_true(held == -1 || (held == 1 && !gone));
            if (held == -1) {
                give(2, true);
                assert_int_equal(what_it_holds(), 2);
            }
        }
    }
}

/*
 * The flash says that an operation failed; it may have taken place all the same. The board stays
 * on, is given another line, and the power fails in the midst of that one.
 */
static void no_mixture_after(int failing, enum prov_cut way, int n, enum prov_cut cut)
{
    prov_bench_init(&b);
    prov_bench_start(&b);
    cut_after(failing, way, true);
    give(0, true);
    if (b.restarts) /* it never came to that operation */
        return;
    assert_non_null(strstr(b.out, "Error: storing failed\r\n"));
    cut_after(n, cut, false);
    give(1, true);
    bool acknowledged = strstr(b.out, "Provisioned") != NULL;
    int held = what_it_holds();
    if (acknowledged)
        assert_int_equal(held, 1);
}

static void a_failing_flash_never_mixes_two_keys(void **state)
{
    (void)state;
    for (int failing = 0; failing < MORE_THAN_ENOUGH; failing++)
        for (int n = 0; n < MORE_THAN_ENOUGH; n++)
            for (int way = 0; way < 4; way++)
                no_mixture_after(failing, way & 1 ? PROV_CUT_AFTER : PROV_CUT_BEFORE, n,
                                 way & 2 ? PROV_CUT_AFTER : PROV_CUT_BEFORE);
}

static void a_failed_forgetting_can_be_tried_again(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        for (int cut = PROV_CUT_BEFORE; cut <= PROV_CUT_AFTER; cut++) {
            prov_bench_init(&b);
            prov_bench_start(&b);
            give(1, true);
            prov_bench_start(&b);
            cut_after(n, (enum prov_cut)cut, true);
            assert_false(kl_prov_forget(&b.prov));
            assert_true(kl_prov_forget(&b.prov));
            assert_string_equal(b.field[0], "");
            assert_int_equal(what_it_holds(), -1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_while_storing_leaves_nothing_or_all),
        cmocka_unit_test(a_cut_while_forgetting_leaves_nothing_or_all),
        cmocka_unit_test(a_failing_flash_never_mixes_two_keys),
        cmocka_unit_test(a_failed_forgetting_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
