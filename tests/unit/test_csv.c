/* Tests of the CSV reader: which rows there are, what they hold, and where exactly they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store/csv.h"

struct seen {
    char text[4096]; /* "line: a|b|c [marked]" per row */
    size_t size;
    uint64_t end[16]; /* where each row ends */
    unsigned rows;
    enum kl_csv_error error;
    uint32_t error_line;
};

static void see_row(struct seen *s, const struct kl_csv_row_text *row)
{
    size_t room = sizeof s->text;

    s->size += (size_t)snprintf(s->text + s->size, room - s->size, "%u:", row->line);
    for (unsigned i = 0; i < row->fields && i < KL_FIELDS_MAX && !row->cut; i++) {
        struct kl_span field = kl_csv_field(row, i);
        s->size += (size_t)snprintf(s->text + s->size, room - s->size, "%s%.*s", i > 0 ? "|" : " ",
                                    (int)field.size, (const char *)field.data);
    }
    s->size += (size_t)snprintf(s->text + s->size, room - s->size, "%s%s\n",
                                row->marked ? " [marked]" : "", row->cut ? " [cut]" : "");
    if (s->rows < 16)
        s->end[s->rows] = row->start + row->size;
    s->rows++;
}

/* Feeds the text in pieces of `piece` bytes. */
static struct seen read_in_pieces(const char *text, size_t size, size_t piece)
{
    struct seen s = {.error = KL_CSV_FINE};
    struct kl_csv csv;

    kl_csv_begin(&csv);
    for (size_t at = 0; at < size;) {
        size_t left = size - at;
        at += kl_csv_feed(&csv, text + at, left < piece ? left : piece);
        if (csv.row_ready)
            see_row(&s, &csv.row);
    }
    kl_csv_end(&csv);
    if (csv.row_ready)
        see_row(&s, &csv.row);
    s.error = csv.error;
    s.error_line = csv.error_line;
    kl_csv_finish(&csv);
    return s;
}

static struct seen read_all(const char *text)
{
    struct seen whole = read_in_pieces(text, strlen(text), SIZE_MAX);

    for (size_t piece = 1; piece < 4; piece++) {
        struct seen again = read_in_pieces(text, strlen(text), piece);
        assert_string_equal(again.text, whole.text);
        assert_int_equal(again.error, whole.error);
        assert_memory_equal(again.end, whole.end, sizeof whole.end);
    }
    return whole;
}

static void any_line_end_will_do(void **state)
{
    (void)state;
    assert_string_equal(read_all("a,b\nc,d\n").text, "1: a|b\n2: c|d\n");
    assert_string_equal(read_all("a,b\r\nc,d\r\n").text, "1: a|b\n2: c|d\n");
    assert_string_equal(read_all("a,b\rc,d\r").text, "1: a|b\n2: c|d\n");
    assert_string_equal(read_all("a,b\r\nc,d\ne,f\rg,h").text, "1: a|b\n2: c|d\n3: e|f\n4: g|h\n");
}

static void the_last_line_may_lack_its_end(void **state)
{
    struct seen s = read_all("a,b\nc,d");

    (void)state;
    assert_string_equal(s.text, "1: a|b\n2: c|d\n");
    assert_int_equal(s.end[1], 7);
    assert_string_equal(read_all("").text, "");
    assert_string_equal(read_all("a").text, "1: a\n");
}

static void a_byte_order_mark_is_not_part_of_the_first_field(void **state)
{
    struct seen s = read_all("\xef\xbb\xbf"
                             "a,b\n");

    (void)state;
    assert_string_equal(s.text, "1: a|b\n");
    assert_int_equal(s.end[0], 6);
    assert_string_equal(read_all("\xef\xbb\xbf").text, "");
    /* What a spreadsheet makes of a table's empty end. */
    assert_string_equal(read_all("a,b\n,\n, \t,\n\"\",\"\"\nc,d\n,,").text, "1: a|b\n5: c|d\n");
    assert_string_equal(read_all(",Provisioned\n").text, "1: [marked]\n");
    /* Half of one is text. */
    assert_string_equal(read_all("\xef\xbb"
                                 "a,b\n")
                            .text,
                        "1: \xef\xbb"
                        "a|b\n");
    assert_string_equal(read_all("\xef\xbb").text, "1: \xef\xbb\n");
}

static void quotes_carry_what_they_must(void **state)
{
    (void)state;
    assert_string_equal(read_all("\"a,1\",\"b \"\"x\"\"\",c\n").text, "1: a,1|b \"x\"|c\n");
    assert_string_equal(read_all("\"a\nb\",c\nd,e\n").text, "1: a\nb|c\n3: d|e\n");
    assert_string_equal(read_all("\"a\r\nb\r\n\",c\r\nd,e\r\n").text, "1: a\r\nb\r\n|c\n4: d|e\n");
    assert_string_equal(read_all("a , \"b\" ,\tc\t\n").text, "1: a|b|c\n");
    assert_string_equal(read_all("\" a \",b\n").text, "1:  a |b\n"); /* kept inside quotes */
}

