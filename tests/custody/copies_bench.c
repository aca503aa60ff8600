#include "copies_bench.h"

#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/host/machine.h"
#include "adapters/store/store_state.h"
#include "store_bench.h"

enum {
    DEEDS_MAX = 256,
};

/* What this run has changed. The content of the store may not show it yet. */
struct deed {
    struct kl_fingerprint fingerprint, kin;
    struct kl_mac mac;
    bool held, provisioned;
};

static struct store_bench bench;
static struct deed deed[DEEDS_MAX];
static unsigned deeds;
static struct far_content *shown; /* shared with the bench */
static bool in_bench;
static unsigned machine; /* of this bench */
kl_us far_now = KL_SEC(1000000);

/* ---- the clock and the machine of a bench (linked in place of the real ones) ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __real_nanosleep(const struct timespec *time, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest);
void __real_kl_process_self(struct kl_process *out);
void __wrap_kl_process_self(struct kl_process *out);
bool __real_kl_process_lives(const struct kl_process *p);
bool __wrap_kl_process_lives(const struct kl_process *p);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!in_bench)
        return __real_clock_gettime(clock, out);
    *out = (struct timespec){.tv_sec = (time_t)(far_now / KL_SEC(1)),
                             .tv_nsec = (long)(far_now % KL_SEC(1)) * 1000};
    return 0;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
    if (!in_bench)
        return __real_nanosleep(time, rest);
    far_now += KL_SEC(time->tv_sec) + time->tv_nsec / 1000;
    return 0;
}

unsigned far_number(const char *label)
{
    const char *digits = strpbrk(label, "0123456789");

    return digits == NULL ? UINT32_MAX : (unsigned)strtoul(digits, NULL, 10);
}

void __wrap_kl_process_self(struct kl_process *out)
{
    __real_kl_process_self(out);
    if (in_bench && machine > 0)
        kl_format(out->machine, sizeof out->machine, "machine-%u", machine);
}

/* Processes of other machines are not to be seen. */
bool __wrap_kl_process_lives(const struct kl_process *p)
{
    struct kl_process here, self;

    __wrap_kl_process_self(&self);
    if (strcmp(p->machine, self.machine) != 0)
        return false;
    __real_kl_process_self(&here);
    self = *p;
    kl_copy(self.machine, sizeof self.machine, here.machine);
    return __real_kl_process_lives(&self);
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* ---- in the bench's process: what a pool does ---- */

static struct deed *deed_of(const struct kl_fingerprint *fp)
{
    for (unsigned i = 0; i < deeds; i++)
        if (kl_fingerprint_equal(&deed[i].fingerprint, fp))
            return &deed[i];
    return NULL;
}

static void note(const struct kl_fingerprint *fp, const struct kl_fingerprint *kin, unsigned board,
                 bool held, bool provisioned)
{
    struct deed *d = deed_of(fp);

    must(d != NULL || deeds < DEEDS_MAX, "room for deeds");
    if (d == NULL)
        d = &deed[deeds++];
    *d = (struct deed){*fp, *kin, bench_mac(board), held, provisioned};
}

/* The key of this board: the proved one, if there are two. */
static bool find_own(unsigned board, struct deed *out)
{
    const struct kl_store_content *c = kl_store_content(bench.store);
    struct kl_mac mac = bench_mac(board);
    bool found = false;

    for (unsigned i = 0; i < deeds; i++)
        if (deed[i].held && kl_mac_equal(&deed[i].mac, &mac) && (!found || deed[i].provisioned)) {
            *out = deed[i];
            found = true;
        }
    for (uint32_t i = 0; i < c->ledger_count; i++) {
        const struct kl_ledger_row *r = &c->ledger[i];
        if (deed_of(&r->fingerprint) == NULL && kl_mac_equal(&r->mac, &mac) &&
            (!found || r->provisioned)) {
            *out = (struct deed){r->fingerprint, r->kin, r->mac, true, r->provisioned};
            found = true;
        }
    }
    return found;
}

static bool same(const struct kl_fingerprint *fp, const struct kl_fingerprint *kin,
                 const struct kl_pool_row *row)
{
    return kl_fingerprint_equal(fp, &row->fingerprint) ||
           (kl_fingerprint_is_set(kin) && kl_fingerprint_equal(kin, &row->kin));
}

static bool is_free(const struct kl_pool_row *row)
{
    const struct kl_store_content *c = kl_store_content(bench.store);

    if (row->bad || row->marked)
        return false;
    for (unsigned i = 0; i < deeds; i++)
        if (deed[i].held && same(&deed[i].fingerprint, &deed[i].kin, row))
            return false;
    for (uint32_t i = 0; i < c->ledger_count; i++)
        if (deed_of(&c->ledger[i].fingerprint) == NULL &&
            same(&c->ledger[i].fingerprint, &c->ledger[i].kin, row))
            return false;
    return true;
}

static const struct kl_pool_row *pick(unsigned hint, bool any)
{
    const struct kl_store_content *c = kl_store_content(bench.store);

    for (uint32_t i = 0; i < c->row_count; i++) {
        const struct kl_pool_row *row = &c->rows[(i + hint) % c->row_count];
        if (any ? !row->bad : is_free(row))
            return row;
    }
    return NULL;
}

/* Its row is marked, and the ledger does not know by whom. Such a board gets another key if it was
   erased: nothing on this host's disks tells that it had one (docs/custody.md: "provisioned,
   foreign, MAC unknown: nobody gets it"). Whoever reads it back is known again. */
static bool is_foreign(unsigned key)
{
    const struct kl_store_content *c = kl_store_content(bench.store);

    for (uint32_t i = 0; i < c->row_count; i++)
        if (!c->rows[i].bad && far_number(c->rows[i].label) == key)
            return c->rows[i].marked;
    return true;
}

static void give(const struct far_ask *ask)
{
    struct deed own;
    struct kl_fingerprint fp, kin;
    const struct kl_pool_row *row;
    bool has = find_own(ask->board, &own), provisioned = false;

    bench.status = KL_STORE_REFUSED;
    bench.has_key = false;
    if (has && ask->op == FAR_GIVE) {
        bench_submit(&bench, KL_OP_FETCH, &own.fingerprint, ask->board);
        fp = own.fingerprint;
        kin = own.kin;
        provisioned = own.provisioned;
    } else {
        if (ask->op == FAR_GIVE && ask->own != 0 && is_foreign(ask->own - 1))
            return;
        if ((row = pick(ask->hint, ask->op == FAR_TRY)) == NULL)
            return;
        fp = row->fingerprint;
        kin = row->kin;
        bench_submit(&bench, KL_OP_RESERVE, &fp, ask->board);
    }
    bench_wait(&bench);
    if (bench.status == KL_STORE_OK)
        note(&fp, &kin, ask->board, true, provisioned);
}

static void settle(const struct far_ask *ask)
{
    struct deed own;

    bench.has_key = false;
    bench.status = KL_STORE_REFUSED;
    if (!find_own(ask->board, &own))
        return;
    bench_submit(&bench, ask->op == FAR_PROVISION ? KL_OP_PROVISION : KL_OP_RELEASE,
                 &own.fingerprint, ask->board);
    bench_wait(&bench);
    if (bench.status == KL_STORE_OK)
        note(&own.fingerprint, &own.kin, ask->board, ask->op == FAR_PROVISION,
             ask->op == FAR_PROVISION);
}

/* ---- for a station ---- */

/* The store does nothing by itself: then two runs with the same requests are the same. */
static void come_to_rest(void)
{
    struct kl_csv_store *s = (struct kl_csv_store *)bench.store;

    do {
        uv_timer_stop(&s->tick);
        while (!s->worker || s->marking.marks)
            uv_run(&bench.loop, UV_RUN_ONCE);
    } while (uv_is_active((uv_handle_t *)&s->tick));
}

static void look_around(void)
{
    struct kl_csv_store *s = (struct kl_csv_store *)bench.store;

    s->tick.timer_cb(&s->tick);
    come_to_rest();
}

static void show_content(void)
{
    const struct kl_store_content *c = kl_store_content(bench.store);

    must(c->row_count <= FAR_ROWS && c->ledger_count <= FAR_ROWS, "room for the content");
    shown->row_count = c->row_count;
    shown->ledger_count = c->ledger_count;
    shown->fields = c->fields;
    for (uint32_t i = 0; i < c->row_count; i++) {
        shown->row[i] = c->rows[i];
        kl_copy(shown->row_label[i], sizeof shown->row_label[i], c->rows[i].label);
        shown->row[i].label = shown->row_label[i];
    }
    for (uint32_t i = 0; i < c->ledger_count; i++) {
        shown->ledger[i] = c->ledger[i];
        kl_copy(shown->ledger_label[i], sizeof shown->ledger_label[i], c->ledger[i].label);
        shown->ledger[i].label = shown->ledger_label[i];
    }
}

const struct far_content *far_content(void)
{
    return shown;
}

static void carry_out(struct far_ask *ask)
{
    struct kl_action *a = &ask->action;

    a->u.store.label = ask->label;
    a->u.store.reason = a->u.store.reason ? ask->reason : NULL;
    a->u.store.attempt = a->u.store.attempt ? &ask->attempt : NULL;
    a->request = ++bench.asked;
    bench.has_key = false;
    kl_store_submit(bench.store, a);
    bench_wait(&bench);
}

static void say(int fd, const struct far_reply *r)
{
    must(write(fd, r, sizeof *r) == (ssize_t)sizeof *r, "write");
}

static void serve(int fd)
{
    struct far_ask ask;

    while (read(fd, &ask, sizeof ask) == (ssize_t)sizeof ask && ask.op != FAR_CLOSE) {
        struct far_reply r = {.result = KL_STORE_OPENED};
        unsigned reloads = bench.reloads;

        far_now = ask.at;
        if (ask.op == FAR_STORE)
            carry_out(&ask);
        else if (ask.op == FAR_LOOK)
            look_around();
        else if (ask.op == FAR_GIVE || ask.op == FAR_TRY)
            give(&ask);
        else
            settle(&ask);
        come_to_rest();
        if ((r.news = bench.reloads != reloads))
            show_content();
        r.status = bench.status;
        r.has_key = bench.status == KL_STORE_OK && bench.has_key;
        if (r.has_key)
            r.key = bench.key;
        kl_copy(r.text, sizeof r.text, bench.text);
        say(fd, &r);
    }
    bench_close(&bench);
    _exit(0);
}

/* ---- in the person's process ---- */

static void hear(const struct far_bench *b, struct far_reply *r)
{
    size_t got = 0;
    ssize_t n;

    for (; got < sizeof *r; got += (size_t)n)
        if ((n = read(b->fd, (char *)r + got, sizeof *r - got)) <= 0) {
            fprintf(stderr, "copies: the bench died\n");
            exit(1);
        }
}

static void gone(struct far_bench *b)
{
    int status;

    must(waitpid(b->pid, &status, 0) == b->pid, "waitpid");
    close(b->fd);
    b->pid = 0;
    if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) != 0) {
        fprintf(stderr, "copies: the bench ended with %d\n", status);
        exit(1);
    }
}

