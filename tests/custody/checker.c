/*
 * checker.c: who has which key, by the bytes on disk alone. It shares no code with keyline: its own
 * CSV reader, its own fingerprints.
 *
 * usage: checker ORIGINAL.csv NOW.csv LEDGER STATE-FOLDER [final]
 *
 * ORIGINAL is the CSV before any station ran, STATE-FOLDER what `keyline virtual --state` keeps
 * (docs/virtual.md). It finds, and says in words,
 *   - a CSV that is not the original with marks at the end of some rows
 *   - a key that two boards hold or ever heard
 *   - a board that holds or ever heard two keys
 *   - a board that heard a key which the ledger does not give it
 *   - a ledger with a key twice, a MAC with two keys, or a fingerprint that is none of the CSV's
 *   - a mark on a row that the ledger does not call provisioned
 *   - a provisioned key whose board does not hold it
 * and with `final`, when the station has ended in peace:
 *   - a provisioned row without its mark
 *   - a board without a key, or whose key is not provisioned
 */
#include <dirent.h>
#include <sha2.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROWS_MAX = 4096,
    BOARDS_MAX = 1024,
    SEEN_MAX = 64,
    LINE_SIZE = 512,
};

struct row {
    char line[LINE_SIZE]; /* its fields joined by commas */
    uint8_t fingerprint[16];
    bool marked;    /* now */
    int state;      /* 0 free, 1 reserved, 2 provisioned, by the ledger */
    char mac[18];   /* by the ledger */
    char heard[18]; /* the board that heard or holds it */
};

struct board {
    char mac[18];
    char stored[LINE_SIZE];
    bool plugged;
};

static struct row rows[ROWS_MAX];
static unsigned row_count;
static struct board boards[BOARDS_MAX];
static unsigned board_count;
static bool final;
static unsigned wrongs;

