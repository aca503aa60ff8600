/*
 * Tests of marking: over generated files of every dialect, a mark adds its bytes at the end of its
 * row and nothing else changes, in any order and number of steps.
 */
#include <errno.h>
#include <fcntl.h>
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

#include "adapters/host/disk.h"
#include "adapters/store/csv_mark.h"
#include "prng.h"
#include "scratch.h"

enum {
    ROWS_MAX = 400,
    TEXT_MAX = 200000,
};

struct truth {
    char label[64];
    uint32_t line;
    size_t end; /* offset of its line end */
    bool good, marked;
};

/* A file, and what its author knows about it. */
struct sample {
    char text[TEXT_MAX];
    size_t size;
    struct truth row[ROWS_MAX];
    unsigned rows;
    uint32_t line;
    unsigned fields;
    bool header;
    unsigned style; /* of line ends: LF, CRLF, CR, mixed */
    struct prng prng;
};

static void put(struct sample *s, const char *text)
{
    size_t size = strlen(text);

    assert_true(s->size + size < TEXT_MAX);
    memcpy(s->text + s->size, text, size);
    s->size += size;
}

static void put_line_end(struct sample *s)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    unsigned style = s->style < 3 ? s->style : prng_below(&s->prng, 3);

    /* CR and then LF would be one line end. */
    if (style == 0 && s->size > 0 && s->text[s->size - 1] == '\r')
        style = 1;
    put(s, ends[style]);
    s->line++;
}

static void put_blanks(struct sample *s)
{
    if (prng_below(&s->prng, 4) == 0)
        put(s, prng_below(&s->prng, 2) == 0 ? " " : "\t ");
}

static void put_value(struct sample *s, const char *value)
{
    bool quote = prng_below(&s->prng, 3) == 0;

    put_blanks(s);
    put(s, quote ? "\"" : "");
    put(s, value);
    put(s, quote ? "\"" : "");
    put_blanks(s);
}

static void put_bad_field(struct sample *s)
{
    static const char *const bad[] = {"\"a,b\"", "\"a\nb\"", "\"\"", "\"a\r\nb\"", "\"\t\""};
    unsigned which = prng_below(&s->prng, 5);

    if (which == 2 && s->fields == 1)
        which = 0; /* with nothing in it, it is no row */
    put(s, bad[which]);
    s->line += which == 1 || which == 3;
}

static void put_row(struct sample *s)
{
    static const char *const marks[] = {",Provisioned", ",provisioned", ", PROVISIONED ",
                                        ",\"Provisioned\"", ",,Provisioned"};
    struct truth *t = &s->row[s->rows];
    unsigned kind = prng_below(&s->prng, 12), fields = s->fields;
    char value[64];

    t->line = s->line;
    t->good = kind > 1;
    t->marked = prng_below(&s->prng, 5) == 0;
    if (kind == 0)
        fields = s->fields + 1 + prng_below(&s->prng, 2);
    snprintf(t->label, sizeof t->label, "dev-%u", s->rows);
    for (unsigned i = 0; i < fields; i++) {
        snprintf(value, sizeof value, "%016llx%s", (unsigned long long)prng_next(&s->prng),
                 prng_below(&s->prng, 8) == 0 ? "\xc3\xa9" : "");
        if (i > 0)
            put(s, ",");
        if (kind == 1 && i == fields - 1)
            put_bad_field(s);
        else
            put_value(s, i == 0 ? t->label : value);
    }
    if (kind == 2 && !t->marked)
        put(s, ","); /* left behind by a spreadsheet */
    if (t->marked)
        put(s, marks[prng_below(&s->prng, 5)]);
    t->end = s->size;
    s->rows++;
}

static void generate(struct sample *s, uint64_t seed)
{
    unsigned rows;

    memset(s, 0, sizeof *s);
    s->prng.state = seed;
    s->line = 1;
    s->style = prng_below(&s->prng, 5);
    s->fields = 1 + prng_below(&s->prng, 6);
    s->header = prng_below(&s->prng, 3) == 0;
    rows = 1 + prng_below(&s->prng, ROWS_MAX - 1);
    if (prng_below(&s->prng, 3) == 0)
        put(s, "\xef\xbb\xbf");
    if (s->header) {
        put(s, "uuid,\"network\nkey\",app key");
        s->line++;
        put_line_end(s);
    }
    for (unsigned i = 0; i < rows; i++) {
        while (prng_below(&s->prng, 20) == 0)
            put_line_end(s);
        put_row(s);
        if (i + 1 < rows || prng_below(&s->prng, 2) == 0)
            put_line_end(s);
    }
}

