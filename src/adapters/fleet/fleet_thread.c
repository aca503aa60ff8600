#include "fleet_thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/store/fleet_history.h"
#include "keyline/secret.h"

enum {
    NAP_MS = 1000, /* a change of the time, or of the disk, is noticed after that at the latest */
};

/* What one side says about one slot, and the other answers. */
struct asked {
    uint32_t ticket; /* 0 = nothing is asked */
    struct kl_fleet_pair pair;
};
struct verdict {
    uint32_t ticket; /* of the question that it answers */
    enum kl_fleet_verdict verdict;
    char text[KL_TEXT_MAX];
};

struct kl_fleet_thread {
    uv_thread_t thread;
    uv_async_t async;
    void (*news)(void *ctx);
    void (*is_closed)(void *ctx);
    void *ctx;

    /* Both sides', under the lock. */
    uv_mutex_t lock;
    uv_cond_t wake;
    struct asked asked[KL_SLOTS_MAX];
    uint32_t tickets;
    struct verdict verdict[KL_SLOTS_MAX];
    struct kl_fleet_figures figures;
    struct kl_fleet_view view;
    char note[KL_FLEET_NOTES][KL_TEXT_MAX];
    unsigned note_head, note_count;
    struct kl_fdb *db; /* for kl_fleet_thread_hurry */
    bool stirred, parts, hurry, gone, closed;

    /* The thread's. */
    struct kl_fleet_hand hand;
    struct kl_fleet fleet;
    struct asked put[KL_SLOTS_MAX]; /* to the core */
    uint32_t coming;                /* rows of the list that the store has not seen yet */
    char trouble[KL_TEXT_MAX];      /* as last told */
    bool connected;                 /* since the start, at least once */
};

/* ---- the thread ---- */

/* Goes on while the machine sleeps: --offline counts that too. */
static kl_us now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    return KL_SEC(t.tv_sec) + t.tv_nsec / 1000;
}

static void say(struct kl_fleet_thread *t)
{
    if (!t->closed)
        uv_async_send(&t->async);
}

/* What the loop wants. Under the lock. */
static void take_in(struct kl_fleet_thread *t, struct asked asked[KL_SLOTS_MAX],
                    struct kl_fleet_bench *bench, bool *stirred)
{
    uint32_t coming = t->hand.list_rows > t->figures.rows ? t->hand.list_rows - t->figures.rows : 0;

    memcpy(asked, t->asked, sizeof t->asked);
    *bench = t->fleet.bench;
    /* The store has not seen the newest rows yet. */
    bench->free = t->figures.free + coming;
    t->coming = coming;
    bench->per_hour = t->figures.per_hour;
    kl_copy(t->hand.status, sizeof t->hand.status, t->figures.status);
    *stirred = t->stirred;
    t->stirred = false;
    if (t->parts && !t->fleet.parting)
        kl_fleet_part(&t->fleet);
}

static void ask_core(struct kl_fleet_thread *t, const struct asked asked[KL_SLOTS_MAX])
{
    for (unsigned i = 0; i < KL_SLOTS_MAX && !t->fleet.parting; i++) {
        const struct kl_mac *mac = &asked[i].pair.mac;
        char station[KL_NAME_MAX];

        if (t->put[i].ticket == asked[i].ticket)
            continue;
        kl_fleet_withdraw(&t->fleet, i);
        t->put[i] = asked[i];
        if (asked[i].ticket != 0)
            kl_fleet_ask(&t->fleet, i, mac, kl_fleet_file_is_others(t->hand.file, mac, station));
    }
}

static void tell_core(struct kl_fleet_thread *t, struct kl_fleet_bench *bench, bool stirred)
{
    int64_t end = stirred ? kl_fleet_history_end(t->hand.ledger) : -1;

    if (end > bench->history)
        bench->history = end;
    kl_fleet_tell_bench(&t->fleet, bench);
}

/* A board that goes on while the database is silent is kept for later, durably, before its key is
   reserved. */
static void let_go_on(struct kl_fleet_thread *t, unsigned slot)
{
    const struct kl_fleet_pair *pair = &t->put[slot].pair;
    char error[KL_TEXT_MAX], name[18];

    if (!kl_fleet_file_add_unchecked(t->hand.file, pair, kl_fleet_history_end(t->hand.ledger),
                                     error))
        return;
    kl_fleet_keep_unchecked(&t->fleet, slot);
    kl_mac_format(&pair->mac, name);
    kl_format(error, sizeof error,
              "the board %s goes on while the pool's database is silent; it is checked later",
              name);
    kl_fleet_hand_note(&t->hand, error);
}

static void judge_slot(struct kl_fleet_thread *t, unsigned slot, kl_us now, const char *trouble,
                       struct verdict *v)
{
    char station[KL_NAME_MAX];

