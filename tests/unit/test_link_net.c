/* The RFC 2217 link and the raw link against a scripted server on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "adapters/link/tcp_stream.h"
#include "keyline/link.h"
#include "link_bench.h"
#include "rfc2217_peer.h"

static struct link_bench bench;
static struct rfc2217_peer peer;

static void begin(struct rfc2217_peer how)
{
    peer = how;
    link_bench_start(&bench);
    rfc2217_peer_start(&peer, &bench.loop);
}

static void begin_open(struct rfc2217_peer how)
{
    begin(how);
    link_bench_open(&bench, peer.url, 115200);
    link_bench_until_opened(&bench);
    assert_string_equal(bench.text, "");
    assert_int_equal(bench.result, KL_OPEN_OK);
}

static void end(void)
{
    rfc2217_peer_stop(&peer);
    link_bench_finish(&bench);
}

static void end_open(void)
{
    link_bench_close(&bench);
    end();
}

static struct link_far_end far_end(bool network_port)
{
    return (struct link_far_end){.ctx = &peer,
                                 .send = rfc2217_peer_send,
                                 .received = rfc2217_peer_received,
                                 .drop = rfc2217_peer_drop,
                                 .lines = network_port,
                                 .rate = network_port};
}

static void keeps_the_contract(void **state)
{
    (void)state;
    static const struct rfc2217_peer servers[] = {
        {.offers = false},      {.offers = true},       {.offers = true, .offers_only = true},
        {.padded = true},       {.byte_by_byte = true}, {.control_is_one = true},
        {.mute_control = true}, {.mute_baud = true},
    };
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        begin_open(servers[i]);
        const struct link_far_end other = far_end(true);
        link_contract(&bench, &other);
        end();
    }
}

static void raw_keeps_the_contract(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.plain = true});
    const struct link_far_end other = far_end(false);
    link_contract(&bench, &other);
    end();
}

static void open_sets_up_the_port_without_a_reset(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.offers = false});
    /* RTS goes off before DTR: from both on, the other order would be a reset. */
    assert_non_null(strstr(peer.log, "baud 115200 datasize 8 parity 1 stopsize 1 control 1 "
                                     "control 12 control 9 | "));
    assert_non_null(strstr(peer.log, "will 44 "));
    assert_null(strstr(peer.log, "wont"));
    end_open();
}

static void answers_options_once(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.offers = true});
    link_bench_lines(&bench, 1, true, true);
    link_bench_until_done(&bench, 1);
    const char *first = strstr(peer.log, "do 44 ");
    assert_non_null(first);
    assert_null(strstr(first + 1, "do 44 "));
    assert_non_null(strstr(peer.log, "wont 24 ")); /* refused: not ours */
    end_open();
}

static unsigned times(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

/* ---- a peer that means no good ---- */

static uint8_t bytes_to_send[1 << 20];
static uv_write_t flood_request;

static void flood_written(uv_write_t *request, int status)
{
    (void)request;
    (void)status;
}

static void flood(const char *pattern, size_t size, size_t total)
{
    uv_buf_t buffer = uv_buf_init((char *)bytes_to_send, (unsigned)total);

    for (size_t i = 0; i < total; i++)
        bytes_to_send[i] = (uint8_t)pattern[i % size];
    assert_int_equal(
        uv_write(&flood_request, (uv_stream_t *)&peer.client, &buffer, 1, flood_written), 0);
}

static bool is_lost(void *ctx)
{
    (void)ctx;
    return bench.lost > 0;
}

static bool has_byte(void *ctx)
{
    return bench.rx_size > 0 && bench.rx[bench.rx_size - 1] == *(const uint8_t *)ctx;
}

static void an_unknown_option_is_refused_once(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.offers = true});
    flood("\xff\xfd\x05\xff\xfb\x06", 6, 6 * 5000);
    rfc2217_peer_send(&peer, (const uint8_t *)"e", 1);
    link_bench_until(&bench, has_byte, (uint8_t[]){'e'});
    link_bench_lines(&bench, 1, true, true); /* its answer comes behind all others */
    link_bench_until_done(&bench, 1);
    assert_int_equal(times(peer.log, "wont 5 "), 1);
    assert_int_equal(times(peer.log, "dont 6 "), 1);
    end_open();
}

