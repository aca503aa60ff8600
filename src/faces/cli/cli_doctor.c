/* cli_doctor.c: `keyline doctor`: is this host fit to be a bench? */
#include <stdio.h>
#include <sys/timex.h>
#include <time.h>

#include "commands.h"
#include "config_files.h"
#include "faces/stream/json_text.h"
#include "keyline/doctor.h"

struct args {
    const char *csv, *config;
    bool json, help;
    int color;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TEXT("csv-file", csv, "FILE", "where the keys are (default keys.csv); --csv_file too"),
    CHOICE("color", color, "auto|always|never", "colours (default auto)"),
    TYPED_FLAG("json", 0, json, "as JSON"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_doctor = {
    .name = "doctor",
    .run = kl_cli_doctor,
    .options = OPTION_TABLE(options),
    .words = "[options]",
    .summary = "is this host fit to be a bench?",
    .about =
        "Looks whether this host is fit to be a bench, and says what to type where it is not.\n"
        "Changes nothing.",
    .after = "exit status: 0 nothing is in the way, 1 something is, 2 usage\n",
};

static const char *const verdicts[] = {
    [KL_FINE] = "fine", [KL_UNKNOWN] = "unknown", [KL_NOTE] = "note", [KL_TROUBLE] = "trouble"};

static void print_finding(void *ctx, const struct kl_finding *f)
{
    static const char *const colours[] = {
        [KL_FINE] = "32", [KL_UNKNOWN] = "2", [KL_NOTE] = "33", [KL_TROUBLE] = "31"};
    const bool *coloured = ctx;

    if (*coloured)
        printf("\033[%sm%-8s\033[0m %-13s %s\n", colours[f->verdict], verdicts[f->verdict],
               f->check, f->text);
    else
        printf("%-8s %-13s %s\n", verdicts[f->verdict], f->check, f->text);
    if (f->advice[0] != '\0')
        printf("%-22s -> %s\n", "", f->advice);
}

static void collect_finding(void *ctx, const struct kl_finding *f)
{
    json_t *one = json_object();
    json_object_set_new(one, "check", kl_json_text(f->check));
    json_object_set_new(one, "verdict", kl_json_text(verdicts[f->verdict]));
    json_object_set_new(one, "text", kl_json_text(f->text));
    json_object_set_new(one, "advice", kl_json_text(f->advice));
    json_array_append_new(ctx, one);
}

static bool clock_is_synchronised(void)
{
    struct timex t = {.modes = 0};
    return adjtimex(&t) != TIME_ERROR;
}

static int examine(const struct args *a)
{
    json_t *all = a->json ? json_array() : NULL;
    bool coloured = command_colours(a->color, stdout);
    struct kl_doctor doctor = {.root = "",
                               .csv = a->csv,
                               .now = time(NULL),
                               .clock_synchronised = clock_is_synchronised(),
                               .tell = a->json ? collect_finding : print_finding,
                               .ctx = a->json ? (void *)all : (void *)&coloured};
    unsigned troubles = kl_doctor_run(&doctor);
    if (a->json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    }
    return troubles > 0 ? KL_EXIT_FAILED : KL_EXIT_OK;
}

int kl_cli_doctor(int argc, char **argv)
{
    struct args a = {.csv = "keys.csv"};
    char error[KL_TEXT_MAX];

    if (!config_parse(kl_command_doctor.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_doctor, error);
    return a.help ? command_help(&kl_command_doctor) : examine(&a);
}
