#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyline/slots_file.h"

static struct kl_slots_file file;
static char error[KL_TEXT_MAX];

static bool parse(const char *text)
{
    return kl_slots_parse(text, strlen(text), &file, error);
}

static void expect_slot(unsigned i, const char *name, const char *where)
{
    assert_string_equal(file.slot[i].name, name);
    assert_string_equal(file.slot[i].where, where);
}

static void reads_names_and_places_in_order(void **state)
{
    (void)state;
    assert_true(parse("\xef\xbb\xbf# the bench\r\n"
                      "A1 = 1-1.4.2\r\n"
                      "\r\n"
                      "  B 2=2-1:1.1#1 # the second half\n"
                      "left=/dev/serial/by-id/usb-x-port0\n"
                      "net = rfc2217://[::1]:4000?ign_set_control"));
    assert_int_equal(file.count, 4);
    expect_slot(0, "A1", "1-1.4.2");
    expect_slot(1, "B 2", "2-1:1.1#1");
    expect_slot(2, "left", "/dev/serial/by-id/usb-x-port0");
    expect_slot(3, "net", "rfc2217://[::1]:4000?ign_set_control");
    assert_int_equal(kl_slots_find(&file, "2-1:1.1#1"), 1);
    assert_int_equal(kl_slots_find(&file, "2-1:1.1"), -1);
    assert_true(parse(""));
    assert_int_equal(file.count, 0);
}

static void says_what_is_wrong_and_where(void **state)
{
    static const struct {
        const char *text, *wrong;
    } cases[] = {
        {"A1 = 1-1\nA2\n", "line 2: expected NAME = PLACE"},
        {"= 1-1\n", "line 1: the name"},
        {"A\x1b[2J = 1-1\n", "line 1: the name"},
        {"\n\nA1 =\n", "line 3: the place"},
        {"A1 = 1\n", "the place"},
        {"A1 = 1-\n", "the place"},
        {"A1 = 1-1.\n", "the place"},
        {"A1 = 1-1:1\n", "the place"},
        {"A1 = 1-1#\n", "the place"},
        {"A1 = 1-1 x\n", "the place"},
        {"A1 = ttyUSB0\n", "the place"},
        {"A1 = rfc2217://host\n", "the place"},
        {"A1 = 1-1\nA1 = 1-2\n", "line 2: this name"},
        {"A1 = 1-1\n#\nA2 = 1-1\n", "line 3: this place"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        error[0] = '\0';
        assert_false(parse(cases[i].text));
        assert_non_null(strstr(error, cases[i].wrong));
    }
    char many[4096];
    size_t n = 0;
    for (unsigned i = 0; i <= KL_SLOTS_MAX; i++)
        n += kl_format(many + n, sizeof many - n, "%u = 1-%u\n", i, i);
    assert_false(parse(many));
    assert_non_null(strstr(error, "line 65: more slots"));
}

static void any_bytes_are_survived(void **state)
{
    static const char alphabet[] = "A1= -.:#/\n\r\t\0dev";
    char text[64];
    (void)state;
    uint32_t r = 1;
    for (unsigned run = 0; run < 20000; run++) {
        size_t size = run % sizeof text;
        for (size_t i = 0; i < size; i++) {
            r = r * 1664525u + 1013904223u;
            text[i] = alphabet[(r >> 16) % (sizeof alphabet - 1)];
        }
        if (kl_slots_parse(text, size, &file, error))
            assert_true(file.count <= KL_SLOTS_MAX);
    }
}

static void what_is_written_is_read_again(void **state)
{
    char folder[64] = "/tmp/keyline-slots-XXXXXX", path[96], part[104];
    (void)state;
    assert_non_null(mkdtemp(folder));
    kl_format(path, sizeof path, "%s/slots", folder);
    kl_format(part, sizeof part, "%s.new", path);
    assert_true(parse("A1 = 1-1.4.2\nB 2 = 2-1:1.1#1\nc = socket://h:1\n"));
    struct kl_slots_file before = file;
    assert_true(kl_slots_write(path, &file, error));
    memset(&file, 0, sizeof file);
    assert_true(kl_slots_read(path, &file, error));
    assert_int_equal(file.count, 3);
    for (unsigned i = 0; i < 3; i++)
        expect_slot(i, before.slot[i].name, before.slot[i].where);
    /* A file that can't be replaced stays as it was, and nothing is left beside it. */
    assert_int_equal(mkdir(part, 0755), 0);
    file.count = 1;
    assert_false(kl_slots_write(path, &file, error));
    assert_non_null(strstr(error, path));
    assert_true(kl_slots_read(path, &file, error));
    assert_int_equal(file.count, 3);
    rmdir(part);
    unlink(path);
    assert_false(kl_slots_read(path, &file, error));
    assert_non_null(strstr(error, "No such file"));
    rmdir(folder);
}

static struct kl_port_info board(const char *where, bool usable)
{
    struct kl_port_info p = {.usable = usable};
    kl_copy(p.topology, sizeof p.topology, where);
    return p;
}

static void teaching_names_sockets_as_boards_come(void **state)
{
    static struct kl_teach t;
    bool known;
    (void)state;
    assert_true(parse("1 = 1-9\nold = 1-8\n"));
    t.file = file;
    struct kl_port_info ports[] = {board("1-1", true), board("", true), board("1-3", false),
                                   board("1-2", true), board("1-8", true)};
    /* What is there at first does not count, nor what would not be used, nor what is not USB. */
    assert_int_equal(kl_teach_look(&t, ports, 1, &known), -1);
    assert_int_equal(kl_teach_look(&t, ports, 3, &known), -1);
    assert_int_equal(kl_teach_look(&t, ports, 4, &known), 2);
    assert_false(known);
    file = t.file;
    expect_slot(2, "2", "1-2"); /* "1" was taken */
    assert_int_equal(kl_teach_look(&t, ports, 4, &known), -1);
    assert_int_equal(kl_teach_look(&t, ports, 5, &known), 1);
    assert_true(known);
    /* Unplugged and plugged again: now the first board's socket counts as well. */
    assert_int_equal(kl_teach_look(&t, ports + 1, 4, &known), -1);
    assert_int_equal(kl_teach_look(&t, ports, 5, &known), 3);
    assert_false(known);
    assert_true(kl_teach_rename(&t, 3, "top left"));
    assert_true(kl_teach_rename(&t, 3, "top left"));
    assert_false(kl_teach_rename(&t, 3, "old"));
    assert_false(kl_teach_rename(&t, 3, "a=b"));
    assert_false(kl_teach_rename(&t, 3, " "));
    file = t.file;
    expect_slot(3, "top left", "1-1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_names_and_places_in_order),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(teaching_names_sockets_as_boards_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
