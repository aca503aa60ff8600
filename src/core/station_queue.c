/*
 * station_queue.c: what goes out: actions, notes, requests to the store.
 */
#include "station_state.h"

#include <string.h>

static struct queued *queue_raw(struct kl_station *st)
{
    struct queued *q;

    KL_ASSERT(st->queued < QUEUE_SIZE);
    q = &st->queue[(st->head + st->queued++) % QUEUE_SIZE];
    memset(&q->action, 0, sizeof q->action);
    return q;
}

struct queued *kl_queue_action(struct kl_station *st, const struct kl_board *b,
                               enum kl_action_kind kind)
{
    struct queued *q = queue_raw(st);

    q->action.kind = kind;
    if (b) {
        q->action.slot = b->place.index;
        q->action.generation = b->port.generation;
    }
    return q;
}

struct queued *kl_queue_note(struct kl_station *st, struct kl_board *b, enum kl_note_kind kind)
{
    struct queued *q;

    st->version++;
    if ((kind == KL_NOTE_LOG || kind == KL_NOTE_PROGRESS) &&
        st->queued >= QUEUE_SIZE - QUEUE_SPARE) {
        st->notes_dropped++;
        return NULL;
    }
    q = kl_queue_action(st, b, KL_AC_NOTE);
    q->text[0] = '\0';
    q->label[0] = '\0';
    q->action.u.note.kind = kind;
    if (b) {
        q->action.u.note.state = q->action.u.note.before = b->state;
        q->fault = b->fault;
        q->identity = b->identity;
        kl_copy(q->label, sizeof q->label, b->custody.label);
    } else {
        q->fault = (struct kl_fault){0};
        q->identity = (struct kl_identity){0};
    }
    return q;
}

void kl_note_text(struct kl_station *st, struct kl_board *b, enum kl_note_kind kind,
                  const char *text)
{
    struct queued *q = kl_queue_note(st, b, kind);

    if (q)
        kl_copy(q->text, sizeof q->text, text);
}

void kl_note_key(struct kl_station *st, struct kl_board *b, const char *what, const char *text)
{
    struct queued *q = kl_queue_note(st, b, KL_NOTE_KEY);

    q->action.u.note.what = what;
    kl_copy(q->text, sizeof q->text, text);
}

void kl_ask_store(struct kl_station *st, struct kl_board *b, enum kl_store_op op, uint32_t key,
                  const char *reason)
{
    struct queued *q = kl_queue_action(st, b, KL_AC_STORE);

    KL_ASSERT(b || op == KL_OP_RELEASE);
    KL_ASSERT((op == KL_OP_ATTEMPT) == (key == NO_KEY));
    q->action.slot = b ? b->place.index : KL_BENCH;
    q->action.request = b ? kl_port_request(&b->port) : ++st->request;
    q->action.u.store.op = op;
    if (op == KL_OP_RESERVE || op == KL_OP_FETCH)
        kl_custody_ask(&b->custody, q->action.request);
    if (op == KL_OP_ATTEMPT) {
        q->action.u.store.attempt = &b->attempts.ended;
        q->action.u.store.mac = b->attempts.ended.mac;
    } else {
        const struct kl_pool_key *k = kl_pool_key(&st->pool, key);
        q->action.u.store.fingerprint = k->fingerprint;
        q->action.u.store.label = k->label;
        q->action.u.store.mac = k->mac;
    }
    if (b)
        q->action.u.store.acknowledged_only = b->custody.proof == KL_PROOF_ACKNOWLEDGED;
    if (reason) {
        kl_copy(q->text, sizeof q->text, reason);
        q->action.u.store.reason = q->text;
    }
    st->store.pending++;
}

/* The pointers of a note lead into its place in the queue, which stays untouched until the next
   call. */
static void point_note(struct kl_station *st, struct queued *q)
{
    struct kl_action *a = &q->action;

    a->u.note.text = q->text;
    a->u.note.label = q->label;
    a->u.note.fault = q->fault.reason == KL_FAULT_NONE ? NULL : &q->fault;
    a->u.note.identity = &q->identity;
    if (a->u.note.kind == KL_NOTE_PROGRESS)
        a->u.note.progress = &q->progress;
    if (a->u.note.kind == KL_NOTE_RESULT)
        a->u.note.attempt = &st->board[a->slot].attempts.ended;
}

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
    if (st->queued > 0) {
        struct queued *q = &st->queue[st->head];
        st->head = (st->head + 1) % QUEUE_SIZE;
        st->queued--;
        if (q->action.kind == KL_AC_NOTE)
            point_note(st, q);
        *out = q->action;
        return true;
    }
    for (unsigned i = 0; i < st->board_count; i++) {
        struct kl_board *b = &st->board[(st->rotor + i) % st->board_count];
        if (next_io(b, out)) {
            st->rotor = b->place.index;
            return true;
        }
    }
    return false;
}