static void a_flood_waits_in_the_network(void **state)
{
    uint64_t began;

    (void)state;
    begin_open((struct rfc2217_peer){.offers = true});
    kl_tcp_flood_ms = 300;
    uv_update_time(&bench.loop);
    began = uv_now(&bench.loop);
    flood("flood ", 6, sizeof bytes_to_send);
    link_bench_until(&bench, is_lost, NULL);
    assert_non_null(strstr(bench.text, "sends without end"));
    uv_update_time(&bench.loop);
    /* What may come at once, what may come in that time, and one more read. */
    assert_true(bench.rx_size >= KL_TCP_BURST);
    assert_true(bench.rx_size <= KL_TCP_BURST + (uv_now(&bench.loop) - began + 1) * 66 + 4096);
    kl_tcp_flood_ms = 10000;
    end_open();
}

/* A port that was quiet may say much at once. */
static void a_burst_is_no_flood(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.plain = true});
    kl_tcp_flood_ms = 1;
    flood("burst ", 6, KL_TCP_BURST - 4096);
    rfc2217_peer_send(&peer, (const uint8_t *)"!", 1);
    link_bench_until(&bench, has_byte, (uint8_t[]){'!'});
    assert_int_equal(bench.lost, 0);
    kl_tcp_flood_ms = 10000;
    end_open();
}

/* It turns an option on and off, so that each turn wants an answer, and reads none. */
static void answers_that_nobody_reads_end_it(void **state)
{
    const int small = 4096;
    uv_os_fd_t fd;

    (void)state;
    begin_open((struct rfc2217_peer){.offers = true});
    uv_read_stop((uv_stream_t *)&peer.client);
    assert_int_equal(uv_fileno((uv_handle_t *)&peer.client, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    flood("\xff\xfc\x01\xff\xfb\x01", 6, sizeof bytes_to_send);
    link_bench_until(&bench, is_lost, NULL);
    assert_non_null(strstr(bench.text, "does not read the answers"));
    end_open();
}

/* Every way from one pair of lines to another: two commands in one segment, in the order that
   resets nothing on the way. */
static void both_lines_move_in_one_segment(void **state)
{
    (void)state;
    static const struct {
        bool dtr, rts;
        const char *sent;
    } steps[] = {
        {true, true, "control 8 control 11 | "},   /* 00 -> 11 by boot-low */
        {false, false, "control 12 control 9 | "}, /* 11 -> 00 by boot-low */
        {false, true, "control 11 | "},            /* reset */
        {true, false, "control 8 control 12 | "},  /* 01 -> 10 by 11: the strap is low first */
        {false, true, "control 11 control 9 | "},  /* 10 -> 01 by 11 */
        {false, false, "control 12 | "},
        {false, false, "control 12 control 9 | "}, /* asked again: said again */
    };
    begin_open((struct rfc2217_peer){.offers = false});
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        peer.log_size = 0;
        link_bench_lines(&bench, i, steps[i].dtr, steps[i].rts);
        link_bench_until_done(&bench, i + 1);
        assert_true(bench.ok[i]);
        assert_string_equal(peer.log, steps[i].sent);
    }
    end_open();
}

static void lines_are_done_once_the_server_said_so(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.mute_control = false});
    peer.mute_control = true;
    peer.log_size = 0;
    link_bench_lines(&bench, 1, true, true);
    link_bench_baud(&bench, 2, 230400);
    for (unsigned i = 0; i < 50 && peer.log_size == 0; i++)
        uv_run(&bench.loop, UV_RUN_ONCE);
    assert_string_equal(peer.log, "control 8 control 11 | ");
    assert_int_equal(bench.done, 0);
    rfc2217_peer_answer(&peer, KL_COM_SET_CONTROL, (const uint8_t[]){11}, 1);
    rfc2217_peer_answer(&peer, KL_COM_SET_CONTROL, (const uint8_t[]){8}, 1);
    link_bench_until_done(&bench, 2);
    end_open();
}

