/* Tests of the store while others change its files under it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/host/disk.h"
#include "scratch.h"
#include "store_bench.h"

static struct scratch dir;
static char csv[256];
static struct store_bench b;

static const char three_rows[] = "dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n";

static int start(void **state)
{
    (void)state;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s/keys.csv", dir.folder);
    file_put(csv, three_rows);
    return bench_open(&b, csv) == KL_STORE_OPENED ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    if (!b.closed)
        bench_close(&b);
    scratch_remove(&dir);
    return 0;
}

static bool has_reloaded(struct store_bench *bench, void *ctx)
{
    return bench->reloads >= *(unsigned *)ctx;
}

static void wait_for_reload(unsigned count)
{
    assert_true(bench_until(&b, has_reloaded, &count));
}

static bool has_trouble(struct store_bench *bench, void *ctx)
{
    return strstr(bench->trouble, ctx) != NULL;
}

static bool has_none(struct store_bench *bench, void *ctx)
{
    (void)ctx;
    return bench->trouble[0] == '\0';
}

static void put_in_place(const char *text)
{
    const char *fresh = scratch_path(&dir, "fresh.csv");

    file_put(fresh, text);
    assert_int_equal(rename(fresh, csv), 0);
}

static bool is_marked(struct store_bench *bench, void *ctx)
{
    char *text = file_read(csv, NULL);
    bool found = text != NULL && strstr(text, ctx) != NULL;

    (void)bench;
    free(text);
    return found;
}

static void rows_that_are_added_are_taken_in(void **state)
{
    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    file_put(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-4,aa04,bb04\n");
    wait_for_reload(1);
    assert_int_equal(kl_store_content(b.store)->row_count, 3);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 1);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-4", 2), KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-4,aa04,bb04");
}

static const struct kl_pool_row *rows_before;

static void note_closed(void *ctx)
{
    struct store_bench *bench = ctx;

    bench->closed = true;
}

static void end_it(struct store_bench *bench)
{
    kl_store_close(bench->store, note_closed, bench);
}

static bool has_closed(struct store_bench *bench, void *ctx)
{
    (void)ctx;
    return bench->closed;
}

/* The shell takes news in only while it runs. The pool then refers to the old rows to the end. */
static void what_was_there_at_the_end_stays(void **state)
{
    (void)state;
    rows_before = kl_store_content(b.store)->rows;
    b.on_reload = end_it;
    file_put(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-4,aa04,bb04\n");
    assert_true(bench_until(&b, has_closed, NULL));
    assert_string_equal(rows_before[2].label, "dev-3");
    assert_string_equal(kl_store_content(b.store)->rows[2].label, "dev-4");
    bench_close(&b);
}

static void a_file_put_in_its_place_is_taken_in(void **state)
{
    (void)state;
    put_in_place("dev-9,aa09,bb09\n");
    wait_for_reload(1);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-9", 2), KL_STORE_OK);
}

static void a_mark_that_another_tool_overwrote_comes_back(void **state)
{
    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    file_put(csv, "dev-1,aa01,bb01\r\ndev-2,aa02,bb02,Provisioned\r\ndev-3,aa03,bb03\r\n");
    wait_for_reload(1);
    assert_true(kl_store_content(b.store)->rows[1].marked);
    assert_true(bench_until(&b, is_marked, (char[]){"dev-1,aa01,bb01,Provisioned"}));
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\r\ndev-2,aa02,bb02,Provisioned\r\n"
                             "dev-3,aa03,bb03\r\n"));
}

