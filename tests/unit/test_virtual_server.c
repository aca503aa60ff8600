/* The virtual boards' RFC 2217 server, as a client and a bench meet it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyline/telnet.h"
#include "keyline/virtual_server.h"
#include "scratch.h"

enum {
    PATIENCE_MS = 100000, /* a test that waits so long has failed */
    HOLD_MS = 1000,       /* so long the server holds back a DTR-on (§10.5) */
};

struct bench {
    uv_loop_t loop;
    struct kl_vserver *server;
    bool closed, late;
    unsigned events[KL_VS_PLUGGED + 1];
};

struct client {
    struct bench *bench;
    int fd;
    uv_poll_t poll;
    struct kl_telnet telnet;
    char text[65536];
    size_t text_size;
    uint8_t subs[64][16]; /* without the option byte */
    size_t sub_size[64];
    unsigned sub_count;
    unsigned will_com_port, do_com_port, dont_echo;
    bool gone;
};

static void on_event(void *ctx, unsigned board, enum kl_vserver_event_kind kind)
{
    struct bench *bench = ctx;

    assert_true(board >= 1);
    bench->events[kind]++;
}

static struct kl_vserver_config usual(struct bench *bench, unsigned boards)
{
    return (struct kl_vserver_config){
        .boards = boards, .event = on_event, .ctx = bench, .board = {.flash_size = 0x20000}};
}

static void open_bench(struct bench *bench, const struct kl_vserver_config *config)
{
    char error[KL_TEXT_MAX] = "";

    memset(bench, 0, sizeof *bench);
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    bench->server = kl_vserver_create(&bench->loop, config, error);
    if (!bench->server)
        fail_msg("%s", error);
}

static void on_closed(void *ctx)
{
    ((struct bench *)ctx)->closed = true;
}

static void close_bench(struct bench *bench)
{
    kl_vserver_close(bench->server, on_closed, bench);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_true(bench->closed);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
}

static void on_late(uv_timer_t *timer)
{
    ((struct bench *)timer->data)->late = true;
}

/* It repeats: one that is due when the loop's turn begins would else leave that turn nothing to
   wait for, and no end. */
static void start_timer(uv_timer_t *timer, unsigned ms)
{
    uv_timer_start(timer, on_late, ms, ms);
}

/* Runs the loop until `done` says so; fails when patience ends. */
static void until(struct bench *bench, bool (*done)(void *), void *ctx)
{
    uv_timer_t timer;

    bench->late = false;
    uv_timer_init(&bench->loop, &timer);
    timer.data = bench;
    start_timer(&timer, PATIENCE_MS);
    while (!done(ctx) && !bench->late)
        uv_run(&bench->loop, UV_RUN_ONCE);
    bool in_time = !bench->late;
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    assert_true(in_time);
}

static bool is_late(void *ctx)
{
    return ((struct bench *)ctx)->late;
}

static void pass(struct bench *bench, unsigned ms)
{
    uv_timer_t timer;

    bench->late = false;
    uv_timer_init(&bench->loop, &timer);
    timer.data = bench;
    start_timer(&timer, ms);
    while (!is_late(bench))
        uv_run(&bench->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&bench->loop, UV_RUN_NOWAIT);
}

/* ---- a client ---- */

static void take(struct client *c, uint8_t byte)
{
    switch (kl_telnet_byte(&c->telnet, byte)) {
    case KL_TELNET_DATA:
        if (c->text_size + 1 < sizeof c->text)
            c->text[c->text_size++] = (char)c->telnet.byte;
        break;
    case KL_TELNET_NEGOTIATE:
        c->will_com_port += c->telnet.verb == KL_TELNET_WILL && c->telnet.option == 44;
        c->do_com_port += c->telnet.verb == KL_TELNET_DO && c->telnet.option == 44;
        c->dont_echo += c->telnet.verb == KL_TELNET_WONT && c->telnet.option == KL_TELNET_ECHO;
        break;
    case KL_TELNET_SUB:
        assert_true(c->sub_count < 64);
        memcpy(c->subs[c->sub_count], c->telnet.sub + 1,
               c->telnet.sub_size < 17 ? c->telnet.sub_size - 1 : 16);
        c->sub_size[c->sub_count++] = c->telnet.sub_size - 1;
        break;
    case KL_TELNET_MORE:
        break;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct client *c = poll->data;
    uint8_t bytes[4096];

    (void)status;
    (void)events;
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n <= 0) {
        c->gone = true;
        uv_poll_stop(poll);
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        take(c, bytes[i]);
}

static bool try_open(struct client *c, struct bench *bench, unsigned board)
{
    struct sockaddr_in to = {.sin_family = AF_INET};

    memset(c, 0, sizeof *c);
    kl_telnet_init(&c->telnet);
    c->bench = bench;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_port = htons(kl_vserver_port(bench->server, board));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(c->fd);
        return false;
    }
    uv_poll_init(&bench->loop, &c->poll, c->fd);
    c->poll.data = c;
    uv_poll_start(&c->poll, UV_READABLE, on_readable);
    return true;
}

