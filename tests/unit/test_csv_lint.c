/* `keyline keys lint`: what it explains, and what it mends in a copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyline/lint.h"
#include "scratch.h"

static struct scratch dir;
static const char *csv, *fixed;

static int new_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    csv = scratch_path(&dir, "keys.csv");
    fixed = scratch_path(&dir, "keys.csv.fixed");
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

#define K1 "7a1fc3d2e4b5968778695a4b3c2d1e0f"
#define K2 "8b2fc3d2e4b5968778695a4b3c2d1e1f"
#define K3 "9c3fc3d2e4b5968778695a4b3c2d1e2f"

static void mends_bytes(const void *from, size_t size, const char *to)
{
    char error[KL_TEXT_MAX], *now;
    size_t now_size;

    unlink(fixed);
    file_write(csv, from, size);
    if (!kl_csv_fix(csv, false, fixed, error))
        fail_msg("%s", error);
    if (!file_is(fixed, to))
        fail_msg("made: %s\nnot:  %s", file_read(fixed, NULL), to);
    now = file_read(csv, &now_size);
    assert_int_equal(now_size, size);
    assert_memory_equal(now, from, size);
    free(now);
}

static void mends(const char *from, const char *to)
{
    mends_bytes(from, strlen(from), to);
}

static void what_can_be_mended_is(void **state)
{
    (void)state;
    mends("id,dev_eui,app_key\r\na,70B3D57ED0000001," K1 "\r\nb,70B3D57ED0000002," K2
          ",Provisioned\r\n",
          "a,70B3D57ED0000001," K1 "\nb,70B3D57ED0000002," K2 ",Provisioned\n");
    mends("a,70B3D57ED0000001," K1 "\nb,70B3D57ED0000002," K2
          "\nid,dev_eui,app_key\nc,70B3D57ED0000003,0f\n",
          "a,70B3D57ED0000001," K1 "\nb,70B3D57ED0000002," K2 "\nc,70B3D57ED0000003,0f\n");
    mends("a,\"=\"\"0011223344\"\"\"\nb,'0011223355\n", "a,0011223344\nb,0011223355\n");
    mends("s-1,11223344556677\ns-2,8899AABBCCDDEEFF\ns-3,8899AABBCCDDEEF0\n",
          "s-1,0011223344556677\ns-2,8899AABBCCDDEEFF\ns-3,8899AABBCCDDEEF0\n");
    mends("a\xc2\xa0"
          "1,00\xe2\x80\x8b"
          "11\xc2\xa0\n",
          "a 1,0011\n");
    mends("a,1f\n\xef\xbb\xbf"
          "b,2f\n",
          "a,1f\nb,2f\n");
    mends("a,\xe2\x80\x9c" K1 "\xe2\x80\x9d\nb,\"\"\"" K2 "\"\"\"\n", "a," K1 "\nb," K2 "\n");
    mends("a,12345678.0\nb,22345678.0\n", "a,12345678\nb,22345678\n");
    mends("a,1f\n#b,2f\nc,3f\nd,4f\nTotal,3\n", "a,1f\nc,3f\nd,4f\n");
    mends("a,Provisioned," K1 "\n", "a," K1 ",Provisioned\n");
    mends("a;1f;2f\r\n\"b;x\";3f;4f\r\n", "a,1f,2f\nb;x,3f,4f\n");
    mends("a\t1f\nb\t2f\n", "a,1f\nb,2f\n");
    mends("M\xc3\xbcller,1f\nJ\xf6rg,2f\n", "M\xc3\xbcller,1f\nJ\xc3\xb6rg,2f\n");
    mends("\"a \"\"x\"\"\",1f,,\nb,2f,,\n", "\"a \"\"x\"\"\",1f\nb,2f\n");
    mends("a," K1 "\nb," K2 "\n", "a," K1 "\nb," K2 "\n");
    mends("", "");
}

static void other_encodings_become_utf8(void **state)
{
    static const char little[] = "\xff\xfe"
                                 "a\0,\0\xfc\0\r\0\n\0";
    static const char big[] = "\xfe\xff\0a\0,\0b\0\n\xd8\x3d\xde\x00\0,\0c\0\n";
    static const char bare[] = "a\0,\0b\0\n\0";
    static const char torn[] = "a,b\nc,d\n\0\0\0\0\0\0";

    (void)state;
    mends_bytes(little, sizeof little - 1, "a,\xc3\xbc\n");
    mends_bytes(big, sizeof big - 1, "a,b\n\xf0\x9f\x98\x80,c\n");
    mends_bytes(bare, sizeof bare - 1, "a,b\n");
    mends_bytes(torn, sizeof torn - 1, "a,b\nc,d\n");
}

static void what_cannot_be_mended_stays_and_is_said(void **state)
{
    static const char text[] = "a,1.12E+15\nb,#NAME?\n";
    struct kl_csv_lint l;
    char error[KL_TEXT_MAX];

    (void)state;
    mends(text, text);
    assert_true(kl_csv_lint(fixed, false, &l, error));
    assert_int_equal(l.verdict.count, 2);
    assert_int_equal(l.verdict.finding[0].kind, KL_CSV_ERROR);
    assert_int_equal(l.verdict.finding[1].kind, KL_CSV_SCIENTIFIC);
}

static void a_header_that_is_told_stays(void **state)
{
    char error[KL_TEXT_MAX];

    (void)state;
    file_put(csv, "id,key\na," K1 "\nid,key\nb," K2 "\n");
    assert_true(kl_csv_fix(csv, true, fixed, error));
    assert_true(file_is(fixed, "id,key\na," K1 "\nb," K2 "\n"));
}

static void the_copy_is_for_its_owner_alone_and_replaces_nothing(void **state)
{
    char error[KL_TEXT_MAX];
    struct stat st;
    mode_t mask = umask(0);

    (void)state;
    file_put(csv, "id,key\na," K1 "\n");
    assert_int_equal(chmod(csv, 0644), 0);
    assert_true(kl_csv_fix(csv, false, fixed, error));
    umask(mask);
    assert_int_equal(stat(fixed, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(kl_csv_fix(csv, false, fixed, error));
    assert_non_null(strstr(error, "keys.csv.fixed: File exists"));
}

static void broken_files_are_explained(void **state)
{
    struct kl_csv_lint l;
    char error[KL_TEXT_MAX];

    (void)state;
    file_put(csv, "a,b\nc,\"d\n");
    assert_true(kl_csv_lint(csv, false, &l, error));
    assert_non_null(strstr(l.broken, "line 2: a quote is opened"));
    assert_false(kl_csv_fix(csv, false, fixed, error));
    assert_non_null(strstr(error, "line 2: a quote is opened"));
    assert_int_equal(access(fixed, F_OK), -1);
    file_put(csv, "a,1f\nb,\nc,3f\n");
    assert_true(kl_csv_lint(csv, false, &l, error));
    assert_int_equal(l.rows, 3);
    assert_int_equal(l.unfit, 1);
    assert_int_equal(l.row[0].line, 2);
    assert_false(kl_csv_lint("/nowhere/keys.csv", false, &l, error));
    assert_non_null(strstr(error, "No such file"));
}

static void pipes_and_folders_are_no_files(void **state)
{
    struct kl_csv_lint l;
    char error[KL_TEXT_MAX];

    (void)state;
    assert_int_equal(mkfifo(csv, 0600), 0);
    assert_false(kl_csv_lint(csv, false, &l, error));
    assert_non_null(strstr(error, "a named pipe, not a file"));
    assert_false(kl_csv_fix(csv, false, fixed, error));
    assert_non_null(strstr(error, "a named pipe, not a file"));
    assert_false(kl_csv_lint(dir.folder, false, &l, error));
    assert_non_null(strstr(error, "a folder, not a file"));
    assert_false(kl_csv_lint("/dev/zero", false, &l, error));
    assert_non_null(strstr(error, "a device, not a file"));
}

int main(void)
{
#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, new_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(what_can_be_mended_is),
        WITH_FOLDER(other_encodings_become_utf8),
        WITH_FOLDER(what_cannot_be_mended_stays_and_is_said),
        WITH_FOLDER(a_header_that_is_told_stays),
        WITH_FOLDER(the_copy_is_for_its_owner_alone_and_replaces_nothing),
        WITH_FOLDER(broken_files_are_explained),
        WITH_FOLDER(pipes_and_folders_are_no_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
