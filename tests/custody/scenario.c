#include "scenario.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scratch.h"
#include "store_bench.h"

struct wish {
    enum kl_store_op op;
    unsigned key, board;
    bool together; /* submitted with the one before */
};

static const struct wish wishes[] = {
    {KL_OP_RESERVE, 1, 1, false},   {KL_OP_PROVISION, 1, 1, false}, {KL_OP_RESERVE, 2, 2, false},
    {KL_OP_RESERVE, 3, 3, true},    {KL_OP_ATTEMPT, 3, 3, false},   {KL_OP_RELEASE, 3, 3, false},
    {KL_OP_RESERVE, 3, 4, false},   {KL_OP_PROVISION, 2, 2, true},  {KL_OP_ATTEMPT, 2, 2, true},
    {KL_OP_PROVISION, 5, 5, false}, /* adopted */
    {KL_OP_RESERVE, 6, 6, false},   {KL_OP_PROVISION, 3, 4, false},
};
enum {
    WISHES = sizeof wishes / sizeof wishes[0]
};

/* 0 = nobody's */
struct model {
    unsigned board[SCENARIO_KEYS + 1];
    bool provisioned[SCENARIO_KEYS + 1];
};

static void model_apply(struct model *m, const struct wish *w)
{
    if (w->op == KL_OP_RESERVE)
        m->board[w->key] = w->board;
    if (w->op == KL_OP_RELEASE)
        m->board[w->key] = 0;
    if (w->op == KL_OP_PROVISION) {
        m->board[w->key] = w->board;
        m->provisioned[w->key] = true;
    }
}

/* After all that was answered, and any of those that were asked for and not answered yet: one may
   have failed and wait to be asked again while the one behind it is done. */
static struct model model_after(const struct scenario_report *report, unsigned which)
{
    struct model m = {0};

    for (unsigned i = 0; i < report->submitted; i++)
        if (i < report->answered || (which >> (i - report->answered) & 1) != 0)
            model_apply(&m, &wishes[i]);
    return m;
}

static void csv_text(char out[1024], const bool marked[SCENARIO_KEYS + 1])
{
    size_t n = 0;

    for (int i = 1; i <= SCENARIO_KEYS; i++)
        n += (size_t)snprintf(out + n, 1024 - n, "\"dev-%d\" ,aa%02d,bb%02d \t%s%s", i, i, i,
                              marked[i] ? ",Provisioned" : "", i < SCENARIO_KEYS ? "\r\n" : "");
}

void scenario_write_csv(const char *path)
{
    static const bool none[SCENARIO_KEYS + 1];
    char text[1024];

    csv_text(text, none);
    file_put(path, text);
}

/* ---- running ---- */

static bool open_bench(struct store_bench *b, const char *csv)
{
    for (int tries = 0; tries < 60; tries++)
        /* After a power cut the files are new ones, as after putting a copy back. */
        if (bench_open_answered(b, csv, 1u << KL_DOUBT_MOVED) == KL_STORE_OPENED)
            return true;
    fprintf(stderr, "scenario: %s\n", b->error);
    return false;
}

static void submit(struct store_bench *b, const struct wish *w)
{
    char label[16];
    struct kl_fingerprint fp;

    snprintf(label, sizeof label, "dev-%u", w->key);
    fp = bench_key(b, label);
    bench_submit(b, w->op, &fp, w->board);
}

/* One wish, asked again as long as it fails. */
static bool insist(struct store_bench *b, const struct wish *w)
{
    for (int tries = 0; tries < 60; tries++) {
        submit(b, w);
        bench_wait(b);
        if (b->status != KL_STORE_FAILED)
            break;
    }
    if (b->status != KL_STORE_OK)
        fprintf(stderr, "scenario: %s\n", b->text);
    return b->status == KL_STORE_OK;
}

bool scenario_run(const char *csv, volatile struct scenario_report *report)
{
    struct store_bench b;

    if (!open_bench(&b, csv))
        return false;
    for (unsigned i = report->answered; i < WISHES; i++) {
        /* The next one is on its way already when the store works on this one. */
        report->submitted = i + 1;
        if (i + 1 < WISHES && wishes[i + 1].together) {
            report->submitted = i + 2;
            submit(&b, &wishes[i]);
            submit(&b, &wishes[i + 1]);
            bench_wait(&b);
        }
        if (!insist(&b, &wishes[i]))
            return false;
        report->answered = i + 1;
    }
    bench_close(&b);
    return true;
}

