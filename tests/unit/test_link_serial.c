/* The serial link: over a pseudo-terminal, and over an operating system that misbehaves on order.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/link/link_private.h"
#include "adapters/link/serial_ops.h"
#include "link_bench.h"

static struct link_bench bench;

/* ---- over a pseudo-terminal ---- */

struct master {
    int fd;
    char slave[64];
    uint8_t received[4096];
    size_t size;
};

static struct master master;

static void begin_pty(void)
{
    master = (struct master){.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)};
    assert_true(master.fd >= 0);
    assert_int_equal(grantpt(master.fd), 0);
    assert_int_equal(unlockpt(master.fd), 0);
    assert_int_equal(ptsname_r(master.fd, master.slave, sizeof master.slave), 0);
    link_bench_start(&bench);
}

static void master_send(void *ctx, const uint8_t *data, size_t size)
{
    struct master *m = ctx;
    assert_int_equal(write(m->fd, data, size), (ssize_t)size);
}

static size_t master_received(void *ctx, const uint8_t **data)
{
    struct master *m = ctx;
    ssize_t n = read(m->fd, m->received + m->size, sizeof m->received - m->size);
    if (n > 0)
        m->size += (size_t)n;
    *data = m->received;
    return m->size;
}

static void master_drop(void *ctx)
{
    struct master *m = ctx;
    close(m->fd);
}

static void keeps_the_contract(void **state)
{
    const struct link_far_end far_end = {.ctx = &master,
                                         .send = master_send,
                                         .received = master_received,
                                         .drop = master_drop,
                                         .lines = false, /* a pseudo-terminal has none */
                                         .rate = true};
    (void)state;
    begin_pty();
    link_bench_open(&bench, master.slave, 115200);
    link_bench_until_opened(&bench);
    assert_string_equal(bench.text, "");
    assert_int_equal(bench.result, KL_OPEN_OK);
    link_contract(&bench, &far_end);
    link_bench_finish(&bench);
}

static void a_link_to_the_device_is_followed(void **state)
{
    char folder[64] = "/tmp/keyline-link-XXXXXX", path[80];
    (void)state;
    begin_pty();
    assert_non_null(mkdtemp(folder));
    kl_format(path, sizeof path, "%s/board", folder);
    assert_int_equal(symlink(master.slave, path), 0);
    struct kl_link *link = kl_link_serial_create(&bench.loop, path, 115200, &kl_serial_system,
                                                 &link_bench_events, &bench);
    bench.link = link;
    link->class->open(link);
    link_bench_until_opened(&bench);
    assert_int_equal(bench.result, KL_OPEN_OK);
    link_bench_close(&bench);
    link_bench_finish(&bench);
    close(master.fd);
    unlink(path);
    rmdir(folder);
}

static void the_holder_is_named(void **state)
{
    char expected[64], own_name[32] = "";
    (void)state;
    begin_pty();
    int other = open(master.slave, O_RDWR | O_NOCTTY);
    assert_true(other >= 0);
    FILE *comm = fopen("/proc/self/comm", "r");
    assert_int_equal(fscanf(comm, "%31[^\n]", own_name), 1);
    fclose(comm);
    link_bench_open(&bench, master.slave, 115200);
    link_bench_until_opened(&bench);
    assert_int_equal(bench.result, KL_OPEN_HELD);
    kl_format(expected, sizeof expected, "held by %s (pid %d)", own_name, (int)getpid());
    assert_non_null(strstr(bench.text, expected));
    link_bench_close(&bench);
    link_bench_finish(&bench);
    close(other);
    close(master.fd);
}

static void a_device_that_is_not_there_is_absent(void **state)
{
    (void)state;
    link_bench_start(&bench);
    link_bench_open(&bench, "/dev/keyline-no-such-port", 115200);
    link_bench_until_opened(&bench);
    assert_int_equal(bench.result, KL_OPEN_ABSENT);
    assert_non_null(strstr(bench.text, "/dev/keyline-no-such-port: "));
    link_bench_close(&bench);
    link_bench_finish(&bench);
}

static void what_is_no_port_is_an_error(void **state)
{
    (void)state;
    link_bench_start(&bench);
    link_bench_open(&bench, "/dev/null", 115200);
    link_bench_until_opened(&bench);
    assert_int_not_equal(bench.result, KL_OPEN_OK);
    link_bench_close(&bench);
    link_bench_finish(&bench);
}

/* ---- over an operating system on order ---- */

