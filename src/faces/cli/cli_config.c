/*
 * cli_config.c: `keyline config`: the options that a station would get, and where each comes from.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "config_files.h"
#include "faces/stream/json_text.h"
#include "station_options.h"

const struct command kl_command_config = {
    .name = "config",
    .run = kl_cli_config,
    .options = &kl_station_options,
    .words = "[options] [NAME]",
    .summary = "what is set, and where each value comes from",
    .about =
        "Prints every setting of the station with the same options, and where its value comes\n"
        "from: the command line, then the environment (KEYLINE_CSV_FILE and so on), then\n"
        "--config FILE, then ~/.config/keyline/keyline.conf, then " KEYLINE_SYSCONF_DIR
        "/keyline.conf.\n"
        "With NAME it prints only that value.",
    .after = "exit status: 0 done, 2 a setting is unknown or wrong\n",
};

/* "keyline.conf:3", "KEYLINE_PORT", "the command line", "the default" */
static void origin(const struct option_setting *s, char out[KL_TEXT_MAX])
{
    char variable[64];

    if (!s) {
        kl_copy(out, KL_TEXT_MAX, "the default");
    } else if (s->source == OPTION_TYPED) {
        kl_copy(out, KL_TEXT_MAX, "the command line");
    } else if (s->source == OPTION_ENVIRONMENT) {
        config_variable(s->option, variable);
        kl_copy(out, KL_TEXT_MAX, variable);
    } else {
        kl_format(out, KL_TEXT_MAX, "%s:%u", s->file, s->line);
    }
}

/* A value that is no list, as it is written; "" = it is not set. */
static void value_text(const struct option *o, const void *at, char out[KL_TEXT_MAX])
{
    const char *text = "", *words = o->value;
    int index = 0;

    out[0] = '\0';
    switch (o->type) {
    case OPT_FLAG:
        text = *(const bool *)at ? "yes" : "no";
        break;
    case OPT_TEXT:
        text = *(const char *const *)at ? *(const char *const *)at : "";
        break;
    case OPT_NUMBER:
        snprintf(out, KL_TEXT_MAX, "%ld", *(const long *)at);
        return;
    case OPT_SECONDS:
        snprintf(out, KL_TEXT_MAX, "%.10g", (double)*(const kl_us *)at / 1e6);
        return;
    case OPT_CHOICE:
        for (index = *(const int *)at; index > 0; index--)
            words += strcspn(words, "|") + 1;
        snprintf(out, KL_TEXT_MAX, "%.*s", (int)strcspn(words, "|"), words);
        return;
    case OPT_LIST:
    case OPT_HEADING:
        return;
    }
    kl_copy(out, KL_TEXT_MAX, text);
}

struct printing {
    const struct station_args *args;
    const struct option_settings *all;
    json_t *json; /* NULL: as text */
};

static void print_text(const struct option *o, const char *value, const char *from)
{
    if (value[0])
        printf("%-40s # %s\n", value, from);
    else
        printf("# %s is not set\n", o->name);
}

/* A default below the lowest number that the option takes means "not set" (--retries -1). */
static bool is_unset(const struct option *o, const struct option_setting *s, const void *at)
{
    if (s)
        return false;
    return o->type == OPT_NUMBER && (double)*(const long *)at < o->low;
}

static void print_list(const struct printing *p, const struct option *o, const char *from)
{
    const struct option_list *list = (const void *)((const char *)p->args + o->at);
    json_t *items = p->json ? json_array() : NULL;
    char line[KL_TEXT_MAX * 2];

    for (unsigned i = 0; i < list->count; i++) {
        if (items)
            json_array_append_new(items, kl_json_text(list->item[i]));
        else if (snprintf(line, sizeof line, "%s = %s", o->name, list->item[i]) > 0)
            print_text(o, line, from);
    }
    if (items)
        json_object_set_new(p->json, o->name,
                            json_pack("{s:o, s:s}", "value", items, "from", from));
    else if (list->count == 0)
        print_text(o, "", from);
}

static void print_option(const struct printing *p, const struct option *o)
{
    const struct option_setting *s = options_winner(p->all, o);
    const void *at = (const char *)p->args + o->at;
    char from[KL_TEXT_MAX], value[KL_TEXT_MAX], line[KL_TEXT_MAX * 2];

    origin(s, from);
    if (o->type == OPT_LIST) {
        print_list(p, o, from);
        return;
    }
    value_text(o, at, value);
    if (is_unset(o, s, at))
        value[0] = '\0';
    if (p->json) {
        json_object_set_new(p->json, o->name,
                            json_pack("{s:o, s:s}", "value",
                                      value[0] ? kl_json_text(value) : json_null(), "from", from));
        return;
    }
    snprintf(line, sizeof line, "%s = %s", o->name, value);
    print_text(o, value[0] ? line : "", from);
}

static int print_one(const struct printing *p, const char *name)
{
    const struct option *o = options_find(&kl_station_options, name, strlen(name));
    char text[KL_TEXT_MAX];
    const struct option_list *list;
    const void *at;

    if (!o || o->typed_only) {
        options_unknown(&kl_station_options, name, strlen(name), "", text);
        return command_wrong(&kl_command_config, text);
    }
    at = (const char *)p->args + o->at;
    list = at;
    for (unsigned i = 0; o->type == OPT_LIST && i < list->count; i++)
        puts(list->item[i]);
    value_text(o, at, text);
    if (o->type != OPT_LIST && !is_unset(o, options_winner(p->all, o), at))
        puts(text);
    return KL_EXIT_OK;
}

static void print_all(const struct printing *p)
{
    for (size_t i = 0; i < kl_station_options.count; i++) {
        const struct option *o = &kl_station_options.row[i];
        if (o->type != OPT_HEADING && !o->typed_only)
            print_option(p, o);
    }
}

int kl_cli_config(int argc, char **argv)
{
    static struct option_settings all;
    struct config_places places = config_places();
    struct station_args args;
    struct option_list words = {.count = 0};
    struct printing p = {.args = &args, .all = &all};
    char error[KL_TEXT_MAX];

    station_defaults(&args);
    if (!config_read(&kl_station_options, &kl_station_options, &places, argv + (argc > 0), &all,
                     &words, error))
        return command_wrong(&kl_command_config, error);
    options_apply(&all, &args);
    if (!args.firmware && args.images.count == 0)
        args.firmware = "firmware.bin";
    if (!args.csv && !args.pool)
        args.csv = "keys.csv";
    if (args.help)
        return command_help(&kl_command_config);
    if (words.count > 1)
        return command_wrong(&kl_command_config, "one name at a time");
    if (words.count == 1)
        return print_one(&p, words.item[0]);
    p.json = args.json ? json_object() : NULL;
    print_all(&p);
    if (p.json) {
        json_dumpf(p.json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(p.json);
    }
    return KL_EXIT_OK;
}
