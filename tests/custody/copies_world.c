#include "copies_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct scratch dir;
struct prng prng;
struct place place[PLACES];
struct keep keep[KEEPS];
unsigned journal_version[2 * PLACES];
bool own_journals, several_users, can_mount, can_overlay, can_change_user;
struct sitting sitting;
unsigned now, tokens;
struct far_bench bench;
int running = -1;
bool disturbed, journal_cut;
struct key key[KEYS];
struct board board[BOARDS];
unsigned boards;
volatile unsigned *met;

const char *const met_name[METS] = {
#define X(name) #name,
    MET(X)
#undef X
};

static char told_text[1 << 16];
static size_t told;
FILE *story_trace;
char repeat[200];

void story(const char *format, ...)
{
    va_list args;

    if (story_trace) {
        fprintf(story_trace, "              ");
        va_start(args, format);
        vfprintf(story_trace, format, args);
        va_end(args);
        fputc('\n', story_trace);
    }
    if (told + 600 > sizeof told_text)
        told = 0;
    va_start(args, format);
    told += (size_t)vsnprintf(told_text + told, 500, format, args);
    va_end(args);
    told_text[told++] = '\n';
    told_text[told] = '\0';
}

_Noreturn void broken(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s\npeople: ", told_text);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n%s\n", repeat);
    if (bench.pid != 0)
        far_kill(&bench);
    if (getenv("KEEP") == NULL)
        scratch_remove(&dir);
    exit(1);
}

bool one_in(unsigned one_in)
{
    return prng_below(&prng, one_in) == 0;
}

void meet(enum met what)
{
    __atomic_fetch_add(&met[what], 1, __ATOMIC_RELAXED);
}

/* ---- files ---- */

const char *path_in(const char *folder, const char *name, const char *suffix)
{
    static char out[6][PATH];
    static unsigned next;
    char *path = out[next++ % 6];

    snprintf(path, PATH, "%s/%s%s", folder, name, suffix);
    return path;
}

const char *const names[NAMES] = {"keys.csv", "list.csv"};
const char *const parts[PARTS] = {"", ".ledger", ".ledger-wal", ".ledger-shm"};

const char *csv_of(const struct place *p)
{
    return path_in(p->folder, names[p->name], "");
}

const char *part_of(const struct place *p, unsigned part)
{
    return path_in(p->folder, names[p->name], parts[part]);
}

struct ledger *ledger_of(struct place *p)
{
    return &p->ledger[p->name];
}

const char *journal_of(const struct place *p)
{
    static char path[PATH];

    snprintf(path, sizeof path, "%s/journal%d", dir.folder,
             (int)(journal_version_of(p) - journal_version));
    return path;
}

unsigned *journal_version_of(const struct place *p)
{
    return &journal_version[(own_journals ? (unsigned)(p - place) : 0) + PLACES * sitting.user];
}

static unsigned machine_of(const struct place *p)
{
    return own_journals ? (unsigned)(p - place) : 0;
}

const char *reached(const struct place *p)
{
    return sitting.mounted ? path_in(dir.folder, "bench/", names[p->name]) : csv_of(p);
}

struct far_seat seat_of(const struct place *p)
{
    return (struct far_seat){.mounts = sitting.mounted ? p->folder : NULL,
                             .at = sitting.mounted ? path_in(dir.folder, "bench", "") : NULL,
                             .machine = machine_of(p),
                             .uid = sitting.user ? NOBODY : 0};
}

static int give_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return lchown(path, NOBODY, NOBODY);
}

void give_rights(const struct place *p)
{
    if (sitting.user == 0)
        return;
    mkdir(journal_of(p), 0700);
    nftw(p->folder, give_one, 16, FTW_PHYS);
    nftw(journal_of(p), give_one, 16, FTW_PHYS);
}

