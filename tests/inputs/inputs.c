/*
 * inputs.c FOLDER: one case of the corpus (make.py): what the bundle says of these files, and what
 * a virtual board starts once they are flashed over whatever it held before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/bundle/image.h"
#include "bundle_folder.h"
#include "faces/cli/station_options.h"
#include "loader_bench.h"

enum {
    LINES_MAX = 16,
    LINE_MAX_SIZE = 1024,
    WORDS_MAX = 160,
};

static const char *folder;
static char line[LINES_MAX][LINE_MAX_SIZE];
static unsigned line_count;

static void read_expectations(void)
{
    char path[600];
    FILE *file;

    snprintf(path, sizeof path, "%s/expect", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    for (; line_count < LINES_MAX && fgets(line[line_count], LINE_MAX_SIZE, file); line_count++)
        line[line_count][strcspn(line[line_count], "\n")] = '\0';
    fclose(file);
}

/* What follows the key, if this line is of that key; NULL. */
static const char *value(unsigned n, const char *key)
{
    size_t size = strlen(key);

    return strncmp(line[n], key, size) == 0 && (line[n][size] == ' ' || line[n][size] == '\0')
               ? line[n] + size + (line[n][size] == ' ')
               : NULL;
}

static const char *first(const char *key)
{
    for (unsigned n = 0; n < line_count; n++)
        if (value(n, key))
            return value(n, key);
    return NULL;
}

/* @ stands for the folder. */
static void expand(const char *text, char *out, size_t room)
{
    size_t n = 0;

    for (; *text && n + 1 < room; text++) {
        if (*text == '@')
            n += (size_t)snprintf(out + n, room - n, "%s", folder);
        else
            out[n++] = *text;
        assert_true(n < room);
    }
    out[n] = '\0';
}

/* ---- loading ---- */

static struct kl_bundle *load(const char *args)
{
    static char text[64 * 1024], *argv[WORDS_MAX];
    static struct station_args station;
    char error[KL_TEXT_MAX] = "";
    unsigned count = 0;

    expand(args, text, sizeof text);
    for (char *word = strtok(text, " "); word && count + 1 < WORDS_MAX; word = strtok(NULL, " "))
        if (strcmp(word, "&") != 0)
            argv[count++] = word;
    argv[count] = NULL;
    if (!station_options_parse(argv, &station, error))
        fail_msg("%s: %s", args, error);
    const struct kl_chip *chip = station.chip ? kl_chip_by_slug(station.chip) : NULL;
    struct kl_bundle_options options =
        station_bundle_options(&station, chip ? chip->id : KL_CHIP_NONE);
    return kl_bundle_load(&options, &bundle_report);
}

static bool says(char lines[][KL_BUNDLE_LINE_MAX], unsigned count, const char *words)
{
    for (unsigned i = 0; i < count; i++)
        if (strstr(lines[i], words))
            return true;
    return false;
}

static void tell_all(void)
{
    for (unsigned i = 0; i < bundle_report.problem_count; i++)
        print_message("problem: %s\n", bundle_report.problem[i]);
    for (unsigned i = 0; i < bundle_report.warning_count; i++)
        print_message("warning: %s\n", bundle_report.warning[i]);
    for (unsigned i = 0; i < bundle_report.found_count; i++)
        print_message("found: %s\n", bundle_report.found[i]);
    for (unsigned i = 0; i < bundle_report.left_out_count; i++)
        print_message("left out: %s\n", bundle_report.left_out[i]);
}

/* What the report has to say, of each kind. */
static void check_report(void)
{
    for (unsigned n = 0; n < line_count; n++) {
        struct kl_bundle_report *r = &bundle_report;
        const char *words;
        if ((words = value(n, "problem")) != NULL && !says(r->problem, r->problem_count, words))
            fail_msg("no problem says '%s'", words);
        if ((words = value(n, "warning")) != NULL && !says(r->warning, r->warning_count, words))
            fail_msg("no warning says '%s'", words);
        if ((words = value(n, "found")) != NULL && !says(r->found, r->found_count, words) &&
            !says(r->left_out, r->left_out_count, words))
            fail_msg("nothing that was found says '%s'", words);
    }
}

/* A remedy stands in a message word for word, and works on the very input that brought it. */
static void try_remedies(void)
{
    for (unsigned n = 0; n < line_count; n++) {
        const char *remedy = value(n, "remedy"), *args = remedy ? remedy : value(n, "does");
        char words[LINE_MAX_SIZE * 2];
        if (!args)
            continue;
        if (remedy) {
            expand(remedy, words, sizeof words);
            words[strcspn(words, "&")] = '\0';
            for (size_t end = strlen(words); end > 0 && words[end - 1] == ' '; end--)
                words[end - 1] = '\0';
            kl_bundle_free(load(first("args")));
            if (!says(bundle_report.problem, bundle_report.problem_count, words))
                fail_msg("no problem names '%s'", words);
        }
        struct kl_bundle *b = load(args);
        if (!b) {
            tell_all();
            fail_msg("the remedy '%s' does not help", args);
        }
        kl_bundle_free(b);
    }
}

/* ---- on a board ---- */

static uint32_t flash_for(const struct kl_bundle *b)
{
    uint32_t size = 4u << 20;

    while (size < b->flash_end)
        size *= 2;
    return size;
}

static void flash(struct lb *board, const struct kl_bundle *b)
{
    enum kl_reason reason = lb_whole(board, b);

    if (reason != KL_FAULT_NONE)
        fail_msg("%s: %s\n%s", kl_fault_info(reason).name, kl_loader_fault(&board->loader)->detail,
                 board->notes);
    lb_listen(board, KL_SEC(1));
}