static void ign_set_control_leaves_the_lines_at_open(void **state)
{
    (void)state;
    char url[96];
    begin((struct rfc2217_peer){.mute_control = true});
    kl_format(url, sizeof url, "%s?ign_set_control", peer.url);
    link_bench_open(&bench, url, 115200);
    link_bench_until_opened(&bench);
    assert_int_equal(bench.result, KL_OPEN_OK);
    assert_null(strstr(peer.log, "control 12"));
    assert_null(strstr(peer.log, "control 9"));
    peer.log_size = 0;
    link_bench_lines(&bench, 1, true, false);
    link_bench_until_done(&bench, 1);
    assert_true(bench.ok[0]);
    assert_string_equal(peer.log, "control 8 control 12 | ");
    end_open();
}

static void baud_tells_what_the_server_did(void **state)
{
    (void)state;
    begin_open((struct rfc2217_peer){.offers = false});
    link_bench_baud(&bench, 1, 921600);
    link_bench_until_done(&bench, 1);
    assert_true(bench.ok[0]);
    peer.other_baud = 923076; /* what a CP2102N makes of it */
    link_bench_baud(&bench, 2, 921600);
    link_bench_until_done(&bench, 2);
    assert_true(bench.ok[1]);
    peer.other_baud = 115200;
    link_bench_baud(&bench, 3, 921600);
    link_bench_baud(&bench, 4, 115200);
    link_bench_until_done(&bench, 4);
    assert_false(bench.ok[2]);
    assert_true(bench.ok[3]);
    /* A rate with 0xff bytes in it arrives whole. */
    peer.other_baud = 0;
    link_bench_baud(&bench, 5, 0x00ff00ff);
    link_bench_until_done(&bench, 5);
    assert_true(bench.ok[4]);
    assert_non_null(strstr(peer.log, "baud 16711935 "));
    end_open();
}

static void refusals_have_a_result_and_a_text(void **state)
{
    (void)state;
    static const struct {
        struct rfc2217_peer how;
        enum kl_open_result result;
        const char *text;
    } cases[] = {
        {{.refuses = true}, KL_OPEN_ERROR, "refuses RFC 2217"},
        {{.silent = true}, KL_OPEN_ERROR, "no RFC 2217 server"},
        {{.other_baud = 9600}, KL_OPEN_ERROR, "stays at 9600 baud instead of 115200"},
        {{.greeting = "Port already in use\r\n"}, KL_OPEN_BUSY, "in use"},
        {{.greeting = "Device open failure: no such device\r\n"}, KL_OPEN_ABSENT, "device"},
        {{.greeting = "Key1: secret\r\n"}, KL_OPEN_ABSENT, "closed the connection"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(cases[i].how);
        link_bench_open(&bench, peer.url, 115200);
        link_bench_until_opened(&bench);
        assert_int_equal(bench.result, cases[i].result);
        assert_non_null(strstr(bench.text, cases[i].text));
        assert_non_null(strstr(bench.text, "127.0.0.1:"));
        assert_null(strstr(bench.text, "secret")); /* a board's words stay out of our texts */
        assert_int_equal(bench.lost, 0);
        end_open();
    }
}

static void nobody_there_is_absent(void **state)
{
    (void)state;
    static const char *const schemes[] = {"rfc2217", "socket"};
    for (unsigned i = 0; i < 2; i++) {
        char url[96];
        begin((struct rfc2217_peer){.plain = false});
        kl_format(url, sizeof url, "%s%s", schemes[i], strchr(peer.url, ':'));
        rfc2217_peer_stop(&peer); /* now its port is nobody's */
        uv_run(&bench.loop, UV_RUN_NOWAIT);
        link_bench_open(&bench, url, 115200);
        link_bench_until_opened(&bench);
        assert_int_equal(bench.result, KL_OPEN_ABSENT);
        assert_non_null(strstr(bench.text, "connection refused"));
        link_bench_close(&bench);
        link_bench_finish(&bench);
    }
    link_bench_start(&bench);
    link_bench_open(&bench, "rfc2217://no-such-host.invalid:4000", 115200);
    link_bench_until_opened(&bench);
    assert_int_equal(bench.result, KL_OPEN_ABSENT);
    assert_non_null(strstr(bench.text, "no-such-host.invalid:4000: "));
    link_bench_close(&bench);
    link_bench_finish(&bench);
}

/* Closed at any of the loop's turns, a link ends with `closed` and leaves nothing behind. */
static void may_be_closed_at_any_moment(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 40; turns++) {
        begin((struct rfc2217_peer){.offers = true});
        link_bench_open(&bench, peer.url, 115200);
        for (unsigned i = 0; i < turns && bench.opened == 0; i++)
            uv_run(&bench.loop, UV_RUN_NOWAIT);
        if (bench.opened > 0) {
            link_bench_write(&bench, "abc", 3);
            link_bench_lines(&bench, 1, true, false);
            for (unsigned i = 0; i < turns % 5; i++)
                uv_run(&bench.loop, UV_RUN_NOWAIT);
        }
        end_open();
    }
}