bool scenario_recover(const char *csv)
{
    struct store_bench b;

    if (!open_bench(&b, csv))
        return false;
    bench_close(&b);
    return true;
}

/* ---- checking ---- */

static _Noreturn void wrong(const char *what, const char *detail)
{
    fprintf(stderr, "scenario: %s: %s\n", what, detail);
    abort();
}

static struct model read_ledger(const char *csv)
{
    struct model m = {0};
    char path[256];
    sqlite3 *db;
    sqlite3_stmt *s;
    int rc;

    snprintf(path, sizeof path, "%s.ledger", csv);
    if (access(path, F_OK) != 0)
        return m;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix") != SQLITE_OK)
        wrong("the ledger", sqlite3_errmsg(db));
    if (sqlite3_exec(db, "PRAGMA integrity_check", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT label, state, mac FROM keys WHERE state <> 'released'", -1,
                           &s, NULL) != SQLITE_OK)
        wrong("the ledger", sqlite3_errmsg(db));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *mac = (const char *)sqlite3_column_text(s, 2);
        unsigned key = (unsigned)atoi((const char *)sqlite3_column_text(s, 0) + strlen("dev-"));
        m.board[key] = (unsigned)strtoul(mac + strlen("24:0a:c4:00:00:"), NULL, 16);
        m.provisioned[key] = strcmp((const char *)sqlite3_column_text(s, 1), "provisioned") == 0;
    }
    if (rc != SQLITE_DONE)
        wrong("the ledger", sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
    return m;
}

void scenario_check_history(const char *csv)
{
    char path[256];
    sqlite3 *db;
    sqlite3_stmt *s;
    int attempts = 0, wished = 0;

    for (unsigned i = 0; i < WISHES; i++)
        wished += wishes[i].op == KL_OP_ATTEMPT;
    snprintf(path, sizeof path, "%s.ledger", csv);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix") != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT count(*) FROM history WHERE what = 'attempt'", -1, &s,
                           NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        wrong("the ledger", sqlite3_errmsg(db));
    attempts = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    if (attempts < wished)
        wrong("the history", "it lacks an attempt");
}

static void check_marks(const char *csv, const struct model *ledger, bool all)
{
    bool marked[SCENARIO_KEYS + 1] = {false};
    char expected[1024], label[32];
    char *text = file_read(csv, NULL);

    if (text == NULL)
        wrong("the CSV", "it is gone");
    for (int i = 1; i <= SCENARIO_KEYS; i++) {
        char *row, *next;
        snprintf(label, sizeof label, "\"dev-%d\"", i);
        row = strstr(text, label);
        next = row == NULL ? NULL : strchr(row, '\n');
        if (next != NULL)
            *next = '\0';
        marked[i] = row != NULL && strstr(row, "Provisioned") != NULL;
        if (next != NULL)
            *next = '\n';
        if (marked[i] && !ledger->provisioned[i])
            wrong("a row is marked that the ledger does not know", label);
        if (all && ledger->provisioned[i] && !marked[i])
            wrong("a mark is missing", label);
    }
    csv_text(expected, marked);
    if (strcmp(text, expected) != 0)
        wrong("the CSV is not the original and marks", text);
    free(text);
}

void scenario_check(const char *csv, const struct scenario_report *report, bool closed)
{
    struct model ledger = read_ledger(csv);
    char detail[256];

    check_marks(csv, &ledger, closed);
    for (unsigned which = 0; which < 1u << (report->submitted - report->answered); which++) {
        struct model possible = model_after(report, which);
        if (memcmp(&possible, &ledger, sizeof ledger) == 0)
            return;
    }
    snprintf(detail, sizeof detail,
             "%u of %u wishes were answered; keys 1..6 belong to %u%s %u%s "
             "%u%s %u%s %u%s %u%s",
             report->answered, report->submitted, ledger.board[1], ledger.provisioned[1] ? "P" : "",
             ledger.board[2], ledger.provisioned[2] ? "P" : "", ledger.board[3],
             ledger.provisioned[3] ? "P" : "", ledger.board[4], ledger.provisioned[4] ? "P" : "",
             ledger.board[5], ledger.provisioned[5] ? "P" : "", ledger.board[6],
             ledger.provisioned[6] ? "P" : "");
    wrong("the ledger holds what nobody asked for, or lacks what was answered", detail);
}