    v->ticket = t->put[slot].ticket;
    switch (kl_fleet_may(&t->fleet, slot, now)) {
    case KL_FLEET_UNCHECKED:
        let_go_on(t, slot);
        v->verdict =
            kl_fleet_may(&t->fleet, slot, now) == KL_FLEET_MAY ? KL_VERDICT_MAY : KL_VERDICT_WAITS;
        break;
    case KL_FLEET_MAY:
        v->verdict = KL_VERDICT_MAY;
        break;
    case KL_FLEET_MAY_NOT:
        v->verdict = KL_VERDICT_OTHER;
        if (kl_fleet_file_is_others(t->hand.file, &t->put[slot].pair.mac, station))
            kl_format(v->text, sizeof v->text, "station %s has this board", station);
        break;
    case KL_FLEET_DISPUTED:
        v->verdict = KL_VERDICT_DISPUTED;
        break;
    default:
        v->verdict = KL_VERDICT_WAITS;
        kl_copy(v->text, sizeof v->text, trouble);
        break;
    }
}

static void trouble_of(const struct kl_fleet_thread *t, char out[KL_TEXT_MAX])
{
    const char *core = kl_fleet_trouble(&t->fleet), *words = t->hand.why.text;

    if (core[0] == '\0')
        out[0] = '\0';
    else if (words[0] == '\0' || t->fleet.state == KL_FLEET_UP)
        kl_copy(out, KL_TEXT_MAX, core);
    else
        kl_format(out, KL_TEXT_MAX, "%s: %s", core, words);
}

static void look(const struct kl_fleet_thread *t, const char *trouble, struct kl_fleet_view *v)
{
    const struct kl_fleet_hand *h = &t->hand;

    memset(v, 0, sizeof *v);
    v->there = true;
    v->online = t->fleet.state == KL_FLEET_UP || t->fleet.state == KL_FLEET_PARTING;
    v->gives = t->fleet.denied == KL_FLEET_NO_NONE && t->fleet.barred == KL_FLEET_NO_NONE;
    v->barred = t->fleet.barred == KL_FLEET_NO_COPY || t->fleet.barred == KL_FLEET_NO_LOST;
    v->left = v->to_come = h->free_keys;
    if (h->left_to_station >= 0 && h->left_to_station < v->to_come)
        v->to_come = h->left_to_station;
    if (v->to_come >= 0)
        v->to_come += t->coming;
    v->unsent = kl_fleet_unsent(&t->fleet);
    v->unchecked = t->fleet.memory.unchecked;
    v->alarms = h->alarm_count;
    kl_copy(v->name, sizeof v->name, h->kept.pool_name);
    kl_copy(v->station, sizeof v->station, h->kept.station);
    kl_copy(v->trouble, sizeof v->trouble, trouble);
    if (h->alarm_count > 0)
        kl_copy(v->alarm, sizeof v->alarm, h->alarm[0].text);
}

static void tell_trouble(struct kl_fleet_thread *t, const char *trouble)
{
    char text[KL_TEXT_MAX];

    if (strcmp(kl_fleet_trouble(&t->fleet), t->trouble) == 0)
        return; /* the same with other words of the server */
    kl_copy(t->trouble, sizeof t->trouble, kl_fleet_trouble(&t->fleet));
    if (trouble[0] != '\0')
        kl_format(text, sizeof text, "the pool: %s", trouble);
    else
        kl_copy(text, sizeof text, "the pool's database answers, and all is well again");
    if (trouble[0] != '\0' || t->connected)
        kl_fleet_hand_note(&t->hand, text);
}

static void hand_notes_on(struct kl_fleet_thread *t)
{
    struct kl_fleet_hand *h = &t->hand;

    while (h->note_count > 0 && t->note_count < KL_FLEET_NOTES) {
        kl_copy(t->note[(t->note_head + t->note_count++) % KL_FLEET_NOTES], KL_TEXT_MAX,
                h->note[h->note_head]);
        h->note_head = (h->note_head + 1) % KL_FLEET_NOTES;
        h->note_count--;
    }
}

static bool is_same(const struct kl_fleet_view *a, const struct kl_fleet_view *b)
{
    return a->there == b->there && a->online == b->online && a->gives == b->gives &&
           a->barred == b->barred && a->left == b->left && a->to_come == b->to_come &&
           a->unsent == b->unsent && a->unchecked == b->unchecked && a->alarms == b->alarms &&
           strcmp(a->name, b->name) == 0 && strcmp(a->station, b->station) == 0 &&
           strcmp(a->trouble, b->trouble) == 0 && strcmp(a->alarm, b->alarm) == 0;
}

