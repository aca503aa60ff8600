/*
 * people.c: what a person does with files, while a store works on them. Usage: people SEEDS ACTS
 *
 * A person opens the CSV, changes it and saves it: in one go or in pieces with pauses, in place or
 * by a new file, sorted, quoted otherwise, with rows more or less, from an old copy, damaged by a
 * spreadsheet and corrected, taken away and put back. Meanwhile a bench reserves and provisions
 * keys, and starts anew now and then.
 *
 * What must hold: no secret goes to two boards; after each act the file is what the person saved,
 * byte for byte, but for marks; and the marks are those of the keys that are spent. The person's
 * half knows nothing of keyline's code.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "prng.h"
#include "scratch.h"
#include "store_bench.h"

enum {
    ROWS_MAX = 200,
    TEXT_MAX = 64 * 1024,
    FIRST_ROWS = 30,
    PATIENCE_MS = 20000,
};

struct row {
    char label[16], secret[40], more[12];
    bool marked;
};

struct list {
    struct row row[ROWS_MAX];
    unsigned count;
};

enum how {
    BY_RENAME,
    IN_PLACE,
    AS_NEW_FILE,
    BY_APPENDING,
    WAYS
};

/* What a person does, in a thread of its own. */
struct act {
    enum how how;
    const char *first; /* saved before it, and found to be wrong; NULL = none */
    bool pipe, away;   /* before that, another thing stands in the file's place for a moment */
    char text[TEXT_MAX];
    size_t kept; /* BY_APPENDING: so much of it is there already */
    unsigned pieces;
    long pause_ms;
    volatile bool done;
};

static struct scratch dir;
static char csv[256];
static struct prng prng;
static struct store_bench bench;
static unsigned made, boards;
/* By number of the key: the board that has it, and whether it is spent. */
static unsigned owner[ROWS_MAX * 4];
static bool spent[ROWS_MAX * 4];

