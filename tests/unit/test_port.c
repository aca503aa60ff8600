/* The port of a board: what opening, closing, vanishing and coming back mean (core/port.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/port.h"

#define NOW KL_SEC(100)

static struct kl_port port;

static int setup(void **state)
{
    (void)state;
    memset(&port, 0, sizeof port);
    kl_port_init(&port, false);
    return 0;
}

static void open_it(void)
{
    kl_port_open(&port, NOW);
    assert_int_equal(kl_port_opened(&port, KL_OPEN_OK), KL_PORT_USABLE);
}

static void waits_longer_after_each_refusal(void **state)
{
    static const kl_us waits[] = {KL_MS(250), KL_MS(500), KL_SEC(1), KL_SEC(2),
                                  KL_SEC(4),  KL_SEC(5),  KL_SEC(5)};
    (void)state;

    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        kl_port_back_off(&port, NOW);
        assert_int_equal(kl_port_deadline(&port), NOW + waits[i]);
    }
    kl_port_open(&port, NOW);
    kl_port_opened(&port, KL_OPEN_OK);
    kl_port_back_off(&port, NOW);
    assert_int_equal(kl_port_deadline(&port), NOW + KL_MS(250));
}

static void a_late_answer_to_a_closed_port_is_nothing(void **state)
{
    (void)state;
    kl_port_open(&port, NOW);
    assert_true(kl_port_close(&port, NOW));
    assert_int_equal(kl_port_opened(&port, KL_OPEN_OK), KL_PORT_NOTHING);
    assert_false(kl_port_close(&port, NOW));
    assert_int_equal(kl_port_closed(&port), KL_PORT_ENDED);
    assert_int_equal(kl_port_deadline(&port), KL_NEVER);
}

static void an_answer_that_does_not_come_is_noticed(void **state)
{
    (void)state;
    kl_port_open(&port, NOW);
    assert_int_equal(kl_port_tick(&port, NOW + KL_SEC(30) - 1), KL_PORT_NOTHING);
    assert_int_equal(kl_port_tick(&port, NOW + KL_SEC(30)), KL_PORT_STUCK);
    kl_port_close(&port, NOW);
    assert_int_equal(kl_port_tick(&port, NOW + KL_SEC(60)), KL_PORT_BLOCKED);
    assert_int_equal(kl_port_deadline(&port), NOW + KL_SEC(120));
}

static void a_try_waits_for_the_old_link_once(void **state)
{
    (void)state;
    open_it();
    kl_port_close(&port, NOW);
    kl_port_start_when_closed(&port);
    assert_int_equal(kl_port_closed(&port), KL_PORT_ENDED_START);
    open_it();
    kl_port_close(&port, NOW);
    assert_int_equal(kl_port_closed(&port), KL_PORT_ENDED);
}

static void a_try_that_was_called_off_does_not_start(void **state)
{
    (void)state;
    open_it();
    kl_port_close(&port, NOW);
    kl_port_start_when_closed(&port);
    kl_port_rest(&port);
    assert_int_equal(kl_port_closed(&port), KL_PORT_ENDED);
}

static void a_followed_board_is_looked_for_until_it_is_back(void **state)
{
    struct kl_event ev = {.kind = KL_EV_PLUGGED, .u.port.link = KL_LINK_USB_JTAG};
    (void)state;

    kl_port_plugged(&port, &ev);
    open_it();
    assert_int_equal(kl_port_leaves(&port, true, NOW), KL_PORT_LEAVES);
    assert_int_equal(kl_port_leaves(&port, true, NOW), KL_PORT_LEFT_AGAIN);
    kl_port_close(&port, NOW);
    kl_port_closed(&port);
    kl_port_removed(&port);
    assert_int_equal(kl_port_tick(&port, NOW + KL_MS(300)), KL_PORT_NOTHING);
    kl_port_plugged(&port, &ev);
    assert_int_equal(kl_port_tick(&port, NOW + KL_MS(600)), KL_PORT_SHOWN);
    kl_port_open(&port, NOW + KL_MS(600));
    assert_int_equal(kl_port_opened(&port, KL_OPEN_OK), KL_PORT_BACK);
    assert_int_equal(kl_port_deadline(&port), KL_NEVER);
}

static void a_followed_board_is_given_up(void **state)
{
    (void)state;
    open_it();
    kl_port_leaves(&port, true, NOW);
    kl_port_close(&port, NOW);
    kl_port_closed(&port);
    assert_int_equal(kl_port_tick(&port, NOW + KL_SEC(6)), KL_PORT_STAYED_AWAY);
    assert_false(kl_port_is_away(&port));
}

static void a_board_that_leaves_on_and_on_is_told_of(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kl_port_leaves(&port, true, NOW), KL_PORT_LEAVES);
        kl_port_unfollow(&port);
    }
    assert_int_equal(kl_port_leaves(&port, false, NOW), KL_PORT_LEAVES); /* into its loader */
    kl_port_unfollow(&port);
    assert_int_equal(kl_port_leaves(&port, true, NOW), KL_PORT_LEAVES_ON);
    kl_port_new_try(&port);
    assert_int_equal(kl_port_leaves(&port, true, NOW), KL_PORT_LEAVES);
}

static void what_an_earlier_talk_asked_is_not_answered(void **state)
{
    uint32_t before;
    (void)state;

    port.request = UINT32_MAX - 1; /* ids wrap around */
    before = kl_port_request(&port);
    kl_port_new_talk(&port);
    assert_false(kl_port_is_of_this_talk(&port, before));
    assert_true(kl_port_is_of_this_talk(&port, kl_port_request(&port)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(waits_longer_after_each_refusal, setup),
        cmocka_unit_test_setup(a_late_answer_to_a_closed_port_is_nothing, setup),
        cmocka_unit_test_setup(an_answer_that_does_not_come_is_noticed, setup),
        cmocka_unit_test_setup(a_try_waits_for_the_old_link_once, setup),
        cmocka_unit_test_setup(a_try_that_was_called_off_does_not_start, setup),
        cmocka_unit_test_setup(a_followed_board_is_looked_for_until_it_is_back, setup),
        cmocka_unit_test_setup(a_followed_board_is_given_up, setup),
        cmocka_unit_test_setup(a_board_that_leaves_on_and_on_is_told_of, setup),
        cmocka_unit_test_setup(what_an_earlier_talk_asked_is_not_answered, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
