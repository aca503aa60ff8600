/* cli_list.c: `keyline list`: the stations of this user that run. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli_keys.h"
#include "commands.h"
#include "config_files.h"
#include "faces/face_text.h"
#include "faces/stream/json_text.h"
#include "stations.h"

struct args {
    bool json, help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TYPED_FLAG("json", 0, json, "as JSON"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_list = {
    .name = "list",
    .run = kl_cli_list,
    .options = OPTION_TABLE(options),
    .words = "[options]",
    .summary = "the stations of this user that run",
    .about = "Every station of this user that runs: its CSV, slots, keys left, since when.",
    .after = "exit status: 0 there is one, 1 none, 2 usage\n",
};

static void print_text(const struct stations *all)
{
    for (unsigned i = 0; i < all->count; i++) {
        time_t since = (time_t)(all->item[i].since / 1000000);
        char when[32];
        struct tm tm;
        localtime_r(&since, &tm);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
        printf("%s\n  %s%u slot%s, %u busy, %u keys left, %s %s, since %s\n", all->item[i].csv,
               all->item[i].forgets ? "VOLATILE (a demonstration), " : "", all->item[i].slots,
               all->item[i].slots == 1 ? "" : "s", all->item[i].busy, all->item[i].keys_left,
               all->item[i].project, all->item[i].version, when);
    }
}

static void print_json(const struct stations *all)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < all->count; i++) {
        char since[32];
        kl_iso_time(all->item[i].since, since);
        json_array_append_new(
            list,
            json_pack("{s:o,s:i,s:i,s:i,s:o,s:o,s:s,s:b}", "csv", kl_json_text(all->item[i].csv),
                      "slots", (int)all->item[i].slots, "busy", (int)all->item[i].busy, "keys_left",
                      (int)all->item[i].keys_left, "project", kl_json_text(all->item[i].project),
                      "version", kl_json_text(all->item[i].version), "since", since, "volatile",
                      (int)all->item[i].forgets));
    }
    json_dumpf(list, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(list);
}

int kl_cli_list(int argc, char **argv)
{
    static struct stations all;
    struct args a = {0};
    char error[KL_TEXT_MAX] = "";

    if (!config_parse(kl_command_list.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_list, error);
    if (a.help)
        return command_help(&kl_command_list);
    stations_find(&all);
    if (a.json)
        print_json(&all);
    else if (all.count == 0)
        printf("no station of this user runs\n");
    else
        print_text(&all);
    return keys_printed() == KL_EXIT_OK && all.count > 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}