static _Noreturn void broken(const char *what)
{
    char *text = file_read(csv, NULL);

    fprintf(stderr, "people: %s\nthe file:\n%s\ntrouble: %s\nin %s\n", what,
            text == NULL ? "(none)" : text, bench.trouble, dir.folder);
    exit(1);
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- the person's reading and writing ---- */

static void take_field(struct row *row, unsigned n, const char *text)
{
    if (strcmp(text, "Provisioned") == 0)
        row->marked = true;
    else if (n == 0)
        snprintf(row->label, sizeof row->label, "%s", text);
    else if (n == 1)
        snprintf(row->secret, sizeof row->secret, "%s", text);
    else if (n == 2)
        snprintf(row->more, sizeof row->more, "%s", text);
}

/* Only what save() below can have written. */
static void read_list(struct list *l)
{
    char *all = file_read(csv, NULL), *line_save, *line;

    l->count = 0;
    if (all == NULL)
        broken("the file is not there");
    for (line = strtok_r(all, "\r\n", &line_save); line != NULL;
         line = strtok_r(NULL, "\r\n", &line_save)) {
        struct row *row = &l->row[l->count];
        unsigned n = 0;

        if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
            line += 3;
        memset(row, 0, sizeof *row);
        for (char *save, *f = strtok_r(line, ",", &save); f != NULL;
             f = strtok_r(NULL, ",", &save)) {
            size_t size = strlen(f);
            if (f[0] == '"') {
                f[size - 1] = '\0';
                f++;
            }
            take_field(row, n++, f);
        }
        l->count++;
    }
    free(all);
}

static void add_row(struct list *l)
{
    struct row *row = &l->row[l->count++];
    uint64_t a = prng_next(&prng), b = prng_next(&prng);

    memset(row, 0, sizeof *row);
    snprintf(row->label, sizeof row->label, "dev-%u", made++);
    snprintf(row->secret, sizeof row->secret, "%016llx%016llx", (unsigned long long)a,
             (unsigned long long)b);
    snprintf(row->more, sizeof row->more, "m%u", (unsigned)prng_below(&prng, 1000));
}

static void shuffle(struct list *l)
{
    for (unsigned i = l->count; i > 1; i--) {
        unsigned k = prng_below(&prng, i);
        struct row kept = l->row[i - 1];
        l->row[i - 1] = l->row[k];
        l->row[k] = kept;
    }
}

struct style {
    bool quotes, crlf, bom, tails, last_end;
};

static size_t write_list(const struct list *l, const struct style *s, char out[TEXT_MAX])
{
    const char *q = s->quotes ? "\"" : "";
    size_t n = (size_t)snprintf(out, TEXT_MAX, "%s", s->bom ? "\xef\xbb\xbf" : "");

    for (unsigned i = 0; i < l->count; i++) {
        const struct row *row = &l->row[i];
        n += (size_t)snprintf(out + n, TEXT_MAX - n, "%s%s%s,%s%s%s,%s%s%s%s%s", q, row->label, q,
                              q, row->secret, q, q, row->more, q,
                              row->marked ? ",Provisioned"
                              : s->tails  ? ","
                                          : "",
                              i + 1 == l->count && !s->last_end ? ""
                              : s->crlf                         ? "\r\n"
                                                                : "\n");
    }
    return n;
}

/* ---- the person's saving ---- */

static void write_pieces(int fd, const char *text, size_t size, unsigned pieces, long pause)
{
    size_t at = 0;

    for (unsigned i = 1; i <= pieces; i++) {
        size_t end = i == pieces ? size : size * i / pieces;
        while (end < size && end > 0 && text[end - 1] != '\n')
            end++; /* at a line's end: that looks like a whole file */
        if (end > at && write(fd, text + at, end - at) != (ssize_t)(end - at))
            abort();
        at = end > at ? end : at;
        if (i < pieces)
            pause_ms(pause);
    }
}

static void save(const struct act *a, const char *text)
{
    const char *path = csv;
    char other[300];
    size_t from = a->how == BY_APPENDING ? a->kept : 0;
    int fd;

    snprintf(other, sizeof other, "%s.editor", csv);
    if (a->how == BY_RENAME)
        path = other;
    if (a->how == AS_NEW_FILE)
        unlink(csv);
    fd = open(path,
              O_WRONLY | O_CREAT | O_CLOEXEC |
                  (a->how == IN_PLACE       ? O_TRUNC
                   : a->how == BY_APPENDING ? O_APPEND
                                            : 0),
              0600);
    if (fd < 0)
        abort();
    write_pieces(fd, text + from, strlen(text) - from, a->pieces, a->pause_ms);
    close(fd);
    if (a->how == BY_RENAME && rename(other, csv) != 0)
        abort();
}

static void stand_in(const struct act *a)
{
    char away[300];

    snprintf(away, sizeof away, "%s.away", csv);
    if (rename(csv, away) != 0 || (a->pipe && mkfifo(csv, 0600) != 0))
        abort();
    pause_ms(a->pause_ms * 3);
    if (a->pipe)
        unlink(csv);
    if (rename(away, csv) != 0)
        abort();
}

static void *person(void *ctx)
{
    struct act *a = ctx;

    if (a->pipe || a->away)
        stand_in(a);
    if (a->first != NULL) {
        save(a, a->first);
        pause_ms(700);
    }
    save(a, a->text);
    a->done = true;
    return NULL;
}

/* ---- the bench ---- */

static unsigned number_of(const char *label)
{
    return strncmp(label, "dev-", 4) == 0 ? (unsigned)strtoul(label + 4, NULL, 10) : UINT32_MAX;
}

/* Reserves a key that is free, or tries to get one that is not. */
static void reserve(void)
{
    const struct kl_store_content *c = kl_store_content(bench.store);
    const struct kl_pool_row *row;
    struct kl_fingerprint fp;
    unsigned key, board;
    char wanted[80];

    if (c->row_count == 0)
        return;
    row = &c->rows[prng_below(&prng, c->row_count)];
    key = number_of(row->label);
    if (row->bad || key >= made)
        broken("a row that nobody wrote is a key");
    board = ++boards;
    fp = row->fingerprint;
    snprintf(wanted, sizeof wanted, "%s,", row->label);
    bench_submit(&bench, KL_OP_RESERVE, &fp, board);
    bench_wait(&bench);
    if (bench.status != KL_STORE_OK)
        return;
    if (owner[key] != 0)
        broken("a key went to a second board");
    if (!bench.has_key || strncmp(bench.key.line, wanted, strlen(wanted)) != 0)
        broken("another key than was asked for");
    owner[key] = board;
}

static void provision(void)
{
    const struct kl_store_content *c = kl_store_content(bench.store);

    for (uint32_t i = 0; i < c->ledger_count; i++) {
        const struct kl_ledger_row *row = &c->ledger[(i + boards) % c->ledger_count];
        unsigned key = number_of(row->label);
        struct kl_fingerprint fp = row->fingerprint;

        if (key >= made || owner[key] == 0 || spent[key] || prng_below(&prng, 3) == 0)
            continue;
        bench_submit(&bench, KL_OP_PROVISION, &fp, owner[key]);
        bench_wait(&bench);
        if (bench.status != KL_STORE_OK)
            broken("what a board has proved is not recorded");
        spent[key] = true;
        return;
    }
}

static void work_a_little(void)
{
    if (prng_below(&prng, 3) == 0)
        provision();
    else if (prng_below(&prng, 4) == 0)
        reserve();
    uv_run(&bench.loop, UV_RUN_NOWAIT);
    pause_ms(2);
}

static void open_store(void)
{
    if (bench_open(&bench, csv) != KL_STORE_OPENED) {
        fprintf(stderr, "%s\n", bench.error);
        broken("the store does not open");
    }
}

/* ---- what must hold ---- */

/* Without marks, whoever made them: "…,Provisioned" and the empty field that tails leave. */
static void strip(const char *text, char out[TEXT_MAX])
{
    static const char mark[] = ",Provisioned";
    size_t n = 0;

    for (const char *at = text; *at != '\0';) {
        if (strncmp(at, mark, sizeof mark - 1) == 0)
            at += sizeof mark - 1;
        else
            out[n++] = *at++;
    }
    out[n] = '\0';
}

static bool is_as_saved(const char *saved)
{
    static char a[TEXT_MAX], b[TEXT_MAX];
    char *now = file_read(csv, NULL);

    if (now == NULL)
        return false;
    strip(now, a);
    strip(saved, b);
    free(now);
    return strcmp(a, b) == 0;
}

/* Every spent key that the file has is marked, and no other. */
static bool is_marked_right(void)
{
    static struct list now;
    bool right = true;

    read_list(&now);
    for (unsigned i = 0; i < now.count; i++) {
        unsigned key = number_of(now.row[i].label);

        if (key < made && spent[key] && !now.row[i].marked)
            right = false;
        if (key < made && !spent[key] && now.row[i].marked)
            broken("a mark on a key that is not spent");
    }
    return right;
}

static void comes_to_rest(const char *saved)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += 2) {
        uv_run(&bench.loop, UV_RUN_NOWAIT);
        if (bench.trouble[0] == '\0' && is_as_saved(saved) && is_marked_right())
            return;
        pause_ms(2);
    }
    fprintf(stderr, "saved:\n%s\n", saved);
    broken(is_as_saved(saved) ? "marks are missing" : "the file is not what the person saved");
}

