/*
 * The RFC 2217 link against servers that other people wrote: ser2net (C, gensio) and pyserial's
 * server side (Python), each over a pseudo-terminal whose other end the test holds.
 *
 *   test_interop ser2net PROGRAM
 *   test_interop pyserial PYTHON SCRIPT
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "link_bench.h"

static char **arguments;
static struct link_bench bench;

static struct {
    int master;
    char slave[64], config[64], url[64];
    pid_t server;
    int output; /* the server's */
    char said[4096];
    size_t said_size;
    uint8_t received[8192];
    size_t size;
} far;

/* ---- the server ---- */

static void start_server(const char *const argv[])
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    far.server = fork();
    assert_true(far.server >= 0);
    if (far.server == 0) {
        dup2(pipes[1], 1);
        close(far.master);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(pipes[1]);
    far.output = pipes[0];
    fcntl(far.output, F_SETFL, O_NONBLOCK);
    fcntl(far.output, F_SETFD, FD_CLOEXEC);
}

static void stop_server(void)
{
    if (far.server > 0) {
        kill(far.server, SIGKILL);
        waitpid(far.server, NULL, 0);
        close(far.output);
    }
    far.server = 0;
}

static bool owns_socket(unsigned long inode)
{
    char path[64], name[300], target[64], wanted[64];
    bool found = false;
    kl_format(path, sizeof path, "/proc/%d/fd", (int)far.server);
    kl_format(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return false;
    for (struct dirent *e = readdir(dir); e != NULL && !found; e = readdir(dir)) {
        kl_format(name, sizeof name, "%s/%s", path, e->d_name);
        ssize_t n = readlink(name, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            found = strcmp(target, wanted) == 0;
        }
    }
    closedir(dir);
    return found;
}

/* The TCP port that the server listens on; 0 if it does not yet. */
static unsigned listening_port(void)
{
    char line[512];
    unsigned port = 0;
    FILE *f = fopen("/proc/net/tcp", "r");
    assert_non_null(f);
    while (port == 0 && fgets(line, sizeof line, f) != NULL) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*x:%x %*x:%*x %x %*s %*s %*s %*d %*d %lu", &local, &state,
                   &inode) == 3 &&
            state == 0x0a && owns_socket(inode))
            port = local;
    }
    fclose(f);
    return port;
}

static bool server_listens(void *ctx)
{
    unsigned *port = ctx;
    int status;
    assert_int_equal(waitpid(far.server, &status, WNOHANG), 0); /* it must not have ended */
    *port = listening_port();
    return *port != 0;
}

static bool server_said(void *ctx)
{
    ssize_t n = read(far.output, far.said + far.said_size, sizeof far.said - 1 - far.said_size);
    if (n > 0) {
        far.said_size += (size_t)n;
        far.said[far.said_size] = '\0';
    }
    return strstr(far.said, *(const char **)ctx) != NULL;
}

static void set_up(void)
{
    unsigned port = 0;
    memset(&far, 0, sizeof far);
    far.master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    assert_true(far.master >= 0 && grantpt(far.master) == 0 && unlockpt(far.master) == 0);
    assert_int_equal(ptsname_r(far.master, far.slave, sizeof far.slave), 0);
    struct termios raw;
    tcgetattr(far.master, &raw);
    cfmakeraw(&raw);
    tcsetattr(far.master, TCSANOW, &raw);
    link_bench_start(&bench);
    if (strcmp(arguments[1], "ser2net") == 0) {
        kl_copy(far.config, sizeof far.config, "/tmp/keyline-XXXXXX.yaml");
        int fd = mkstemps(far.config, 5); /* ser2net goes by the suffix */
        FILE *f = fdopen(fd, "w");
        assert_non_null(f);
        fprintf(f,
                "connection: &board\n"
                "  accepter: telnet(rfc2217),tcp,127.0.0.1,0\n"
                "  connector: serialdev,%s,115200n81,local\n",
                far.slave);
        fclose(f);
        const char *const argv[] = {arguments[2], "-n", "-d", "-c", far.config, NULL};
        start_server(argv);
    } else {
        const char *const argv[] = {arguments[2], arguments[3], far.slave, NULL};
        start_server(argv);
    }
    link_bench_until(&bench, server_listens, &port);
    kl_format(far.url, sizeof far.url, "rfc2217://127.0.0.1:%u", port);
}

