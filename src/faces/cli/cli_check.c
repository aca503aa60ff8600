/*
 * cli_check.c: `keyline check`: says everything that is wrong with a CSV and a set of images,
 * before any board is touched. It takes no lock and writes nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "cli_keys.h"
#include "faces/stream/json_text.h"
#include "keyline/bundle_load.h"
#include "keyline/shared_pool.h"
#include "nvs_plan.h"
#include "patterns.h"
#include "pool_view.h"
#include "station_options.h"

enum {
    LINES_SHOWN = 20 /* of each kind of trouble; the rest is counted */
};

struct check {
    struct station_args args;
    unsigned problems, warnings;
    enum kl_exit exit;
    json_t *root; /* --json: printed at the end, instead of lines */
};

static void line(const struct check *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void tell(struct check *c, const char *kind, const char *list, const char *format,
                 va_list args) __attribute__((format(printf, 4, 0)));
static void problem(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warning(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line for people; nothing with --json. */
static void line(const struct check *c, const char *format, ...)
{
    va_list args;

    if (c->root)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

static void add(struct check *c, const char *list, const char *text)
{
    json_t *array = json_object_get(c->root, list);

    if (!array)
        json_object_set_new(c->root, list, array = json_array());
    json_array_append_new(array, kl_json_text(text));
}

static void tell(struct check *c, const char *kind, const char *list, const char *format,
                 va_list args)
{
    char text[KL_BUNDLE_LINE_MAX];

    vsnprintf(text, sizeof text, format, args);
    if (c->root)
        add(c, list, text);
    else
        printf("  %s: %s\n", kind, text);
}

static void problem(struct check *c, const char *format, ...)
{
    va_list args;

    c->problems++;
    if (c->exit == KL_EXIT_OK)
        c->exit = KL_EXIT_INPUT;
    va_start(args, format);
    tell(c, "problem", "problems", format, args);
    va_end(args);
}

static void warning(struct check *c, const char *format, ...)
{
    va_list args;

    c->warnings++;
    va_start(args, format);
    tell(c, "warning", "warnings", format, args);
    va_end(args);
}

/* ---- the keys ---- */

static void bad_rows(struct check *c, const struct kl_store_content *content)
{
    unsigned shown = 0, more = 0;

    for (uint32_t i = 0; i < content->row_count; i++) {
        const struct kl_pool_row *row = &content->rows[i];
        if (!row->bad)
            continue;
        if (shown++ < LINES_SHOWN)
            problem(c, "line %u can't be a key: %s", (unsigned)row->line, kl_store_row_why(row));
        else
            more++;
    }
    if (more)
        problem(c, "%u more lines like that", more);
}

static void suspicions(struct check *c, const struct kl_csv_verdict *v)
{
    char text[KL_TEXT_MAX];

    for (unsigned i = 0; i < v->count; i++) {
        const struct kl_csv_finding *f = &v->finding[i];
        struct kl_csv_verdict one = {.finding = {*f}, .count = 1};

        if (kl_csv_refused(&one, c->args.accepted, text)) {
            problem(c, "%s", text);
        } else {
            kl_csv_finding_text(f, text);
            warning(c, "%s (--accept)", text);
        }
    }
}

static void judge_keys(struct check *c, const struct pool_view *v)
{
    const struct kl_pool_counts *n = &v->pool.counts;

    bad_rows(c, v->content);
    if (n->conflicts)
        problem(c,
                "lines %u and %u have one label and different keys%s: no station starts with this; "
                "give each key a label of its own",
                (unsigned)n->conflict_line_a, (unsigned)n->conflict_line_b,
                n->conflicts > 1 ? ", and they are not the only ones" : "");
    if (n->twins)
        problem(c,
                "lines %u and %u have one secret under two labels%s: no station starts with this; "
                "give each board a secret of its own",
                (unsigned)n->twin_line_a, (unsigned)n->twin_line_b,
                n->twins > 1 ? ", and they are not the only ones" : "");
    if (v->content->doubt[0] != '\0')
        problem(c, "%s; a station asks about that first", v->content->doubt);
    if (n->changed)
        problem(c, "reserved keys that were changed in the CSV since: %u; see keyline keys list",
                (unsigned)n->changed);
    if (n->total == 0)
        problem(c, "it holds no keys");
    else if (n->free == 0)
        warning(c, "no free key is left");
    if (n->copies)
        warning(c, "exact copies of other rows, which count once: %u; see keyline keys list",
                (unsigned)n->copies);
    if (n->vanished)
        warning(c, "keys that boards were given and the CSV no longer has: %u",
                (unsigned)n->vanished);
    if (n->reserved)
        warning(c, "keys reserved for boards that were not finished: %u; see keyline keys status",
                (unsigned)n->reserved);
    suspicions(c, v->content->verdict);
}

static void keys_as_json(struct check *c, const struct pool_view *v)
{
    const struct kl_pool_counts *n = &v->pool.counts;

    if (c->root)
        json_object_set_new(
            c->root, "keys",
            json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "file", kl_json_text(c->args.csv), "fields",
                      (json_int_t)v->content->fields, "total", (json_int_t)n->total, "free",
                      (json_int_t)n->free, "reserved", (json_int_t)n->reserved, "provisioned",
                      (json_int_t)n->provisioned));
}

static void check_keys(struct check *c)
{
    char error[KL_TEXT_MAX];
    struct pool_view v;
    enum kl_exit opened = KL_EXIT_OK;

    if (c->args.pool) {
        line(c, "keys: of the shared pool %s\n", c->args.pool);
        if (!kl_shared_ready(error)) {
            c->exit = c->exit == KL_EXIT_OK ? KL_EXIT_USAGE : c->exit;
            problem(c, "%s", error);
        }
        if (access(c->args.csv, F_OK) != 0) {
            warning(c, "this station holds none of them yet");
            return;
        }
    } else {
        line(c, "keys: %s\n", c->args.csv);
    }
    opened = pool_view_open(c->args.csv, c->args.csv_header, c->args.deliver != 0, c->args.journal,
                            &v, error);
    if (opened != KL_EXIT_OK) {
        c->exit = opened;
        problem(c, "%s", error);
        return;
    }
    keys_as_json(c, &v);
    line(c, "  %u keys of %u fields: %u free, %u reserved, %u provisioned\n",
         (unsigned)v.pool.counts.total, v.content->fields, (unsigned)v.pool.counts.free,
         (unsigned)v.pool.counts.reserved, (unsigned)v.pool.counts.provisioned);
    judge_keys(c, &v);
    pool_view_close(&v);
}

/* ---- the images ---- */

static void show_bundle(const struct kl_bundle *b)
{
    printf("  for %s", kl_chip(b->chip)->name);
    if (b->rev_min > 0)
        printf(" from revision %u.%u on", b->rev_min / 100u, b->rev_min % 100u);
    if (b->rev_max < 0xffff)
        printf(" up to revision %u.%u", b->rev_max / 100u, b->rev_max % 100u);
    if (b->project[0] != '\0') {
        fputs(": ", stdout);
        keys_print(b->project, 0);
        putchar(' ');
        keys_print(b->version, 0);
    }
    printf("; needs %u KB of flash\n", (unsigned)((b->flash_end + 1023) / 1024));
    for (unsigned r = 0; r < b->region_count; r++) {
        const struct kl_image *image = kl_bundle_image(b, r, UINT32_MAX);
        printf("  0x%06x %9u bytes, %9u packed  ", (unsigned)b->region[r].offset,
               (unsigned)image->raw_size, (unsigned)image->packed_size);
        keys_print(b->region[r].name, 0);
        puts(b->region[r].keep_if_keyed ? ": left alone on boards that hold a key" : "");
    }
}

static json_t *regions_as_json(const struct kl_bundle *b)
{
    json_t *all = json_array();

    for (unsigned r = 0; r < b->region_count; r++) {
        const struct kl_region *region = &b->region[r];
        const struct kl_image *image = kl_bundle_image(b, r, UINT32_MAX);
        json_array_append_new(
            all,
            json_pack("{s:o, s:I, s:I, s:I, s:b}", "name", kl_json_text(region->name), "offset",
                      (json_int_t)region->offset, "bytes", (json_int_t)image->raw_size, "packed",
                      (json_int_t)image->packed_size, "kept_if_keyed", region->keep_if_keyed));
    }
    return all;
}

static void bundle_as_json(json_t *images, const struct kl_bundle *b)
{
    char digest[65];

    for (unsigned i = 0; i < 32; i++)
        snprintf(digest + 2 * i, 3, "%02x", b->digest[i]);
    json_object_set_new(images, "chip", json_string(kl_chip(b->chip)->slug));
    json_object_set_new(images, "file", kl_json_text(b->file));
    json_object_set_new(images, "project", kl_json_text(b->project));
    json_object_set_new(images, "version", kl_json_text(b->version));
    json_object_set_new(images, "digest", json_string(digest));
    json_object_set_new(images, "flash_bytes", json_integer((json_int_t)b->flash_end));
    json_object_set_new(images, "revision_min", json_integer(b->rev_min));
    json_object_set_new(images, "revision_max", json_integer(b->rev_max));
    json_object_set_new(images, "starts",
                        b->starts[0] ? json_pack("{s:o, s:I}", "partition", kl_json_text(b->starts),
                                                 "offset", (json_int_t)b->starts_at)
                                     : json_null());
    json_object_set_new(images, "regions", regions_as_json(b));
}

static json_t *lines_as_json(char text[][KL_BUNDLE_LINE_MAX], unsigned count)
{
    json_t *all = json_array();

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(all, kl_json_text(text[i]));
    return all;
}

static void images_as_json(struct check *c, const struct kl_bundle_options *options,
                           const struct kl_bundle *b, struct kl_bundle_report *report)
{
    json_t *images = json_object();

    json_object_set_new(images, "firmware",
                        options->firmware ? kl_json_text(options->firmware) : json_null());
    json_object_set_new(images, "found", lines_as_json(report->found, report->found_count));
    json_object_set_new(images, "left_out",
                        lines_as_json(report->left_out, report->left_out_count));
    if (b)
        bundle_as_json(images, b);
    json_object_set_new(c->root, "images", images);
}

static void images_as_lines(const struct kl_bundle_options *options, const struct kl_bundle *b,
                            const struct kl_bundle_report *report)
{
    if (options->firmware)
        printf("images: %s%s\n", options->firmware, options->image_count ? " and named ones" : "");
    else
        printf("images: %u named ones\n", options->image_count);
    for (unsigned i = 0; i < report->found_count; i++)
        printf("  %s\n", report->found[i]);
    for (unsigned i = 0; i < report->left_out_count; i++)
        printf("  left out: %s\n", report->left_out[i]);
    if (b)
        show_bundle(b);
}

static void misfit(void *ctx, const char *text)
{
    problem(ctx, "%s", text);
}

/* --deliver nvs: schema, partition, and every row. */
static void check_nvs(struct check *c, const struct kl_bundle *b)
{
    struct nvs_plan plan;

    if (!nvs_plan_make(&plan, &c->args, b, misfit, c))
        return;
    if (plan.delivery)
        line(c, "keys go into the partition %s: 0x%x bytes at 0x%x\n", c->args.nvs_partition,
             (unsigned)plan.delivery->size, (unsigned)plan.delivery->offset);
    nvs_plan_free(&plan);
}

/* What the station would be told about firmware: its words, its proof, its functional test. */
static void check_words(struct check *c)
{
    static struct patterns patterns;
    enum kl_confirm confirm;
    char error[KL_TEXT_MAX];
    unsigned before = c->problems;

    if (!station_confirm(&c->args, &confirm, error))
        problem(c, "%s", error);
    patterns_compile(&patterns, &c->args, misfit, c);
    if (c->problems > before)
        c->exit = KL_EXIT_USAGE;
    if (patterns.exam)
        line(c, "functional test: %u to expect, %u to reject, within %g s\n",
             patterns.exam->expects, patterns.exam->rejects, (double)patterns.exam->timeout / 1e6);
}

static void check_images(struct check *c, enum kl_chip_id chip)
{
    static struct kl_bundle_report report;
    struct kl_bundle_options options = station_bundle_options(&c->args, chip);
    struct kl_bundle *b = kl_bundle_load(&options, &report);

    if (c->root)
        images_as_json(c, &options, b, &report);
    else
        images_as_lines(&options, b, &report);
    for (unsigned i = 0; i < report.problem_count; i++)
        problem(c, "%s", report.problem[i]);
    for (unsigned i = 0; i < report.warning_count; i++)
        warning(c, "%s", report.warning[i]);
    if (!b && report.problem_count == 0)
        problem(c, "no memory");
    if (b)
        check_nvs(c, b);
    kl_bundle_free(b);
}

static void check_stubs(struct check *c)
{
    char note[KL_TEXT_MAX];
    struct kl_stubs *stubs = kl_stubs_load(c->args.stub, note);

    line(c, "stubs: %s\n", note);
    if (c->root)
        json_object_set_new(c->root, "stubs", kl_json_text(note));
    kl_stubs_free(stubs);
}

/* ---- the command line ---- */

const struct command kl_command_check = {
    .name = "check",
    .run = kl_cli_check,
    .options = &kl_station_options,
    .words = "[options]",
    .summary = "checks keys and images, touches nothing",
    .about = "Says everything that is wrong with the keys and the images that a station with the\n"
             "same options would use. Touches nothing; may run beside a station. It takes every\n"
             "option that the station takes; those about keys and images matter.",
    .after = "exit status: 0 nothing is wrong, 2 usage, 3 the CSV or the images are bad,\n"
             "             6 the ledger can't be read\n",
};

static void finish(struct check *c)
{
    if (c->root) {
        json_object_set_new(c->root, "good", json_boolean(c->problems == 0));
        json_dumpf(c->root, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(c->root);
    } else if (c->problems == 0) {
        printf("nothing is wrong%s\n", c->warnings ? ", but mind the warnings" : "");
    } else {
        printf("%u problem%s\n", c->problems, c->problems == 1 ? "" : "s");
    }
}

int kl_cli_check(int argc, char **argv)
{
    static struct check c;
    const struct kl_chip *chip = NULL;
    char error[KL_TEXT_MAX];

    (void)argc;
    c = (struct check){.exit = KL_EXIT_OK};
    if (!station_options_parse(argv + 1, &c.args, error))
        return command_wrong(&kl_command_check, error);
    if (c.args.help)
        return command_help(&kl_command_check);
    if (c.args.chip && !(chip = kl_chip_by_slug(c.args.chip)))
        return command_wrong(&kl_command_check, "keyline does not know this --chip");
    if (c.args.json)
        c.root = json_pack("{s:[], s:[]}", "problems", "warnings");
    check_words(&c);
    check_keys(&c);
    check_images(&c, chip ? chip->id : KL_CHIP_NONE);
    check_stubs(&c);
    finish(&c);
    return keys_printed() == KL_EXIT_OK ? (int)c.exit : KL_EXIT_FAILED;
}