/* ---- acts ---- */

static void damage(const struct list *l, char out[TEXT_MAX])
{
    static struct list damaged;
    static const struct style plain = {.last_end = true};

    damaged = *l;
    switch (prng_below(&prng, 3)) {
    case 0:
        snprintf(damaged.row[0].secret, sizeof damaged.row[0].secret, "1.12E+15");
        break;
    case 1:
        snprintf(damaged.row[0].secret, sizeof damaged.row[0].secret, "#NAME?");
        break;
    default:
        snprintf(damaged.row[0].label, sizeof damaged.row[0].label, "id");
        snprintf(damaged.row[0].secret, sizeof damaged.row[0].secret, "app_key");
        snprintf(damaged.row[0].more, sizeof damaged.row[0].more, "name");
    }
    write_list(&damaged, &plain, out);
}

static void choose_change(struct list *l, const struct list *old, struct act *a)
{
    unsigned more = 1 + prng_below(&prng, 5);

    switch (prng_below(&prng, 6)) {
    case 0:
        shuffle(l);
        break;
    case 1:
    case 2:
        for (unsigned i = 0; i < more && l->count < ROWS_MAX; i++)
            add_row(l);
        break;
    case 3: /* rows that nobody has yet are taken out */
        for (unsigned i = 0; i < l->count && l->count > 10; i++)
            if (owner[number_of(l->row[i].label)] == 0 && prng_below(&prng, 10) == 0)
                l->row[i] = l->row[--l->count];
        break;
    case 4: /* an editor that was open for a while */
        if (old->count > 0)
            *l = *old;
        break;
    default:
        break;
    }
    a->pieces = 1 + prng_below(&prng, 5);
    a->pause_ms = 10 + (long)prng_below(&prng, 120);
    a->how = (enum how)prng_below(&prng, BY_APPENDING);
    a->pipe = prng_below(&prng, 6) == 0;
    a->away = prng_below(&prng, 6) == 0;
}

