/* cli_keys_release.c: `keyline keys release`: by the station if one runs, else by ourselves. */
#include <stdio.h>
#include <string.h>

#include "cli_keys.h"
#include "keyline/cli.h"
#include "station_talk.h"

struct finding {
    const struct keys_args *args;
    const char *station; /* who holds the CSV; NULL = nobody */
    bool quiet;
    unsigned reserved; /* keys with this label (and MAC) */
    bool provisioned;
    struct kl_fingerprint fingerprint;
    struct kl_mac mac;
    int64_t since;
};

static bool find_reserved(void *ctx, const struct kl_ledger_key *key)
{
    struct finding *f = ctx;
    char mac[18];

    kl_mac_format(&key->mac, mac);
    if (strcmp(key->label, f->args->label) != 0 || (f->args->mac && strcmp(f->args->mac, mac) != 0))
        return true;
    if (strcmp(key->state, "provisioned") == 0)
        f->provisioned = true;
    if (strcmp(key->state, "reserved") != 0)
        return true;
    if (f->reserved++ > 0 && !f->quiet)
        fprintf(stderr, "keyline: %s is also reserved for %s\n", key->label, mac);
    f->fingerprint = key->fingerprint;
    f->mac = key->mac;
    f->since = key->reserved;
    return true;
}

static int say_released(const struct finding *f)
{
    char mac[18], since[32];

    kl_mac_format(&f->mac, mac);
    keys_time(f->since, since);
    keys_print(f->args->label, 0);
    printf(" is free again. It was reserved for %s since %s.\n", mac, since);
    return keys_printed();
}

/* ---- by ourselves: no station runs ---- */

static int release_found(struct kl_store *s, const struct finding *f)
{
    const struct kl_ledger_key key = {
        .fingerprint = f->fingerprint, .mac = f->mac, .label = f->args->label};
    char text[KL_TEXT_MAX];

    if (!kl_store_release(s, &key, f->args->reason, text)) {
        fprintf(stderr, "keyline: not released: %s\n", text);
        return KL_EXIT_STORE;
    }
    return say_released(f);
}

/* ---- by the station, which knows what its boards are at ---- */

/* The key is released once the ledger says so. */
static int wait_for_release(struct kl_store *s, const struct finding *f, struct station_talk *t)
{
    char why[KL_TEXT_MAX] = "the station did not do it; see its events";

    for (int i = 0; i < STATION_LOOKS; i++) {
        struct finding now = {.args = f->args, .quiet = true};
        bool there = station_hear(t);
        if (station_refused(t, why))
            break;
        if (kl_store_keys(s, find_reserved, &now, why) && now.reserved == 0)
            return say_released(f);
        if (!there)
            break;
    }
    fprintf(stderr, "keyline: not released: %s\n", why);
    return KL_EXIT_HELD;
}

static int ask_station(struct kl_store *s, const struct finding *f)
{
    struct kl_command release = {.kind = KL_CMD_RELEASE, .fingerprint = f->fingerprint};
    bool fits = kl_copy(release.argument, sizeof release.argument, f->args->reason);
    struct station_talk *t = fits ? station_ask(f->args->csv, &release) : NULL;
    int exit = KL_EXIT_HELD;

    if (t)
        exit = wait_for_release(s, f, t);
    else
        fprintf(stderr,
                "keyline: not released: a station works on %s (%s) and can't be reached by this "
                "user; stop it first\n",
                f->args->csv, f->station);
    station_leave(t);
    return exit;
}

/* ---- either way ---- */

static int release_in(struct kl_store *s, const struct keys_args *a, const char *station)
{
    struct finding f = {.args = a, .station = station};
    char error[KL_TEXT_MAX];

    if (!kl_store_keys(s, find_reserved, &f, error)) {
        fprintf(stderr, "keyline: %s\n", error);
        return KL_EXIT_STORE;
    }
    if (f.reserved == 1)
        return !station ? release_found(s, &f) : ask_station(s, &f);
    if (f.reserved > 1)
        fprintf(stderr, "keyline: say which one with --mac\n");
    else if (f.provisioned)
        fprintf(stderr, "keyline: %s is provisioned: a board has it for good\n", a->label);
    else
        fprintf(stderr, "keyline: %s is not reserved; see keyline keys status\n", a->label);
    return KL_EXIT_INPUT;
}

int keys_release(const struct keys_args *a)
{
    struct kl_store_options options = {.csv = a->csv,
                                       .mode = KL_STORE_MEND,
                                       .journal = a->journal,
                                       .station = "keyline keys release"};
    char text[KL_TEXT_MAX], error[KL_TEXT_MAX];
    enum kl_store_open_result result;
    struct kl_store *s;
    bool held;
    int exit;

    if (!a->label || !a->reason || a->reason[strspn(a->reason, " \t")] == '\0') {
        fprintf(stderr, "usage: keyline keys release LABEL --reason TEXT\n");
        return KL_EXIT_USAGE;
    }
    result = kl_store_open(&options, &s, text);
    held = result == KL_STORE_HELD;
    if (held) {
        options.mode = KL_STORE_RECORD;
        result = kl_store_open(&options, &s, error);
    }
    if (result != KL_STORE_OPENED) {
        fprintf(stderr, "keyline: %s\n", held ? error : text);
        if (result == KL_STORE_DOUBT)
            fprintf(stderr,
                    "keyline: not released: start the station first, which asks about that\n");
        return keys_store_exit(result);
    }
    keys_say_no_record(a, s);
    exit = release_in(s, a, held ? text : NULL);
    kl_store_free(s);
    return exit;
}