/* Fields that the majority has: the generator's own rule is that most rows are good. */
static bool is_typical(const struct sample *s)
{
    unsigned good = 0;

    for (unsigned i = 0; i < s->rows; i++)
        good += s->row[i].good;
    return good > s->rows / 2 + 1;
}

static void check_table(const struct sample *s, const struct kl_table *t)
{
    assert_int_equal(t->count, s->rows);
    assert_int_equal(t->fields, s->fields);
    for (unsigned i = 0; i < s->rows; i++) {
        assert_int_equal(t->row[i].line, s->row[i].line);
        assert_int_equal(t->row[i].bad, !s->row[i].good);
        assert_int_equal(t->row[i].marked, s->row[i].marked);
        assert_int_equal(kl_table_start(t, i) + kl_table_size(t, i), s->row[i].end);
        if (s->row[i].good)
            assert_string_equal(t->row[i].label, s->row[i].label);
    }
}

static void insert_mark(struct sample *s, unsigned row)
{
    static const char mark[] = ",Provisioned";
    const size_t size = sizeof mark - 1, at = s->row[row].end;

    assert_true(s->size + size < TEXT_MAX);
    memmove(s->text + at + size, s->text + at, s->size - at);
    memcpy(s->text + at, mark, size);
    s->size += size;
    s->row[row].marked = true;
    for (unsigned i = row; i < s->rows; i++)
        s->row[i].end += size;
}

static void check_file(const struct sample *s, const char *path)
{
    size_t size;
    char *text = file_read(path, &size);

    assert_non_null(text);
    assert_int_equal(size, s->size);
    assert_memory_equal(text, s->text, size);
    free(text);
}

static void mark_some(struct sample *s, struct kl_table *t)
{
    uint32_t rows[ROWS_MAX], count = 0, one_in = 1 + prng_below(&s->prng, 6);
    char error[KL_TEXT_MAX];
    int fd;

    for (unsigned i = 0; i < s->rows; i++)
        if (s->row[i].good && !s->row[i].marked && prng_below(&s->prng, one_in) == 0)
            rows[count++] = i;
    if (count == 0)
        return;
    assert_int_equal(kl_csv_mark(t, rows, count, &fd, error), KL_TABLE_OK);
    close(fd);
    for (uint32_t i = 0; i < count; i++)
        insert_mark(s, rows[i]);
}

static void a_mark_changes_nothing_else(void **state)
{
    static struct sample s;
    struct scratch dir;
    const char *path;
    size_t bytes = 0;

    (void)state;
    scratch_make(&dir);
    path = scratch_path(&dir, "keys.csv");
    for (uint64_t seed = 1; bytes < 3000000; seed++) {
        char error[KL_TEXT_MAX];
        struct kl_table *t, *again;
        struct kl_key key;

        generate(&s, seed);
        if (!is_typical(&s))
            continue;
        bytes += s.size;
        file_write(path, s.text, s.size);
        if (kl_table_load(path, s.header, &t, error) != KL_TABLE_OK)
            fail_msg("seed %llu: %s", (unsigned long long)seed, error);
        check_table(&s, t);
        for (int step = 0; step < 3; step++) {
            mark_some(&s, t);
            check_file(&s, path);
            assert_int_equal(kl_table_load(path, s.header, &again, error), KL_TABLE_OK);
            check_table(&s, again);
            for (uint32_t i = 0; i < t->count; i++) {
                assert_memory_equal(&again->row[i].fingerprint, &t->row[i].fingerprint, 16);
                assert_int_equal(again->spent[i], t->spent[i]);
                assert_int_equal(kl_table_start(again, i), kl_table_start(t, i));
            }
            for (uint32_t i = 0; i < t->count; i += 17)
                if (s.row[i].good)
                    assert_int_equal(kl_table_fetch(t, i, &key, NULL, error), KL_TABLE_OK);
            kl_table_free(again);
        }
        kl_table_free(t);
    }
    scratch_remove(&dir);
}

static struct kl_table *load(const char *path)
{
    char error[KL_TEXT_MAX];
    struct kl_table *t;