static void empty_lines_are_no_rows(void **state)
{
    (void)state;
    assert_string_equal(read_all("\n\na,b\n  \t\n\r\n\rc,d\n\n").text, "3: a|b\n7: c|d\n");
}

static void broken_quotes_are_named_with_their_line(void **state)
{
    static const struct {
        const char *text;
        enum kl_csv_error error;
        uint32_t line;
    } cases[] = {
        {"a,b\nc,\"d\ne,f\n", KL_CSV_QUOTE_OPEN, 2},
        {"a,b\nc,d\"e\n", KL_CSV_QUOTE_INSIDE, 2},
        {"a,b\n\n\"c\"d,e\n", KL_CSV_QUOTE_TAIL, 3},
        {"\"a\" \"b\"\n", KL_CSV_QUOTE_TAIL, 1},
        {"\"a\";\"b\"\n", KL_CSV_QUOTE_SEPARATOR, 1},
        {"a\n\"b\"|c\n", KL_CSV_QUOTE_SEPARATOR, 2},
        {"\"", KL_CSV_QUOTE_OPEN, 1},
        {"a,b\n\"a\nb\",\"x\n\n", KL_CSV_QUOTE_OPEN, 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen s = read_all(cases[i].text);
        assert_int_equal(s.error, cases[i].error);
        assert_int_equal(s.error_line, cases[i].line);
        assert_true(kl_csv_error_text(s.error)[0] != '\0');
    }
}

static void the_mark_is_the_literal_last_field(void **state)
{
    (void)state;
    assert_string_equal(read_all("a,b,Provisioned\n").text, "1: a|b [marked]\n");
    assert_string_equal(read_all("a,b,PROVISIONED  \r\n").text, "1: a|b [marked]\n");
    assert_string_equal(read_all("a,b, \"provisioned\" \n").text, "1: a|b [marked]\n");
    assert_string_equal(read_all("a,b,Provisioned,Provisioned\n").text, "1: a|b [marked]\n");
    assert_string_equal(read_all("a,b,,Provisioned\n").text, "1: a|b [marked]\n");
    assert_string_equal(read_all("a,b,Provisioned,\n").text, "1: a|b [marked]\n");
    assert_string_equal(read_all("a,Provisioned,b\n").text, "1: a|Provisioned|b\n");
    assert_string_equal(read_all("a,b,Provisioned!\n").text, "1: a|b|Provisioned!\n");
    assert_string_equal(read_all("a,b Provisioned\n").text, "1: a|b Provisioned\n");
    assert_string_equal(read_all("Provisioned\n").text, "1: [marked]\n");
}

static void the_place_for_the_mark_is_behind_trailing_blanks(void **state)
{
    struct seen s = read_all("a,b \t\r\nc,\"d\"  \ne,f,");

    (void)state;
    assert_int_equal(s.end[0], 5);
    assert_int_equal(s.end[1], 14);
    assert_int_equal(s.end[2], 19);
}

static enum kl_csv_unfit unfit(const char *text)
{
    struct kl_csv csv;
    enum kl_csv_unfit why;

    kl_csv_begin(&csv);
    kl_csv_feed(&csv, text, strlen(text));
    if (!csv.row_ready)
        kl_csv_end(&csv);
    assert_true(csv.row_ready);
    why = kl_csv_unfit(&csv.row);
    kl_csv_finish(&csv);
    return why;
}

static void rows_that_no_board_could_take_are_told_apart(void **state)
{
    char line[600];

    (void)state;
    assert_int_equal(unfit("a,b,c"), KL_UNFIT_NOTHING);
    assert_int_equal(unfit("a,,c"), KL_UNFIT_EMPTY_FIELD);
    assert_int_equal(unfit("a,\"\",c"), KL_UNFIT_EMPTY_FIELD);
    assert_int_equal(unfit("a,\"b,b\",c"), KL_UNFIT_COMMA);
    assert_int_equal(unfit("a,\"b\nb\",c"), KL_UNFIT_CONTROL);
    assert_int_equal(unfit("a,b\x7f,c"), KL_UNFIT_CONTROL);
    assert_int_equal(unfit("Provisioned"), KL_UNFIT_NO_FIELDS);
    memset(line, 'x', sizeof line);
    line[255] = '\0';
    assert_int_equal(unfit(line), KL_UNFIT_NOTHING);
    line[255] = 'x';
    line[256] = '\0';
    assert_int_equal(unfit(line), KL_UNFIT_LONG);
    line[100] = line[200] = ',';
    assert_int_equal(unfit(line), KL_UNFIT_LONG);
    for (size_t i = 0; i < 64; i++)
        line[i] = i % 2 == 0 ? 'f' : ',';
    line[63] = '\0';
    assert_int_equal(unfit(line), KL_UNFIT_NOTHING); /* 32 fields */
    line[63] = ',';
    line[64] = 'f';
    line[65] = '\0';
    assert_int_equal(unfit(line), KL_UNFIT_MANY_FIELDS);
}

static void a_field_longer_than_any_key_does_no_harm(void **state)
{
    static char text[KL_CSV_VALUES_MAX + 1000];
    const size_t end = KL_CSV_VALUES_MAX + 100;
    struct seen s;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text + end, ",b\nc,d\n", 8);
    s = read_all(text);
    assert_string_equal(s.text, "1: [cut]\n2: c|d\n");
    /* Blanks are not kept: they may be as many as they like. */
    memset(text, ' ', end);
    memcpy(text, "a,", 2);
    text[3000] = 'b';
    memcpy(text + end, ",c\n", 4);
    assert_string_equal(read_all(text).text, "1: a|b|c\n");
    text[3000] = ',';
    text[10] = 'b';
    assert_string_equal(read_all(text).text, "1: a|b||c\n");
}

