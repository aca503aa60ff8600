/* Logs and events: a rate per board, a size per file, and a reserve on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/host/disk.h"
#include "faces/stream/log_rate.h"
#include "keyline/reserve.h"
#include "keyline/sink.h"
#include "scratch.h"

/* ---- the rate ---- */

static void a_board_at_its_usual_rate_is_never_cut(void **state)
{
    struct log_rate r = {0};
    char text[KL_TEXT_MAX];

    (void)state;
    for (kl_us now = 0; now < KL_SEC(3600); now += KL_MS(5)) /* 20 kB/s, for an hour */
        assert_true(log_rate_take(&r, now, 100));
    assert_false(log_rate_gap(&r, text));
}

static void a_burst_passes_and_what_exceeds_it_is_counted(void **state)
{
    struct log_rate r = {0};
    char text[KL_TEXT_MAX];
    size_t taken = 0;

    (void)state;
    for (int i = 0; i < 20000; i++)
        taken += log_rate_take(&r, KL_SEC(5), 100) ? 100 : 0;
    assert_in_range(taken, LOG_BURST - 100, LOG_BURST);
    assert_false(log_rate_take(&r, KL_SEC(5) + 1, 100));
    assert_true(log_rate_take(&r, KL_SEC(9), 100));
    assert_true(log_rate_gap(&r, text));
    kl_format(text + 100, 100, "%u lines are left out", 20000u - LOG_BURST / 100 + 1);
    assert_non_null(strstr(text, text + 100));
    assert_false(log_rate_gap(&r, text));
}

static void in_the_long_run_the_rate_holds(void **state)
{
    struct log_rate r = {0};
    uint64_t taken = 0;

    (void)state;
    for (kl_us now = 0; now < KL_SEC(600); now += KL_MS(1)) /* 1 MB/s */
        for (int i = 0; i < 10; i++)
            taken += log_rate_take(&r, now, 100) ? 100 : 0;
    assert_true(taken <= LOG_BURST + 600 * (uint64_t)LOG_RATE);
    assert_true(taken >= 599 * (uint64_t)LOG_RATE / 10 * 9);
}

/* ---- the reserve ---- */

static struct statvfs room_now;

static int room(int fd, struct statvfs *out)
{
    (void)fd;
    *out = room_now;
    return 0;
}

static void set_room(uint64_t disk, uint64_t free_bytes)
{
    static struct kl_disk disk_with_room;

    room_now = (struct statvfs){.f_frsize = 1, .f_blocks = disk, .f_bavail = free_bytes};
    disk_with_room = kl_disk_real;
    disk_with_room.room = room;
    kl_disk = &disk_with_room;
}

static int real_disk(void **state)
{
    (void)state;
    kl_disk = &kl_disk_real;
    return 0;
}

