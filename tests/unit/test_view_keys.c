/* Tests of what keys, pastes and answers do, and when: the rules that keep tired hands from harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "faces/dashboard/view.h"

enum {
    ROWS = 24,
    COLS = 80
};

static struct kl_model model;
static struct kl_view view;

static int start(void **state)
{
    static const enum kl_state states[] = {KL_ST_FAILED, KL_ST_DONE, KL_ST_FLASHING, KL_ST_EMPTY,
                                           KL_ST_SENDING};

    (void)state;
    kl_log_finish(&model.log[0]);
    memset(&model, 0, sizeof model);
    memset(&view, 0, sizeof view);
    view.now = KL_SEC(1000);
    model.connected = true;
    model.snap.slot_count = 5;
    for (unsigned i = 0; i < 5; i++) {
        model.snap.slot[i].state = states[i];
        model.snap.slot[i].retry_at = KL_NEVER;
        model.snap.slot[i].identity.mac.b[5] = (uint8_t)(i + 1);
        kl_copy(model.snap.slot[i].name, KL_NAME_MAX, "A");
    }
    model.snap.slot[3].network = true;
    kl_log_init(&model.log[0], 10);
    return 0;
}

static struct kl_want give(struct kl_input_event e)
{
    e.at = view.now;
    return kl_view_input(&view, &model, &e, ROWS, COLS);
}

static struct kl_want press(int key)
{
    return give((struct kl_input_event){.kind = KL_INPUT_KEY, .key = key});
}

/* The screen was drawn, and somebody looked at it for a while. */
static void look(kl_us how_long)
{
    kl_view_is_on_screen(&view);
    view.now += how_long;
}

static struct kl_want type(const char *text)
{
    struct kl_want w = {0};

    for (; *text; text++)
        w = press(*text);
    return w;
}

static void expect_command(struct kl_want w, enum kl_command_kind kind, unsigned slot)
{
    assert_int_equal(w.kind, KL_WANT_COMMAND);
    assert_int_equal(w.command.kind, kind);
    assert_int_equal(w.command.slot, slot);
}

static void erasing_takes_the_slots_number(void **state)
{
    (void)state;
    view.selected = 1;
    assert_int_equal(press('e').kind, KL_WANT_NOTHING);
    look(KL_SEC(1));
    assert_int_equal(type("y").kind, KL_WANT_NOTHING);
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_NOTHING);
    assert_int_equal(view.asked.question, KL_ASK_NOTHING);
    press('e');
    look(KL_SEC(1));
    type("2");
    expect_command(press(KL_KEYCODE_ENTER), KL_CMD_ERASE, 1);
}

static void an_answer_counts_when_the_question_was_to_be_read(void **state)
{
    (void)state;
    view.selected = 1;
    press('e');
    type("2"); /* not drawn yet */
    press(KL_KEYCODE_ENTER);
    look(KL_ANSWER_AFTER - 1);
    type("2"); /* too early */
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_NOTHING);
    assert_int_equal(press(KL_KEYCODE_ESCAPE).kind, KL_WANT_NOTHING);
    assert_int_equal(view.asked.question, KL_ASK_ERASE);
    view.now += 1;
    type("2");
    expect_command(press(KL_KEYCODE_ENTER), KL_CMD_ERASE, 1);
}

static void the_answer_is_about_the_board_that_was_asked_about(void **state)
{
    (void)state;
    view.selected = 1;
    press('e');
    look(KL_SEC(1));
    model.snap.slot[1].identity.mac.b[5] = 99; /* somebody changed boards */
    type("2");
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_NOTHING);
    assert_non_null(strstr(view.message, "another board"));
}

