#include "pool_store.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/store/fleet_history.h"
#include "adapters/store/store_kind.h"
#include "fleet_thread.h"
#include "pool_meet.h"

enum {
    TICK_MS = 100,
    HOLD_MS = 1000,    /* then the board is told that it waits … */
    FORGET_MS = 10000, /* … and if it does not ask again, it has left */
    PART_MS = 3000,    /* at the end: a call that takes longer is broken off … */
    ABANDON_MS = 6000, /* … and then nobody waits for it any more */
};

/* A RESERVE or FETCH whose key is reserved here, and waits for the pool's agreement. */
struct held {
    struct held *next;
    struct kl_action action;
    char label[KL_LINE_MAX + 1];
    uint64_t since; /* ms by the loop's clock */
    bool reads;     /* the pool has agreed, and the store reads the key */
};

struct pool_store {
    struct kl_store store;
    struct kl_store *inner;
    struct kl_store_content content; /* the inner one's, with what the pool adds */
    struct kl_keyring *keyring;
    struct kl_fleet_hand hand; /* until the thread has it */
    struct kl_fleet_config config;
    struct kl_fleet_thread *thread; /* from the start on */
    struct kl_leased leased;
    uv_mutex_t writing;
    int lock;

    uv_loop_t *loop;
    const struct kl_store_events *events;
    void *ctx;
    uv_timer_t tick;
    struct held *held;
    struct kl_fleet_pair *unagreed; /* reserved here; nothing of them was sent */
    uint32_t unagreed_count, unagreed_room;
    struct {
        bool waits;
        uint64_t since; /* when its board was last told so */
    } slot[KL_SLOTS_MAX];
    struct kl_fleet_figures figures;
    struct kl_fleet_view view;
    uint32_t warn_keys;
    uint64_t parting_at;
    bool hurried;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static struct pool_store *of(struct kl_store *store)
{
    return (struct pool_store *)store;
}

/* ---- figures ---- */

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct kl_fingerprint));
}

/* Keys of the list that nobody was ever promised. */
static uint32_t count_free(const struct kl_store_content *c)
{
    struct kl_fingerprint *taken = calloc((size_t)c->ledger_count + 1, sizeof *taken);
    uint32_t n = 0;

    KL_ASSERT(taken);
    for (uint32_t i = 0; i < c->ledger_count; i++)
        taken[i] = c->ledger[i].fingerprint;
    qsort(taken, c->ledger_count, sizeof *taken, by_bytes);
    for (uint32_t i = 0; i < c->row_count; i++)
        n += !c->rows[i].bad && !c->rows[i].marked &&
             !bsearch(&c->rows[i].fingerprint, taken, c->ledger_count, sizeof *taken, by_bytes);
    free(taken);
    return n;
}

static void read_content(struct pool_store *s)
{
    s->content = *kl_store_content(s->inner);
    s->content.keys_come = s->view.gives || !s->view.there;
    s->figures.free = count_free(&s->content);
    s->figures.rows = s->content.row_count;
}

static void tell_figures(struct pool_store *s)
{
    kl_fleet_thread_figures(s->thread, &s->figures);
    kl_fleet_thread_stir(s->thread);
}

/* Keys that boards here can still get; -1 = not known. Where the database is silent, new boards
   wait for it rather than for keys, unless they may go on (--offline) with those of the lease. */
static int64_t keys_left(const struct pool_store *s, bool *come)
{
    const struct kl_fleet_view *v = &s->view;

    *come = v->online ? v->gives : s->config.offline == 0 || v->trouble[0] == '\0';
    if (!*come)
        return s->figures.free;
    return v->to_come < 0 ? -1 : s->figures.free + v->to_come;
}

