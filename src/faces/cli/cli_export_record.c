/* cli_export_record.c: keeps in the history that keys left with their secrets. */
#include <stdio.h>
#include <string.h>

#include "cli_keys.h"
#include "faces/stream/wire.h"
#include "keyline/cli.h"
#include "station_talk.h"

#define ENTRY "export"

/* ---- by ourselves: no station runs ---- */

static int note(struct kl_store *s, const char *what)
{
    char text[2 * KL_TEXT_MAX], who[KL_NAME_MAX], error[KL_TEXT_MAX];

    kl_wire_operator(who);
    kl_format(text, sizeof text, "by %s: %s", who, what);
    if (kl_store_note(s, ENTRY, text, error))
        return KL_EXIT_OK;
    fprintf(stderr, "keyline: not exported, since it can't be recorded: %s\n", error);
    return KL_EXIT_STORE;
}

/* ---- by the station: only it may write to its ledger ---- */

struct counting {
    const char *what;
    unsigned entries;
};

static bool count_entry(void *ctx, const struct kl_ledger_entry *e)
{
    struct counting *c = ctx;
    size_t size = strlen(e->reason), end = strlen(c->what);

    if (strcmp(e->what, ENTRY) == 0 && size >= end && strcmp(e->reason + size - end, c->what) == 0)
        c->entries++;
    return true;
}

static bool count(const char *csv, const char *what, unsigned *entries, char error[KL_TEXT_MAX])
{
    struct kl_store_options options = {.csv = csv, .mode = KL_STORE_RECORD};
    struct counting c = {.what = what};
    static const struct kl_mac nobody;
    struct kl_store *s;
    char mac[18];
    bool read;

    if (kl_store_open(&options, &s, error) != KL_STORE_OPENED)
        return false;
    kl_mac_format(&nobody, mac);
    read = kl_store_history(s, mac, NULL, count_entry, &c, error);
    kl_store_free(s);
    *entries = c.entries;
    return read;
}

static int wait_for_entry(const char *csv, const char *what, unsigned before,
                          struct station_talk *t)
{
    char why[KL_TEXT_MAX] = "the station did not record it; see its events";
    unsigned now;

    for (int i = 0; i < STATION_LOOKS; i++) {
        bool there = station_hear(t);
        if (station_refused(t, why))
            break;
        if (count(csv, what, &now, why) && now > before)
            return KL_EXIT_OK;
        if (!there)
            break;
    }
    fprintf(stderr, "keyline: not exported: %s\n", why);
    return KL_EXIT_HELD;
}

static int ask_station(const struct keys_args *a, const char *what, const char *station)
{
    struct kl_command command = {.kind = KL_CMD_EXPORT};
    struct station_talk *t;
    char error[KL_TEXT_MAX];
    unsigned before;
    int exit = KL_EXIT_HELD;

    kl_copy(command.argument, sizeof command.argument, what);
    if (!count(a->csv, command.argument, &before, error)) {
        fprintf(stderr, "keyline: not exported: %s\n", error);
        return KL_EXIT_STORE;
    }
    if ((t = station_ask(a->csv, &command)))
        exit = wait_for_entry(a->csv, command.argument, before, t);
    else
        fprintf(stderr,
                "keyline: not exported, since it can't be recorded: a station works on %s (%s) and "
                "can't be reached by this user\n",
                a->csv, station);
    station_leave(t);
    return exit;
}

/* ---- either way ---- */

int keys_record_export(const struct keys_args *a, const char *what)
{
    struct kl_store_options options = {.csv = a->csv, .mode = KL_STORE_MEND, .journal = a->journal};
    enum kl_store_open_result result;
    char text[KL_TEXT_MAX];
    struct kl_store *s;
    int exit;

    result = kl_store_open(&options, &s, text);
    if (result == KL_STORE_HELD)
        return ask_station(a, what, text);
    if (result != KL_STORE_OPENED) {
        fprintf(stderr, "keyline: not exported, since it can't be recorded: %s\n", text);
        if (result == KL_STORE_DOUBT)
            fprintf(stderr, "keyline: start the station first, which asks about that\n");
        return keys_store_exit(result);
    }
    exit = note(s, what);
    kl_store_free(s);
    return exit;
}
