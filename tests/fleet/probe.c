/*
 * probe.c: one station's calls to a shared pool, for scripts: one call on each line of stdin, one
 * answer on each line of stdout.
 *
 *   probe SERVICE [MILLISECONDS]
 *
 *   hello BEFORE NOW [FP]…    tokens: small numbers; 0 = none; unused keys. It sees what `see`
 * took. see                       the fence of the last hello, as a station keeps it after reassert
 *   lease ID N                ID: a small number
 *   mine                      boards   forget (a new process's memory)   name
 *   report SEQ WHAT FP MAC [HOW]       back FP…
 *   claim MAC FP [offline]
 *   held FIRST LAST [FP[=MAC[!]]]…     a part of what it holds; ! = provisioned
 *   status                    sleep MILLISECONDS
 *
 * "OK …", "DOUBT cause: text", "DOWN cause: text", "REFUSED KL001: text"; alarms follow as "  alarm
 * kind label".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/fleet/fleet_db.h"

enum {
    WORDS_MAX = 4096,
};

static struct kl_fdb *db;
static struct kl_fdb_why why;
static struct kl_fdb_fence seen, last;
static int within = 5000;
static char *word[WORDS_MAX];
static unsigned words;

static const char *at(unsigned i)
{
    return i < words ? word[i] : "";
}

static bool said(enum kl_fleet_result result)
{
    static const char *const name[] = {"OK", "DOUBT", "DOWN", "REFUSED"};
    static const char *const cause[] = {
#define X(name, text) #name,
        KL_FDB_CAUSES(X)
#undef X
    };

    if (result == KL_FLEET_OK)
        return true;
    printf("%s %s: %s\n", name[result],
           result == KL_FLEET_REFUSED && why.sqlstate[0] != '\0' ? why.sqlstate : cause[why.cause],
           why.text);
    return false;
}

static struct kl_request_id id_of(const char *text)
{
    unsigned long n = strtoul(text, NULL, 10);
    struct kl_request_id id = {{0}};

    for (unsigned i = 0; i < 8; i++)
        id.b[15 - i] = (uint8_t)(n >> 8 * i);
    return id;
}

static struct kl_fingerprint fp_of(const char *hex)
{
    struct kl_fingerprint fp = {{0}};

    for (unsigned i = 0; i < KL_FINGERPRINT && strlen(hex) >= 2 * i + 2; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        fp.b[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return fp;
}

static char rows[KL_FDB_ROWS_MAX * 40 + 100];

static void keep_row(void *ctx, const struct kl_fdb_row *row)
{
    size_t *n = ctx;

    *n += kl_format(rows + *n, sizeof rows - *n, " ");
    for (unsigned i = 0; i < KL_FINGERPRINT; i++)
        *n += kl_format(rows + *n, sizeof rows - *n, "%02x", row->fingerprint.b[i]);
}

static char alarms[65536];

static void keep_alarm(void *ctx, const struct kl_fdb_alarm *a)
{
    size_t *n = ctx;
    char mac[18];

    kl_mac_format(&a->mac, mac);
    *n += kl_format(alarms + *n, sizeof alarms - *n, "  alarm %s label=%s mac=%s other=%s\n",
                    a->kind, a->label, mac, a->other);
}

static void keep_board(void *ctx, const struct kl_mac *mac, const char *station)
{
    char text[18];

    (void)ctx;
    kl_mac_format(mac, text);
    printf(" %s=%s", text, station);
}

static void do_hello(void)
{
    struct kl_fdb_greeting g = {.seen = seen, .before = id_of(at(1)), .now = id_of(at(2))};
    static struct kl_fdb_hello h;
    static struct kl_fingerprint unused[WORDS_MAX];

    for (unsigned i = 3; i < words; i++)
        unused[i - 3] = fp_of(word[i]);
    g.unused = unused;
    g.unused_count = words > 3 ? words - 3 : 0;
    if (!said(kl_fdb_hello(db, within, &g, &h, &why)))
        return;
    last = h.state.server;
    printf("OK station=%s pool=%s fields=%u epoch=%u open=%d told=%d fence=%d free=%lld leased=%u "
           "left=%lld seq=%lld keys=%u plain=%d\n",
           h.station, h.pool_name, h.fields, h.state.epoch, h.state.open, h.state.told,
           kl_fdb_fence_equal(&h.state.server, &h.state.pool_fence), (long long)h.state.free_keys,
           h.state.leased, (long long)h.state.left_to_station, (long long)h.state.last_seq,
           h.key_count, h.plain);
}

static void do_status(void)
{
    struct kl_fdb_state s;
    size_t n = 0;

    if (!said(kl_fdb_status(db, within, "{\"slots\":2}", &s, keep_alarm, &n, &why)))
        return;
    printf("OK open=%d told=%d fence=%d free=%lld leased=%u seq=%lld\n%.*s", s.open, s.told,
           kl_fdb_fence_equal(&s.server, &s.pool_fence), (long long)s.free_keys, s.leased,
           (long long)s.last_seq, (int)n, alarms);
}

static void do_rows(bool lease)
{
    struct kl_request_id id = id_of(at(1));
    size_t n = 0;
    enum kl_fleet_result result =
        lease
            ? kl_fdb_lease(db, within, &id, (uint32_t)strtoul(at(2), NULL, 10), keep_row, &n, &why)
            : kl_fdb_mine(db, within, keep_row, &n, &why);

    if (said(result))
        printf("OK %zu%.*s\n", n / 33, (int)n, rows);
}

static void do_report(void)
{
    static const char *const what[] = {"reserved", "provisioned", "released", "attempt"};
    struct kl_fdb_item item = {.seq = strtoll(at(1), NULL, 10),
                               .wall = 1700000000000000 + strtoll(at(1), NULL, 10),
                               .fingerprint = fp_of(at(3)),
                               .how = at(5)};
    int64_t taken;
    size_t n = 0;

    for (unsigned i = 0; i < 4; i++)
        if (strcmp(at(2), what[i]) == 0)
            item.what = (enum kl_fdb_what)i;
    kl_mac_parse(at(4), &item.mac);
    if (said(kl_fdb_report(db, within, &item, 1, &taken, keep_alarm, &n, &why)))
        printf("OK %lld\n%.*s", (long long)taken, (int)n, alarms);
}

static void do_back(void)
{
    static struct kl_fingerprint fp[WORDS_MAX];
    uint32_t freed;

    for (unsigned i = 1; i < words; i++)
        fp[i - 1] = fp_of(word[i]);
    if (said(kl_fdb_hand_back(db, within, fp, words - 1, &freed, &why)))
        printf("OK %u\n", freed);
}

static void do_claim(void)
{
    static const char *const kind[] = {"new", "ours", "other"};
    struct kl_fingerprint fp = fp_of(at(2));
    struct kl_fdb_claim claim;
    struct kl_mac mac;

    kl_mac_parse(at(1), &mac);
    if (said(kl_fdb_claim(db, within, &mac, &fp, strcmp(at(3), "offline") == 0, &claim, &why)))
        printf("OK %s station=%s label=%s\n", kind[claim.kind], claim.station, claim.label);
}

static void do_held(void)
{
    static struct kl_fdb_held held[WORDS_MAX];
    size_t n = 0;

    memset(held, 0, sizeof held);
    for (unsigned i = 3; i < words; i++) {
        char *mac = strchr(word[i], '=');
        held[i - 3].fingerprint = fp_of(word[i]);
        held[i - 3].provisioned = strchr(word[i], '!') != NULL;
        if (mac) {
            mac[18] = '\0';
            kl_mac_parse(mac + 1, &held[i - 3].mac);
        }
    }
    if (said(kl_fdb_reassert(db, within, held, words > 3 ? words - 3 : 0, at(1)[0] == '1',
                             at(2)[0] == '1', keep_alarm, &n, &why)))
        printf("OK\n%.*s", (int)n, alarms);
}

static void do_boards(void)
{
    static char cursor[KL_FDB_CURSOR_MAX];
    bool more, anew;

    printf("OK");
    if (said(kl_fdb_boards(db, within, cursor, &more, &anew, keep_board, NULL, &why)))
        printf(" more=%d anew=%d\n", more, anew);
}

static void do_sleep(void)
{
    long ms = strtol(at(1), NULL, 10);

    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
    printf("OK\n");
}

static void obey(void)
{
    const char *what = at(0);

    if (strcmp(what, "hello") == 0)
        do_hello();
    else if (strcmp(what, "lease") == 0 || strcmp(what, "mine") == 0)
        do_rows(what[0] == 'l');
    else if (strcmp(what, "report") == 0)
        do_report();
    else if (strcmp(what, "back") == 0)
        do_back();
    else if (strcmp(what, "claim") == 0)
        do_claim();
    else if (strcmp(what, "held") == 0)
        do_held();
    else if (strcmp(what, "status") == 0)
        do_status();
    else if (strcmp(what, "boards") == 0)
        do_boards();
    else if (strcmp(what, "name") == 0)
        printf("OK %s\n", kl_fdb_name(db));
    else if (strcmp(what, "sleep") == 0)
        do_sleep();
    else if (strcmp(what, "see") == 0)
        printf("OK%s\n", (seen = last, ""));
    else if (strcmp(what, "forget") == 0)
        printf("OK%s\n", (seen = (struct kl_fdb_fence){0}, ""));
    else if (what[0] != '\0')
        printf("what is %s?\n", what);
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;

    if (argc < 2)
        return 2;
    if (argc > 2)
        within = (int)strtol(argv[2], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* A station that can't connect yet goes on too; what the text itself can't give is final. */
    if (kl_fdb_open(argv[1], within, &db, &why) != KL_FLEET_OK && !db) {
        said(KL_FLEET_DOWN);
        return 1;
    }
    while (getline(&line, &room, stdin) > 0) {
        words = 0;
        for (char *save = NULL, *w = strtok_r(line, " \n", &save); w && words < WORDS_MAX;
             w = strtok_r(NULL, " \n", &save))
            word[words++] = w;
        obey();
        fflush(stdout);
    }
    free(line);
    kl_fdb_close(db);
    return 0;
}
