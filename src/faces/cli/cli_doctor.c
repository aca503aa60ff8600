/* cli_doctor.c: `keyline doctor`: is this host fit to be a bench? */
#include <getopt.h>
#include <stdio.h>
#include <sys/timex.h>
#include <time.h>

#include "faces/stream/json_text.h"
#include "keyline/cli.h"
#include "keyline/doctor.h"

static const char usage[] =
    "usage: keyline doctor [options]\n"
    "\n"
    "Looks whether this host is fit to be a bench, and says what to type where it is not.\n"
    "Changes nothing.\n"
    "\n"
    "  --csv-file FILE, --csv_file FILE   where the keys are (default: keys.csv)\n"
    "  --json                             as JSON\n"
    "\n"
    "exit status: 0 nothing is in the way, 1 something is, 2 usage\n";

static const char *const verdicts[] = {
    [KL_FINE] = "fine", [KL_UNKNOWN] = "unknown", [KL_NOTE] = "note", [KL_TROUBLE] = "trouble"};

static void print_finding(void *ctx, const struct kl_finding *f)
{
    (void)ctx;
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

static int examine(const char *csv, bool as_json)
{
    json_t *all = as_json ? json_array() : NULL;
    struct kl_doctor doctor = {.root = "",
                               .csv = csv,
                               .now = time(NULL),
                               .clock_synchronised = clock_is_synchronised(),
                               .tell = as_json ? collect_finding : print_finding,
                               .ctx = all};
    unsigned troubles = kl_doctor_run(&doctor);
    if (as_json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    }
    return troubles > 0 ? KL_EXIT_FAILED : KL_EXIT_OK;
}

int kl_cli_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        {"csv-file", required_argument, NULL, 'f'},
        {"csv_file", required_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *csv = "keys.csv";
    bool as_json = false;
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'f':
            csv = optarg;
            break;
        case 'j':
            as_json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return KL_EXIT_OK;
        default:
            fputs("try: keyline doctor --help\n", stderr);
            return KL_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "keyline doctor: what is this: %s\ntry: keyline doctor --help\n",
                argv[optind]);
        return KL_EXIT_USAGE;
    }
    return examine(csv, as_json);
}
