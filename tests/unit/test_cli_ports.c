/* `keyline ports` and `keyline doctor` as typed: what they refuse, and with which exit status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyline/cli.h"
#include "keyline/slots_file.h"

static int run(int (*command)(int argc, char **argv), const char *line)
{
    char words[256], *argv[16];
    int argc = 0;
    kl_copy(words, sizeof words, line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return command(argc, argv);
}

static void wrong_words_are_usage_errors(void **state)
{
    static const char *const lines[] = {
        "ports --nonsense",         "ports extra",
        "ports --usb-id 10c4",      "ports --usb-id",
        "ports --teach x --json",   "ports --teach x --slots y",
        "ports --usb-id 10c4:ea6g",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(run(kl_cli_ports, lines[i]), KL_EXIT_USAGE);
    assert_int_equal(run(kl_cli_doctor, "doctor --nonsense"), KL_EXIT_USAGE);
    assert_int_equal(run(kl_cli_doctor, "doctor extra"), KL_EXIT_USAGE);
    assert_int_equal(run(kl_cli_ports, "ports --help"), KL_EXIT_OK);
    assert_int_equal(run(kl_cli_ports, "ports --usb-id 10c4:ea60 --exclude 1-1"), KL_EXIT_OK);
    assert_int_equal(run(kl_cli_ports, "ports --json --port /dev/ttyUSB0"), KL_EXIT_OK);
}

static void bad_slots_files_are_input_errors(void **state)
{
    char folder[64] = "/tmp/keyline-ports-XXXXXX", path[96], line[192];
    (void)state;
    assert_non_null(mkdtemp(folder));
    kl_format(path, sizeof path, "%s/slots", folder);
    kl_format(line, sizeof line, "ports --slots %s", path);
    assert_int_equal(run(kl_cli_ports, line), KL_EXIT_INPUT); /* not there */
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("A1 1-1\n", f);
    fclose(f);
    assert_int_equal(run(kl_cli_ports, line), KL_EXIT_INPUT);
    kl_format(line, sizeof line, "ports --teach %s", path);
    assert_int_equal(run(kl_cli_ports, line), KL_EXIT_INPUT); /* and it is not overwritten */
    f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_string_equal(line, "A1 1-1\n");
    fclose(f);
    unlink(path);
    rmdir(folder);
}

static void teaching_keeps_what_the_file_had(void **state)
{
    static struct kl_slots_file slots;
    char folder[64] = "/tmp/keyline-ports-XXXXXX", path[96], line[192], error[KL_TEXT_MAX];
    (void)state;
    assert_non_null(mkdtemp(folder));
    kl_format(path, sizeof path, "%s/slots", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("left = 9-9.9\n", f);
    fclose(f);
    assert_non_null(freopen("/dev/null", "r", stdin)); /* a person who is finished at once */
    kl_format(line, sizeof line, "ports --teach %s", path);
    assert_int_equal(run(kl_cli_ports, line), KL_EXIT_OK);
    assert_true(kl_slots_read(path, &slots, error));
    assert_int_equal(slots.count, 1);
    assert_string_equal(slots.slot[0].name, "left");
    kl_format(line, sizeof line, "ports --teach %s/no/such/folder", folder);
    assert_int_equal(run(kl_cli_ports, line), KL_EXIT_STORE);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_are_usage_errors),
        cmocka_unit_test(bad_slots_files_are_input_errors),
        cmocka_unit_test(teaching_keeps_what_the_file_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