static void warn_of_few(struct pool_store *s)
{
    char text[KL_TEXT_MAX];
    bool come, was = s->view.few;
    int64_t left = keys_left(s, &come);

    if (left < 0)
        return;
    s->view.few = left <= s->warn_keys;
    if (was || !s->view.few || s->warn_keys == 0)
        return;
    if (come)
        kl_format(text, sizeof text,
                  "%lld keys left for this station (%u leased, %lld to come from the pool): its "
                  "owner has to import or to allow more",
                  (long long)left, (unsigned)s->figures.free, (long long)s->view.to_come);
    else
        kl_format(text, sizeof text, "%lld leased keys left, and the pool gives none now: %s",
                  (long long)left, s->view.trouble);
    s->events->fleet(s->ctx, text);
}

/* ---- keys that the pool has not agreed to ---- */

static struct kl_fleet_pair pair_of(const struct kl_action *action)
{
    return (struct kl_fleet_pair){action->u.store.fingerprint, action->u.store.mac};
}

static uint32_t find_unagreed(const struct pool_store *s, const struct kl_fingerprint *key)
{
    uint32_t i = 0;

    while (i < s->unagreed_count && !kl_fingerprint_equal(&s->unagreed[i].key, key))
        i++;
    return i;
}

static void add_unagreed(struct pool_store *s, const struct kl_fleet_pair *pair)
{
    uint32_t at = find_unagreed(s, &pair->key);

    if (at == s->unagreed_count && at == s->unagreed_room) {
        s->unagreed_room = at == 0 ? 16 : 2 * at;
        s->unagreed = reallocarray(s->unagreed, s->unagreed_room, sizeof *s->unagreed);
        KL_ASSERT(s->unagreed);
    }
    s->unagreed[at] = *pair;
    s->unagreed_count += at == s->unagreed_count;
}

static void drop_unagreed(struct pool_store *s, const struct kl_fingerprint *key)
{
    uint32_t at = find_unagreed(s, key);

    if (at < s->unagreed_count)
        s->unagreed[at] = s->unagreed[--s->unagreed_count];
}

/* ---- boards that wait for the pool ---- */

static void hold(struct pool_store *s, const struct kl_action *action)
{
    struct kl_fleet_pair pair = pair_of(action);
    struct held *h = calloc(1, sizeof *h), **end = &s->held;

    KL_ASSERT(h && action->slot < KL_SLOTS_MAX);
    h->action = *action;
    h->since = uv_now(s->loop);
    kl_copy(h->label, sizeof h->label, !action->u.store.label ? "" : action->u.store.label);
    h->action.u.store.label = h->label;
    h->action.u.store.reason = NULL;
    while (*end)
        end = &(*end)->next;
    *end = h;
    s->slot[action->slot].waits = false;
    kl_fleet_thread_ask(s->thread, action->slot, &pair);
}

static void answer(struct pool_store *s, struct held *h, enum kl_store_status status,
                   const struct kl_key *key, const char *text)
{
    s->events->stored(s->ctx, &h->action, status, key, text);
    free(h);
}

static void say_that_it_waits(struct pool_store *s, struct held *h, const char *why)
{
    unsigned slot = h->action.slot;

    s->slot[slot].waits = true;
    s->slot[slot].since = uv_now(s->loop);
    answer(s, h, KL_STORE_WAITS, NULL, why[0] ? why : "the pool has not answered yet");
}

/* Another board is in its slot now. */
static bool is_outdated(const struct held *h)
{
    for (const struct held *later = h->next; later; later = later->next)
        if (later->action.slot == h->action.slot)
            return true;
    return false;
}

/* The pool has agreed, and that is durable here: the key may be read and sent. */
static void fetch_key(struct pool_store *s, struct held *h)
{
    struct kl_action fetch = h->action;

    kl_fleet_thread_withdraw(s->thread, h->action.slot);
    drop_unagreed(s, &h->action.u.store.fingerprint);
    h->reads = true;
    fetch.u.store.op = KL_OP_FETCH;
    kl_store_submit(s->inner, &fetch);
}