static void open_client(struct client *c, struct bench *bench, unsigned board)
{
    assert_true(try_open(c, bench, board));
}

static void close_client(struct client *c)
{
    uv_close((uv_handle_t *)&c->poll, NULL);
    uv_run(&c->bench->loop, UV_RUN_NOWAIT);
    close(c->fd);
    pass(c->bench, 1);
}

static void send_bytes(struct client *c, const void *data, size_t size)
{
    assert_int_equal(send(c->fd, data, size, MSG_NOSIGNAL), size);
}

static bool has_sub(void *ctx)
{
    return ((struct client *)ctx)->sub_count > 0;
}

/* One command and its answer's value. */
static const uint8_t *ask(struct client *c, uint8_t command, const void *value, size_t size)
{
    uint8_t out[64];

    c->sub_count = 0;
    send_bytes(c, out, kl_telnet_com_port(out, command, value, size));
    until(c->bench, has_sub, c);
    assert_int_equal(c->subs[0][0], command + 100);
    return c->subs[0] + 1;
}

static uint8_t control(struct client *c, uint8_t value)
{
    return ask(c, KL_COM_SET_CONTROL, &value, 1)[0];
}

static bool says_download(void *ctx)
{
    return strstr(((struct client *)ctx)->text, "waiting for download") != NULL;
}

static bool says_start(void *ctx)
{
    return strstr(((struct client *)ctx)->text, "SPI_FAST_FLASH_BOOT") != NULL;
}

static bool is_gone(void *ctx)
{
    return ((struct client *)ctx)->gone;
}

static bool starts_or_is_gone(void *ctx)
{
    return says_start(ctx) || is_gone(ctx);
}

/* ---- the protocol ---- */

static bool agreed(void *ctx)
{
    struct client *c = ctx;

    return c->do_com_port > 0 && c->sub_count > 0;
}

static void settings_are_negotiated_and_echoed(void **state)
{
    static const uint8_t hello[] = {255, 253, KL_TELNET_ECHO, 255, 251, 44, 255, 253, 44};
    static const uint8_t baud[] = {0, 0x0E, 0x10, 0};
    struct bench bench;
    struct client c;
    uint8_t byte;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    open_bench(&bench, &config);
    open_client(&c, &bench, 1);
    send_bytes(&c, hello, sizeof hello);
    until(&bench, agreed, &c);
    pass(&bench, 5);
    assert_int_equal(c.will_com_port, 1);
    assert_int_equal(c.do_com_port, 1);
    assert_int_equal(c.dont_echo, 1);
    assert_int_equal(c.sub_count, 1); /* the modem state, once */
    assert_int_equal(c.subs[0][0], KL_COM_NOTIFY_MODEMSTATE + 100);

    assert_memory_equal(ask(&c, KL_COM_SET_BAUDRATE, baud, 4), baud, 4);
    assert_memory_equal(ask(&c, KL_COM_SET_BAUDRATE, "\0\0\0\0", 4), baud, 4);
    assert_int_equal(ask(&c, KL_COM_SET_DATASIZE, "\x07", 1)[0], 7);
    assert_int_equal(ask(&c, KL_COM_SET_DATASIZE, "\0", 1)[0], 7);
    assert_int_equal(ask(&c, KL_COM_SET_PARITY, "\x03", 1)[0], 3);
    assert_int_equal(ask(&c, KL_COM_SET_STOPSIZE, "\x02", 1)[0], 2);
    assert_int_equal(ask(&c, KL_COM_PURGE, "\x01", 1)[0], 1);
    assert_int_equal(ask(&c, KL_COM_PURGE, "\x02", 1)[0], 2);
    assert_memory_equal(ask(&c, KL_COM_SIGNATURE, "", 0), "keyline", 7);
    for (byte = 8; byte <= 9; byte++) {
        assert_int_equal(control(&c, byte), byte);
        assert_int_equal(control(&c, 7), byte);
    }
    for (byte = 11; byte <= 12; byte++) {
        assert_int_equal(control(&c, byte), byte);
        assert_int_equal(control(&c, 10), byte);
    }
    close_client(&c);
    close_bench(&bench);
}