    if (kl_table_load(path, false, &t, error) != KL_TABLE_OK)
        fail_msg("%s", error);
    return t;
}

static void owner_and_mode_stay(void **state)
{
    struct scratch dir;
    const char *path;
    char error[KL_TEXT_MAX];
    uint32_t row = 0;
    struct kl_table *t;
    struct stat st;
    int fd;

    (void)state;
    scratch_make(&dir);
    path = scratch_path(&dir, "keys.csv");
    file_put(path, "a,b\n");
    assert_int_equal(chmod(path, 0604), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(path, 1234, 2345), 0);
    t = load(path);
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_OK);
    close(fd);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 2345);
    }
    kl_table_free(t);
    scratch_remove(&dir);
}

static void a_file_that_somebody_changed_is_not_replaced(void **state)
{
    struct scratch dir;
    const char *path;
    char error[KL_TEXT_MAX];
    uint32_t row = 0;
    struct kl_table *t;
    int fd = -1;

    (void)state;
    scratch_make(&dir);
    path = scratch_path(&dir, "keys.csv");
    file_put(path, "a,b\nc,d\n");
    t = load(path);
    file_put(path, "a,b\nc,d\ne,f\n");
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_CHANGED);
    assert_true(file_is(path, "a,b\nc,d\ne,f\n"));
    /* Not even if it looks the same from outside: the row itself is looked at. */
    kl_table_free(t);
    t = load(path);
    kl_table_move(t, 0, 4);
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_CHANGED);
    assert_true(file_is(path, "a,b\nc,d\ne,f\n"));
    assert_int_equal(access(scratch_path(&dir, "keys.csv.marking"), F_OK), -1);
    kl_table_free(t);
    scratch_remove(&dir);
}

/* ---- somebody saves it in the instant before the exchange ---- */

static struct scratch race_dir;
static const char *const saves[] = {"a,b\nc,d\ne,f\n", "a,b\nc,d\ne,f\ng,h\n", "a,b\nz,z\n"};
static unsigned race_saves, race_exchanges;
static bool race_in_place; /* into the same file, else by a rename */

static void save(const char *text)
{
    const char *path = scratch_path(&race_dir, "keys.csv");

    if (race_in_place) {
        file_put(path, text);
        return;
    }
    file_put(scratch_path(&race_dir, "editor"), text);
    assert_int_equal(rename(scratch_path(&race_dir, "editor"), path), 0);
}

/* Before each exchange, as long as there is something to be saved. */
static int exchange_late(const char *a, const char *b)
{
    if (race_exchanges++ < race_saves)
        save(saves[race_exchanges - 1]);
    return kl_disk_real.exchange(a, b);
}

static int exchange_never(const char *a, const char *b)
{
    (void)a;
    (void)b;
    errno = EINVAL;
    return -1;
}

static int lease_never(int fd)
{
    (void)fd;
    errno = EINVAL;
    return -1;
}

static void race(unsigned count, bool in_place)
{
    struct kl_disk disk = kl_disk_real;
    char error[KL_TEXT_MAX];
    uint32_t row = 0;
    struct kl_table *t;
    const char *path;
    int fd;

    scratch_make(&race_dir);
    path = scratch_path(&race_dir, "keys.csv");
    file_put(path, "a,b\nc,d\n");
    t = load(path);
    disk.exchange = exchange_late;
    disk.lease = lease_never; /* it would keep the save in place out */
    race_saves = count;
    race_exchanges = 0;
    race_in_place = in_place;
    kl_disk = &disk;
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_CHANGED);
    kl_disk = &kl_disk_real;
    assert_int_equal(fd, -1);
    path = scratch_path(&race_dir, "keys.csv");
    assert_true(file_is(path, saves[count - 1])); /* the last one, whatever was meanwhile */
    assert_int_equal(access(scratch_path(&race_dir, "keys.csv.marking"), F_OK), -1);
    assert_false(t->spent[0]);
    kl_table_free(t);
    scratch_remove(&race_dir);
}

static void a_save_in_the_last_instant_stays(void **state)
{
    (void)state;
    race(1, false);
    race(2, false);
    race(3, false);
    race(1, true);
}