static struct {
    int fd[2]; /* the link's end and the board's */
    uv_thread_t loop_thread;
    uv_sem_t gate; /* what blocks, waits for it */
    unsigned opens, closes;
    char calls[512]; /* "lines 01 baud 9600 " */
    /* orders */
    enum kl_open_result open_result;
    unsigned open_fails; /* so many times with `again` */
    bool again, block_open, block_lines, refuse;
    int read_errno, write_errno; /* once, if set */
    bool end_of_file, one_by_one;
    unsigned turn;
    int unsent;
    bool stuck;
} os;

static bool on_loop(void)
{
    uv_thread_t self = uv_thread_self();
    return uv_thread_equal(&self, &os.loop_thread) != 0;
}

static void called(const char *what)
{
    kl_format(os.calls + strlen(os.calls), sizeof os.calls - strlen(os.calls), "%s ", what);
}

static enum kl_open_result fake_open(const char *path, uint32_t baud, struct kl_serial_device *out,
                                     char text[KL_TEXT_MAX], bool *again)
{
    assert_false(on_loop());
    assert_int_equal(baud, 115200);
    os.opens++;
    if (os.block_open)
        uv_sem_wait(&os.gate);
    if (os.open_fails > 0) {
        os.open_fails--;
        *again = os.again;
        kl_format(text, KL_TEXT_MAX, "%s: not now", path);
        return os.open_result;
    }
    *out = (struct kl_serial_device){.fd = os.fd[0]};
    return KL_OPEN_OK;
}

static int fake_lines(const struct kl_serial_device *d, bool dtr, bool rts)
{
    char text[16];
    assert_false(on_loop());
    assert_int_equal(d->fd, os.fd[0]);
    kl_format(text, sizeof text, "lines %d%d", dtr, rts);
    called(text);
    if (os.block_lines)
        uv_sem_wait(&os.gate);
    return os.refuse ? -ETIMEDOUT : 0;
}

static int fake_baud(const struct kl_serial_device *d, uint32_t baud)
{
    char text[24];
    (void)d;
    assert_false(on_loop());
    kl_format(text, sizeof text, "baud %u", (unsigned)baud);
    called(text);
    return os.refuse ? -EINVAL : 0;
}

static void fake_close(struct kl_serial_device *d)
{
    assert_false(on_loop());
    close(d->fd);
    os.closes++;
}

static ssize_t fake_read(int fd, void *data, size_t size)
{
    assert_true(on_loop());
    if (os.read_errno != 0) {
        errno = os.read_errno;
        return -1;
    }
    if (os.end_of_file)
        return 0;
    return read(fd, data, size);
}

static ssize_t fake_write(int fd, const void *data, size_t size)
{
    assert_true(on_loop());
    if (os.write_errno != 0) {
        errno = os.write_errno;
        return -1;
    }
    if (!os.one_by_one)
        return write(fd, data, size);
    errno = os.turn % 2 == 0 ? EAGAIN : EINTR;
    return os.turn++ % 3 == 0 ? write(fd, data, 1) : -1;
}

static int fake_unsent(int fd)
{
    (void)fd;
    assert_true(on_loop());
    if (os.unsent > 0 && !os.stuck && --os.unsent == 0)
        called("drained");
    return os.unsent;
}

static const struct kl_serial_ops fake_system = {.open = fake_open,
                                                 .lines = fake_lines,
                                                 .baud = fake_baud,
                                                 .close = fake_close,
                                                 .read = fake_read,
                                                 .write = fake_write,
                                                 .unsent = fake_unsent};

static void begin_fake(void)
{
    memset(&os, 0, sizeof os);
    os.loop_thread = uv_thread_self();
    assert_int_equal(uv_sem_init(&os.gate, 0), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, os.fd), 0);
    link_bench_start(&bench);
}

static void open_fake(void)
{
    bench.link = kl_link_serial_create(&bench.loop, "/dev/fake", 115200, &fake_system,
                                       &link_bench_events, &bench);
    bench.link->class->open(bench.link);
    link_bench_until_opened(&bench);
}

static void end_fake(void)
{
    link_bench_close(&bench);
    assert_int_equal(os.closes, 1);
    link_bench_finish(&bench);
    close(os.fd[1]);
    uv_sem_destroy(&os.gate);
}

static bool is_lost(void *ctx)
{
    (void)ctx;
    return bench.lost > 0;
}

