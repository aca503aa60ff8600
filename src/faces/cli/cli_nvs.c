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
    .about = "  show FILE         what an image of an NVS partition holds\n"
             "  make --label L --out FILE\n"
             "                    the image for one row of the CSV\n"
             "  check             the rows that can't be written, with line and column\n"
             "  diff FILE FILE    what differs in two images\n"
             "\n"
             "The CSV's header row tells where each column goes, as NAMESPACE/NAME:TYPE:\n"
             "  label,provision/key1:string,provision/key2:hex2bin,provision/done:u8=1",
    .after = "exit status: 0 done, 1 diff: they differ, 2 usage, 3 the file can't be read, is\n"
             "             no sound NVS, or holds rows that can't be written\n",
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
    {"show", nvs_show, 1, " values json "},
    {"make", nvs_make, 0, " csv-file nvs-schema size label out "},
    {"check", nvs_check, 0, " csv-file nvs-schema size "},
    {"diff", nvs_diff, 2, " "},
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
    static const char *const some[] = {"csv-file", "nvs-schema", "size", "label",
                                       "out",      "values",     "json"};

    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        char word[16];
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

static int run_verb(const struct args *args, const struct option_list *words)
{
    struct nvs_args a = {.csv = args->csv,
                         .schema = args->schema,
                         .label = args->label,
                         .out = args->out,
                         .size = KL_NVS_SIZE_USUAL,
                         .values = args->values,
                         .json = args->json};
    const struct verb *verb = NULL;

    for (size_t i = 0; words->count > 0 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, words->item[0]) == 0)
            verb = &verbs[i];
    if (!verb)
        return wrong("which? show, make, check or diff", "");
    if (words->count != 1 + verb->files)
        return wrong(verb->files == 0   ? "it takes options only: "
                     : verb->files == 1 ? "it takes one file: "
                                        : "it takes two files: ",
                     verb->name);
    if (senseless(verb))
        return wrong("this option does not go with that command: --", senseless(verb));
    if (!take_size(args->size, &a.size))
        return wrong("--size takes a multiple of 0x1000 from 0x3000 to 0x100000: ", args->size);
    if (verb->run == nvs_make && (!a.label || !a.out))
        return wrong("make takes --label LABEL and --out FILE", "");
    if (verb->files > 0)
        a.file = words->item[1];
    if (verb->files > 1)
        a.other = words->item[2];
    return verb->run(&a);
}

int kl_cli_nvs(int argc, char **argv)
{
    struct args args = {.csv = "keys.csv"};
    struct option_list words = {.count = 0};
    char error[KL_TEXT_MAX];

    if (!config_parse(kl_command_nvs.options, argv + (argc > 0), &args, &words, error))
        return command_wrong(&kl_command_nvs, error);
    return args.help ? command_help(&kl_command_nvs) : run_verb(&args, &words);
}