static void check_start(struct lb *board, const struct kl_bundle *b)
{
    const char *starts = first("starts");
    char name[32];
    unsigned offset;

    if (!starts)
        return;
    assert_int_equal(sscanf(starts, "%31s %x", name, &offset), 2);
    assert_string_equal(b->starts, name);
    assert_int_equal(b->starts_at, offset);
    if (kl_vboard_started(board->board) != offset)
        fail_msg("the board started 0x%x:\n%s", (unsigned)kl_vboard_started(board->board),
                 board->text);
}

/* What a board may hold that was in use: other programs in every place, and a choice of the last
   slot; keys in its NVS. */
static struct kl_bundle *used_board(struct lb *board, const struct kl_bundle *b)
{
    struct kl_bundle *old = calloc(1, sizeof *old);
    struct kl_demo_app app = {.project = "old", .payload = 2000};
    struct kl_partition_table table;
    struct kl_demo_image program;
    uint8_t choice[0x2000], keys[0x1000];
    char why[KL_TEXT_MAX];
    uint32_t size, at = 0x8000;
    const uint8_t *now = kl_vboard_flash(board->board, &size);

    assert_non_null(old);
    old->chip = b->chip;
    old->rev_max = 0xffff;
    memset(choice, 0xff, sizeof choice);
    memcpy(choice, "\x02\0\0\0", 4);
    memcpy(choice + 28, "\x74\x37\xf6\x55", 4); /* of sequence number 2 */
    memset(keys, 0x5a, sizeof keys);
    assert_true(kl_demo_app(b->chip, &app, &program));
    while (kl_partitions_read(now + at, 0xc00, &table, why) && at < 0x20000)
        at += 0x1000;
    for (unsigned i = 0; i < table.count && old->region_count < KL_REGIONS_MAX; i++) {
        const struct kl_partition *row = &table.row[i];
        if (row->type == 0)
            lb_bundle_add(old, "old", row->offset, program.data, (uint32_t)program.size);
        else if (row->type == 1 && row->subtype == 0)
            lb_bundle_add(old, "choice", row->offset, choice, sizeof choice);
        else if (row->type == 1 && row->subtype == 2)
            lb_bundle_add(old, "keys", row->offset, keys, sizeof keys);
    }
    free(program.data);
    return old;
}

static void check_same(struct lb *board, const char *what)
{
    static uint8_t data[8 << 20];
    char name[256], path[900];
    unsigned offset;
    uint32_t size;
    const uint8_t *now = kl_vboard_flash(board->board, &size);

    assert_int_equal(sscanf(what, "%x %255s", &offset, name), 2);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(data, 1, sizeof data, file);
    fclose(file);
    if (memcmp(now + offset, data, length) != 0)
        fail_msg("the board does not hold %s at 0x%x", name, offset);
}

static void check_places(struct lb *board, const struct kl_bundle *b)
{
    unsigned offset, size;

    for (unsigned n = 0; n < line_count; n++) {
        if (value(n, "same"))
            check_same(board, value(n, "same"));
        if (value(n, "keeps")) {
            assert_int_equal(sscanf(value(n, "keeps"), "%x", &offset), 1);
            assert_true(b->region[region_at(b, offset)].keep_if_keyed);
        }
        if (value(n, "region")) {
            assert_int_equal(sscanf(value(n, "region"), "%x %x", &offset, &size), 2);
            const struct kl_region *r = &b->region[region_at(b, offset)];
            assert_true(size == 0 || r->image[0].raw_size == size);
        }
    }
}

/* A board that holds a key: its NVS stays, all else is as on any other. */
static void check_keyed(struct lb *board, const struct kl_bundle *b)
{
    static struct kl_bundle keyed;
    uint32_t size;
    const uint8_t *now = kl_vboard_flash(board->board, &size);

    kl_bundle_for_keyed(b, &keyed);
    flash(board, &keyed);
    check_start(board, b);
    for (unsigned r = 0; r < b->region_count; r++)
        if (b->region[r].keep_if_keyed && !b->erase_all)
            assert_int_equal(now[b->region[r].offset], 0x5a);
}

static void on_a_board(const struct kl_bundle *b)
{
    static struct lb board;
    struct lb_options o = {.chip = b->chip,
                           .link = KL_LINK_SERIAL,
                           .stub = true,
                           .baud = 2000000,
                           .flash_size = flash_for(b)};

    lb_open(&board, &o);
    flash(&board, b);
    check_start(&board, b);
    check_places(&board, b);
    struct kl_bundle *old = first("starts") ? used_board(&board, b) : NULL;
    if (old) {
        flash(&board, old);
        check_keyed(&board, b);
        flash(&board, b);
        check_start(&board, b);
        check_places(&board, b);
        lb_bundle_free(old);
    }
    lb_close(&board);
}

static void the_case_ends_as_expected(void **state)
{
    struct kl_bundle *b;

    (void)state;
    read_expectations();
    assert_non_null(first("args"));
    b = load(first("args"));
    tell_all();
    if (first("problem") && b)
        fail_msg("it is taken, but was to be refused");
    if (!first("problem") && !b)
        fail_msg("it is refused, but was to be taken");
    check_report();
    if (b && !first("on-nothing"))
        on_a_board(b);
    kl_bundle_free(b);
    try_remedies();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_case_ends_as_expected)};

    if (argc != 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