/* False: it stays in the list. */
static bool settle(struct pool_store *s, struct held *h)
{
    struct kl_fleet_pair pair = pair_of(&h->action);
    unsigned slot = h->action.slot;
    enum kl_fleet_verdict verdict;
    char text[KL_TEXT_MAX];

    if (h->reads)
        return false;
    if (is_outdated(h)) {
        answer(s, h, KL_STORE_WAITS, NULL, "its board has left");
        return true;
    }
    verdict = kl_fleet_thread_verdict(s->thread, slot, &pair, text);
    if (verdict == KL_VERDICT_MAY) {
        fetch_key(s, h);
        return false;
    }
    if (verdict == KL_VERDICT_OTHER || verdict == KL_VERDICT_DISPUTED) {
        kl_fleet_thread_withdraw(s->thread, slot);
        answer(s, h, verdict == KL_VERDICT_OTHER ? KL_STORE_ELSEWHERE : KL_STORE_DISPUTED, NULL,
               text);
        return true;
    }
    if (uv_now(s->loop) - h->since < HOLD_MS)
        return false;
    say_that_it_waits(s, h, text);
    return true;
}

static void settle_all(struct pool_store *s)
{
    struct held **at = &s->held;

    while (*at) {
        struct held *h = *at, *next = h->next;
        if (!settle(s, h))
            at = &h->next;
        else
            *at = next;
    }
}

static void forget_those_that_left(struct pool_store *s)
{
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++) {
        if (!s->slot[i].waits || uv_now(s->loop) - s->slot[i].since < FORGET_MS)
            continue;
        s->slot[i].waits = false;
        kl_fleet_thread_withdraw(s->thread, i);
    }
}

static bool is_proved(const struct pool_store *s, const struct kl_fingerprint *key)
{
    for (uint32_t i = 0; i < s->content.ledger_count; i++)
        if (kl_fingerprint_equal(&s->content.ledger[i].fingerprint, key))
            return s->content.ledger[i].provisioned;
    return false;
}

/* Nothing of this key was sent, or the pool does not stand by what it once agreed to: the keys of a
   lost station may be free, and an old disk does not know what was released since. */
static bool has_to_wait(const struct pool_store *s, const struct kl_fingerprint *key)
{
    return find_unagreed(s, key) < s->unagreed_count || (s->view.barred && !is_proved(s, key));
}

static void submit(struct kl_store *store, const struct kl_action *request)
{
    struct pool_store *s = of(store);

    /* Before the ledger says so: the pool is not to hear of a board that has left. */
    if (request->u.store.op == KL_OP_RELEASE)
        kl_fleet_thread_forget(s->thread, &request->u.store.fingerprint);
    if (request->u.store.op == KL_OP_FETCH && has_to_wait(s, &request->u.store.fingerprint))
        hold(s, request);
    else
        kl_store_submit(s->inner, request);
}

/* ---- what the inner store says ---- */

/* The answer to a key that was read for one of those. */
static bool answer_reader(struct pool_store *s, const struct kl_action *request,
                          enum kl_store_status status, const struct kl_key *key, const char *text)
{
    for (struct held **at = &s->held; *at; at = &(*at)->next) {
        struct held *h = *at;
        if (!h->reads || h->action.slot != request->slot ||
            h->action.generation != request->generation || h->action.request != request->request)
            continue;
        *at = h->next;
        answer(s, h, status, key, text);
        return true;
    }
    return false;
}

static void count_change(struct pool_store *s, const struct kl_action *request)
{
    enum kl_store_op op = request->u.store.op;
    struct kl_fleet_pair pair = pair_of(request);

    if (op == KL_OP_RESERVE) {
        s->figures.free -= s->figures.free > 0;
        add_unagreed(s, &pair);
    } else if (op == KL_OP_RELEASE) {
        s->figures.free++;
        drop_unagreed(s, &pair.key);
    } else if (op == KL_OP_PROVISION) {
        drop_unagreed(s, &pair.key);
    }
    if (op == KL_OP_FETCH)
        return;
    tell_figures(s);
    warn_of_few(s);
}