/* Each line change waits for its answer, and both lines are on for 60 ms (§10.5). Done again if
   this machine took so long that the server no longer held the line back. */
static void ask_for_the_loader(struct bench *bench, struct client *c)
{
    uint64_t began;

    do {
        control(c, 8); /* as pyserial leaves them at open */
        control(c, 11);
        control(c, 9);
        control(c, 11);
        pass(bench, 100);
        memset(c->text, 0, sizeof c->text);
        c->text_size = 0;
        began = uv_hrtime();
        control(c, 8);
        pass(bench, 60);
        control(c, 12);
    } while (uv_hrtime() - began > HOLD_MS * 1000000ULL);
}

static void a_line_a_round_trip_reaches_the_loader(void **state)
{
    struct bench bench;
    struct client c;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    open_bench(&bench, &config);
    open_client(&c, &bench, 1);
    ask_for_the_loader(&bench, &c);
    until(&bench, says_download, &c);
    assert_false(says_start(&c));
    control(&c, 9);
    control(&c, 11); /* and out again */
    pass(&bench, 20);
    control(&c, 12);
    until(&bench, says_start, &c);
    close_client(&c);
    close_bench(&bench);
}

/* Both lines on and left so: that is no way into the loader, and the chip starts in the end. */
static void both_lines_on_start_the_program_in_the_end(void **state)
{
    struct bench bench;
    struct client c;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    open_bench(&bench, &config);
    open_client(&c, &bench, 1);
    control(&c, 11);
    pass(&bench, 20);
    memset(c.text, 0, sizeof c.text);
    c.text_size = 0;
    control(&c, 8);
    until(&bench, says_start, &c);
    close_client(&c);
    close_bench(&bench);
}

static void one_client_at_a_time_and_lines_fall_when_it_leaves(void **state)
{
    struct bench bench;
    struct client first, second;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    open_bench(&bench, &config);
    open_client(&first, &bench, 1);
    control(&first, 11); /* EN low: the board is silent from now on */
    open_client(&second, &bench, 1);
    until(&bench, is_gone, &second);
    assert_int_equal(second.text_size, 0);
    close_client(&second);
    assert_false(first.gone);
    close_client(&first);
    /* The server may hear of the one that comes before it hears of the one that left. */
    for (;;) {
        open_client(&second, &bench, 1);
        until(&bench, starts_or_is_gone, &second);
        if (!second.gone)
            break;
        close_client(&second);
    }
    close_client(&second);
    close_bench(&bench);
}

/* ---- the bench ---- */

static void an_unplugged_board_refuses_connections(void **state)
{
    struct bench bench;
    struct client c;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 2);
    open_bench(&bench, &config);
    uint16_t port = kl_vserver_port(bench.server, 1);
    open_client(&c, &bench, 1);
    control(&c, 12);
    kl_vserver_unplug(bench.server, 1);
    until(&bench, is_gone, &c);
    close_client(&c);
    assert_false(try_open(&c, &bench, 1));
    open_client(&c, &bench, 2); /* the neighbour is untouched */
    close_client(&c);
    assert_true(kl_vserver_plug(bench.server, 1));
    assert_int_equal(kl_vserver_port(bench.server, 1), port);
    open_client(&c, &bench, 1);
    until(&bench, says_start, &c);
    close_client(&c);
    assert_int_equal(bench.events[KL_VS_UNPLUGGED], 1);
    close_bench(&bench);
}

static void a_fresh_board_has_a_fresh_mac(void **state)
{
    static const char *const faults[] = {"1:provisioned=a|b", "2:never_asks"};
    struct bench bench;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 2);
    config.faults = faults;
    config.fault_count = 2;
    open_bench(&bench, &config);
    struct kl_mac one = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    struct kl_mac two = kl_vboard_mac(kl_vserver_board(bench.server, 2));
    assert_string_equal(kl_vboard_stored(kl_vserver_board(bench.server, 1)), "a,b");
    assert_string_equal(kl_vboard_stored(kl_vserver_board(bench.server, 2)), "");
    assert_true(kl_vserver_replace(bench.server, 1));
    struct kl_mac three = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    assert_false(kl_mac_equal(&one, &two));
    assert_false(kl_mac_equal(&one, &three));
    assert_false(kl_mac_equal(&two, &three));
    assert_string_equal(kl_vboard_stored(kl_vserver_board(bench.server, 1)), "");
    close_bench(&bench);
}

static bool is_plugged_again(void *ctx)
{
    return ((struct bench *)ctx)->events[KL_VS_PLUGGED] > 0;
}