static void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void wrong(const char *format, ...)
{
    va_list args;

    fputs("checker: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    wrongs++;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(1 << 24);

    if (file == NULL || data == NULL) {
        perror(path);
        exit(2);
    }
    *size = fread(data, 1, (1 << 24) - 1, file);
    data[*size] = '\0';
    fclose(file);
    return data;
}

/* ---- the CSV ---- */

static void fingerprint(struct row *row, char fields[32][LINE_SIZE], unsigned count)
{
    uint8_t digests[32][32], whole[32];
    SHA2_CTX c;

    for (unsigned i = 0; i < count; i++) {
        SHA256Init(&c);
        SHA256Update(&c, (const uint8_t *)fields[i], strlen(fields[i]));
        SHA256Final(digests[i], &c);
    }
    /* Without the label, unless there is nothing else. */
    unsigned first = count > 1 ? 1 : 0;
    SHA256Init(&c);
    SHA256Update(&c, (const uint8_t *)digests[first], (size_t)(count - first) * 32);
    SHA256Final(whole, &c);
    memcpy(row->fingerprint, whole, 16);
}

static void trim(char *text)
{
    size_t from = strspn(text, " \t"), size = strlen(text);

    while (size > from && (text[size - 1] == ' ' || text[size - 1] == '\t'))
        size--;
    memmove(text, text + from, size - from);
    text[size - from] = '\0';
}

/* One row from `p` on into `fields`; returns where the next one begins. */
static const char *read_row(const char *p, char fields[32][LINE_SIZE], unsigned *count)
{
    bool quoted = false;
    size_t n = 0;

    *count = 0;
    for (;; p++) {
        bool end = !quoted && (*p == '\0' || *p == '\r' || *p == '\n');

        if (end || (!quoted && *p == ',')) {
            fields[*count][n] = '\0';
            trim(fields[(*count)++]);
            n = 0;
            if (end)
                break;
        } else if (*p == '"') {
            if (quoted && p[1] == '"')
                fields[*count][n++] = *p++;
            else
                quoted = !quoted;
        } else if (n + 1 < LINE_SIZE) {
            fields[*count][n++] = *p;
        }
    }
    return p + strspn(p, "\r\n");
}

static void read_rows(const char *text)
{
    static char fields[32][LINE_SIZE];
    unsigned count;

    if (memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    while (*text != '\0' && row_count < ROWS_MAX) {
        struct row *row = &rows[row_count];

        text = read_row(text, fields, &count);
        if (count == 1 && fields[0][0] == '\0')
            continue;
        for (unsigned i = 0; i < count; i++)
            snprintf(row->line + strlen(row->line), LINE_SIZE - strlen(row->line), "%s%s",
                     i > 0 ? "," : "", fields[i]);
        fingerprint(row, fields, count);
        row_count++;
    }
}

/* Byte by byte: the only thing that NOW may have more is the mark where a row ends. */
static void compare(const char *was, const char *now)
{
    static const char mark[] = ",Provisioned";
    bool quoted = false, any = false;
    unsigned row = 0;

    for (;; was++, now++) {
        bool end = !quoted && (*was == '\0' || *was == '\r' || *was == '\n');

        if (end && any) {
            if (strncmp(now, mark, strlen(mark)) == 0) {
                rows[row].marked = true;
                now += strlen(mark);
            }
            row++;
        }
        any = end ? false : true;
        if (*was != *now) {
            wrong("the CSV differs from the original near row %u", row + 1);
            return;
        }
        if (*was == '\0')
            return;
        quoted ^= *was == '"';
    }
}

/* ---- the ledger ---- */

static struct row *row_with(const void *print)
{
    for (unsigned i = 0; i < row_count; i++)
        if (memcmp(rows[i].fingerprint, print, 16) == 0)
            return &rows[i];
    return NULL;
}

static void take_ledger_row(sqlite3_stmt *s)
{
    const char *state = (const char *)sqlite3_column_text(s, 1);
    const char *mac = (const char *)sqlite3_column_text(s, 2);
    struct row *row = sqlite3_column_bytes(s, 0) == 16 ? row_with(sqlite3_column_blob(s, 0)) : NULL;

    if (row == NULL) {
        wrong("the ledger has a fingerprint that is none of the CSV's, for %s", mac);
        return;
    }
    if (row->state != 0)
        wrong("the ledger has a key twice: %s and %s", row->mac, mac);
    for (unsigned i = 0; i < row_count; i++)
        if (rows[i].state != 0 && strcmp(rows[i].mac, mac) == 0)
            wrong("the ledger gives %s two keys, rows %u and %u", mac, i + 1,
                  (unsigned)(row - rows) + 1);
    row->state = strcmp(state, "provisioned") == 0 ? 2 : 1;
    snprintf(row->mac, sizeof row->mac, "%s", mac);
}

static void read_ledger(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int rc;

    if (access(path, F_OK) != 0)
        return; /* died before there was one */
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT fingerprint, state, mac FROM keys WHERE state <> 'released'",
                           -1, &s, NULL) != SQLITE_OK) {
        wrong("the ledger can't be read: %s", sqlite3_errmsg(db));
        return;
    }
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        take_ledger_row(s);
    if (rc != SQLITE_DONE)
        wrong("the ledger can't be read: %s", sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
}

/* ---- the boards ---- */

/* The row whose line begins with all of this, beyond its label: a line cut short gives it away too.
   What the board makes of its own noise is no key. */
static struct row *row_of_line(const char *line)
{
    for (unsigned i = 0; i < row_count; i++) {
        size_t label = strcspn(rows[i].line, ",");
        if (strlen(line) > label && strncmp(line, rows[i].line, strlen(line)) == 0)
            return &rows[i];
    }
    return NULL;
}

static void hears(const struct board *board, const char *line, const char **key)
{
    struct row *row = row_of_line(line);

    if (row == NULL)
        return;
    if (*key != NULL && strcmp(*key, row->line) != 0)
        wrong("the board %s heard or holds two keys, the second is row %u", board->mac,
              (unsigned)(row - rows) + 1);
    *key = row->line;
    if (row->heard[0] != '\0' && strcmp(row->heard, board->mac) != 0)
        wrong("two boards heard or hold row %u: %s and %s", (unsigned)(row - rows) + 1, row->heard,
              board->mac);
    snprintf(row->heard, sizeof row->heard, "%s", board->mac);
    if (row->state == 0 || strcmp(row->mac, board->mac) != 0)
        wrong("the board %s heard or holds row %u, which the ledger gives %s", board->mac,
              (unsigned)(row - rows) + 1, row->state == 0 ? "nobody" : row->mac);
}

static void read_board(const char *path)
{
    struct board *board = &boards[board_count++];
    FILE *file = fopen(path, "r");
    const char *key = NULL;
    char line[LINE_SIZE];

    if (file == NULL) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "mac ", 4) == 0)
            snprintf(board->mac, sizeof board->mac, "%.17s", line + 4);
        if (strncmp(line, "plugged ", 8) == 0)
            board->plugged = strcmp(line + 8, "yes") == 0;
        if (strncmp(line, "stored ", 7) == 0)
            snprintf(board->stored, sizeof board->stored, "%s", line + 7);
        if (strncmp(line, "stored ", 7) == 0 || strncmp(line, "seen ", 5) == 0)
            hears(board, strchr(line, ' ') + 1, &key);
    }
    fclose(file);
    if (board->stored[0] != '\0' &&
        (row_of_line(board->stored) == NULL || strcmp(board->stored, key) != 0))
        wrong("the board %s holds something that is not a whole key", board->mac);
}

