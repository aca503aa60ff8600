/* cli_nvs.c: `keyline nvs …`: images of a board's NVS, as files. */
#include "cli_nvs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "config_files.h"
#include "keyline/secret.h"

struct args {
    const char *csv, *schema, *label, *out, *size, *config;
    const char *port, *partition, *table_offset;
    bool values, json, help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TEXT("csv-file", csv, "FILE", "make, check: the keys (default keys.csv), under a header row"),
    TYPED_TEXT("nvs-schema", schema, "FILE",
               "make, check: where the columns go, as Espressif's mfg_gen\n"
               "has it (default: the CSV's header row tells)"),
    TYPED_TEXT("size", size, "BYTES", "make, check: of the partition (default 0x6000)"),
    TYPED_TEXT("label", label, "LABEL", "make: the row"),
    TYPED_TEXT("out", out, "FILE", "make: the image, a new file that only you may read"),
    TYPED_TEXT("port", port, "PORT",
               "show, diff: the board there, instead of the (second) file;\n"
               "a port as for keyline chip"),
    TEXT("nvs-partition", partition, "LABEL", "show, diff: the board's partition (default nvs)"),
    TYPED_TEXT("table-offset", table_offset, "OFFSET",
               "show, diff: where the board's partition table lies\n"
               "(default 0x8000)"),
    TYPED_FLAG("values", 0, values, "show: the values too, which may be secret"),
    TYPED_FLAG("json", 0, json, "show: as JSON"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_nvs = {
    .name = "nvs",
    .run = kl_cli_nvs,
    .options = OPTION_TABLE(options),
    .words = "WHAT [options]",
    .verbs = "show|make|check|diff",
    .summary = "images of a board's NVS: show, make, check, compare",
    .about = "  show FILE|--port PORT\n"
             "                    what an NVS partition holds: an image's, or a board's, whose\n"
             "                    program is started again\n"
             "  make --label L --out FILE\n"
             "                    the image for one row of the CSV\n"
             "  check             the rows that can't be written, with line and column\n"
             "  diff FILE FILE|--port PORT\n"
             "                    what differs\n"
             "\n"
             "The CSV's header row tells where each column goes, as NAMESPACE/NAME:TYPE:\n"
             "  label,provision/key1:string,provision/key2:hex2bin,provision/done:u8=1",
    .after = "exit status: 0 done, 1 diff: they differ, or the board can't be read, 2 usage,\n"
             "             3 the file can't be read, is no sound NVS, or holds rows that can't be\n"
             "             written\n",
};

int nvs_complain(const char *text, int status)
{
    fprintf(stderr, "keyline nvs: %s\n", text);
    return status;
}

int nvs_printed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return KL_EXIT_OK;
    fprintf(stderr, "keyline: can't write the answer: %s\n", strerror(errno));
    return KL_EXIT_FAILED;
}

struct verb {
    const char *name;
    int (*run)(const struct nvs_args *a);
    unsigned files;
    const char *takes; /* the options that it takes */
};

static const struct verb verbs[] = {
    {"show", nvs_show, 1, " values json port nvs-partition table-offset "},
    {"make", nvs_make, 0, " csv-file nvs-schema size label out "},
    {"check", nvs_check, 0, " csv-file nvs-schema size "},
    {"diff", nvs_diff, 2, " port nvs-partition table-offset "},
};

static int wrong(const char *what, const char *which)
{
    char text[KL_TEXT_MAX];

    kl_format(text, sizeof text, "%s%s", what, which);
    return command_wrong(&kl_command_nvs, text);
}

/* The first typed option that this verb does not take; NULL if there is none. */
static const char *senseless(const struct verb *verb)
{
    static const char *const some[] = {"csv-file",     "nvs-schema", "size", "label",
                                       "out",          "values",     "json", "nvs-partition",
                                       "table-offset", "port"};

    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        char word[32];
        kl_format(word, sizeof word, " %s ", some[i]);
        if (!strstr(verb->takes, word) && config_typed(kl_command_nvs.options, some[i]))
            return some[i];
    }
    return NULL;
}

static bool take_size(const char *text, uint32_t *out)
{
    char *end;
    unsigned long n;

    if (!text)
        return true;
    errno = 0;
    n = strtoul(text, &end, 0);
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || n % KL_NVS_PAGE != 0 ||
        n < KL_NVS_SIZE_MIN || n > KL_NVS_FILE_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool take_offset(const char *text, uint32_t *out)
{
    char *end;
    unsigned long n;

    if (!text)
        return true;
    errno = 0;
    n = strtoul(text, &end, 0);
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || n % KL_NVS_PAGE != 0 ||
        n > UINT32_MAX - KL_NVS_PAGE)
        return false;
    *out = (uint32_t)n;
    return true;
}

/* The files that a verb wants; a board stands for one of them. */
static int take_files(const struct verb *verb, const struct option_list *words, struct nvs_args *a)
{
    unsigned files = verb->files - (a->port && verb->files > 0);

    if (words->count != 1 + files)
        return wrong(files == 0   ? "it takes options only: "
                     : files == 1 ? "it takes one file: "
                                  : "it takes two files: ",
                     verb->name);
    if (files > 0)
        a->file = words->item[1];
    if (files > 1)
        a->other = words->item[2];
    return KL_EXIT_OK;
}

static int run_verb(const struct args *args, const struct option_list *words)
{
    struct nvs_args a = {.csv = args->csv,
                         .schema = args->schema,
                         .label = args->label,
                         .out = args->out,
                         .size = KL_NVS_SIZE_USUAL,
                         .port = args->port,
                         .partition = args->partition,
                         .table_offset = KL_NVS_TABLE_AT,
                         .values = args->values,
                         .json = args->json};
    const struct verb *verb = NULL;

    for (size_t i = 0; words->count > 0 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, words->item[0]) == 0)
            verb = &verbs[i];
    if (!verb)
        return wrong("which? show, make, check or diff", "");
    if (senseless(verb))
        return wrong("this option does not go with that command: --", senseless(verb));
    if (!take_size(args->size, &a.size))
        return wrong("--size takes a multiple of 0x1000 from 0x3000 to 0x100000: ", args->size);
    if (verb->run == nvs_make && (!a.label || !a.out))
        return wrong("make takes --label LABEL and --out FILE", "");
    if (!take_offset(args->table_offset, &a.table_offset))
        return wrong("--table-offset takes a multiple of 0x1000: ", args->table_offset);
    int status = take_files(verb, words, &a);
    return status == KL_EXIT_OK ? verb->run(&a) : status;
}

int kl_cli_nvs(int argc, char **argv)
{
    struct args args = {.csv = "keys.csv", .partition = "nvs"};
    struct option_list words = {.count = 0};
    char error[KL_TEXT_MAX];

    if (!config_parse(kl_command_nvs.options, argv + (argc > 0), &args, &words, error))
        return command_wrong(&kl_command_nvs, error);
    return args.help ? command_help(&kl_command_nvs) : run_verb(&args, &words);
}
