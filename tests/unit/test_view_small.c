/* What matters most is on the screen at every size: how many boards failed, how many keys are left,
   that a question waits, that keys are in doubt. */
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

static const int rows[] = {4, 5, 6, 7, 8, 10, 12, 16, 24};
static const int cols[] = {20, 21, 24, 25, 26, 28, 30, 34, 40, 52, 60, 80};
static const unsigned slots[] = {1, 2, 3, 8, 33, 64};
static const unsigned keys[] = {0, 9, 900, 20000, 1000000};

#define COUNT(of) (sizeof of / sizeof of[0])

/* A bench whose last board failed, and of the others every second is busy. */
static void make_bench(unsigned count, unsigned free)
{
    memset(&model.snap, 0, sizeof model.snap);
    model.connected = true;
    model.snap.at = KL_SEC(1000);
    model.snap.slot_count = count;
    model.snap.keys.free = free;
    for (unsigned i = 0; i < count; i++) {
        struct kl_slot_view *s = &model.snap.slot[i];
        snprintf(s->name, KL_NAME_MAX, "192.168.100.7:%u", 4000 + i);
        s->state = i % 2 ? KL_ST_CONNECTING : KL_ST_DONE;
        s->retry_at = s->left = KL_NEVER;
    }
    model.snap.slot[count - 1].state = KL_ST_FAILED;
    model.snap.slot[count - 1].fault.reason = KL_FAULT_NO_SYNC;
    view = (struct kl_view){.now = KL_SEC(1)};
}

static void text_of(int from, int to, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int r = from; r < to; r++)
        for (int c = 0; c < grid.cols && used < size - 8; c++)
            used +=
                (size_t)snprintf(out + used, size - used, "%s", kl_grid_cell(&grid, r, c)->text);
}

/* "FAIL 1" is not found in "FAIL 12", nor where it is cut. */
static bool says(const char *text, const char *words)
{
    const char *at = strstr(text, words);

    return at && strchr(" )", at[strlen(words)]) != NULL;
}

static void expect(int from, int to, const char *words)
{
    char text[8192];

    text_of(from, to, text, sizeof text);
    if (!says(text, words)) {
        text_of(0, grid.rows, text, sizeof text);
        fail_msg("no \"%s\" in %dx%d, %u slots:\n%s", words, grid.rows, grid.cols,
                 model.snap.slot_count, text);
    }
}

/* The word, or the same in block letters. */
static void expect_fail_below(int from)
{
    for (int r = from; r < grid.rows - 1; r++)
        for (int c = 0; c < grid.cols; c++)
            if (kl_grid_cell(&grid, r, c)->style == KL_STYLE_FAIL &&
                strcmp(kl_grid_cell(&grid, r, c)->text, "█") == 0)
                return;
    expect(from, grid.rows - 1, "FAIL");
}

/* valgrind only looks for bad memory: every 17th size in turn does for that. */
static bool is_left_out(void)
{
    static unsigned n;

    return n++ % 17 != 0 && getenv("UNDER_VALGRIND");
}

static void draw(int r, int c)
{
    assert_true(kl_grid_init(&grid, r, c));
    kl_view_draw(&model, &view, &grid);
}

#define EACH_SIZE                                                                                  \
    for (size_t i = 0; i < COUNT(rows); i++)                                                       \
        for (size_t j = 0; j < COUNT(cols); j++)                                                   \
            for (size_t k = 0; k < COUNT(slots); k++)                                              \
                if (!is_left_out())

static void failures_and_keys_are_counted_at_every_size(void **state)
{
    char left[32];

    (void)state;
    EACH_SIZE for (size_t n = 0; n < COUNT(keys); n++)
    {
        make_bench(slots[k], keys[n]);
        draw(rows[i], cols[j]);
        snprintf(left, sizeof left, "%u", keys[n]);
        expect(1, 2, "FAIL 1");
        expect(1, 2, left);
        kl_grid_finish(&grid);
    }
}

static void a_chosen_board_that_failed_says_so(void **state)
{
    (void)state;
    EACH_SIZE
    {
        if (rows[i] < 5) /* header and footer take all */
            continue;
        make_bench(slots[k], 9);
        view.selected = slots[k] - 1;
        draw(rows[i], cols[j]);
        expect_fail_below(3);
        kl_grid_finish(&grid);
    }
}

static void a_question_is_seen_at_every_size(void **state)
{
    (void)state;
    EACH_SIZE
    {
        make_bench(slots[k], 9);
        kl_copy(model.snap.question, sizeof model.snap.question, "0badcafe");
        kl_copy(model.snap.asks, sizeof model.snap.asks, "keys.csv: 3 rows are missing");
        model.snap.few_keys = model.snap.store_trouble = true;
        model.snap.keys.in_doubt = 2;
        draw(rows[i], cols[j]);
        expect(1, 2, "FAIL 1");
        expect(2, 3, "ANSWER (a)");
        kl_grid_finish(&grid);
    }
}

/* They matter more than how many boards are busy, and than the page. */
static void keys_in_doubt_are_counted_where_they_fit(void **state)
{
    (void)state;
    EACH_SIZE
    {
        if (cols[j] < 40)
            continue;
        make_bench(slots[k], 900);
        model.snap.keys.in_doubt = 2;
        draw(rows[i], cols[j]);
        expect(1, 2, "FAIL 1");
        expect(1, 2, "in doubt 2 (K)");
        kl_grid_finish(&grid);
    }
}

static void the_wall_tells_of_failures_it_has_no_room_for(void **state)
{
    (void)state;
    EACH_SIZE
    {
        make_bench(slots[k], 900);
        view.screen = KL_SCREEN_WALL;
        draw(rows[i], cols[j]);
        expect_fail_below(1);
        kl_grid_finish(&grid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_and_keys_are_counted_at_every_size),
        cmocka_unit_test(a_chosen_board_that_failed_says_so),
        cmocka_unit_test(a_question_is_seen_at_every_size),
        cmocka_unit_test(keys_in_doubt_are_counted_where_they_fit),
        cmocka_unit_test(the_wall_tells_of_failures_it_has_no_room_for),
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
