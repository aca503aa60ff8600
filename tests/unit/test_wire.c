#include "faces/stream/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct kl_snapshot a, b, rebuilt;
static struct kl_wire_message message;

static void fill(struct kl_snapshot *s)
{
    struct kl_slot_view *v = &s->slot[1];

    memset(s, 0, sizeof *s);
    s->version = 7;
    s->at = 123456789;
    s->slot_count = 2;
    s->keys.free = 11;
    s->keys.in_doubt = 2;
    s->keys_empty_in = KL_NEVER;
    s->median_board = KL_SEC(9);
    s->few_keys = true;
    kl_copy(s->kept_back, sizeof s->kept_back, "line 7 can't be a key");
    kl_copy(s->question, sizeof s->question, "0badcafe");
    kl_copy(s->asks, sizeof s->asks, "line 7: a header");
    s->forgets = true;
    kl_copy(s->warning, sizeof s->warning, "check the hub");
    kl_copy(s->slot[0].name, KL_NAME_MAX, "A1");
    s->slot[0].retry_at = s->slot[0].left = KL_NEVER;
    kl_copy(v->name, sizeof v->name, "A2");
    kl_copy(v->port, sizeof v->port, "/dev/ttyUSB3");
    v->plugged = true;
    v->state = KL_ST_FAILED;
    v->since = 99;
    v->retry_at = 1234;
    v->left = KL_NEVER;
    v->fault = (struct kl_fault){.reason = KL_FAULT_NO_SYNC, .chip_error = 0x0105};
    kl_copy(v->fault.detail, sizeof v->fault.detail, "7 tries");
    v->identity.chip = KL_CHIP_ESP32S3;
    v->identity.mac = (struct kl_mac){{0x24, 0x6f, 0x28, 1, 2, 3}};
    v->identity.revision = 301;
    v->identity.flash_size = 4 << 20;
    v->identity.stub = true;
    v->progress.done = 5000000000u;
    v->progress.total = 6000000000u;
    v->tries = 3;
    kl_copy(v->label, sizeof v->label, "dev-ä-001");
}

static void decode(char *line)
{
    assert_non_null(line);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_int_equal(strcspn(line, "\n"), strlen(line) - 1);
    assert_true(kl_wire_decode(line, strlen(line) - 1, &rebuilt, &message));
    free(line);
}

static void a_full_snapshot_comes_back_whole(void **state)
{
    (void)state;
    fill(&a);
    memset(&rebuilt, 0, sizeof rebuilt);
    decode(kl_wire_snapshot(&a, NULL));
    assert_int_equal(message.kind, KL_WIRE_SNAPSHOT);
    assert_memory_equal(&rebuilt, &a, sizeof a);
}

static void changes_carry_only_what_changed(void **state)
{
    char *line;

    (void)state;
    fill(&a);
    b = a;
    assert_null(kl_wire_snapshot(&b, &a));
    b.version++;
    b.slot[1].progress.done += 1;
    b.slot[1].retry_at = KL_NEVER;
    b.slot[1].identity.mac = (struct kl_mac){{0}};
    b.slot[1].identity.chip = KL_CHIP_NONE;
    line = kl_wire_snapshot(&b, &a);
    assert_null(strstr(line, "label"));
    assert_null(strstr(line, "A1"));
    rebuilt = a;
    decode(line);
    assert_memory_equal(&rebuilt, &b, sizeof b);
}

static void a_new_slot_is_told_in_full(void **state)
{
    (void)state;
    fill(&a);
    b = a;
    b.version++;
    b.slot_count = 3;
    kl_copy(b.slot[2].name, KL_NAME_MAX, "A3");
    rebuilt = a;
    decode(kl_wire_snapshot(&b, &a));
    assert_memory_equal(&rebuilt, &b, sizeof b);
}

static void every_state_and_reason_has_its_way_through(void **state)
{
    (void)state;
    fill(&a);
    for (int r = 0; r < KL_FAULT_COUNT; r++) {
        a.slot[1].fault.reason = (enum kl_reason)r;
        a.slot[1].state = (enum kl_state)(r % KL_ST_COUNT);
        a.slot[1].identity.chip = (enum kl_chip_id)(r % KL_CHIP_COUNT);
        memset(&rebuilt, 0, sizeof rebuilt);
        decode(kl_wire_snapshot(&a, NULL));
        assert_int_equal(rebuilt.slot[1].fault.reason, r);
        assert_int_equal(rebuilt.slot[1].state, a.slot[1].state);
        assert_int_equal(rebuilt.slot[1].identity.chip, a.slot[1].identity.chip);
    }
}

