/*
 * perform.c: does what the core asks of links and store, and queues what they answer.
 */
#include <stdlib.h>
#include <string.h>

#include "shell_private.h"

/* ---- links ---- */

static struct item *push_port_event(struct open_port *l, enum kl_event_kind kind)
{
    struct item *item = push_event(l->sh, kind, l->slot);

    item->event.generation = l->generation;
    item->event.request = l->request;
    return item;
}

static void on_opened(void *ctx, enum kl_open_result result, const char *text)
{
    struct kl_event *ev = &push_port_event(ctx, KL_EV_OPENED)->event;

    ev->u.opened.result = result;
    kl_copy(ev->u.opened.text, sizeof ev->u.opened.text, text ? text : "");
    place_opened(((struct open_port *)ctx)->sh, ((struct open_port *)ctx)->slot, result);
}

static void on_rx(void *ctx, const uint8_t *data, size_t size)
{
    struct open_port *l = ctx;

    push_bytes(l->sh, push_port_event(l, KL_EV_RX), data, size);
}

static void on_io_done(void *ctx, uint32_t request, bool ok)
{
    struct kl_event *ev = &push_port_event(ctx, KL_EV_IO_DONE)->event;

    ev->request = request;
    ev->u.io.ok = ok;
}

static void on_lost(void *ctx, const char *text)
{
    struct kl_event *ev = &push_port_event(ctx, KL_EV_LOST)->event;

    kl_copy(ev->u.text, sizeof ev->u.text, text ? text : "");
}

static void forget_open_port(struct open_port *l)
{
    struct open_port **at = &l->sh->open_ports;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (l->sh->open_port[l->slot] == l)
        l->sh->open_port[l->slot] = NULL;
    free(l);
}

static void on_closed(void *ctx)
{
    struct open_port *l = ctx;

    push_port_event(l, KL_EV_CLOSED);
    forget_open_port(l);
}

static const struct kl_link_events link_events = {
    .opened = on_opened,
    .rx = on_rx,
    .io_done = on_io_done,
    .lost = on_lost,
    .closed = on_closed,
};

static void close_open_port(struct open_port *l)
{
    if (l->closing)
        return;
    l->closing = true;
    if (l->link) {
        kl_link_close(l->link);
    } else {
        on_closed(l);
    }
}

void close_open_ports(struct kl_shell *sh)
{
    for (struct open_port *l = sh->open_ports, *next; l; l = next) {
        next = l->next;
        close_open_port(l);
    }
}

static void do_open(struct kl_shell *sh, const struct kl_action *a)
{
    struct open_port *l = calloc(1, sizeof *l);

    KL_ASSERT(l);
    *l = (struct open_port){
        .sh = sh,
        .slot = a->slot,
        .generation = a->generation,
        .request = a->request,
        .next = sh->open_ports,
    };
    sh->open_ports = l;
    sh->open_port[a->slot] = l;
    sh->place[a->slot].opened++;
    l->link = kl_link_open(sh->loop, sh->place[a->slot].path, a->u.baud, &link_events, l);
    if (!l->link)
        on_opened(l, KL_OPEN_ERROR, "this is no port that keyline can open");
}

static void do_close(struct kl_shell *sh, const struct kl_action *a)
{
    struct open_port *l = sh->open_port[a->slot];

    if (l && l->generation == a->generation) {
        close_open_port(l);
    } else {
        /* The port is closed already, and the core still waits for the answer. */
        push_event(sh, KL_EV_CLOSED, a->slot)->event.generation = a->generation;
    }
}

static void do_io(struct kl_shell *sh, const struct kl_action *a)
{
    struct open_port *l = sh->open_port[a->slot];

    if (l && l->link && !l->closing && l->generation == a->generation)
        kl_link_io(l->link, a->request, &a->u.io);
}

/* ---- store ---- */