/* `text` is one row: what keeps it from being a key, and from being a long one. */
static void judge_row(const char *text, enum kl_csv_unfit *line, enum kl_csv_unfit *nvs)
{
    static struct kl_csv csv;

    kl_csv_begin(&csv);
    assert_int_equal(kl_csv_feed(&csv, text, strlen(text)), strlen(text));
    kl_csv_end(&csv);
    assert_int_equal(csv.error, KL_CSV_FINE);
    assert_true(csv.row_ready);
    *line = kl_csv_unfit(&csv.row);
    *nvs = kl_csv_unfit_long(&csv.row);
}

static void a_row_for_nvs_may_be_longer_than_a_line(void **state)
{
    static char text[KL_CSV_VALUES_MAX + 1000];
    enum kl_csv_unfit line, nvs;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "a,", 2);
    text[1000] = '\0';
    judge_row(text, &line, &nvs);
    assert_int_equal(line, KL_UNFIT_LONG);
    assert_int_equal(nvs, KL_UNFIT_NOTHING);
    judge_row("a,\"-----BEGIN\nQUJD, and more\n\"", &line, &nvs);
    assert_int_not_equal(line, KL_UNFIT_NOTHING);
    assert_int_equal(nvs, KL_UNFIT_NOTHING);
    judge_row("\"a\nb\",x", &line, &nvs);
    assert_int_equal(nvs, KL_UNFIT_CONTROL);
    judge_row("a,,x", &line, &nvs);
    assert_int_equal(nvs, KL_UNFIT_EMPTY_FIELD);

    text[1000] = 'x';
    text[KL_KEY_MAX] = '\0'; /* a, and so many x that all of it is as long as may be */
    judge_row(text, &line, &nvs);
    assert_int_equal(nvs, KL_UNFIT_NOTHING);
    text[KL_KEY_MAX] = 'x';
    text[KL_KEY_MAX + 1] = '\0';
    judge_row(text, &line, &nvs);
    assert_int_equal(nvs, KL_UNFIT_LONG_ROW);
    text[1] = 'a';
    text[300] = ',';
    text[1000] = '\0';
    judge_row(text, &line, &nvs);
    assert_int_equal(nvs, KL_UNFIT_LONG_LABEL);

    for (unsigned n = 2; n <= 65; n++)
        memcpy(text + 2 * (n - 1), ",x", 3);
    judge_row(text, &line, &nvs);
    assert_int_equal(line, KL_UNFIT_MANY_FIELDS);
    assert_int_equal(nvs, KL_UNFIT_MANY_COLUMNS);
    text[2 * 64] = '\0';
    judge_row(text, &line, &nvs);
    assert_int_equal(nvs, KL_UNFIT_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_line_end_will_do),
        cmocka_unit_test(the_last_line_may_lack_its_end),
        cmocka_unit_test(a_byte_order_mark_is_not_part_of_the_first_field),
        cmocka_unit_test(quotes_carry_what_they_must),
        cmocka_unit_test(empty_lines_are_no_rows),
        cmocka_unit_test(broken_quotes_are_named_with_their_line),
        cmocka_unit_test(the_mark_is_the_literal_last_field),
        cmocka_unit_test(the_place_for_the_mark_is_behind_trailing_blanks),
        cmocka_unit_test(rows_that_no_board_could_take_are_told_apart),
        cmocka_unit_test(a_field_longer_than_any_key_does_no_harm),
        cmocka_unit_test(a_row_for_nvs_may_be_longer_than_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