/* ---- seats ---- */

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    must(file && fputs(text, file) >= 0 && fclose(file) == 0, path);
}

/* False if this user may not. */
static bool own_mounts(void)
{
    char map[64];
    unsigned uid = getuid(), gid = getgid();

    if (unshare(CLONE_NEWNS) == 0)
        return true;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    put("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    put("/proc/self/gid_map", map);
    return true;
}

static bool mount_overlay(const char *from, const char *at)
{
    char options[1500], upper[600], work[600];

    if (mount("memory", at, "tmpfs", 0, NULL) != 0)
        return false;
    snprintf(upper, sizeof upper, "%s/upper", at);
    snprintf(work, sizeof work, "%s/work", at);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", from, upper, work);
    return mkdir(upper, 0700) == 0 && mkdir(work, 0700) == 0 &&
           mount("overlay", at, "overlay", 0, options) == 0;
}

static bool make_mounts(const struct far_seat *s)
{
    return own_mounts() && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           (s->overlay ? mount_overlay(s->mounts, s->at)
                       : mount(s->mounts, s->at, NULL, MS_BIND, NULL) == 0);
}

static bool become(unsigned uid)
{
    return setgroups(0, NULL) == 0 && setgid(uid) == 0 && setuid(uid) == 0;
}

/* In the bench's process. */
static void take_seat(const struct far_seat *s)
{
    in_bench = true;
    machine = s->machine;
    must(!s->at || make_mounts(s), "mount");
    must(s->uid == 0 || become(s->uid), "setuid");
}

bool far_can_mount(bool overlay)
{
    char from[] = "/tmp/keyline-mount-XXXXXX", at[] = "/tmp/keyline-mount-XXXXXX";
    struct far_seat s = {.mounts = mkdtemp(from), .at = mkdtemp(at), .overlay = overlay};
    int status = -1;
    pid_t pid;

    must(s.mounts && s.at, "mkdtemp");
    if ((pid = fork()) == 0)
        _exit(!make_mounts(&s));
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    rmdir(from);
    rmdir(at);
    return status == 0;
}

/* In the user namespace that a mount may need, there is no other user. */
bool far_can_change_user(unsigned uid)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(!(getuid() == 0 && unshare(CLONE_NEWNS) == 0 && become(uid)));
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    return status == 0;
}