/* Unplugged by a fault it comes back. */
static void a_board_comes_back_by_itself(void **state)
{
    static const char *const faults[] = {"provisioned=a|b,unplug_at=3"};
    struct bench bench;
    struct client c;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    config.faults = faults;
    config.fault_count = 1;
    config.replug_after = KL_MS(5);
    open_bench(&bench, &config);
    struct kl_mac before = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    open_client(&c, &bench, 1);
    send_bytes(&c, "abc", 3);
    until(&bench, is_gone, &c);
    close_client(&c);
    until(&bench, is_plugged_again, &bench);
    struct kl_mac after = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    assert_true(kl_mac_equal(&before, &after));
    assert_string_equal(kl_vboard_stored(kl_vserver_board(bench.server, 1)), "a,b");
    close_bench(&bench);
}

static void a_board_with_its_key_is_replaced_by_itself(void **state)
{
    static const char *const faults[] = {"provisioned=a|b"};
    struct bench bench;

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    config.faults = faults;
    config.fault_count = 1;
    config.replace_after = KL_MS(20);
    config.replace_gap = KL_MS(5);
    open_bench(&bench, &config);
    struct kl_mac before = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    until(&bench, is_plugged_again, &bench);
    struct kl_mac after = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    assert_false(kl_mac_equal(&before, &after));
    assert_string_equal(kl_vboard_stored(kl_vserver_board(bench.server, 1)), "");
    close_bench(&bench);
}

static void a_port_that_is_taken_is_told(void **state)
{
    struct bench bench, other;
    char error[KL_TEXT_MAX] = "";

    (void)state;
    struct kl_vserver_config config = usual(&bench, 1);
    open_bench(&bench, &config);
    config.port = kl_vserver_port(bench.server, 1);
    assert_int_equal(uv_loop_init(&other.loop), 0);
    assert_null(kl_vserver_create(&other.loop, &config, error));
    assert_non_null(strstr(error, "can't listen"));
    uv_run(&other.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&other.loop), 0);
    close_bench(&bench);
}

/* ---- the state folder ---- */

static void record_has(const char *folder, const struct kl_mac *mac, const char *line)
{
    char path[256];

    snprintf(path, sizeof path, "%s/board-%02x%02x%02x%02x%02x%02x.txt", folder, mac->b[0],
             mac->b[1], mac->b[2], mac->b[3], mac->b[4], mac->b[5]);
    char *record = file_read(path, NULL);
    assert_non_null(record);
    if (!strstr(record, line))
        fail_msg("%s lacks '%s':\n%s", path, line, record);
    free(record);
}

static void state_outlives_the_server(void **state)
{
    static const char *const faults[] = {"provisioned=a|b"};
    struct scratch scratch;
    struct bench bench;

    (void)state;
    scratch_make(&scratch);
    const char *folder = scratch_path(&scratch, "boards"); /* is made */
    struct kl_vserver_config config = usual(&bench, 1);
    config.state = folder;
    config.faults = faults;
    config.fault_count = 1;
    open_bench(&bench, &config);
    struct kl_mac first = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    close_bench(&bench);

    config.fault_count = 0;
    open_bench(&bench, &config);
    struct kl_mac again = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    assert_true(kl_mac_equal(&first, &again));
    assert_string_equal(kl_vboard_stored(kl_vserver_board(bench.server, 1)), "a,b");
    assert_true(kl_vserver_replace(bench.server, 1));
    struct kl_mac second = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    close_bench(&bench);

    record_has(folder, &first, "\nplugged no\n");
    record_has(folder, &first, "\nstored a,b\n");
    record_has(folder, &second, "\nplugged yes\n");
    record_has(folder, &second, "\nstored \n");

    open_bench(&bench, &config); /* a MAC is never used twice */
    assert_true(kl_vserver_replace(bench.server, 1));
    struct kl_mac third = kl_vboard_mac(kl_vserver_board(bench.server, 1));
    assert_false(kl_mac_equal(&third, &first));
    assert_false(kl_mac_equal(&third, &second));
    close_bench(&bench);
    scratch_remove(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_negotiated_and_echoed),
        cmocka_unit_test(a_line_a_round_trip_reaches_the_loader),
        cmocka_unit_test(both_lines_on_start_the_program_in_the_end),
        cmocka_unit_test(one_client_at_a_time_and_lines_fall_when_it_leaves),
        cmocka_unit_test(an_unplugged_board_refuses_connections),
        cmocka_unit_test(a_fresh_board_has_a_fresh_mac),
        cmocka_unit_test(a_board_comes_back_by_itself),
        cmocka_unit_test(a_board_with_its_key_is_replaced_by_itself),
        cmocka_unit_test(a_port_that_is_taken_is_told),
        cmocka_unit_test(state_outlives_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