/* Tells the loop what it may know now. */
static void publish(struct kl_fleet_thread *t)
{
    struct verdict verdicts[KL_SLOTS_MAX];
    char trouble[KL_TEXT_MAX];
    struct kl_fleet_view view;
    kl_us now = now_us();
    bool changed;

    trouble_of(t, trouble);
    memset(verdicts, 0, sizeof verdicts);
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++)
        if (t->put[i].ticket != 0 && !t->fleet.parting)
            judge_slot(t, i, now, trouble, &verdicts[i]);
    t->connected |= t->fleet.state == KL_FLEET_UP;
    tell_trouble(t, trouble);
    look(t, trouble, &view);
    uv_mutex_lock(&t->lock);
    /* Who has the board is said once, with the answer to the claim. */
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++) {
        const struct verdict *old = &t->verdict[i];
        bool refused = verdicts[i].verdict >= KL_VERDICT_OTHER;
        bool known = old->ticket == verdicts[i].ticket && old->verdict >= KL_VERDICT_OTHER;
        if (refused && (known || verdicts[i].text[0] == '\0'))
            kl_copy(verdicts[i].text, KL_TEXT_MAX, known ? old->text : t->hand.other);
    }
    changed = memcmp(t->verdict, verdicts, sizeof verdicts) != 0 || !is_same(&t->view, &view) ||
              t->hand.note_count > 0;
    memcpy(t->verdict, verdicts, sizeof verdicts);
    t->view = view;
    hand_notes_on(t);
    t->db = t->hand.db;
    if (changed)
        say(t);
    uv_mutex_unlock(&t->lock);
}

static void sleep_until(struct kl_fleet_thread *t, kl_us until)
{
    kl_us now = now_us(), nap = KL_MS(NAP_MS);

    if (until <= now)
        return;
    if (until - now < nap)
        nap = until - now;
    uv_mutex_lock(&t->lock);
    if (!t->stirred && t->parts == t->fleet.parting)
        uv_cond_timedwait(&t->wake, &t->lock, (uint64_t)nap * 1000);
    uv_mutex_unlock(&t->lock);
}

static void turn(struct kl_fleet_thread *t)
{
    struct asked asked[KL_SLOTS_MAX];
    struct kl_fleet_answer answer;
    struct kl_fleet_bench bench;
    struct kl_fleet_call call;
    bool stirred;

    uv_mutex_lock(&t->lock);
    take_in(t, asked, &bench, &stirred);
    uv_mutex_unlock(&t->lock);
    ask_core(t, asked);
    tell_core(t, &bench, stirred);
    kl_fleet_next(&t->fleet, now_us(), &call);
    if (call.op == KL_FLEET_CLAIM)
        t->hand.claim_key = t->put[call.slot].pair.key;
    if (call.op != KL_FLEET_NOTHING) {
        kl_fleet_hand_do(&t->hand, &call, &answer);
        kl_fleet_answered(&t->fleet, now_us(), &answer);
    }
    publish(t);
    if (call.op == KL_FLEET_NOTHING)
        sleep_until(t, call.until);
}

static void run(void *arg)
{
    struct kl_fleet_thread *t = arg;

    kl_secret_stack();
    while (t->fleet.state != KL_FLEET_GONE)
        turn(t);
    publish(t);
    uv_mutex_lock(&t->lock);
    t->db = NULL;
    uv_mutex_unlock(&t->lock);
    kl_fleet_hand_close(&t->hand);
    uv_mutex_lock(&t->lock);
    t->gone = true;
    say(t);
    uv_mutex_unlock(&t->lock);
}

/* ---- the loop ---- */

static void on_async(uv_async_t *async)
{
    struct kl_fleet_thread *t = async->data;

    if (!t->closed)
        t->news(t->ctx);
}

struct kl_fleet_thread *kl_fleet_thread_start(struct kl_fleet_hand *hand,
                                              const struct kl_fleet_config *config, uv_loop_t *loop,
                                              void (*news)(void *ctx), void *ctx)
{
    struct kl_fleet_thread *t = calloc(1, sizeof *t);
    struct kl_fleet_memory memory;
    int rc;

    KL_ASSERT(t);
    t->news = news;
    t->ctx = ctx;
    t->hand = *hand;
    memset(hand, 0, sizeof *hand);
    t->hand.follows_boards = config->offline > 0;
    kl_fleet_hand_memory(&t->hand, &memory);
    kl_fleet_init(&t->fleet, config, &memory, now_us());
    t->stirred = true;
    look(t, "", &t->view);
    uv_mutex_init(&t->lock);
    uv_cond_init(&t->wake);
    uv_async_init(loop, &t->async, on_async);
    t->async.data = t;
    rc = uv_thread_create(&t->thread, run, t);
    KL_ASSERT(rc == 0);
    return t;
}

static bool is_pair(const struct asked *a, const struct kl_fleet_pair *pair)
{
    return a->ticket != 0 && kl_mac_equal(&a->pair.mac, &pair->mac) &&
           kl_fingerprint_equal(&a->pair.key, &pair->key);
}