static void short_writes_go_on(void **state)
{
    uint8_t sent[60], got[60];
    size_t n = 0;
    (void)state;
    begin_fake();
    open_fake();
    os.one_by_one = true;
    for (unsigned i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 31);
    link_bench_write(&bench, sent, 40);
    link_bench_write(&bench, sent + 40, 20);
    link_bench_lines(&bench, 1, false, true);
    link_bench_until_done(&bench, 1);
    while (n < sizeof got) {
        ssize_t more = read(os.fd[1], got + n, sizeof got - n);
        assert_true(more > 0);
        n += (size_t)more;
    }
    assert_memory_equal(got, sent, sizeof got);
    assert_string_equal(os.calls, "lines 01 ");
    end_fake();
}

static void adapters_are_asked_after_the_output_left(void **state)
{
    (void)state;
    begin_fake();
    open_fake();
    os.unsent = 5;
    link_bench_write(&bench, "x", 1);
    link_bench_baud(&bench, 1, 921600);
    link_bench_lines(&bench, 2, true, false);
    link_bench_until_done(&bench, 2);
    assert_string_equal(os.calls, "drained baud 921600 lines 10 ");
    end_fake();
}

static void output_that_never_leaves_is_a_refusal(void **state)
{
    (void)state;
    begin_fake();
    open_fake();
    os.unsent = 4608; /* what a frozen CP2102N takes */
    os.stuck = true;
    link_bench_baud(&bench, 1, 921600);
    link_bench_until_done(&bench, 1);
    assert_false(bench.ok[0]);
    assert_string_equal(os.calls, "");
    end_fake();
}

static void refusals_are_told(void **state)
{
    (void)state;
    begin_fake();
    open_fake();
    os.refuse = true;
    link_bench_lines(&bench, 1, true, true);
    link_bench_baud(&bench, 2, 3000000);
    link_bench_until_done(&bench, 2);
    assert_false(bench.ok[0]);
    assert_false(bench.ok[1]);
    end_fake();
}

static void every_way_of_vanishing_is_noticed(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 4; way++) {
        begin_fake();
        open_fake();
        if (way == 0)
            os.read_errno = EIO;
        else if (way == 1)
            os.end_of_file = true;
        else if (way == 2)
            os.write_errno = EIO;
        if (way == 2) {
            link_bench_write(&bench, "x", 1);
            link_bench_lines(&bench, 1, true, true);
        } else if (way == 3) {
            shutdown(os.fd[1], SHUT_RDWR);
        } else {
            assert_int_equal(write(os.fd[1], "x", 1), 1);
        }
        link_bench_until(&bench, is_lost, NULL);
        assert_non_null(strstr(bench.text, "/dev/fake: "));
        assert_int_equal(bench.done, 0);
        end_fake();
    }
}

static bool has_rx(void *ctx)
{
    (void)ctx;
    return bench.rx_size > 0;
}

static void a_frozen_adapter_blocks_nothing_else(void **state)
{
    (void)state;
    begin_fake();
    open_fake();
    os.block_lines = true;
    link_bench_lines(&bench, 1, true, true);
    assert_int_equal(write(os.fd[1], "still read", 10), 10);
    link_bench_until(&bench, has_rx, NULL);
    assert_int_equal(bench.done, 0);
    /* Closed while it hangs: `closed` comes, after the call came back. */
    kl_link_close(bench.link);
    for (unsigned i = 0; i < 20; i++)
        uv_run(&bench.loop, UV_RUN_NOWAIT);
    assert_int_equal(bench.closed, 0);
    assert_int_equal(os.closes, 0);
    uv_sem_post(&os.gate);
    while (bench.closed == 0)
        uv_run(&bench.loop, UV_RUN_ONCE);
    assert_int_equal(os.closes, 1);
    assert_int_equal(bench.done, 0);
    link_bench_finish(&bench);
    close(os.fd[1]);
    uv_sem_destroy(&os.gate);
}

/* ---- as many frozen adapters as a bench can have ---- */

enum {
    FROZEN = 2 * KL_SLOTS_MAX, /* in each slot one closes while the next opens */
    FROZEN_S = 15,
};

static struct {
    uv_sem_t gate;
    unsigned closed;
    bool worked;
} frozen;

static enum kl_open_result frozen_open(const char *path, uint32_t baud,
                                       struct kl_serial_device *out, char text[KL_TEXT_MAX],
                                       bool *again)
{
    (void)path;
    (void)baud;
    (void)out;
    (void)again;
    uv_sem_wait(&frozen.gate);
    kl_copy(text, KL_TEXT_MAX, "frozen");
    return KL_OPEN_ERROR;
}

static void frozen_opened(void *ctx, enum kl_open_result result, const char *text)
{
    (void)ctx;
    (void)result;
    (void)text;
}

static void frozen_closed(void *ctx)
{
    (void)ctx;
    frozen.closed++;
}

static void nothing(uv_work_t *work)
{
    (void)work;
}