static void a_part_of_the_disk_stays_free(void **state)
{
    struct scratch dir;
    int fd, ends[2];

    (void)state;
    assert_int_equal(kl_reserve_of(50 << 20), 5 << 20);
    assert_int_equal(kl_reserve_of(UINT64_C(32) << 30), 64 << 20);
    scratch_make(&dir);
    fd = open(scratch_path(&dir, "log"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pipe(ends), 0);
    set_room(50 << 20, (5 << 20) + 100);
    assert_true(kl_reserve_allows(fd, 100));
    assert_false(kl_reserve_allows(fd, 101));
    assert_true(kl_reserve_allows(ends[1], 101)); /* a pipe takes no room */
    set_room(0, 0);
    assert_true(kl_reserve_allows(fd, 101)); /* of a size that nobody knows */
    close(fd);
    close(ends[0]);
    close(ends[1]);
    scratch_remove(&dir);
}

/* ---- the events' file ---- */

static char trouble_said[KL_TEXT_MAX];

static void on_trouble(void *ctx, const char *text)
{
    (void)ctx;
    kl_copy(trouble_said, sizeof trouble_said, text);
}

static size_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void write_lines(struct kl_sink *sink, uv_loop_t *loop, unsigned lines)
{
    static const char line[] = "0123456789012345678901234567890123456789012345678\n";

    for (unsigned i = 0; i < lines; i++) {
        kl_sink_write(sink, line, sizeof line - 1);
        uv_run(loop, UV_RUN_DEFAULT);
    }
}

static void a_file_is_renamed_when_it_is_large(void **state)
{
    struct kl_sink *sink;
    struct scratch dir;
    uv_loop_t loop;
    struct stat st;
    int fd;

    (void)state;
    scratch_make(&dir);
    uv_loop_init(&loop);
    fd = open(scratch_path(&dir, "events"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    sink = kl_sink_create(&loop, fd, true, "the events file", on_trouble, NULL);
    kl_sink_rotate(sink, scratch_path(&dir, "events"), 1000, 2);
    write_lines(sink, &loop, 19);
    assert_int_equal(size_of(scratch_path(&dir, "events")), 950);
    write_lines(sink, &loop, 2);
    assert_int_equal(size_of(scratch_path(&dir, "events")), 50);
    assert_int_equal(size_of(scratch_path(&dir, "events.1")), 1000);
    assert_int_equal(stat(scratch_path(&dir, "events"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    write_lines(sink, &loop, 60);
    assert_int_equal(size_of(scratch_path(&dir, "events")), 50);
    assert_int_equal(size_of(scratch_path(&dir, "events.1")), 1000);
    assert_int_equal(size_of(scratch_path(&dir, "events.2")), 1000);
    assert_int_equal(size_of(scratch_path(&dir, "events.3")), 0); /* that many are kept */
    assert_true(kl_sink_free(sink));
    uv_loop_close(&loop);
    scratch_remove(&dir);
}

/* Somebody else takes care of its size, and has put another one there. */
static void a_file_that_was_moved_is_left_to_whoever_did_it(void **state)
{
    struct kl_sink *sink;
    struct scratch dir;
    uv_loop_t loop;
    int fd;

    (void)state;
    scratch_make(&dir);
    uv_loop_init(&loop);
    fd = open(scratch_path(&dir, "events"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sink = kl_sink_create(&loop, fd, true, "the events file", on_trouble, NULL);
    kl_sink_rotate(sink, scratch_path(&dir, "events"), 100, 2);
    assert_int_equal(rename(scratch_path(&dir, "events"), scratch_path(&dir, "mine")), 0);
    file_put(scratch_path(&dir, "events"), "another");
    write_lines(sink, &loop, 5);
    assert_int_equal(size_of(scratch_path(&dir, "mine")), 250);
    assert_true(file_is(scratch_path(&dir, "events"), "another"));
    assert_true(kl_sink_free(sink));
    uv_loop_close(&loop);
    scratch_remove(&dir);
}

static void events_stop_before_the_disk_is_full(void **state)
{
    struct kl_sink *sink;
    struct scratch dir;
    uv_loop_t loop;
    int fd;

    (void)state;
    scratch_make(&dir);
    uv_loop_init(&loop);
    fd = open(scratch_path(&dir, "events"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    sink = kl_sink_create(&loop, fd, true, "the events file", on_trouble, NULL);
    set_room(50 << 20, 6 << 20);
    write_lines(sink, &loop, 2);
    assert_int_equal(size_of(scratch_path(&dir, "events")), 100);
    set_room(50 << 20, 4 << 20);
    write_lines(sink, &loop, 2);
    assert_int_equal(size_of(scratch_path(&dir, "events")), 100);
    assert_non_null(strstr(trouble_said, "the events file can't be written: the disk is nearly "
                                         "full"));
    set_room(50 << 20, 6 << 20);
    write_lines(sink, &loop, 1);
    assert_int_equal(size_of(scratch_path(&dir, "events")), 150);
    assert_string_equal(trouble_said, "");
    assert_true(kl_sink_free(sink));
    uv_loop_close(&loop);
    scratch_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_board_at_its_usual_rate_is_never_cut),
        cmocka_unit_test(a_burst_passes_and_what_exceeds_it_is_counted),
        cmocka_unit_test(in_the_long_run_the_rate_holds),
        cmocka_unit_test_teardown(a_part_of_the_disk_stays_free, real_disk),
        cmocka_unit_test(a_file_is_renamed_when_it_is_large),
        cmocka_unit_test(a_file_that_was_moved_is_left_to_whoever_did_it),
        cmocka_unit_test_teardown(events_stop_before_the_disk_is_full, real_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