static void lines_of_other_kinds(void **state)
{
    struct kl_wire_hello hello = {.protocol = 1, .version = "1.0", .csv = "keys.csv"};
    struct kl_in_doubt doubt = {.label = "dev-1", .mac = {{1, 2, 3, 4, 5, 6}}};

    (void)state;
    decode(kl_wire_hello(&hello));
    assert_int_equal(message.kind, KL_WIRE_HELLO);
    assert_string_equal(message.u.hello.csv, "keys.csv");
    decode(kl_wire_log(3, "rst:0x1 \xff \"quoted\""));
    assert_int_equal(message.kind, KL_WIRE_LOG);
    assert_int_equal(message.u.log.slot, 3);
    assert_string_equal(message.u.log.text, "rst:0x1 ? \"quoted\"");
    decode(kl_wire_log_gap(KL_WIRE_BENCH, 12));
    assert_int_equal(message.u.gap.slot, KL_WIRE_BENCH);
    assert_int_equal(message.u.gap.lines, 12);
    decode(kl_wire_in_doubt(&doubt, 1));
    assert_int_equal(message.u.in_doubt.count, 1);
    assert_true(kl_mac_equal(&message.u.in_doubt.item[0].mac, &doubt.mac));
    decode(kl_wire_bye(5, "no keys"));
    assert_int_equal(message.kind, KL_WIRE_BYE);
    assert_int_equal(message.u.bye.exit, 5);
}

static bool request(char *line, struct kl_wire_request *out)
{
    char error[KL_TEXT_MAX] = "";
    bool good = kl_wire_decode_request(line, strlen(line), out, error);

    assert_true(good || error[0] != '\0');
    free(line);
    return good;
}

/* Every command of the table, with every argument, comes through as it was sent. */
static void commands_arrive_as_they_were_meant(void **state)
{
    struct kl_command sent = {.slot = 5, .argument = "it \"burnt\""};
    struct kl_wire_request r;

    (void)state;
    sent.fingerprint =
        (struct kl_fingerprint){{0xd5, 0x67, 0, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15}};
    for (int k = 0; k < KL_CMD_COUNT; k++) {
        struct kl_command_info info = kl_command_info((enum kl_command_kind)k);
        sent.kind = (enum kl_command_kind)k;
        assert_true(request(kl_wire_command(&sent), &r));
        assert_false(r.is_hello);
        assert_int_equal(r.command.kind, k);
        assert_int_equal(r.command.slot, info.has_slot ? 5 : KL_WIRE_BENCH);
        assert_string_equal(r.command.argument, info.argument[0] ? sent.argument : "");
        if (k == KL_CMD_RELEASE)
            assert_true(kl_fingerprint_equal(&r.command.fingerprint, &sent.fingerprint));
    }
}

/* A dashboard says which protocol it speaks and who sits there; a station of another protocol is
   told apart, with words that name both sides. */
static void protocols_are_compared(void **state)
{
    struct kl_wire_hello hello = {.protocol = KL_WIRE_PROTOCOL, .version = "0.9"};
    struct kl_wire_request r;
    char text[KL_TEXT_MAX];

    (void)state;
    assert_true(request(kl_wire_client_hello("pi (from 10.0.0.5)"), &r));
    assert_true(r.is_hello);
    assert_int_equal(r.protocol, KL_WIRE_PROTOCOL);
    assert_string_equal(r.command.operator_name, "pi (from 10.0.0.5)");
    assert_false(kl_wire_is_foreign(&hello, text));
    hello.protocol = KL_WIRE_PROTOCOL - 1;
    assert_true(kl_wire_is_foreign(&hello, text));
    assert_non_null(strstr(text, "keyline 0.9 (protocol 1), older"));
    hello.protocol = KL_WIRE_PROTOCOL + 1;
    assert_true(kl_wire_is_foreign(&hello, text));
    assert_non_null(strstr(text, "newer"));
}

static void nonsense_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "retry",
        "[]",
        "{\"command\":\"retry\"}",
        "{\"command\":\"retry\",\"slot\":64}",
        "{}",
        "{\"command\":\"retry\",\"slot\":-1}",
        "{\"command\":\"explode\"}",
        "null",
        "{\"command\":\"add_port\"}",
        "{\"command\":\"release\"}",
        "{\"command\":\"release\",\"fingerprint\":\"00112233445566778899aabbccddeeff\"}",
        "{\"command\":\"release\",\"reason\":\"x\",\"fingerprint\":"
        "\"00112233445566778899aabbccddeefg\"}",
        "{\"command\":\"release\",\"reason\":\" "
        "\",\"fingerprint\":\"00112233445566778899aabbccddeeff\"}",
    };
    struct kl_wire_request r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(request(strdup(bad[i]), &r));
    assert_false(kl_wire_decode("nonsense", 8, &rebuilt, &message));
    assert_true(kl_wire_decode("{\"later\":1}", 11, &rebuilt, &message));
    assert_int_equal(message.kind, KL_WIRE_NOTHING);
    /* A snapshot of another version may hold anything. */
    static const char odd[] = "{\"snapshot\":{\"slot_count\":900,\"done\":\"x\"},"
                              "\"slots\":{\"77\":{},\"0\":{\"state\":\"dancing\",\"name\":7}}}";
    assert_true(kl_wire_decode(odd, strlen(odd), &rebuilt, &message));
    assert_int_equal(rebuilt.slot_count, KL_SLOTS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_snapshot_comes_back_whole),
        cmocka_unit_test(changes_carry_only_what_changed),
        cmocka_unit_test(a_new_slot_is_told_in_full),
        cmocka_unit_test(every_state_and_reason_has_its_way_through),
        cmocka_unit_test(lines_of_other_kinds),
        cmocka_unit_test(commands_arrive_as_they_were_meant),
        cmocka_unit_test(protocols_are_compared),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