static void read_boards(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[LINE_SIZE];

    if (dir == NULL) {
        perror(folder);
        exit(2);
    }
    while ((entry = readdir(dir)) != NULL && board_count < BOARDS_MAX) {
        size_t size = strlen(entry->d_name);
        if (strncmp(entry->d_name, "board-", 6) != 0 || size < 10 ||
            strcmp(entry->d_name + size - 4, ".txt") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        read_board(path);
    }
    closedir(dir);
}

/* ---- all together ---- */

static const struct board *board_with(const char *mac)
{
    for (unsigned i = 0; i < board_count; i++)
        if (strcmp(boards[i].mac, mac) == 0)
            return &boards[i];
    return NULL;
}

static void check_rows(void)
{
    for (unsigned i = 0; i < row_count; i++) {
        const struct row *row = &rows[i];
        const struct board *board = row->state == 0 ? NULL : board_with(row->mac);

        if (row->state != 0 && board == NULL)
            wrong("row %u belongs to %s, a board that never was", i + 1, row->mac);
        if (row->marked && row->state != 2)
            wrong("row %u is marked, but the ledger does not call it provisioned", i + 1);
        if (row->state == 2 && board != NULL && strcmp(board->stored, row->line) != 0)
            wrong("row %u is provisioned to %s, which does not hold it", i + 1, row->mac);
        if (final && row->state == 2 && !row->marked)
            wrong("row %u is provisioned and has no mark", i + 1);
    }
}

static void check_boards(void)
{
    for (unsigned i = 0; i < board_count && final; i++) {
        const struct row *row = row_of_line(boards[i].stored);

        if (boards[i].stored[0] == '\0')
            wrong("the board %s got no key", boards[i].mac);
        else if (row != NULL && row->state != 2)
            wrong("the board %s holds a key that is not provisioned", boards[i].mac);
    }
}

int main(int argc, char **argv)
{
    char *was, *now;
    size_t was_size, now_size;

    if (argc < 5) {
        fprintf(stderr, "usage: checker ORIGINAL.csv NOW.csv LEDGER STATE-FOLDER [final]\n");
        return 2;
    }
    final = argc > 5 && strcmp(argv[5], "final") == 0;
    was = read_file(argv[1], &was_size);
    now = read_file(argv[2], &now_size);
    if (strlen(was) != was_size || strlen(now) != now_size)
        wrong("a CSV holds zero bytes");
    read_rows(was);
    compare(was, now);
    read_ledger(argv[3]);
    read_boards(argv[4]);
    check_rows();
    check_boards();
    free(was);
    free(now);
    return wrongs == 0 ? 0 : 1;
}