/* On every screen and in every question: no paste is a command or an answer. */
static void pastes_do_nothing(void **state)
{
    static const char *const texts[] = {
        "keyline keys status", "1", "stop", "2\r", "y", "rRseqx", ""};

    (void)state;
    for (int screen = KL_SCREEN_BENCH; screen <= KL_SCREEN_HELP; screen++) {
        for (int q = KL_ASK_NOTHING; q <= KL_ASK_BIND; q++) {
            for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                struct kl_input_event e = {
                    .kind = KL_INPUT_PASTE, .line_ends = 1, .ends_line = true, .whole = true};
                start(NULL);
                view.screen = (enum kl_screen)screen;
                view.selected = 1;
                view.asked = (struct kl_asked){.question = (enum kl_question)q, .slot = 1};
                kl_copy(e.text, sizeof e.text, texts[i]);
                e.bracketed = q == KL_ASK_BIND; /* else it is a scan: see below */
                assert_int_equal(give(e).kind, KL_WANT_NOTHING);
                assert_int_equal(view.asked.question, q);
                assert_int_equal(view.screen, screen);
            }
        }
    }
    /* Into a field for text it goes as text. */
    view.asked.question = KL_ASK_ADD_PORT;
    struct kl_input_event e = {.kind = KL_INPUT_PASTE, .text = "bench:4001"};
    give(e);
    assert_string_equal(view.typed, "bench:4001");
}

/* A letter means one thing wherever it means anything. */
static void letters_have_one_meaning(void **state)
{
    (void)state;
    for (int key = 0x21; key < 0x7f; key++) {
        enum kl_command_kind command = KL_CMD_COUNT;
        if (key >= '0' && key <= '9')
            continue;
        for (int screen = KL_SCREEN_BENCH; screen <= KL_SCREEN_HELP; screen++) {
            for (unsigned slot = 0; slot < 5; slot++) {
                struct kl_want w;
                start(NULL);
                view.screen = (enum kl_screen)screen;
                view.selected = slot;
                w = press(key);
                if (w.kind != KL_WANT_COMMAND)
                    continue;
                assert_true(command == KL_CMD_COUNT || command == w.command.kind);
                command = w.command.kind;
            }
        }
    }
}

static void no_key_is_dead(void **state)
{
    (void)state;
    for (int screen = KL_SCREEN_BENCH; screen <= KL_SCREEN_HELP; screen++) {
        for (unsigned slot = 0; slot < 5; slot++) {
            for (int key = 0x21; key < 0x7f; key++) {
                struct kl_view before;
                struct kl_want w;
                if (key >= '0' && key <= '9')
                    continue;
                start(NULL);
                view.screen = (enum kl_screen)screen;
                view.selected = slot;
                before = view;
                w = press(key);
                if (w.kind == KL_WANT_NOTHING && memcmp(&before, &view, sizeof view) == 0)
                    fail_msg("'%c' says nothing on screen %d", key, screen);
            }
        }
    }
}

static void q_goes_back_and_asks_on_the_bench(void **state)
{
    (void)state;
    for (int screen = KL_SCREEN_ZOOM; screen <= KL_SCREEN_HELP; screen++) {
        view.screen = (enum kl_screen)screen;
        assert_int_equal(press('q').kind, KL_WANT_NOTHING);
        assert_int_equal(view.screen,
                         screen == KL_SCREEN_STORY ? KL_SCREEN_IN_DOUBT : KL_SCREEN_BENCH);
        assert_int_equal(view.asked.question, KL_ASK_NOTHING);
    }
    view.screen = KL_SCREEN_BENCH;
    press('q');
    assert_int_equal(view.asked.question, KL_ASK_QUIT);
    look(KL_SEC(1));
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_LEAVE);
    press('q');
    look(KL_SEC(1));
    type("stop");
    expect_command(press(KL_KEYCODE_ENTER), KL_CMD_STOP, 0);
    press('q');
    look(KL_SEC(1));
    type("s");
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_NOTHING);
}

