/*
 * station_queue.c: what goes out: actions, and apart from them the notes.
 */
#include "station_state.h"

#include <string.h>

/* ---- actions ---- */

struct kl_action *kl_ask(struct kl_station *st, const struct kl_board *b, enum kl_action_kind kind)
{
    struct kl_actions *q = &st->actions;
    struct kl_action *a;

    KL_ASSERT(q->count < ACTIONS_MAX);
    a = &q->item[(q->head + q->count++) % ACTIONS_MAX];
    *a = (struct kl_action){
        .kind = kind,
        .slot = b ? b->place.index : KL_BENCH,
        .generation = b ? b->port.generation : 0,
    };
    return a;
}

static bool a_release_waits(const struct kl_actions *q)
{
    for (unsigned i = 0; i < q->count; i++) {
        const struct kl_action *a = &q->item[(q->head + i) % ACTIONS_MAX];
        if (a->kind == KL_AC_STORE && a->u.store.reason == q->release_why)
            return true;
    }
    return false;
}

static void ask_about_key(struct kl_station *st, struct kl_action *a, uint32_t key)
{
    const struct kl_pool_row *row = kl_pool_row_of(&st->pool, key);

    a->u.store.fingerprint = row->fingerprint;
    a->u.store.label = row->label;
    a->u.store.mac = *kl_pool_mac(&st->pool, key);
}

/* Releases a key whose board is not here. */
static void ask_release(struct kl_station *st, struct kl_action *a, const char *reason)
{
    struct kl_actions *q = &st->actions;

    KL_ASSERT(!a_release_waits(q));
    a->request = ++q->request;
    kl_copy(q->release_why, sizeof q->release_why, reason);
    a->u.store.reason = q->release_why;
}

void kl_ask_store(struct kl_station *st, struct kl_board *b, enum kl_store_op op, uint32_t key,
                  const char *reason)
{
    struct kl_action *a = kl_ask(st, b, KL_AC_STORE);

    KL_ASSERT((op == KL_OP_ATTEMPT) == (key == NO_KEY));
    KL_ASSERT((op == KL_OP_RELEASE) == (reason != NULL));
    a->u.store.op = op;
    st->store.pending++;
    if (key != NO_KEY)
        ask_about_key(st, a, key);
    if (!b) {
        ask_release(st, a, reason);
        return;
    }
    a->request = kl_port_request(&b->port);
    a->u.store.acknowledged_only = b->custody.proof == KL_PROOF_ACKNOWLEDGED;
    a->u.store.reason = reason;
    if (op == KL_OP_RESERVE || op == KL_OP_FETCH)
        kl_custody_ask(&b->custody, a->request);
    if (op == KL_OP_ATTEMPT) {
        a->u.store.attempt = &b->attempts.ended;
        a->u.store.mac = b->attempts.ended.mac;
    }
}

/* Only whoever talks with the board may send it bytes. */
static bool next_io(struct kl_board *b, struct kl_action *out)
{
    struct kl_io io;
    bool some = false;

    if (b->port.state != KL_PORT_OPEN)
        return false;
    if (b->talker == KL_TALK_LOADER || b->talker == KL_TALK_PRESENCE)
        some = kl_loader_next(&b->loader, &io);
    else if (b->talker == KL_TALK_DELIVERY)
        some = kl_delivery_next(&b->delivery, &io);
    if (!some)
        return false;
    *out = (struct kl_action){
        .kind = KL_AC_IO,
        .slot = b->place.index,
        .generation = b->port.generation,
        .request = kl_port_request(&b->port),
        .u.io = io,
    };
    return true;
}

bool kl_station_next(struct kl_station *st, struct kl_action *out)
{
    struct kl_actions *q = &st->actions;

    if (q->count > 0) {
        *out = q->item[q->head];
        q->head = (q->head + 1) % ACTIONS_MAX;
        q->count--;
        return true;
    }
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *b = &st->board[(q->rotor + i) % st->board_count];
        if (next_io(b, out)) {
            q->rotor = b->place.index;
            return true;
        }
    }
    return false;
}

/* ---- notes ---- */

struct kl_noted *kl_tell(struct kl_station *st, const struct kl_board *b, enum kl_note_kind kind)
{
    struct kl_notes *q = &st->notes;
    bool may_be_dropped = kind == KL_NOTE_LOG || kind == KL_NOTE_PROGRESS;
    struct kl_noted *n;

    st->version++;
    if (may_be_dropped && q->count >= NOTES_MAX - NOTES_SPARE)
        return NULL;
    KL_ASSERT(q->count < NOTES_MAX);
    n = &q->item[(q->head + q->count++) % NOTES_MAX];
    n->note = (struct kl_note){.kind = kind, .slot = KL_BENCH, .label = "", .text = n->text};
    n->text[0] = '\0';
    if (!b)
        return n;
    n->fault = b->fault;
    n->identity = b->identity;
    kl_copy(n->label, sizeof n->label, b->custody.label);
    n->note.slot = b->place.index;
    n->note.state = n->note.before = b->state;
    n->note.fault = b->fault.reason == KL_FAULT_NONE ? NULL : &n->fault;
    n->note.identity = &n->identity;
    n->note.label = n->label;
    if (kind == KL_NOTE_PROGRESS)
        n->note.progress = &n->progress;
    if (kind == KL_NOTE_RESULT)
        n->note.attempt = &b->attempts.ended;
    return n;
}

void kl_tell_text(struct kl_station *st, const struct kl_board *b, enum kl_note_kind kind,
                  const char *text)
{
    struct kl_noted *n = kl_tell(st, b, kind);

    if (n)
        kl_copy(n->text, sizeof n->text, text);
}

void kl_tell_key(struct kl_station *st, const struct kl_board *b, const char *what,
                 const char *text)
{
    struct kl_noted *n = kl_tell(st, b, KL_NOTE_KEY);

    n->note.what = what;
    kl_copy(n->text, sizeof n->text, text);
}

bool kl_station_note(struct kl_station *st, struct kl_note *out)
{
    struct kl_notes *q = &st->notes;

    if (q->count == 0)
        return false;
    *out = q->item[q->head].note;
    q->head = (q->head + 1) % NOTES_MAX;
    q->count--;
    return true;
}