/* In place, or as a new file. False if there is nothing to copy. The bench may just shorten it. */
bool copy(const char *from, const char *to, bool in_place)
{
    static char data[8 << 20];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    ssize_t n;

    if (fd < 0)
        return false;
    while ((n = read(fd, data + size, sizeof data - size)) > 0)
        size += (size_t)n;
    close(fd);
    if (size == sizeof data)
        broken("%s is too long", from);
    if (!in_place)
        unlink(to);
    file_write(to, data, size);
    return true;
}

void remove_folder(const char *folder)
{
    struct scratch s;

    kl_copy(s.folder, sizeof s.folder, folder);
    scratch_remove(&s);
}

void copy_folder(const char *from, const char *to)
{
    mkdir(to, 0700);
    for (unsigned n = 0; n < 2; n++)
        for (unsigned i = 0; i < 4; i++)
            copy(path_in(from, names[n], parts[i]), path_in(to, names[n], parts[i]), false);
}

void copy_journal(const char *from, const char *to, bool in_place)
{
    DIR *d = opendir(from);
    struct dirent *e;

    mkdir(to, 0700);
    while (d != NULL && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            copy(path_in(from, e->d_name, ""), path_in(to, e->d_name, ""), in_place);
    if (d != NULL)
        closedir(d);
}

/* ---- the list ---- */

/* The CSV's lines, edited: `edit` gets each with its number, and writes what becomes of it. */
void edit_csv(const struct place *p,
              size_t (*edit)(void *ctx, unsigned k, const char *line, char *out, size_t room),
              void *ctx)
{
    char *text = file_read(csv_of(p), NULL), *save, out[TEXT];
    size_t n = 0;

    out[0] = '\0';
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        n += edit(ctx, far_number(line), line, out + n, sizeof out - n);
    free(text);
    file_put(csv_of(p), out);
}

bool has_row(const struct place *p, unsigned k)
{
    char *text = file_read(csv_of(p), NULL), *save;
    bool found = false;

    if (text == NULL)
        return false;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
        found |= far_number(line) == k;
    free(text);
    return found;
}

size_t corrected(void *ctx, unsigned k, const char *line, char *out, size_t room)
{
    static const char *const kinds[] = {"dev", "unit", "box"};
    const char *kind = kinds[prng_below(&prng, 3)];

    if (k != *(unsigned *)ctx || strncmp(line, kind, strlen(kind)) == 0)
        return (size_t)snprintf(out, room, "%s\n", line);
    key[k].relabelled = true;
    return (size_t)snprintf(out, room, "%s-%u%s\n", kind, k, strchr(line, ','));
}

/* KEPT OUT: "changed a secret so that it is another one, and gave the old one a row again": it is
   spelled in another way only. */
size_t respelled(void *ctx, unsigned k, const char *line, char *out, size_t room)
{
    const char *comma = strchr(line, ','), *rest = strchr(comma + 1, ',');
    size_t n = (size_t)snprintf(out, room, "%.*s", (int)(comma - line) + 1, line);
    bool upper = one_in(2), dashes = one_in(2);

    if (k != *(unsigned *)ctx)
        return (size_t)snprintf(out, room, "%s\n", line);
    for (unsigned i = 0; i < 32; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%c", dashes && i > 0 && i % 8 == 0 ? "-" : "",
                              upper && key[k].secret[i] >= 'a' ? key[k].secret[i] - 'a' + 'A'
                                                               : key[k].secret[i]);
    return n + (size_t)snprintf(out + n, room - n, "%s\n", rest == NULL ? "" : rest);
}

/* The number of the key with this line; its label and its spelling do not count. */
unsigned number_of_secret(const char *line)
{
    char plain[33];
    unsigned n = 0;

    for (const char *p = strchr(line, ',') + 1; *p != '\0' && *p != ',' && n < 32; p++)
        if (*p != '-')
            plain[n++] = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;
    plain[n] = '\0';
    for (unsigned k = 0; k < KEYS; k++)
        if (strcmp(plain, key[k].secret) == 0)
            return k;
    broken("a key that nobody wrote left: %s", line);
}

/* ---- what the person knows ---- */

bool is_current(const struct ledger *l)
{
    return l->there && l->log && !l->unknown && l->version == now;
}

bool knows_all(struct place *p)
{
    return p->there && (is_current(ledger_of(p)) || *journal_version_of(p) == now);
}

/* As whoever works at this place can see. */
bool is_alive(struct place *p)
{
    const struct ledger *l = ledger_of(p);

    return l->there && bench.pid != 0 && l->lease == bench.pid && l->machine == machine_of(p);
}

bool has_moved(struct place *p)
{
    const struct ledger *l = ledger_of(p);

    return l->there && l->home[0] != '\0' &&
           (strcmp(l->home, reached(p)) != 0 || l->token != l->at || l->machine != machine_of(p));
}

/* KEPT OUT: "lost ledger and journal", and "put ledger and journal back to one older state". The
   person takes one only where the other is up to date. */
bool can_spare_ledger(struct place *p)
{
    if (!is_current(ledger_of(p)) || *journal_version_of(p) == now)
        return true;
    for (unsigned i = 0; i < PLACES; i++)
        if (&place[i] != p && place[i].there && is_current(ledger_of(&place[i])))
            return true;
    return false;
}

bool can_spare_journal(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (place[i].there && is_current(ledger_of(&place[i])) && !((int)i == running && disturbed))
            return true;
    return false;
}

bool was_given_from(const struct place *p)
{
    for (unsigned k = 0; k < KEYS; k++)
        if (key[k].board != 0 && has_row(p, k))
            return true;
    return false;
}

/* ---- all seeds ---- */

/* A test support's check does not hold. */
static void aborted(int signal)
{
    (void)signal;
    broken("aborted");
}

static void look_what_can_be_played(void)
{
    can_mount = far_can_mount(false);
    can_overlay = far_can_mount(true);
    if (!can_mount)
        printf("SKIPPED: mounts: they need root or user namespaces\n");
    if (!can_overlay)
        printf("SKIPPED: overlays: they need root or user namespaces\n");
    can_change_user = far_can_change_user(NOBODY);
    if (!can_change_user)
        printf("SKIPPED: another user: that needs root\n");
}

static bool all_met(bool must)
{
    bool all = true;

    for (unsigned i = 0; i < METS; i++) {
        printf("%7u %s\n", met[i], met_name[i]);
        /* No seed has to break a file, nor does an honest person bring about two stories. */
        all &= met[i] > 0 || i == MET_damaged || i == MET_different_stories;
    }
    return all || !must || !can_mount || !can_overlay || !can_change_user;
}

static void play_one(uint64_t seed, void (*live)(uint64_t seed))
{
    prng.state = seed;
    signal(SIGABRT, aborted);
    scratch_make(&dir);
    if (chmod(dir.folder, 0755) != 0 || mkdir(path_in(dir.folder, "bench", ""), 0755) != 0 ||
        mkdir(path_in(dir.folder, "alone", ""), 0755) != 0)
        broken("no folder");
    live(seed);
    if (running >= 0)
        end_run(false);
    scratch_remove(&dir);
}

int play_seeds(unsigned seeds, uint64_t first, void (*live)(uint64_t seed), bool must_meet)
{
    int status, failed = 0;
    unsigned working = 0;

    met = mmap(NULL, sizeof *met * METS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (met == MAP_FAILED)
        abort();
    if (access("/dev/shm", W_OK) == 0) /* nobody cuts the power here: a disk would only be slow */
        setenv("TMPDIR", "/dev/shm", 1);
    look_what_can_be_played();
    fflush(NULL);
    for (unsigned i = 0; (i < seeds && !failed) || working > 0;) {
        if (i < seeds && !failed && working < WORKERS) {
            if (fork() == 0) {
                play_one(first + i, live);
                exit(0);
            }
            i++;
            working++;
        } else if (wait(&status) > 0) {
            working--;
            failed |= status != 0;
        }
    }
    if (failed)
        fprintf(stderr, "one of the seeds from %llu on\n", (unsigned long long)first);
    else if (!all_met(must_meet))
        fprintf(stderr, "not everything was met\n"), failed = 1;
    return failed;
}