static void what_can_not_be_done_says_why(void **state)
{
    (void)state;
    view.selected = 2;
    assert_int_equal(press('r').kind, KL_WANT_NOTHING);
    assert_string_equal(view.message, "it is at work already");
    assert_true(view.message_until == view.now + KL_SEC(2));
    view.selected = 3;
    assert_int_equal(press('s').kind, KL_WANT_NOTHING);
    assert_string_equal(view.message, "no board is there");
    press('x');
    assert_int_equal(view.asked.question, KL_ASK_REMOVE_PORT);
    view.asked.question = KL_ASK_NOTHING;
    expect_command(press('p'), KL_CMD_PAUSE, 0);
    model.snap.paused = true;
    assert_int_equal(press('p').kind, KL_WANT_NOTHING);
    expect_command(press('P'), KL_CMD_RESUME, 0);
}

/* Only what changes nothing may act without waiting for what comes behind it. */
static void commands_and_answers_wait(void **state)
{
    (void)state;
    for (int key = 0x21; key < 0x7f; key++) {
        bool digit = key >= '0' && key <= '9';
        assert_int_equal(kl_view_is_at_once(&view, key), digit);
    }
    view.asked.question = KL_ASK_ERASE;
    assert_true(kl_view_is_at_once(&view, '2'));
    assert_false(kl_view_is_at_once(&view, KL_KEYCODE_ENTER));
    assert_false(kl_view_is_at_once(&view, KL_KEYCODE_ESCAPE));
}

static struct kl_want scan(const char *text, bool bracketed)
{
    struct kl_input_event e = {.kind = KL_INPUT_PASTE,
                               .line_ends = 1,
                               .ends_line = true,
                               .whole = true,
                               .bracketed = bracketed};

    kl_copy(e.text, sizeof e.text, text);
    return give(e);
}

/* A scanner's line binds its label to the chosen slot's board, in the field for it and nowhere
   else; text from the clipboard waits for Enter. */
static void a_scanned_line_binds_a_label(void **state)
{
    struct kl_want w;

    (void)state;
    view.selected = 2;
    assert_int_equal(scan("dev-0042", false).kind, KL_WANT_NOTHING);
    press('b');
    assert_int_equal(view.asked.question, KL_ASK_BIND);
    assert_int_equal(scan("dev-0042", false).kind, KL_WANT_NOTHING); /* nobody has seen the field */
    view.typed[0] = '\0';
    look(KL_SEC(1));
    w = scan("dev-0042", false);
    expect_command(w, KL_CMD_BIND, 2);
    assert_string_equal(w.command.argument, "dev-0042");
    press('b');
    look(KL_SEC(1));
    assert_int_equal(scan("dev-0043", true).kind, KL_WANT_NOTHING);
    w = press(KL_KEYCODE_ENTER);
    expect_command(w, KL_CMD_BIND, 2);
    assert_string_equal(w.command.argument, "dev-0043");
    press('b');
    look(KL_SEC(1));
    model.snap.slot[2].identity.mac.b[5] = 99;
    assert_int_equal(scan("dev-0044", false).kind, KL_WANT_NOTHING);
    assert_non_null(strstr(view.message, "another board"));
    view.selected = 1;
    press('b');
    assert_string_equal(view.message, "it has its key already");
}

static void a_filter_hides_and_is_shown(void **state)
{
    (void)state;
    press('/');
    type("sEnDing");
    press(KL_KEYCODE_ENTER);
    kl_view_follow(&view, &model);
    assert_int_equal(view.selected, 4); /* nothing unseen is acted on */
    press(KL_KEYCODE_UP);
    assert_int_equal(view.selected, 4);
    press(KL_KEYCODE_ESCAPE);
    press(KL_KEYCODE_UP);
    assert_int_not_equal(view.selected, 4);
}

static void tab_goes_to_who_needs_a_hand(void **state)
{
    (void)state;
    view.selected = 3;
    press(KL_KEYCODE_TAB);
    assert_int_equal(view.selected, 0);
    model.snap.slot[0].state = KL_ST_BOOTING;
    press(KL_KEYCODE_TAB);
    assert_int_equal(view.selected, 1); /* none has failed: take out what has passed */
}

