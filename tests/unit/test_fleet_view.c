/* What `keyline fleet` shows (fleet_view.h), from the pool's own answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "faces/dashboard/fleet_view.h"
#include "faces/dashboard/input.h"

static struct fleet_model model;
static struct fleet_screen screen;
static char shown[200 * 400];

static const char pool[] =
    "{\"name\":\"lamps\",\"open\":true,\"plain\":false,\"alarms\":0,\"per_hour\":100,"
    "\"fence\":{\"holds\":true},\"keys\":{\"total\":5000,\"free\":1000,\"provisioned\":3900,"
    "\"leased\":100,\"lost\":0}}";
static const char stations[] =
    "[{\"name\":\"berlin\",\"state\":\"active\",\"silent_s\":3.2,\"leased\":20,\"provisioned\":300,"
    "\"failed\":100,\"per_hour\":60,\"alarms\":0,\"status\":{\"slots\":{\"all\":8,\"busy\":5},"
    "\"build\":\"c0ffee00112233\",\"project\":\"lamp\",\"project_version\":\"1.4\"}},"
    "{\"name\":\"oslo\",\"state\":\"active\",\"silent_s\":7300,\"leased\":9,\"provisioned\":5,"
    "\"failed\":0,\"per_hour\":0,\"alarms\":2,\"status\":{\"slots\":{\"all\":4,\"busy\":4},"
    "\"unsent\":12,\"oldest_unsent_s\":40}},"
    "{\"name\":\"paris\",\"state\":\"lost\",\"silent_s\":null,\"leased\":0,\"provisioned\":0,"
    "\"failed\":0,\"per_hour\":0,\"alarms\":0,\"status\":{}}]";
static const char station[] =
    "{\"events\":[{\"at\":\"2026-11-26T10:00:00\",\"who\":\"owner\",\"what\":\"joined\","
    "\"text\":\"by "
    "hand\"}],\"results\":[{\"wall\":\"2026-11-26T11:00:00\",\"what\":\"provisioned\","
    "\"mac\":\"24:6f:28:00:00:01\",\"label\":\"K000001\",\"how\":\"readback\",\"slot\":\"A1\","
    "\"offline\":true}]}";

static int load(void **state)
{
    (void)state;
    memset(&model, 0, sizeof model);
    memset(&screen, 0, sizeof screen);
    model.pool = json_loads(pool, 0, NULL);
    model.stations = json_loads(stations, 0, NULL);
    assert_true(model.pool && model.stations);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(model.pool);
    json_decref(model.stations);
    json_decref(model.station);
    return 0;
}

/* The screen as text, line by line. */
static const char *draw(int rows, int cols)
{
    struct kl_grid g = {0};
    size_t n = 0;

    assert_true(kl_grid_init(&g, rows, cols));
    fleet_draw(&model, &screen, &g);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c++)
            n += (size_t)sprintf(shown + n, "%s", kl_grid_cell(&g, r, c)->text);
        n += (size_t)sprintf(shown + n, "\n");
    }
    kl_grid_finish(&g);
    return shown;
}

static void has(const char *screen_text, const char *words)
{
    if (!strstr(screen_text, words))
        fail_msg("no \"%s\" in:\n%s", words, screen_text);
}

static void every_station_is_a_line(void **state)
{
    const char *text = draw(12, 140);

    (void)state;
    has(text, "pool lamps");
    has(text, "1000 of 5000 keys free");
    has(text, "100 boards an hour: empty in 10 h");
    has(text, "berlin           on-line          8     5      300     100    75%     60      20");
    has(text, "c0ffee00 lamp 1.4");
    has(text, "oslo             away 2 h");
    has(text, "12, 2 h");
    has(text, "paris            LOST");
}

static void it_fits_any_screen(void **state)
{
    (void)state;
    for (int rows = 1; rows <= 30; rows++)
        for (int cols = 1; cols <= 160; cols += 7) {
            draw(rows, cols);
            screen.chosen = (unsigned)rows % 3;
        }
}

static void what_is_wrong_stands_above(void **state)
{
    (void)state;
    json_object_set_new(model.pool, "alarms", json_integer(3));
    has(draw(12, 140), "3 ALARMS");
    json_object_set_new(model.pool, "open", json_false());
    json_object_set_new(model.pool, "closed_why", json_string("stock-taking"));
    has(draw(12, 140), "closed: stock-taking");
    json_object_set_new(json_object_get(model.pool, "fence"), "holds", json_false());
    has(draw(12, 140), "failed over or restored");
    kl_copy(model.trouble, sizeof model.trouble, "the database does not answer");
    has(draw(12, 140), "the database does not answer");
    has(shown, "berlin"); /* as last heard */
}

static void enter_shows_a_stations_history(void **state)
{
    (void)state;
    assert_int_equal(fleet_input(&screen, &model, KL_KEYCODE_DOWN), FLEET_NOTHING);
    assert_int_equal(fleet_input(&screen, &model, KL_KEYCODE_ENTER), FLEET_HISTORY);
    assert_string_equal(screen.history, "oslo");
    has(draw(12, 140), "asking the pool");
    model.station = json_loads(station, 0, NULL);
    has(draw(12, 140), "owner: joined");
    has(shown, "24:6f:28:00:00:01");
    has(shown, "K000001");
    has(shown, "not claimed before");
    fleet_input(&screen, &model, KL_KEYCODE_DOWN);
    assert_null(strstr(draw(12, 140), "owner: joined"));
    fleet_input(&screen, &model, KL_KEYCODE_ESCAPE);
    has(draw(12, 140), "berlin");
    assert_int_equal(screen.chosen, 1);
    assert_int_equal(fleet_input(&screen, &model, 'q'), FLEET_QUIT);
}

static void choosing_stays_on_the_list(void **state)
{
    (void)state;
    fleet_input(&screen, &model, KL_KEYCODE_UP);
    assert_int_equal(screen.chosen, 0);
    fleet_input(&screen, &model, KL_KEYCODE_END);
    assert_int_equal(screen.chosen, 2);
    fleet_input(&screen, &model, KL_KEYCODE_PAGE_DOWN);
    assert_int_equal(screen.chosen, 2);
    json_array_clear(model.stations);
    fleet_input(&screen, &model, KL_KEYCODE_DOWN);
    assert_int_equal(screen.chosen, 0);
    assert_int_equal(fleet_input(&screen, &model, KL_KEYCODE_ENTER), FLEET_NOTHING);
    has(draw(12, 140), "no station has joined yet");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, load, unload)
    const struct CMUnitTest tests[] = {
        T(every_station_is_a_line),    T(it_fits_any_screen),
        T(what_is_wrong_stands_above), T(enter_shows_a_stations_history),
        T(choosing_stays_on_the_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