static void on_stored(void *ctx, const struct kl_action *request, enum kl_store_status status,
                      const struct kl_key *key, const char *text)
{
    struct pool_store *s = ctx;

    if (request->u.store.op == KL_OP_FETCH && answer_reader(s, request, status, key, text))
        return;
    if (status == KL_STORE_OK)
        count_change(s, request);
    if (status == KL_STORE_OK && request->u.store.op == KL_OP_RESERVE)
        hold(s, request);
    else
        s->events->stored(s->ctx, request, status, key, text);
}

static void on_reloaded(void *ctx)
{
    struct pool_store *s = ctx;

    read_content(s);
    tell_figures(s);
    warn_of_few(s);
    s->events->reloaded(s->ctx);
}

static void on_trouble(void *ctx, const char *text)
{
    struct pool_store *s = ctx;

    s->events->trouble(s->ctx, text);
}

static void on_asks(void *ctx, const struct kl_store_question *question)
{
    struct pool_store *s = ctx;

    if (s->events->asks)
        s->events->asks(s->ctx, question);
}

static const struct kl_store_events inner_events = {
    .stored = on_stored,
    .reloaded = on_reloaded,
    .trouble = on_trouble,
    .asks = on_asks,
};

/* ---- what the thread says ---- */

static void end_if_gone(struct pool_store *s);

static void on_news(void *ctx)
{
    struct pool_store *s = ctx;
    bool came = s->content.keys_come, few = s->view.few;
    char text[KL_TEXT_MAX];

    kl_fleet_thread_look(s->thread, &s->view);
    s->view.few = few;
    if (s->closed) {
        end_if_gone(s);
        return;
    }
    settle_all(s);
    s->content.keys_come = s->view.gives;
    if (came != s->content.keys_come)
        s->events->reloaded(s->ctx);
    s->events->fleet(s->ctx, NULL);
    while (kl_fleet_thread_note(s->thread, text))
        s->events->fleet(s->ctx, text);
    warn_of_few(s);
}

static void on_tick(uv_timer_t *timer)
{
    struct pool_store *s = timer->data;

    if (s->closed) {
        end_if_gone(s);
        return;
    }
    settle_all(s);
    forget_those_that_left(s);
}

/* ---- the end ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct pool_store *s = handle->data;

    s->closed(s->closed_ctx);
}

static void on_thread_closed(void *ctx)
{
    struct pool_store *s = ctx;

    uv_close((uv_handle_t *)&s->tick, on_timer_closed);
}

static void end_if_gone(struct pool_store *s)
{
    uint64_t passed = uv_now(s->loop) - s->parting_at;

    if (s->parting_at == 0 || uv_is_closing((uv_handle_t *)&s->tick) || !s->loop)
        return;
    if (passed > PART_MS && !s->hurried) {
        s->hurried = true;
        kl_fleet_thread_hurry(s->thread);
    }
    if (!kl_fleet_thread_is_gone(s->thread) && passed <= ABANDON_MS)
        return;
    uv_timer_stop(&s->tick);
    s->parting_at = 0;
    kl_fleet_thread_close(s->thread, on_thread_closed);
}

/* The list is nobody's now, and fleet.lock is still ours: what was never sent goes back. */
static void on_inner_closed(void *ctx)
{
    struct pool_store *s = ctx;

    s->parting_at = uv_now(s->loop);
    kl_fleet_thread_part(s->thread);
}

static void drop_held(struct pool_store *s)
{
    while (s->held) {
        struct held *next = s->held->next;
        free(s->held);
        s->held = next;
    }
}

static void close_store(struct kl_store *store, void (*closed)(void *ctx), void *ctx)
{
    struct pool_store *s = of(store);

    KL_ASSERT(!s->closed);
    s->closed = closed;
    s->closed_ctx = ctx;
    drop_held(s);
    kl_store_close(s->inner, on_inner_closed, s);
}