static void where_files_cannot_change_places_it_is_renamed(void **state)
{
    struct kl_disk disk = kl_disk_real;
    char error[KL_TEXT_MAX];
    struct scratch dir;
    uint32_t row = 0;
    struct kl_table *t;
    int fd;

    (void)state;
    scratch_make(&dir);
    file_put(scratch_path(&dir, "keys.csv"), "a,b\nc,d\n");
    t = load(scratch_path(&dir, "keys.csv"));
    disk.exchange = exchange_never;
    kl_disk = &disk;
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_OK);
    kl_disk = &kl_disk_real;
    close(fd);
    assert_true(file_is(scratch_path(&dir, "keys.csv"), "a,b,Provisioned\nc,d\n"));
    assert_int_equal(access(scratch_path(&dir, "keys.csv.marking"), F_OK), -1);
    kl_table_free(t);
    scratch_remove(&dir);
}

static void a_file_that_is_open_for_writing_is_left_alone(void **state)
{
    char error[KL_TEXT_MAX];
    struct scratch dir;
    uint32_t row = 0;
    struct kl_table *t;
    int fd = -1, writer;

    (void)state;
    scratch_make(&dir);
    file_put(scratch_path(&dir, "keys.csv"), "a,b\n");
    t = load(scratch_path(&dir, "keys.csv"));
    writer = open(scratch_path(&dir, "keys.csv"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(writer >= 0);
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_ABSENT);
    assert_non_null(strstr(error, "open for writing"));
    assert_true(file_is(scratch_path(&dir, "keys.csv"), "a,b\n"));
    close(writer);
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_OK);
    close(fd);
    kl_table_free(t);
    scratch_remove(&dir);
}

/* What an end in the midst of it leaves behind is removed, unless it is somebody's work. */
static void leftovers_are_looked_at(void **state)
{
    static const struct {
        const char *left;
        bool removed;
    } cases[] = {
        {"a,b,Provisioned\nc,d\n", true}, /* the new file */
        {"a,b,Provisioned\nc,", true},    /* a part of it */
        {"", true},
        {"a,b\nc,d\n", true},   /* the old one */
        {"a,b\n\"c,d\n", true}, /* torn */
        {"a,b\nc,d\ne,f\n", false},
        {"a,b\nc,X\ne,f\n", false},
    };
    struct scratch dir;
    const char *left;
    char error[KL_TEXT_MAX];
    struct kl_table *t;

    (void)state;
    scratch_make(&dir);
    file_put(scratch_path(&dir, "keys.csv"), "a,b\nc,d\n");
    t = load(scratch_path(&dir, "keys.csv"));
    left = scratch_path(&dir, "keys.csv.marking");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        file_put(left, cases[i].left);
        error[0] = '\0';
        assert_int_equal(kl_csv_mark_clean(t, error), cases[i].removed);
        assert_int_equal(access(left, F_OK), cases[i].removed ? -1 : 0);
        assert_int_equal(strstr(error, "keys.csv.marking has") != NULL, !cases[i].removed);
    }
    kl_table_free(t);
    scratch_remove(&dir);
}

static void a_second_name_keeps_it_from_being_split(void **state)
{
    struct scratch dir;
    const char *path;
    char error[KL_TEXT_MAX];
    uint32_t row = 0;
    struct kl_table *t;
    int fd = -1;

    (void)state;
    scratch_make(&dir);
    path = scratch_path(&dir, "keys.csv");
    file_put(path, "a,b\n");
    assert_int_equal(link(path, scratch_path(&dir, "other.csv")), 0);
    t = load(path);
    assert_int_equal(kl_csv_mark(t, &row, 1, &fd, error), KL_TABLE_ABSENT);
    assert_non_null(strstr(error, "hard links"));
    assert_true(file_is(path, "a,b\n"));
    kl_table_free(t);
    scratch_remove(&dir);
}