static void a_change_is_noticed_before_the_next_key_goes_out(void **state)
{
    struct kl_fingerprint fp = bench_key(&b, "dev-2");

    (void)state;
    file_put(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02,Provisioned\ndev-3,aa03,bb03\n");
    bench_submit(&b, KL_OP_RESERVE, &fp, 1);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    assert_non_null(strstr(b.text, "another tool"));
}

static void the_key_of_a_row_that_vanished_stays_with_its_board(void **state)
{
    struct kl_fingerprint one = bench_key(&b, "dev-1"), two = bench_key(&b, "dev-2");

    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    file_put(csv, "dev-3,aa03,bb03\n");
    wait_for_reload(1);
    assert_int_equal(kl_store_content(b.store)->row_count, 1);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 1);
    assert_string_equal(kl_store_content(b.store)->ledger[0].label, "dev-1");
    bench_submit(&b, KL_OP_FETCH, &one, 1); /* its bytes are gone */
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_REFUSED);
    bench_submit(&b, KL_OP_RESERVE, &two, 2); /* another one may do */
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_FAILED);
    b.label = "dev-1";
    bench_submit(&b, KL_OP_PROVISION, &one, 1); /* but it can be recorded */
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_OK);
    put_in_place(three_rows); /* and is marked when the row comes back */
    assert_true(bench_until(&b, is_marked, (char[]){"dev-1,aa01,bb01,Provisioned"}));
}