void kl_fleet_thread_ask(struct kl_fleet_thread *t, unsigned slot, const struct kl_fleet_pair *pair)
{
    KL_ASSERT(slot < KL_SLOTS_MAX);
    uv_mutex_lock(&t->lock);
    if (!is_pair(&t->asked[slot], pair)) {
        if (++t->tickets == 0)
            t->tickets = 1;
        t->asked[slot] = (struct asked){t->tickets, *pair};
        t->stirred = true;
        uv_cond_signal(&t->wake);
    }
    uv_mutex_unlock(&t->lock);
}

void kl_fleet_thread_withdraw(struct kl_fleet_thread *t, unsigned slot)
{
    KL_ASSERT(slot < KL_SLOTS_MAX);
    uv_mutex_lock(&t->lock);
    t->asked[slot] = (struct asked){.ticket = 0};
    uv_mutex_unlock(&t->lock);
}

void kl_fleet_thread_forget(struct kl_fleet_thread *t, const struct kl_fingerprint *key)
{
    uv_mutex_lock(&t->lock);
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++)
        if (t->asked[i].ticket != 0 && kl_fingerprint_equal(&t->asked[i].pair.key, key))
            t->asked[i] = (struct asked){.ticket = 0};
    uv_mutex_unlock(&t->lock);
}

enum kl_fleet_verdict kl_fleet_thread_verdict(struct kl_fleet_thread *t, unsigned slot,
                                              const struct kl_fleet_pair *pair,
                                              char text[KL_TEXT_MAX])
{
    enum kl_fleet_verdict verdict = KL_VERDICT_WAITS;

    KL_ASSERT(slot < KL_SLOTS_MAX);
    text[0] = '\0';
    uv_mutex_lock(&t->lock);
    if (is_pair(&t->asked[slot], pair) && t->verdict[slot].ticket == t->asked[slot].ticket) {
        verdict = t->verdict[slot].verdict;
        kl_copy(text, KL_TEXT_MAX, t->verdict[slot].text);
    }
    uv_mutex_unlock(&t->lock);
    return verdict;
}

void kl_fleet_thread_figures(struct kl_fleet_thread *t, const struct kl_fleet_figures *figures)
{
    uv_mutex_lock(&t->lock);
    t->figures = *figures;
    uv_mutex_unlock(&t->lock);
}

void kl_fleet_thread_stir(struct kl_fleet_thread *t)
{
    uv_mutex_lock(&t->lock);
    t->stirred = true;
    uv_cond_signal(&t->wake);
    uv_mutex_unlock(&t->lock);
}

void kl_fleet_thread_look(struct kl_fleet_thread *t, struct kl_fleet_view *out)
{
    uv_mutex_lock(&t->lock);
    *out = t->view;
    uv_mutex_unlock(&t->lock);
}

bool kl_fleet_thread_note(struct kl_fleet_thread *t, char text[KL_TEXT_MAX])
{
    bool some;

    uv_mutex_lock(&t->lock);
    some = t->note_count > 0;
    if (some) {
        kl_copy(text, KL_TEXT_MAX, t->note[t->note_head]);
        t->note_head = (t->note_head + 1) % KL_FLEET_NOTES;
        t->note_count--;
    }
    uv_mutex_unlock(&t->lock);
    return some;
}

void kl_fleet_thread_part(struct kl_fleet_thread *t)
{
    uv_mutex_lock(&t->lock);
    t->parts = t->stirred = true;
    uv_cond_signal(&t->wake);
    uv_mutex_unlock(&t->lock);
}

void kl_fleet_thread_hurry(struct kl_fleet_thread *t)
{
    uv_mutex_lock(&t->lock);
    if (t->db)
        t->hand.calls->interrupt(t->db);
    uv_mutex_unlock(&t->lock);
}

bool kl_fleet_thread_is_gone(struct kl_fleet_thread *t)
{
    bool gone;

    uv_mutex_lock(&t->lock);
    gone = t->gone;
    uv_mutex_unlock(&t->lock);
    return gone;
}

static void on_closed(uv_handle_t *handle)
{
    struct kl_fleet_thread *t = handle->data;

    t->is_closed(t->ctx);
}

void kl_fleet_thread_close(struct kl_fleet_thread *t, void (*closed)(void *ctx))
{
    uv_mutex_lock(&t->lock);
    t->closed = true;
    uv_mutex_unlock(&t->lock);
    t->is_closed = closed;
    uv_close((uv_handle_t *)&t->async, on_closed);
}

bool kl_fleet_thread_free(struct kl_fleet_thread *t)
{
    if (!kl_fleet_thread_is_gone(t))
        return false;
    uv_thread_join(&t->thread);
    uv_cond_destroy(&t->wake);
    uv_mutex_destroy(&t->lock);
    free(t);
    return true;
}