static void note_work(uv_work_t *work, int status)
{
    (void)work;
    assert_int_equal(status, 0);
    frozen.worked = true;
}

static bool all_are_closed(void *ctx)
{
    (void)ctx;
    return frozen.closed == FROZEN;
}

static void frozen_adapters_never_keep_the_workers(void **state)
{
    static const struct kl_serial_ops ops = {.open = frozen_open};
    static const struct kl_link_events events = {.opened = frozen_opened, .closed = frozen_closed};
    struct kl_link *link[FROZEN];
    uv_work_t work;

    (void)state;
    frozen.closed = 0;
    frozen.worked = false;
    assert_int_equal(uv_sem_init(&frozen.gate, 0), 0);
    link_bench_start(&bench);
    for (unsigned i = 0; i < FROZEN; i++) {
        link[i] = kl_link_serial_create(&bench.loop, "/dev/frozen", 115200, &ops, &events, NULL);
        assert_non_null(link[i]);
        link[i]->class->open(link[i]);
    }
    /* As the store does it. */
    assert_int_equal(uv_queue_work(&bench.loop, &work, nothing, note_work), 0);
    /* Not link_bench_until: what hangs has to come free before the test may fail. */
    uint64_t begun = uv_hrtime();
    while (!frozen.worked && uv_hrtime() - begun < FROZEN_S * UINT64_C(1000000000))
        uv_run(&bench.loop, UV_RUN_NOWAIT);
    bool kept = !frozen.worked;
    for (unsigned i = 0; i < FROZEN; i++)
        kl_link_close(link[i]);
    for (unsigned i = 0; i < FROZEN; i++)
        uv_sem_post(&frozen.gate);
    link_bench_until(&bench, all_are_closed, NULL);
    link_bench_finish(&bench);
    uv_sem_destroy(&frozen.gate);
    assert_false(kept);
}

static void closed_while_it_opens(void **state)
{
    (void)state;
    for (unsigned fails = 0; fails < 2; fails++) {
        begin_fake();
        os.block_open = true;
        os.open_fails = fails;
        os.again = true;
        os.open_result = KL_OPEN_ABSENT;
        bench.link = kl_link_serial_create(&bench.loop, "/dev/fake", 115200, &fake_system,
                                           &link_bench_events, &bench);
        bench.link->class->open(bench.link);
        kl_link_close(bench.link);
        uv_sem_post(&os.gate);
        while (bench.closed == 0)
            uv_run(&bench.loop, UV_RUN_ONCE);
        assert_int_equal(bench.opened, 0);
        assert_int_equal(os.closes, fails == 0);
        link_bench_finish(&bench);
        if (fails == 1)
            close(os.fd[0]);
        close(os.fd[1]);
        uv_sem_destroy(&os.gate);
    }
}

static void opening_is_tried_again_while_that_may_help(void **state)
{
    static const struct {
        enum kl_open_result result;
        bool again;
        unsigned fails, opens;
    } cases[] = {
        {KL_OPEN_DENIED, true, 3, 4}, /* udev was late */
        {KL_OPEN_ABSENT, true, 99, 10},
        {KL_OPEN_BUSY, false, 99, 1},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_fake();
        os.open_result = cases[i].result;
        os.again = cases[i].again;
        os.open_fails = cases[i].fails;
        open_fake();
        assert_int_equal(os.opens, cases[i].opens);
        bool ok = cases[i].opens > cases[i].fails;
        assert_int_equal(bench.result, ok ? KL_OPEN_OK : cases[i].result);
        assert_string_equal(bench.text, ok ? "" : "/dev/fake: not now");
        if (!ok)
            os.closes++, close(os.fd[0]);
        end_fake();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_contract),
        cmocka_unit_test(a_link_to_the_device_is_followed),
        cmocka_unit_test(the_holder_is_named),
        cmocka_unit_test(a_device_that_is_not_there_is_absent),
        cmocka_unit_test(what_is_no_port_is_an_error),
        cmocka_unit_test(short_writes_go_on),
        cmocka_unit_test(adapters_are_asked_after_the_output_left),
        cmocka_unit_test(output_that_never_leaves_is_a_refusal),
        cmocka_unit_test(refusals_are_told),
        cmocka_unit_test(every_way_of_vanishing_is_noticed),
        cmocka_unit_test(a_frozen_adapter_blocks_nothing_else),
        cmocka_unit_test(frozen_adapters_never_keep_the_workers),
        cmocka_unit_test(closed_while_it_opens),
        cmocka_unit_test(opening_is_tried_again_while_that_may_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