static void a_csv_that_breaks_keeps_what_was_read(void **state)
{
    struct kl_fingerprint one = bench_key(&b, "dev-1");

    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    file_put(csv, "dev-1,aa01,bb01\ndev-2,\"aa02,bb02\n");
    assert_true(bench_until(&b, has_trouble, (char[]){"line 2"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
    bench_submit(&b, KL_OP_PROVISION, &one, 1);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_OK);
    assert_int_equal(b.reloads, 0);
    file_put(csv, three_rows);
    assert_true(bench_until(&b, has_none, NULL));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"));
}

static void suspicious_rows_that_come_keep_what_was_read(void **state)
{
    (void)state;
    file_put(csv, "dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\ndev-4,1.12E+15,bb04\n");
    assert_true(bench_until(&b, has_trouble, (char[]){"line 4, column 2"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_ASKS);
    assert_int_equal(b.reloads, 0);
    file_put(csv, three_rows);
    assert_true(bench_until(&b, has_none, NULL));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
}

static void an_emptied_or_deleted_csv_is_trouble_until_it_is_back(void **state)
{
    (void)state;
    file_put(csv, "");
    assert_true(bench_until(&b, has_trouble, (char[]){"all rows are gone"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
    assert_int_equal(unlink(csv), 0);
    assert_true(bench_until(&b, has_trouble, (char[]){"No such file"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
    file_put(csv, three_rows);
    assert_true(bench_until(&b, has_none, NULL));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
}

static void half_a_row_at_the_end_is_not_taken_for_a_key(void **state)
{
    (void)state;
    put_in_place("dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\ndev-4,aa04,b");
    assert_true(bench_until(&b, has_trouble, (char[]){"is writing"}));
    assert_int_equal(b.reloads, 0);
    put_in_place("dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\ndev-4,aa04,bb04");
    wait_for_reload(1); /* once it has rested for a while */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-4", 2), KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-4,aa04,bb04");
}

/* Programs that quote every field also write the empty one where other rows have their mark; and
   their line ends and byte order mark are their own. */
static void a_spreadsheet_that_saves_over_it_changes_no_key(void **state)
{
    struct kl_fingerprint two = bench_key(&b, "dev-2");

    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    put_in_place(
        "\xef\xbb\xbf\"dev-1\",\"aa01\",\"bb01\",\"\"\r\n"
        "\"dev-2\",\"aa02\",\"bb02\",\"\"\r\n\"dev-3\",\"aa03\",\"bb03\",\"PROVISIONED\"\r\n");
    wait_for_reload(1);
    assert_int_equal(kl_store_content(b.store)->fields, 3);
    assert_true(kl_store_content(b.store)->rows[2].marked);
    bench_submit(&b, KL_OP_FETCH, &two, 2);
    bench_wait(&b);
    assert_int_equal(b.status, KL_STORE_OK);
    assert_string_equal(b.key.line, "dev-2,aa02,bb02");
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 2), KL_STORE_OK);
    bench_close(&b);
    assert_true(file_is(csv, "\xef\xbb\xbf\"dev-1\",\"aa01\",\"bb01\",\"\",Provisioned\r\n"
                             "\"dev-2\",\"aa02\",\"bb02\",\"\",Provisioned\r\n"
                             "\"dev-3\",\"aa03\",\"bb03\",\"PROVISIONED\"\r\n"));
}

/* As spreadsheets do where the comma stands in numbers: the whole row would be a label. */
static void a_file_saved_with_semicolons_is_not_taken_in(void **state)
{
    (void)state;
    put_in_place("dev-1;aa01;bb01\r\ndev-2;aa02;bb02\r\ndev-3;aa03;bb03\r\n");
    assert_true(bench_until(&b, has_trouble, (char[]){"separated by ';'"}));
    assert_int_equal(b.reloads, 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_FAILED);
    put_in_place(three_rows);
    assert_true(bench_until(&b, has_none, NULL));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
}

/* Whatever its clock says: files come from other machines, and clocks jump. */
static void half_a_row_from_the_future_is_not_taken_for_a_key(void **state)
{
    const char *fresh = scratch_path(&dir, "fresh.csv");
    const time_t now = time(NULL);
    const long off[] = {3600, -3600};

    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct timespec times[2] = {{.tv_sec = now + off[i]}, {.tv_sec = now + off[i]}};
        file_put(fresh, i == 0 ? "dev-1,aa01,bb01\ndev-4,aa04,b" : "dev-1,aa01,bb01\ndev-5,aa05,b");
        assert_int_equal(utimensat(AT_FDCWD, fresh, times, 0), 0);
        assert_int_equal(rename(fresh, csv), 0);
        assert_true(bench_until(&b, has_trouble, (char[]){"is writing"}));
        assert_int_equal(b.reloads, 0);
    }
    put_in_place(three_rows);
    assert_true(bench_until(&b, has_none, NULL));
}

/* A generator that keeps its file open goes on writing into it: it is not replaced. */
static void a_file_that_is_open_for_writing_is_marked_later(void **state)
{
    static const char row[] = "dev-4,aa04,bb04\n";
    int fd = open(csv, O_WRONLY | O_APPEND | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, (char[]){"open for writing"}));
    assert_true(file_is(csv, three_rows));
    assert_int_equal(write(fd, row, sizeof row - 1), sizeof row - 1);
    wait_for_reload(1); /* nothing is missing: what was added counts at once */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-4", 2), KL_STORE_OK);
    close(fd);
    assert_true(bench_until(&b, is_marked, (char[]){"dev-1,aa01,bb01,Provisioned"}));
    assert_true(bench_until(&b, has_none, NULL));
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"
                             "dev-4,aa04,bb04\n"));
}

/* It empties the file, and pauses at a line's end, as long as it likes. */
static void half_a_save_is_neither_taken_nor_marked(void **state)
{
    static const char half[] = "dev-1,aa01,bb01\n", rest[] = "dev-2,aa02,bb02\ndev-3,aa03,bb03\n";
    int fd = open(csv, O_WRONLY | O_TRUNC | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, half, sizeof half - 1), sizeof half - 1);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    assert_true(bench_until(&b, has_trouble, (char[]){"2 rows that were there are missing"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
    assert_int_equal(b.reloads, 0);
    assert_true(file_is(csv, half));
    assert_int_equal(write(fd, rest, sizeof rest - 1), sizeof rest - 1);
    close(fd);
    assert_true(bench_until(&b, is_marked, (char[]){"dev-1,aa01,bb01,Provisioned"}));
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"));
}

/* Rows that somebody took out are gone once the file rests. */
static void rows_may_be_taken_out(void **state)
{
    (void)state;
    put_in_place("dev-2,aa02,bb02\n");
    assert_true(bench_until(&b, has_trouble, (char[]){"2 rows that were there are missing"}));
    wait_for_reload(1);
    assert_int_equal(kl_store_content(b.store)->row_count, 1);
}

static void another_kind_of_thing_in_its_place_is_named(void **state)
{
    static const char *const words[] = {"a named pipe", "a folder", "a socket", "a device"};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const char *away = scratch_path(&dir, "away");

    (void)state;
    assert_true(kl_copy(address.sun_path, sizeof address.sun_path, csv));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    for (int i = 0; i < 3 + (geteuid() == 0); i++) {
        struct kl_fingerprint one = bench_key(&b, "dev-1");

        assert_int_equal(rename(csv, away), 0);
        assert_int_equal(i == 0   ? mkfifo(csv, 0600)
                         : i == 1 ? mkdir(csv, 0700)
                         : i == 2 ? bind(fd, (struct sockaddr *)&address, sizeof address)
                                  : mknod(csv, S_IFCHR | 0600, makedev(1, 5)),
                         0);
        bench_submit(&b, KL_OP_PROVISION, &one, 1);
        bench_wait(&b);
        assert_int_equal(b.status, KL_STORE_OK);
        assert_true(bench_until(&b, has_trouble, (char *)(uintptr_t)words[i]));
        assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
        assert_int_equal(i == 1 ? rmdir(csv) : unlink(csv), 0);
        assert_int_equal(rename(away, csv), 0);
        assert_true(bench_until(&b, has_none, NULL));
    }
    close(fd);
    bench_close(&b);
    assert_true(file_is(csv, "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n"));
}

static int no_lease(int fd)
{
    (void)fd;
    errno = EINVAL;
    return -1;
}

/* Where nobody can tell who has it open. */
static void rows_written_into_the_replaced_file_are_told(void **state)
{
    static const char row[] = "dev-4,aa04,bb04\n";
    int fd = open(csv, O_WRONLY | O_APPEND | O_CLOEXEC);
    struct kl_disk disk = kl_disk_real;

    (void)state;
    disk.lease = no_lease;
    kl_disk = &disk;
    assert_true(fd >= 0);
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-1", 1), KL_STORE_OK);
    bench_submit(&b, KL_OP_RESERVE, &(struct kl_fingerprint){{9}}, 2);
    bench_wait(&b);
    assert_string_equal(b.trouble, "");
    assert_int_equal(write(fd, row, sizeof row - 1), sizeof row - 1);
    assert_true(bench_until(&b, has_trouble, (char[]){"into the file as it was before"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
    close(fd);
    file_put(csv,
             "dev-1,aa01,bb01,Provisioned\ndev-2,aa02,bb02\ndev-3,aa03,bb03\ndev-4,aa04,bb04\n");
    assert_true(bench_until(&b, has_none, NULL));
    assert_int_equal(bench_ask(&b, KL_OP_PROVISION, "dev-2", 2), KL_STORE_OK);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-4", 3), KL_STORE_OK);
    bench_close(&b);
    kl_disk = &kl_disk_real;
}

static void a_name_that_leads_elsewhere_is_trouble(void **state)
{
    const char *name = scratch_path(&dir, "link.csv"), *other = scratch_path(&dir, "other.csv");

    (void)state;
    bench_close(&b);
    file_put(other, "x,1,2\n");
    assert_int_equal(symlink(csv, name), 0);
    assert_int_equal(bench_open(&b, name), KL_STORE_OPENED);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(symlink(other, name), 0);
    assert_true(bench_until(&b, has_trouble, (char[]){"another file"}));
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
}

static void remove_ledger(bool all)
{
    assert_int_equal(unlink(scratch_path(&dir, "keys.csv.ledger")), 0);
    if (!all)
        return;
    unlink(scratch_path(&dir, "keys.csv.ledger-wal"));
    unlink(scratch_path(&dir, "keys.csv.ledger-shm"));
}

static void a_ledger_that_is_deleted_is_written_again(void **state)
{
    (void)state;
    for (unsigned all = 0; all < 2; all++) {
        assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
        remove_ledger(all);
        assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
        bench_ask(&b, KL_OP_RESERVE, "dev-1", 3);
        assert_int_equal(b.status, KL_STORE_REFUSED);
        bench_close(&b);
        assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
        assert_int_equal(kl_store_content(b.store)->ledger_count, 2);
        bench_ask(&b, KL_OP_RESERVE, "dev-1", 3);
        assert_int_equal(b.status, KL_STORE_REFUSED);
    }
}

static bool ledger_is_back(struct store_bench *bench, void *ctx)
{
    (void)bench;
    (void)ctx;
    return access(scratch_path(&dir, "keys.csv.ledger"), F_OK) == 0;
}

static void a_deleted_ledger_is_noticed_while_nobody_asks(void **state)
{
    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    remove_ledger(true);
    assert_true(bench_until(&b, ledger_is_back, NULL));
    bench_close(&b);
    assert_int_equal(bench_open(&b, csv), KL_STORE_OPENED);
    assert_int_equal(kl_store_content(b.store)->ledger_count, 1);
}

static void another_file_in_the_ledgers_place_stops_all_keys(void **state)
{
    const char *ledger = scratch_path(&dir, "keys.csv.ledger"), *away = scratch_path(&dir, "away");
    const char *other = scratch_path(&dir, "other");

    (void)state;
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    file_put(other, "something else");
    assert_int_equal(link(ledger, away), 0);
    assert_int_equal(rename(other, ledger), 0); /* at no instant is there none */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_FAILED);
    assert_non_null(strstr(b.text, "place"));
    assert_true(file_is(ledger, "something else"));
    assert_int_equal(rename(away, ledger), 0); /* the right one is put back */
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-2", 2), KL_STORE_OK);
}

static void a_removed_lock_is_taken_again(void **state)
{
    struct store_bench second;

    (void)state;
    assert_int_equal(unlink(scratch_path(&dir, "keys.csv.lock")), 0);
    assert_int_equal(bench_ask(&b, KL_OP_RESERVE, "dev-1", 1), KL_STORE_OK);
    assert_int_equal(bench_open(&second, csv), KL_STORE_HELD);
}

int main(void)
{
#define WHILE_RUNNING(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        WHILE_RUNNING(rows_that_are_added_are_taken_in),
        WHILE_RUNNING(what_was_there_at_the_end_stays),
        WHILE_RUNNING(a_file_put_in_its_place_is_taken_in),
        WHILE_RUNNING(a_mark_that_another_tool_overwrote_comes_back),
        WHILE_RUNNING(a_change_is_noticed_before_the_next_key_goes_out),
        WHILE_RUNNING(the_key_of_a_row_that_vanished_stays_with_its_board),
        WHILE_RUNNING(a_csv_that_breaks_keeps_what_was_read),
        WHILE_RUNNING(suspicious_rows_that_come_keep_what_was_read),
        WHILE_RUNNING(an_emptied_or_deleted_csv_is_trouble_until_it_is_back),
        WHILE_RUNNING(half_a_row_at_the_end_is_not_taken_for_a_key),
        WHILE_RUNNING(half_a_row_from_the_future_is_not_taken_for_a_key),
        WHILE_RUNNING(a_spreadsheet_that_saves_over_it_changes_no_key),
        WHILE_RUNNING(a_file_that_is_open_for_writing_is_marked_later),
        WHILE_RUNNING(half_a_save_is_neither_taken_nor_marked),
        WHILE_RUNNING(rows_may_be_taken_out),
        WHILE_RUNNING(another_kind_of_thing_in_its_place_is_named),
        WHILE_RUNNING(rows_written_into_the_replaced_file_are_told),
        WHILE_RUNNING(a_file_saved_with_semicolons_is_not_taken_in),
        WHILE_RUNNING(a_name_that_leads_elsewhere_is_trouble),
        WHILE_RUNNING(a_ledger_that_is_deleted_is_written_again),
        WHILE_RUNNING(a_deleted_ledger_is_noticed_while_nobody_asks),
        WHILE_RUNNING(another_file_in_the_ledgers_place_stops_all_keys),
        WHILE_RUNNING(a_removed_lock_is_taken_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