static void free_store(struct kl_store *store)
{
    struct pool_store *s = of(store);
    bool gone = true;

    kl_store_free(s->inner);
    if (s->thread)
        gone = kl_fleet_thread_free(s->thread);
    else if (s->hand.calls)
        kl_fleet_hand_close(&s->hand);
    drop_held(s);
    free(s->unagreed);
    if (s->lock >= 0)
        close(s->lock);
    if (!gone)
        return; /* the thread hangs in a call, and still has the rest */
    kl_keyring_free(s->keyring);
    uv_mutex_destroy(&s->writing);
    free(s);
}

/* ---- the rest is the inner store's ---- */

static const struct kl_store_content *content(const struct kl_store *store)
{
    return &((const struct pool_store *)store)->content;
}

static void start(struct kl_store *store, uv_loop_t *loop, const struct kl_store_events *events,
                  void *ctx)
{
    struct pool_store *s = of(store);

    s->loop = loop;
    s->events = events;
    s->ctx = ctx;
    uv_timer_init(loop, &s->tick);
    s->tick.data = s;
    s->thread = kl_fleet_thread_start(&s->hand, &s->config, loop, on_news, s);
    kl_fleet_thread_look(s->thread, &s->view);
    tell_figures(s);
    kl_store_start(s->inner, loop, &inner_events, s);
    uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
}

static bool has_record(const struct kl_store *store)
{
    return kl_store_has_record(((const struct pool_store *)store)->inner);
}

static bool keys(struct kl_store *store, bool (*each)(void *ctx, const struct kl_ledger_key *key),
                 void *ctx, char error[KL_TEXT_MAX])
{
    return kl_store_keys(of(store)->inner, each, ctx, error);
}

static bool history(struct kl_store *store, const char *mac, const char *label,
                    bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                    char error[KL_TEXT_MAX])
{
    return kl_store_history(of(store)->inner, mac, label, each, ctx, error);
}

static bool audit(struct kl_store *store, void (*each)(void *ctx, const struct kl_audit_finding *f),
                  void *ctx, char error[KL_TEXT_MAX])
{
    return kl_store_audit(of(store)->inner, each, ctx, error);
}

static bool release(struct kl_store *store, const struct kl_ledger_key *key, const char *reason,
                    char error[KL_TEXT_MAX])
{
    return kl_store_release(of(store)->inner, key, reason, error);
}

static bool answer_question(struct kl_store *store, const char *id)
{
    return kl_store_answer(of(store)->inner, id);
}

static bool note(struct kl_store *store, const char *what, const char *text,
                 char error[KL_TEXT_MAX])
{
    return kl_store_note(of(store)->inner, what, text, error);
}

static bool pool_id(struct kl_store *store, char id[33], char error[KL_TEXT_MAX])
{
    return kl_store_pool(of(store)->inner, id, error);
}

static enum kl_store_read read_key(struct kl_store *store, const struct kl_ledger_key *key,
                                   struct kl_key *out, struct kl_key_text *text, uint32_t *line,
                                   char error[KL_TEXT_MAX])
{
    return kl_store_read_key(of(store)->inner, key, out, text, line, error);
}

static bool header(struct kl_store *store, void (*each)(void *ctx, const char *name), void *ctx,
                   char error[KL_TEXT_MAX])
{
    return kl_store_header(of(store)->inner, each, ctx, error);
}

static void fleet(const struct kl_store *store, struct kl_fleet_view *out)
{
    *out = ((const struct pool_store *)store)->view;
}

static void bench(struct kl_store *store, uint32_t per_hour, const char *json)
{
    struct pool_store *s = of(store);

    if (!s->thread || s->closed)
        return;
    s->figures.per_hour = per_hour;
    kl_copy(s->figures.status, sizeof s->figures.status, json);
    kl_fleet_thread_figures(s->thread, &s->figures);
}

static const struct kl_store_kind pool_store = {
    .content = content,
    .start = start,
    .submit = submit,
    .answer = answer_question,
    .close = close_store,
    .free = free_store,
    .has_record = has_record,
    .keys = keys,
    .history = history,
    .audit = audit,
    .release = release,
    .note = note,
    .pool = pool_id,
    .read_key = read_key,
    .header = header,
    .fleet = fleet,
    .bench = bench,
};