static void orders_are_walked_and_said(void **state)
{
    (void)state;
    for (int order = 1; order <= KL_ORDER_COUNT; order++) {
        press('o');
        assert_int_equal(view.order, order % KL_ORDER_COUNT);
        assert_non_null(strstr(view.message, "order: by "));
    }
}

static void a_click_chooses_and_the_wheel_scrolls(void **state)
{
    struct kl_input_event e = {.kind = KL_INPUT_CLICK, .row = 5, .col = 5};

    (void)state;
    view.selected = 4;
    give(e);
    assert_int_equal(view.selected, 0);
    e.kind = KL_INPUT_WHEEL_DOWN;
    give(e);
    assert_int_not_equal(view.selected, 0);
    view.screen = KL_SCREEN_ZOOM;
    view.selected = 0;
    for (int i = 0; i < 10; i++)
        kl_log_add(&model.log[0], "line");
    e.kind = KL_INPUT_WHEEL_UP;
    give(e);
    assert_int_equal(view.scroll, 3);
}

static void a_key_in_doubt_is_released_with_a_reason(void **state)
{
    struct kl_want w;

    (void)state;
    model.in_doubt_count = 2;
    kl_copy(model.in_doubt[1].label, sizeof model.in_doubt[1].label, "dev-7");
    model.in_doubt[1].fingerprint.b[0] = 77;
    press('K');
    press(KL_KEYCODE_DOWN);
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_STORY);
    assert_int_equal(view.screen, KL_SCREEN_STORY);
    press('q');
    assert_int_equal(view.screen, KL_SCREEN_IN_DOUBT);
    press('u');
    look(KL_SEC(1));
    assert_int_equal(press(KL_KEYCODE_ENTER).kind, KL_WANT_NOTHING); /* no reason */
    press('u');
    look(KL_SEC(1));
    type("it burnt");
    w = press(KL_KEYCODE_ENTER);
    expect_command(w, KL_CMD_RELEASE, 0);
    assert_string_equal(w.command.argument, "it burnt");
    assert_int_equal(w.command.fingerprint.b[0], 77);
}

/* The help page is whole on 80 columns, and so are its keys. */
static void help_fits(void **state)
{
    const char *what, *name;

    (void)state;
    for (unsigned i = 0; (name = kl_view_binding(i, &what)); i++) {
        assert_in_range(kl_text_width(name), 1, 16);
        assert_in_range(kl_text_width(what), 1, 59);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(erasing_takes_the_slots_number, start),
        cmocka_unit_test_setup(an_answer_counts_when_the_question_was_to_be_read, start),
        cmocka_unit_test_setup(the_answer_is_about_the_board_that_was_asked_about, start),
        cmocka_unit_test_setup(pastes_do_nothing, start),
        cmocka_unit_test_setup(letters_have_one_meaning, start),
        cmocka_unit_test_setup(no_key_is_dead, start),
        cmocka_unit_test_setup(q_goes_back_and_asks_on_the_bench, start),
        cmocka_unit_test_setup(what_can_not_be_done_says_why, start),
        cmocka_unit_test_setup(commands_and_answers_wait, start),
        cmocka_unit_test_setup(a_scanned_line_binds_a_label, start),
        cmocka_unit_test_setup(a_filter_hides_and_is_shown, start),
        cmocka_unit_test_setup(tab_goes_to_who_needs_a_hand, start),
        cmocka_unit_test_setup(orders_are_walked_and_said, start),
        cmocka_unit_test_setup(a_click_chooses_and_the_wheel_scrolls, start),
        cmocka_unit_test_setup(a_key_in_doubt_is_released_with_a_reason, start),
        cmocka_unit_test_setup(help_fits, start),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    kl_log_finish(&model.log[0]);
    return failed;
}