static void clear_up(void)
{
    stop_server();
    link_bench_finish(&bench);
    close(far.master);
    if (far.config[0] != '\0')
        unlink(far.config);
}

/* ---- the link ---- */

static void far_send(void *ctx, const uint8_t *data, size_t size)
{
    (void)ctx;
    assert_int_equal(write(far.master, data, size), (ssize_t)size);
}

static bool has_all(void *ctx)
{
    const size_t *wanted = ctx;
    ssize_t n = read(far.master, far.received + far.size, sizeof far.received - far.size);
    if (n > 0)
        far.size += (size_t)n;
    return far.size >= *wanted;
}

static bool heard_all(void *ctx)
{
    const size_t *wanted = ctx;
    return bench.rx_size >= *wanted;
}

static void open_link(void)
{
    link_bench_open(&bench, far.url, 115200);
    link_bench_until_opened(&bench);
    assert_string_equal(bench.text, "");
    assert_int_equal(bench.result, KL_OPEN_OK);
}

static void all_bytes_pass(void)
{
    uint8_t all[1024];
    size_t wanted = sizeof all;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i * 7 + i / 256);
    far_send(NULL, all, sizeof all);
    link_bench_until(&bench, heard_all, &wanted);
    assert_int_equal(bench.rx_size, sizeof all);
    assert_memory_equal(bench.rx, all, sizeof all);
    link_bench_write(&bench, all, sizeof all);
    link_bench_until(&bench, has_all, &wanted);
    assert_int_equal(far.size, sizeof all);
    assert_memory_equal(far.received, all, sizeof all);
}

static void rates_are_set(void)
{
    struct termios t;
    link_bench_baud(&bench, 1, 921600);
    link_bench_until_done(&bench, 1);
    assert_true(bench.ok[0]);
    assert_int_equal(tcgetattr(far.master, &t), 0);
    assert_int_equal(cfgetospeed(&t), B921600);
    assert_int_equal(t.c_cflag & (CSIZE | PARENB | CSTOPB | CRTSCTS), CS8);
    link_bench_baud(&bench, 2, 115200);
    link_bench_until_done(&bench, 2);
    assert_int_equal(tcgetattr(far.master, &t), 0);
    assert_int_equal(cfgetospeed(&t), B115200);
}

static bool is_lost(void *ctx)
{
    (void)ctx;
    return bench.lost > 0;
}

static void talks_to_it(void **state)
{
    (void)state;
    set_up();
    open_link();
    all_bytes_pass();
    rates_are_set();
    bench.done = 0;
    for (unsigned i = 0; i < 3; i++) {
        link_bench_lines(&bench, 10 + 3 * i, false, true);
        link_bench_lines(&bench, 11 + 3 * i, true, false);
        link_bench_lines(&bench, 12 + 3 * i, false, false);
    }
    link_bench_until_done(&bench, 9);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(bench.request[i], 10 + i);
    /* Still in step afterwards. */
    bench.rx_size = 0;
    far.size = 0;
    all_bytes_pass();
    stop_server();
    link_bench_until(&bench, is_lost, NULL);
    link_bench_close(&bench);
    clear_up();
}

static void comes_back(void **state)
{
    (void)state;
    set_up();
    for (unsigned i = 0; i < 3; i++) {
        open_link();
        bench.rx_size = 0;
        far.size = 0;
        all_bytes_pass();
        link_bench_close(&bench);
        bench.opened = bench.closed = 0;
    }
    clear_up();
}

/* pyserial's server tells each line change: from both on, where a fresh client would leave them,
   our opening passes no state that resets; the way into the loader passes both on. */
static void lines_move_in_a_safe_order(void **state)
{
    (void)state;
    if (strcmp(arguments[1], "pyserial") != 0)
        skip(); /* a pseudo-terminal has no lines that ser2net could move */
    set_up();
    open_link();
    const char *wanted = "rts 0\ndtr 0\n";
    link_bench_until(&bench, server_said, &wanted);
    link_bench_lines(&bench, 1, false, true);
    link_bench_lines(&bench, 2, true, false);
    link_bench_lines(&bench, 3, false, false);
    link_bench_until_done(&bench, 3);
    wanted = "rts 0\ndtr 0\nrts 1\ndtr 1\nrts 0\ndtr 0\n";
    link_bench_until(&bench, server_said, &wanted);
    link_bench_close(&bench);
    clear_up();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_to_it),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(lines_move_in_a_safe_order),
    };
    arguments = argv;
    if (argc < 3)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