/* ---- opening ---- */

bool kl_store_shared_list(const char *service, char out[4096], char error[KL_TEXT_MAX])
{
    char folder[PATH_MAX];

    if (!kl_pool_folder(service, false, folder, error)) {
        kl_format(
            error, KL_TEXT_MAX,
            "this machine is no station of the pool %.60s yet: keyline pool join --pool %.60s",
            service, service);
        return false;
    }
    if ((size_t)snprintf(out, 4096, "%s/keys.list", folder) < 4096)
        return true;
    kl_copy(error, KL_TEXT_MAX, "the state folder's path is too long");
    return false;
}

/* Reservations without an agreement: nothing of those keys was sent. Whoever lost the file with the
   agreements can't know that, and takes all as agreed. */
static bool find_unsent(struct pool_store *s, bool fresh, char error[KL_TEXT_MAX])
{
    const struct kl_store_content *c = &s->content;

    for (uint32_t i = 0; i < c->ledger_count; i++) {
        struct kl_fleet_pair pair = {c->ledger[i].fingerprint, c->ledger[i].mac};

        if (c->ledger[i].provisioned || kl_fleet_hand_agreed(&s->hand, &pair))
            continue;
        if (!fresh)
            add_unagreed(s, &pair);
        else if (!kl_fleet_file_agree(s->hand.file, &pair, kl_fleet_history_end(s->hand.ledger),
                                      error))
            return false;
    }
    return true;
}

static enum kl_store_open_result open_inner(struct pool_store *s, const struct kl_store_options *o,
                                            bool fresh, char error[KL_TEXT_MAX])
{
    struct kl_store_options inner = *o;
    enum kl_store_open_result result;

    s->hand.leased.writing = &s->writing;
    s->leased = s->hand.leased;
    if (!kl_list_create(s->hand.list, s->hand.kept.pool, s->hand.kept.fields, error) ||
        !kl_fleet_hand_tidy(&s->hand, error))
        return KL_STORE_BROKEN;
    inner.csv = s->hand.list;
    inner.header = true;
    inner.long_keys = false; /* a pool has none */
    inner.leased = &s->leased;
    inner.shared = NULL;
    result = kl_csv_store_open(&inner, &s->inner, error);
    if (result != KL_STORE_OPENED)
        return result;
    read_content(s);
    return find_unsent(s, fresh, error) ? KL_STORE_OPENED : KL_STORE_BROKEN;
}

enum kl_store_open_result kl_pool_store_open(const struct kl_store_options *options,
                                             const struct kl_fleet_calls *calls,
                                             struct kl_store **out, char error[KL_TEXT_MAX])
{
    struct pool_store *s = calloc(1, sizeof *s);
    enum kl_store_open_result result;
    char folder[PATH_MAX];
    bool fresh = false;

    KL_ASSERT(s && options->shared && options->mode == KL_STORE_WORK);
    *out = NULL;
    s->store.kind = &pool_store;
    s->lock = -1;
    s->config = (struct kl_fleet_config){
        .slots = options->shared->slots,
        .lease_max = options->shared->lease_max,
        .offline = options->shared->offline,
    };
    s->warn_keys = options->shared->warn_keys;
    uv_mutex_init(&s->writing);
    if (options->doubt)
        *options->doubt = KL_DOUBT_NONE;
    if (!kl_pool_folder(options->shared->service, true, folder, error))
        result = KL_STORE_BROKEN;
    else if ((result = kl_pool_lock(folder, &s->lock, error)) == KL_STORE_OPENED &&
             (result = kl_pool_open_hand(&s->hand, &s->keyring, folder, options->shared->service,
                                         calls, error)) == KL_STORE_OPENED) {
        fresh = s->hand.kept.pool[0] == '\0';
        if ((result = kl_pool_meet(&s->hand, error)) == KL_STORE_OPENED)
            result = open_inner(s, options, fresh, error);
    }
    if (result == KL_STORE_OPENED)
        *out = &s->store;
    else
        free_store(&s->store);
    return result;
}