/* The label is public: what stands behind another separator, or in a row within quotes, is not. */
static void a_row_that_is_no_key_is_named_by_its_first_word(void **state)
{
    static const char *const labels[] = {"dev-1", "dev-2", "dev-3", "dev-4", "dev-5", "dev 6;x"};
    struct scratch dir;
    struct kl_table *t;

    (void)state;
    scratch_make(&dir);
    file_put(scratch_path(&dir, "keys.csv"),
             "dev-1,5ecret,5ecret\n\"dev-2,5ecret,5ecret\"\ndev-3;5ecret;5ecret\n"
             "dev-4\t5ecret\t5ecret\n\"dev-5\n5ecret\",x\ndev 6;x,5ecret,5ecret\n");
    t = load(scratch_path(&dir, "keys.csv"));
    assert_int_equal(t->count, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_string_equal(t->row[i].label, labels[i]);
    kl_table_free(t);
    scratch_remove(&dir);
}

static void copies_are_found(void **state)
{
    struct scratch dir;
    const char *path;
    uint32_t count, at;
    struct kl_table *t;

    (void)state;
    scratch_make(&dir);
    path = scratch_path(&dir, "keys.csv");
    file_put(path, "a,b\nc,d\n\"a\", b\nc,d,Provisioned\na,b\n");
    t = load(path);
    at = kl_table_copies(t, 0, &count);
    assert_int_equal(count, 2);
    assert_int_equal(t->copy[at].row, 2);
    assert_int_equal(t->copy[at + 1].row, 4);
    at = kl_table_copies(t, 1, &count);
    assert_int_equal(count, 1);
    assert_int_equal(t->copy[at].row, 3);
    kl_table_copies(t, 4, &count);
    assert_int_equal(count, 0);
    kl_table_free(t);
    scratch_remove(&dir);
}

/* What its judge says stays with the table (test_csv_judge.c has all that it says). */
static void a_header_is_suspected(void **state)
{
    struct scratch dir;
    struct kl_table *t;

    (void)state;
    scratch_make(&dir);
    file_put(scratch_path(&dir, "keys.csv"), "uuid,nwkKey,appKey\n7a01,ff00,0012\n");
    t = load(scratch_path(&dir, "keys.csv"));
    assert_int_equal(t->verdict.count, 1);
    assert_int_equal(t->verdict.finding[0].kind, KL_CSV_HEADER);
    kl_table_free(t);
    scratch_remove(&dir);
}

static void one_full_row_does_not_outvote_the_others(void **state)
{
    struct scratch dir;
    struct kl_table *t;

    (void)state;
    scratch_make(&dir);
    file_put(scratch_path(&dir, "keys.csv"), "a,b,c,d\ne,f,g,\nh,i,j,\nk,l,m,\n");
    t = load(scratch_path(&dir, "keys.csv"));
    assert_int_equal(t->fields, 3);
    assert_true(t->row[0].bad);
    assert_false(t->row[1].bad);
    kl_table_free(t);
    scratch_remove(&dir);
}

static void fails_with(const char *text, size_t size, const char *words)
{
    struct scratch dir;
    const char *path;
    char error[KL_TEXT_MAX];
    struct kl_table *t;

    scratch_make(&dir);
    path = scratch_path(&dir, "keys.csv");
    file_write(path, text, size);
    assert_int_equal(kl_table_load(path, false, &t, error), KL_TABLE_BROKEN);
    if (strstr(error, words) == NULL)
        fail_msg("%s", error);
    scratch_remove(&dir);
}

static void files_that_are_no_csv_are_refused(void **state)
{
    (void)state;
    fails_with("\xff\xfe"
               "a\0,\0b\0",
               8, "UTF-8");
    fails_with("a,b\nc,\"d\n", 9, "line 2");
    fails_with("a,b\nc,d\"e\n", 10, "line 2");
    fails_with("<html lang=\"en\">\n", 17, "a web page");
}

static void a_row_of_megabytes_is_refused(void **state)
{
    static char text[5 << 20];

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "a,b\n", 4);
    fails_with(text, sizeof text, "line 2: the row is too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_changes_nothing_else),
        cmocka_unit_test(owner_and_mode_stay),
        cmocka_unit_test(a_file_that_somebody_changed_is_not_replaced),
        cmocka_unit_test(a_save_in_the_last_instant_stays),
        cmocka_unit_test(where_files_cannot_change_places_it_is_renamed),
        cmocka_unit_test(a_file_that_is_open_for_writing_is_left_alone),
        cmocka_unit_test(leftovers_are_looked_at),
        cmocka_unit_test(a_second_name_keeps_it_from_being_split),
        cmocka_unit_test(a_row_that_is_no_key_is_named_by_its_first_word),
        cmocka_unit_test(copies_are_found),
        cmocka_unit_test(a_header_is_suspected),
        cmocka_unit_test(one_full_row_does_not_outvote_the_others),
        cmocka_unit_test(files_that_are_no_csv_are_refused),
        cmocka_unit_test(a_row_of_megabytes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