static void choose(struct act *a)
{
    static struct list now, old;
    static char wrong[TEXT_MAX];
    struct style style = {.quotes = prng_below(&prng, 2) == 0,
                          .crlf = prng_below(&prng, 2) == 0,
                          .bom = prng_below(&prng, 3) == 0,
                          .tails = prng_below(&prng, 4) == 0,
                          .last_end = prng_below(&prng, 4) != 0};

    memset(a, 0, sizeof *a);
    read_list(&now);
    if (prng_below(&prng, 5) == 0) { /* rows are added at the end, the rest is not touched */
        char *text = file_read(csv, &a->kept);
        static struct list more;

        more.count = 0;
        for (unsigned i = 0; i < 3; i++)
            add_row(&more);
        style = (struct style){.last_end = true};
        a->how = BY_APPENDING;
        a->pieces = 3;
        a->pause_ms = 10 + (long)prng_below(&prng, 100);
        snprintf(a->text, sizeof a->text, "%s%s", text,
                 a->kept > 0 && text[a->kept - 1] == '\n' ? "" : "\n");
        write_list(&more, &style, a->text + strlen(a->text));
        free(text);
        return;
    }
    choose_change(&now, &old, a);
    write_list(&now, &style, a->text);
    if (prng_below(&prng, 5) == 0) {
        damage(&now, wrong);
        a->first = wrong;
    }
    if (prng_below(&prng, 3) == 0)
        old = now;
}

static void live(uint64_t seed, unsigned acts)
{
    static const struct style plain = {.last_end = true};
    static struct list list;
    static struct act act;
    unsigned given = 0, used = 0;
    pthread_t thread;

    prng.state = seed;
    scratch_make(&dir);
    snprintf(csv, sizeof csv, "%s", scratch_path(&dir, "keys.csv"));
    for (unsigned i = 0; i < FIRST_ROWS; i++)
        add_row(&list);
    write_list(&list, &plain, act.text);
    file_put(csv, act.text);
    open_store();
    for (unsigned i = 0; i < acts; i++) {
        choose(&act);
        if (pthread_create(&thread, NULL, person, &act) != 0)
            abort();
        while (!act.done)
            work_a_little();
        pthread_join(thread, NULL);
        for (unsigned k = 0; k < 20; k++)
            work_a_little();
        comes_to_rest(act.text);
        if (prng_below(&prng, 6) == 0) {
            bench_close(&bench);
            open_store();
        }
    }
    bench_close(&bench);
    if (!is_as_saved(act.text) || !is_marked_right())
        broken("at the end the file is another one");
    for (unsigned i = 0; i < made; i++) {
        given += owner[i] != 0;
        used += spent[i];
    }
    printf("seed %llu: %u acts, %u keys, %u of them given to boards, %u spent\n",
           (unsigned long long)seed, acts, made, given, used);
    if (used == 0)
        broken("nothing was done meanwhile");
    scratch_remove(&dir);
}

int main(int argc, char **argv)
{
    unsigned seeds = argc > 1 ? (unsigned)atoi(argv[1]) : 8;
    unsigned acts = argc > 2 ? (unsigned)atoi(argv[2]) : 12;
    uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    int status, failed = 0;

    for (unsigned i = 0; i < seeds; i++)
        if (fork() == 0) {
            live(first + i, acts);
            exit(0);
        }
    while (wait(&status) > 0)
        failed |= status != 0;
    if (failed)
        fprintf(stderr, "one of the seeds from %llu on\n", (unsigned long long)first);
    return failed;
}