static void may_be_closed_from_its_own_callbacks(void **state)
{
    (void)state;
    begin((struct rfc2217_peer){.offers = true});
    bench.close_when_opened = true;
    link_bench_open(&bench, peer.url, 115200);
    while (bench.closed == 0)
        uv_run(&bench.loop, UV_RUN_ONCE);
    end();

    begin_open((struct rfc2217_peer){.offers = true});
    bench.close_in_rx = true;
    rfc2217_peer_send(&peer, (const uint8_t *)"abc", 3);
    rfc2217_peer_answer(&peer, KL_COM_NOTIFY_MODEMSTATE, (const uint8_t[]){0x30}, 1);
    rfc2217_peer_send(&peer, (const uint8_t *)"def", 3);
    while (bench.closed == 0)
        uv_run(&bench.loop, UV_RUN_ONCE);
    assert_int_equal(bench.rx_size, 3);
    end();
}

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int kind; /* -1: none */
    } cases[] = {
        {"/dev/ttyUSB0", KL_LINK_SERIAL},
        {"/dev/serial/by-id/usb-x", KL_LINK_SERIAL},
        {"rfc2217://host:4000", KL_LINK_RFC2217},
        {"rfc2217://host:4000/", KL_LINK_RFC2217},
        {"rfc2217://host:4000?ign_set_control", KL_LINK_RFC2217},
        {"rfc2217://[::1]:4000", KL_LINK_RFC2217},
        {"socket://10.0.0.1:65535", KL_LINK_RAW},
        {"/dev/", -1},
        {"ttyUSB0", -1},
        {"", -1},
        {"rfc2217://", -1},
        {"rfc2217://host", -1},
        {"rfc2217://host:", -1},
        {"rfc2217://:4000", -1},
        {"rfc2217://host:0", -1},
        {"rfc2217://host:65536", -1},
        {"rfc2217://host:4000x", -1},
        {"rfc2217://host:4000?logging", -1},
        {"rfc2217://[::1:4000", -1},
        {"socket://host:4000?ign_set_control", -1},
        {"http://host:80", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum kl_link_kind kind;
        bool known = kl_link_kind_of(cases[i].text, &kind);
        assert_int_equal(known, cases[i].kind >= 0);
        if (known)
            assert_int_equal(kind, cases[i].kind);
    }
    uv_loop_t loop;
    uv_loop_init(&loop);
    assert_null(kl_link_open(&loop, "ttyUSB0", 115200, &link_bench_events, NULL));
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(keeps_the_contract),
        cmocka_unit_test(raw_keeps_the_contract),
        cmocka_unit_test(open_sets_up_the_port_without_a_reset),
        cmocka_unit_test(answers_options_once),
        cmocka_unit_test(an_unknown_option_is_refused_once),
        cmocka_unit_test(a_flood_waits_in_the_network),
        cmocka_unit_test(a_burst_is_no_flood),
        cmocka_unit_test(answers_that_nobody_reads_end_it),
        cmocka_unit_test(both_lines_move_in_one_segment),
        cmocka_unit_test(lines_are_done_once_the_server_said_so),
        cmocka_unit_test(ign_set_control_leaves_the_lines_at_open),
        cmocka_unit_test(baud_tells_what_the_server_did),
        cmocka_unit_test(refusals_have_a_result_and_a_text),
        cmocka_unit_test(nobody_there_is_absent),
        cmocka_unit_test(may_be_closed_at_any_moment),
        cmocka_unit_test(may_be_closed_from_its_own_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