/* ---- starts ---- */

/* A process for the bench: 0 in it, with its end of the connection in b->fd. */
static pid_t fork_bench(struct far_bench *b, const struct far_seat *seat)
{
    int ends[2];

    if (!shown)
        shown =
            mmap(NULL, sizeof *shown, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shown != MAP_FAILED, "mmap");
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    fflush(NULL);
    must((b->pid = fork()) >= 0, "fork");
    close(ends[b->pid != 0]);
    b->fd = ends[b->pid == 0];
    if (b->pid == 0)
        take_seat(seat);
    return b->pid;
}

void far_start(struct far_bench *b, const struct far_seat *seat, const char *csv,
               const char *journal, uint32_t answers, far_check_fn *check, struct far_reply *out)
{
    struct far_reply r = {.status = KL_STORE_OK};
    const char *wrong;

    if (fork_bench(b, seat) != 0) {
        hear(b, out);
        if (out->result != KL_STORE_OPENED)
            gone(b);
        return;
    }
    r.result = bench_open_with(
        &bench, (struct kl_store_options){
                    .csv = csv, .journal = journal, .answers = answers, .accept = UINT32_MAX});
    r.doubt = bench.doubt;
    kl_copy(r.text, sizeof r.text, bench.error);
    if (r.result == KL_STORE_OPENED && (wrong = check(kl_store_content(bench.store))) != NULL) {
        r.status = KL_STORE_FAILED;
        kl_copy(r.text, sizeof r.text, wrong);
    }
    if (r.result == KL_STORE_OPENED) {
        look_around();
        show_content();
    }
    say(b->fd, &r);
    if (r.result == KL_STORE_OPENED)
        serve(b->fd);
    _exit(0);
}