static void on_stored(void *ctx, const struct kl_action *request, enum kl_store_status status,
                      const struct kl_key *key, const char *text)
{
    struct kl_event *ev;

    if (request->u.store.op == KL_OP_COMMAND) {
        if (status != KL_STORE_OK)
            kl_shell_note(ctx, "what the operator did can't be kept in the history");
        return;
    }
    ev = &push_event(ctx, KL_EV_STORED, request->slot)->event;
    ev->generation = request->generation;
    ev->request = request->request;
    ev->u.stored.op = request->u.store.op;
    ev->u.stored.status = status;
    ev->u.stored.fingerprint = request->u.store.fingerprint;
    kl_copy(ev->u.stored.text, sizeof ev->u.stored.text, text ? text : "");
    ev->u.stored.key = key;
    if (key)
        feed_now(ctx); /* now, so that the key goes into custody without another copy */
}

static struct item *push_keys(struct kl_shell *sh, struct kl_pool_memory *memory)
{
    const struct kl_store_content *c = kl_store_content(sh->store);
    struct item *item = push_event(sh, KL_EV_KEYS, 0);

    KL_ASSERT(memory);
    item->memory = memory;
    item->event.u.keys.memory = item->memory;
    item->event.u.keys.rows = c->rows;
    item->event.u.keys.row_count = c->row_count;
    item->event.u.keys.ledger = c->ledger;
    item->event.u.keys.ledger_count = c->ledger_count;
    item->event.u.keys.fields = c->fields;
    item->event.u.keys.come = c->keys_come;
    return item;
}

static struct kl_pool_memory *room_for_keys(const struct kl_shell *sh)
{
    const struct kl_store_content *c = kl_store_content(sh->store);
    struct kl_pool_size size = kl_pool_size_of(kl_station_pool(sh->station), c->rows, c->row_count,
                                               c->ledger, c->ledger_count);

    return kl_pool_memory_alloc(&size);
}

/* Whoever opened the store may have loaded the very rows that it still has. */
static bool are_loaded(const struct kl_shell *sh)
{
    const struct kl_store_content *c = kl_store_content(sh->store);
    const struct kl_loaded_keys *l = sh->options.loaded;

    return l && l->memory && l->pool.rows.listed == c->rows && l->pool.rows.count == c->row_count;
}

static void push_first_keys(struct kl_shell *sh)
{
    if (!are_loaded(sh)) {
        push_keys(sh, room_for_keys(sh));
        return;
    }
    push_keys(sh, sh->options.loaded->memory)->event.u.keys.loaded = &sh->options.loaded->pool;
    sh->options.loaded->memory = NULL;
}

/* The old rows are gone when this returns. */
static void on_reloaded(void *ctx)
{
    push_keys(ctx, room_for_keys(ctx));
    pump(ctx);
}

static void on_trouble(void *ctx, const char *text)
{
    struct kl_shell *sh = ctx;

    kl_copy(sh->trouble, sizeof sh->trouble, text);
    sh->troubles++;
    sh->is_changed = true;
    kl_shell_note(sh, text[0] ? text : "the CSV can be read and marked again");
}

static void on_fleet(void *ctx, const char *text)
{
    struct kl_shell *sh = ctx;

    sh->troubles++;
    sh->is_changed = true;
    if (text)
        kl_shell_note(sh, text);
}

static void on_asks(void *ctx, const struct kl_store_question *question)
{
    struct kl_shell *sh = ctx;

    sh->question = *question;
    sh->troubles++;
    sh->is_changed = true;
    if (question->id[0])
        kl_shell_note(sh, "no key leaves before a person answers: correct the CSV, or say that it "
                          "is right: keyline keys accept, or a in the dashboard");
}

static const struct kl_store_events store_events = {
    .stored = on_stored,
    .reloaded = on_reloaded,
    .trouble = on_trouble,
    .fleet = on_fleet,
    .asks = on_asks,
};

void start_store(struct kl_shell *sh)
{
    kl_store_start(sh->store, sh->loop, &store_events, sh);
    push_first_keys(sh);
}

/* ---- all ---- */

void perform(struct kl_shell *sh, const struct kl_action *a)
{
    switch (a->kind) {
    case KL_AC_OPEN:
        do_open(sh, a);
        break;
    case KL_AC_CLOSE:
        do_close(sh, a);
        break;
    case KL_AC_IO:
        do_io(sh, a);
        break;
    case KL_AC_STORE:
        kl_store_submit(sh->store, a);
        break;
    case KL_AC_REST:
        begin_ending(sh, a->u.exit);
        break;
    }
}
