/*
 * The ledger's log has an index in a mapped file. Where the file system's blocks are smaller than
 * a page, SQLite leaves holes in it: here a file that grows without a block stands for that. No
 * hole may be left when keys go out, since a full disk would end the station there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "scratch.h"
#include "store_bench.h"

static unsigned holes;

static bool is_index(int fd)
{
    char link[64], path[4096];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    return n > 4 && memcmp(path + n - 4, "-shm", 4) == 0;
}

/* SQLite makes the file longer by writing one byte at its new end. */
static ssize_t grow_without_a_block(int fd, const void *data, size_t size, off_t at)
{
    if (size != 1 || !is_index(fd))
        return pwrite(fd, data, size, at);
    holes++;
    return ftruncate(fd, at + 1) == 0 ? 1 : -1;
}

static ssize_t grow_at_the_end(int fd, const void *data, size_t size)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = grow_without_a_block(fd, data, size, at);

    if (n > 0)
        lseek(fd, at + n, SEEK_SET);
    return n;
}

static void make_holes(bool on)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

    assert_non_null(vfs);
    vfs->xSetSystemCall(vfs, "pwrite", on ? (sqlite3_syscall_ptr)grow_without_a_block : NULL);
    vfs->xSetSystemCall(vfs, "pwrite64", on ? (sqlite3_syscall_ptr)grow_without_a_block : NULL);
    vfs->xSetSystemCall(vfs, "write", on ? (sqlite3_syscall_ptr)grow_at_the_end : NULL);
}

static void has_no_hole(const char *index)
{
    struct stat st;

    assert_int_equal(stat(index, &st), 0);
    assert_true(st.st_size >= 32768);
    if (st.st_blocks * 512 < st.st_size)
        fail_msg("%lld of %lld bytes have blocks", (long long)st.st_blocks * 512,
                 (long long)st.st_size);
}

static void the_index_of_the_log_has_no_holes(void **state)
{
    struct scratch dir;
    struct store_bench b;
    char index[256], csv[200];

    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    snprintf(index, sizeof index, "%s.ledger-shm", csv);
    file_put(csv, "dev-1,aa01\ndev-2,aa02\n");
    make_holes(true);
    for (int run = 0; run < 2; run++) { /* a new ledger, and one that is there */
        assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
        has_no_hole(index);
        assert_int_equal(bench_ask(&b, KL_OP_RESERVE, run == 0 ? "dev-1" : "dev-2", run + 1u),
                         KL_STORE_OK);
        has_no_hole(index);
        bench_close(&b);
        assert_true(holes > 0);
        holes = 0;
    }
    make_holes(false);
    scratch_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_index_of_the_log_has_no_holes)};

    /* A kernel before 5.14 can't fill a mapping without a write to it. */
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || madvise(page, 4096, 23) != 0) {
        print_message("skipped: this kernel knows no MADV_POPULATE_WRITE\n");
        return 0;
    }
    munmap(page, 4096);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
