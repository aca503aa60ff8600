/* cli_report.c: `keyline report`: what became of the boards, slot by slot, from the ledger. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_keys.h"
#include "commands.h"
#include "config_files.h"
#include "faces/stream/stats.h"
#include "keyline/store.h"

struct args {
    const char *csv, *config;
    bool help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    TEXT("csv-file", csv, "FILE", "whose ledger (default keys.csv); --csv_file too"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_report = {
    .name = "report",
    .run = kl_cli_report,
    .options = OPTION_TABLE(options),
    .words = "[options]",
    .summary = "what became of the boards, slot by slot",
    .about =
        "The table that a station prints at its end, over all of the ledger's history: per slot\n"
        "the turns of boards, fails by reason, first pass, median time, rate; a slot that is\n"
        "worse than the others by more than chance is marked. Rows are ordered by slot: A2, A10.",
    .after =
        "exit status: 0 there is something to report, 1 nothing yet, 2 usage, 6 the ledger can't "
        "be read\n",
};

struct attempt {
    char slot[KL_NAME_MAX];
    struct kl_stats_result result;
    bool tried_again; /* the station tried again by itself: the turn went on */
};

struct reading {
    struct attempt *attempts;
    size_t count, room;
};

static enum kl_reason reason_named(const char *name)
{
    for (int r = 0; r < KL_FAULT_COUNT; r++)
        if (strcmp(kl_fault_info((enum kl_reason)r).name, name) == 0)
            return (enum kl_reason)r;
    return KL_FAULT_NONE;
}

/* A turn is all attempts at a board until it is done or given up. Attempts are numbered within a
   turn; the last one's result is the turn's. */
static void take_attempt(struct reading *r, const struct kl_stats_result *result)
{
    struct attempt *a;
    size_t before = r->count;

    while (before > 0 && strcmp(r->attempts[before - 1].slot, result->slot) != 0)
        before--;
    if (before > 0)
        r->attempts[before - 1].tried_again = result->tries > r->attempts[before - 1].result.tries;
    if (r->count == r->room) {
        r->room = r->room ? 2 * r->room : 256;
        r->attempts = realloc(r->attempts, r->room * sizeof *r->attempts);
        KL_ASSERT(r->attempts);
    }
    a = &r->attempts[r->count++];
    *a = (struct attempt){.result = *result};
    kl_copy(a->slot, sizeof a->slot, result->slot);
}

static void count_turns(struct reading *r, struct kl_stats_view *view)
{
    struct kl_stats *stats = kl_stats_create();

    KL_ASSERT(stats);
    for (size_t i = 0; i < r->count; i++) {
        r->attempts[i].result.slot = r->attempts[i].slot;
        if (!r->attempts[i].tried_again)
            kl_stats_add(stats, &r->attempts[i].result);
    }
    kl_stats_look(stats, r->count ? r->attempts[r->count - 1].result.wall : 0, view);
    kl_stats_free(stats);
}

static bool take(void *ctx, const struct kl_ledger_entry *e)
{
    struct reading *r = ctx;
    struct kl_stats_result result = {
        .slot = e->slot,
        .result = strcmp(e->result, kl_state_name(KL_ST_DONE)) == 0     ? KL_ST_DONE
                  : strcmp(e->result, kl_state_name(KL_ST_FAILED)) == 0 ? KL_ST_FAILED
                                                                        : KL_ST_SKIPPED,
        .reason = reason_named(e->reason),
        .tries = e->tries,
        .baud = e->baud,
        .took = e->ended - e->started,
        .wall = e->wall,
    };

    if (strcmp(e->what, "attempt") != 0)
        return true;
    kl_mac_parse(e->mac, &result.mac);
    take_attempt(r, &result);
    return true;
}

static int report(const char *csv)
{
    static struct kl_stats_view view;
    struct kl_store_options what = {.csv = csv, .mode = KL_STORE_RECORD};
    struct reading r = {.attempts = NULL};
    struct kl_store *store = NULL;
    char error[KL_TEXT_MAX] = "";
    bool good;

    good = kl_store_open(&what, &store, error) == KL_STORE_OPENED &&
           kl_store_history(store, NULL, NULL, take, &r, error);
    kl_store_free(store);
    if (good) {
        count_turns(&r, &view);
        kl_stats_print(&view, stdout);
    } else {
        fprintf(stderr, "keyline report: %s\n", error);
    }
    free(r.attempts);
    if (!good)
        return KL_EXIT_STORE;
    if (view.slot_count == 0)
        printf("no result yet%s%s\n", access(csv, F_OK) == 0 ? " for " : ": there is no file ",
               csv);
    return keys_printed() == KL_EXIT_OK && view.slot_count ? KL_EXIT_OK : KL_EXIT_FAILED;
}

int kl_cli_report(int argc, char **argv)
{
    struct args a = {.csv = "keys.csv"};
    char error[KL_TEXT_MAX] = "";

    if (!config_parse(kl_command_report.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_report, error);
    if (a.help)
        return command_help(&kl_command_report);
    return report(a.csv);
}