void far_try(const struct far_seat *seat, const char *csv, const char *journal,
             struct far_reply *out)
{
    struct far_bench b;
    struct far_reply r = {.status = KL_STORE_OK};
    struct kl_store *store;

    if (fork_bench(&b, seat) != 0) {
        hear(&b, out);
        gone(&b);
        return;
    }
    r.result = kl_store_open(
        &(struct kl_store_options){
            .csv = csv, .journal = journal, .accept = UINT32_MAX, .doubt = &r.doubt},
        &store, r.text);
    say(b.fd, &r);
    _exit(0);
}

void far_ask(struct far_bench *b, const struct far_ask *ask, struct far_reply *out)
{
    struct far_ask timed = *ask;

    far_now += KL_MS(20);
    timed.at = far_now;
    must(write(b->fd, &timed, sizeof timed) == (ssize_t)sizeof timed, "write");
    hear(b, out);
}

void far_close(struct far_bench *b)
{
    const struct far_ask ask = {.op = FAR_CLOSE};

    must(write(b->fd, &ask, sizeof ask) == (ssize_t)sizeof ask, "write");
    gone(b);
}

void far_kill(struct far_bench *b)
{
    kill(b->pid, SIGKILL);
    gone(b);
}

struct mending {
    struct kl_mac mac;
    struct kl_ledger_key key;
    char label[KL_LINE_MAX + 1];
    bool found;
};

static bool find_reserved(void *ctx, const struct kl_ledger_key *key)
{
    struct mending *m = ctx;

    if (!kl_mac_equal(&key->mac, &m->mac) || strcmp(key->state, "reserved") != 0)
        return true;
    m->key = *key;
    kl_copy(m->label, sizeof m->label, key->label);
    m->key.label = m->label;
    m->key.state = "reserved";
    m->key.how = m->key.reason = m->key.station = m->key.bundle = "";
    m->found = true;
    return false;
}

/* In the bench's process. */
static bool release(const char *csv, const char *journal, unsigned board, char text[KL_TEXT_MAX])
{
    struct mending m = {.mac = bench_mac(board)};
    struct kl_store_options options = {.csv = csv, .journal = journal, .mode = KL_STORE_MEND};
    struct kl_store *s;
    bool released;

    if (kl_store_open(&options, &s, text) != KL_STORE_OPENED)
        return false;
    released = kl_store_keys(s, find_reserved, &m, text) && m.found &&
               kl_store_release(s, &m.key, "its board left without it", text);
    kl_store_free(s);
    return released;
}

bool far_mend(const struct far_seat *seat, const char *csv, const char *journal, unsigned board,
              char text[KL_TEXT_MAX])
{
    struct far_reply r = {.status = KL_STORE_OK};
    struct far_bench b;

    if (fork_bench(&b, seat) == 0) {
        r.status = release(csv, journal, board, r.text) ? KL_STORE_OK : KL_STORE_REFUSED;
        say(b.fd, &r);
        _exit(0);
    }
    hear(&b, &r);
    gone(&b);
    kl_copy(text, KL_TEXT_MAX, r.text);
    return r.status == KL_STORE_OK;
}
