/* The file that an export becomes: whole or not at all, for its owner, and never over another. */
#include <errno.h>
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
#include <dirent.h>

#include "adapters/host/disk.h"
#include "keyline/export.h"
#include "scratch.h"

static struct scratch dir;
static struct kl_disk disk;
static int failing;
static size_t written;
static const char *path;
static char error[KL_TEXT_MAX];

static const char text[] = "dev_eui,app_key\n1,2\n";

static int new_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    path = scratch_path(&dir, "out.csv");
    disk = kl_disk_real;
    kl_disk = &disk;
    written = 0;
    umask(022);
    return 0;
}

static int not_here(const char *folder, mode_t mode)
{
    (void)folder;
    (void)mode;
    errno = EOPNOTSUPP;
    return -1;
}

/* The same on a file system where each file has a name. */
static int new_folder_of_names(void **state)
{
    new_folder(state);
    disk.nameless = not_here;
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    kl_disk = &kl_disk_real;
    scratch_remove(&dir);
    return 0;
}

static unsigned files(void)
{
    DIR *folder = opendir(dir.folder);
    unsigned n = 0;

    assert_non_null(folder);
    for (const struct dirent *e; (e = readdir(folder));)
        n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    closedir(folder);
    return n;
}

static bool write_it(bool secret, struct kl_export_file *f)
{
    error[0] = '\0';
    return kl_export_file_write(f, path, secret, text, sizeof text - 1, error);
}

static void appears_whole_and_for_its_owner(void **state)
{
    struct kl_export_file f;
    struct stat st;

    (void)state;
    umask(0);
    assert_true(write_it(true, &f));
    assert_int_not_equal(access(path, F_OK), 0);
    assert_true(kl_export_file_name(&f, error));
    assert_true(file_is(path, text));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(files(), 1);
}

static void a_public_one_follows_the_umask(void **state)
{
    struct kl_export_file f;
    struct stat st;

    (void)state;
    umask(027);
    assert_true(write_it(false, &f) && kl_export_file_name(&f, error));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void may_be_dropped(void **state)
{
    struct kl_export_file f;

    (void)state;
    assert_true(write_it(true, &f));
    kl_export_file_drop(&f);
    kl_export_file_drop(&f);
    assert_int_equal(files(), 0);
}

/* ---- something is in the place ---- */

static void never_over_another(void **state)
{
    struct kl_export_file f;

    (void)state;
    file_put(path, "mine");
    assert_false(write_it(true, &f));
    assert_non_null(strstr(error, "exists, and is never written over"));
    assert_true(file_is(path, "mine"));
    assert_int_equal(files(), 1);
}

static void never_through_a_link(void **state)
{
    const char *elsewhere = scratch_path(&dir, "elsewhere");
    struct kl_export_file f;

    (void)state;
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_false(write_it(true, &f));
    assert_non_null(strstr(error, "exists"));
    assert_int_not_equal(access(elsewhere, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/tty", path), 0);
    assert_false(write_it(true, &f));
}

/* Somebody puts a file or a link there while the text is written. */
static void never_over_one_that_came_meanwhile(void **state)
{
    struct kl_export_file f;

    (void)state;
    assert_true(write_it(true, &f));
    file_put(path, "theirs");
    assert_false(kl_export_file_name(&f, error));
    assert_non_null(strstr(error, "exists"));
    assert_true(file_is(path, "theirs"));
    assert_int_equal(files(), 1);

    assert_int_equal(unlink(path), 0);
    assert_true(write_it(true, &f));
    assert_int_equal(symlink(scratch_path(&dir, "elsewhere"), path), 0);
    assert_false(kl_export_file_name(&f, error));
    assert_int_not_equal(access(scratch_path(&dir, "elsewhere"), F_OK), 0);
    assert_int_equal(files(), 1);
}

static void folders_and_devices_are_no_files(void **state)
{
    struct kl_export_file f;

    (void)state;
    path = dir.folder;
    assert_false(write_it(true, &f));
    path = "/dev/stdout";
    assert_false(write_it(true, &f));
    path = scratch_path(&dir, "absent/out.csv");
    assert_false(write_it(true, &f));
    assert_non_null(strstr(error, "No such file or directory"));
}

/* ---- the disk ---- */

static ssize_t full(int fd, const void *data, size_t size)
{
    if (written > 4) {
        errno = failing;
        return -1;
    }
    size = size > 5 ? 5 : size;
    written += size;
    return write(fd, data, size);
}

/* Where each file has a name, it is one that only its owner may read, from the first instant. */
static ssize_t looking(int fd, const void *data, size_t size)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0177, 0);
    assert_int_equal(st.st_uid, geteuid());
    return write(fd, data, size);
}

static void nobody_else_may_ever_read_it(void **state)
{
    struct kl_export_file f;

    (void)state;
    umask(0);
    disk.write = looking;
    assert_true(write_it(true, &f));
    kl_export_file_drop(&f);
    assert_int_equal(files(), 0);
}

static int no_sync(int fd)
{
    (void)fd;
    errno = failing;
    return -1;
}

static int no_folder_sync(const char *of_file)
{
    (void)of_file;
    errno = failing;
    return -1;
}

static void a_full_disk_leaves_nothing(void **state)
{
    struct kl_export_file f;

    (void)state;
    failing = ENOSPC;
    disk.write = full;
    assert_false(write_it(true, &f));
    assert_non_null(strstr(error, "No space left on device"));
    assert_int_equal(files(), 0);
}

static void a_sync_that_fails_leaves_nothing(void **state)
{
    struct kl_export_file f;

    (void)state;
    failing = EIO;
    disk.sync = no_sync;
    assert_false(write_it(true, &f));
    assert_int_equal(files(), 0);
    disk.sync = kl_disk_real.sync;
    disk.sync_folder = no_folder_sync;
    assert_true(write_it(true, &f));
    assert_false(kl_export_file_name(&f, error));
    assert_non_null(strstr(error, "power cut"));
    assert_int_equal(files(), 0);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, new_folder, drop_folder),                                \
        cmocka_unit_test_setup_teardown(name, new_folder_of_names, drop_folder)
    const struct CMUnitTest tests[] = {
        TEST(appears_whole_and_for_its_owner),
        TEST(a_public_one_follows_the_umask),
        TEST(may_be_dropped),
        TEST(never_over_another),
        TEST(never_through_a_link),
        TEST(never_over_one_that_came_meanwhile),
        TEST(folders_and_devices_are_no_files),
        TEST(nobody_else_may_ever_read_it),
        TEST(a_full_disk_leaves_nothing),
        TEST(a_sync_that_fails_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
