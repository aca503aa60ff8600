/* Walks every fault at every size: the reason and what to do are found uncut on the screen. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faces/dashboard/view.h"

static struct kl_model model;
static struct kl_view view;
static struct kl_grid grid;
static char text[1 << 16];

/* All words of the body that are said with weight, row after row, blanks joined. */
static void collect(void)
{
    size_t used = 0;

    for (int r = 3; r < grid.rows - 1; r++) {
        for (int c = 0; c < grid.cols; c++) {
            const struct kl_cell *cell = kl_grid_cell(&grid, r, c);
            bool said = cell->style == KL_STYLE_FAIL || cell->style == KL_STYLE_WAIT ||
                        cell->style == KL_STYLE_STRONG;
            const char *one = said && cell->text[0] ? cell->text : " ";
            if (one[0] == ' ' && used > 0 && text[used - 1] == ' ')
                continue;
            used += (size_t)snprintf(text + used, sizeof text - used, "%s", one);
        }
        if (used > 0 && text[used - 1] != ' ')
            used += (size_t)snprintf(text + used, sizeof text - used, " ");
    }
}

static void look(enum kl_reason reason, unsigned slots, int rows, int cols, bool ascii)
{
    struct kl_fault_info info = kl_fault_info(reason);
    struct kl_slot_view *s = &model.snap.slot[slots - 1];
    bool waits = info.policy == KL_POLICY_WAIT;
    char advice[KL_TEXT_MAX];

    memset(&model.snap, 0, sizeof model.snap);
    model.snap.at = KL_SEC(1000);
    model.snap.slot_count = slots;
    for (unsigned i = 0; i < slots; i++) {
        snprintf(model.snap.slot[i].name, KL_NAME_MAX, "1-1.4.%u", i + 1);
        model.snap.slot[i].retry_at = model.snap.slot[i].left = KL_NEVER;
    }
    s->state = waits ? KL_ST_ASKING : KL_ST_FAILED;
    s->since = model.snap.at;
    s->fault.reason = reason;
    s->identity.mac = (struct kl_mac){{0x24, 0x6f, 0x28, 1, 2, 3}};
    s->identity.chip = KL_CHIP_ESP32;
    kl_copy(s->fault.detail, sizeof s->fault.detail, "sent 4096 bytes, found 12 of them changed");
    view = (struct kl_view){.now = KL_SEC(1), .selected = slots - 1, .ascii = ascii};
    assert_true(kl_grid_init(&grid, rows, cols));
    kl_view_draw(&model, &view, &grid);
    collect();
    snprintf(advice, sizeof advice, "> %s", info.advice);
    if (!strstr(text, info.text) || !strstr(text, advice))
        fail_msg("%s in %dx%d with %u slots:\n%s", info.name, rows, cols, slots, text);
    kl_grid_finish(&grid);
}

static void every_advice_is_uncut_at_every_size(void **state)
{
    static const int rows[] = {12, 16, 20, 24, 30, 40, 60};
    static const int cols[] = {40, 60, 80, 100, 120, 160, 200};
    static const unsigned slots[] = {1, 2, 3, 4, 6, 8, 16, 32, 64};
    /* valgrind only looks for bad memory: every 17th size in turn does for that. */
    unsigned each = getenv("UNDER_VALGRIND") ? 17 : 1, n = 0;

    (void)state;
    for (int r = KL_FAULT_NONE + 1; r < KL_FAULT_COUNT; r++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
            for (size_t j = 0; j < sizeof cols / sizeof cols[0]; j++)
                for (size_t k = 0; k < sizeof slots / sizeof slots[0]; k++)
                    if (n++ % each == 0)
                        look((enum kl_reason)r, slots[k], rows[i], cols[j], (i + j) % 2);
}

/* Sixteen boards, each with its state and its reason, on the smallest usual terminal. */
static void sixteen_boards_fit_80x24(void **state)
{
    static const enum kl_reason reasons[] = {KL_FAULT_NO_SYNC, KL_FAULT_NEVER_ASKED,
                                             KL_FAULT_BAD_STRAPS, KL_FAULT_NO_TX_PATH};
    int found = 0;
    char line[512];

    (void)state;
    memset(&model.snap, 0, sizeof model.snap);
    model.snap.slot_count = 16;
    for (unsigned i = 0; i < 16; i++) {
        struct kl_slot_view *s = &model.snap.slot[i];
        snprintf(s->name, KL_NAME_MAX, "192.168.100.7:%u", 4000 + i);
        s->state = KL_ST_FAILED;
        s->retry_at = s->left = KL_NEVER;
        s->fault.reason = reasons[i % 4];
    }
    view = (struct kl_view){.now = KL_SEC(1)};
    assert_true(kl_grid_init(&grid, 24, 80));
    kl_view_draw(&model, &view, &grid);
    for (int r = 3; r < 24; r++) {
        line[0] = '\0';
        for (int c = 0; c < 80; c++)
            snprintf(line + strlen(line), sizeof line - strlen(line), "%s",
                     kl_grid_cell(&grid, r, c)->text);
        for (unsigned i = 0; i < 4; i++)
            found += strstr(line, "FAIL") && strstr(line, kl_fault_info(reasons[i]).text);
    }
    assert_int_equal(found, 16);
    kl_grid_finish(&grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_advice_is_uncut_at_every_size),
        cmocka_unit_test(sixteen_boards_fit_80x24),
    };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 2;
    for (int i = 0; i < KL_SLOTS_MAX; i++)
        kl_log_init(&model.log[i], 4);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < KL_SLOTS_MAX; i++)
        kl_log_finish(&model.log[i]);
    return failed;
}
