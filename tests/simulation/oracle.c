/* oracle.c: what must be true at every instant. Looks only at bytes on wires, at what virtual
   boards hold and at the durable state; shares no code with the pool. */
#include <string.h>

#include "world.h"

static int key_in(struct world *w, const char *text, size_t size)
{
    for (size_t i = 0; i + 12 <= size; i++) {
        if (memcmp(text + i, "5ec0", 4) != 0)
            continue;
        for (unsigned k = 0; k < w->key_count; k++)
            for (unsigned f = 1; f < FIELDS; f++) {
                struct kl_span field = kl_key_field(&w->key[k].key, f);
                if (memcmp(text + i, field.data, 12) == 0)
                    return (int)k;
            }
    }
    return -1;
}

/* Bytes leave the host for whatever stands in the slot; through a link whose port has gone they
   reach nobody. */
void oracle_bytes_out(struct world *w, unsigned slot, const struct kl_io *io, bool connected)
{
    int n = io->size <= 4096 ? key_in(w, (const char *)io->data, io->size) : -1;
    struct sim_key *k;
    struct kl_mac to;

    if (n < 0)
        return;
    k = &w->key[n];
    if (!io->secret)
        violated(w, "key %s leaves in a write that is not marked secret", k->label);
    if (!k->reserved && !k->provisioned) {
        violated(w, "key %s leaves the host before its reservation is durable", k->label);
        return;
    }
    if (!connected || w->in_slot[slot] < 0)
        return; /* into the air */
    to = w->board[w->in_slot[slot]].mac;
    if (memcmp(&to, &k->mac, sizeof to) != 0)
        violated(w, "key %s is sent to a board that it is not reserved for", k->label);
    if (k->sent && memcmp(&to, &k->sent_to, sizeof to) != 0)
        violated(w, "key %s was sent to two boards", k->label);
    for (unsigned i = 0; i < w->key_count; i++)
        if (&w->key[i] != k && w->key[i].sent && memcmp(&w->key[i].sent_to, &to, sizeof to) == 0)
            violated(w, "one board was sent the keys %s and %s", w->key[i].label, k->label);
    k->sent = true;
    k->sent_to = to;
}

/* No secret in anything that is told. */
void oracle_action(struct world *w, const struct kl_action *a)
{
    if (a->kind == KL_AC_NOTE && a->u.note.text &&
        key_in(w, a->u.note.text, strlen(a->u.note.text)) >= 0)
        violated(w, "a note shows key material: %s", a->u.note.text);
    if (a->kind == KL_AC_NOTE && a->u.note.fault &&
        key_in(w, a->u.note.fault->detail, strlen(a->u.note.fault->detail)) >= 0)
        violated(w, "a fault's detail shows key material");
}

void oracle_boards(struct world *w)
{
    for (unsigned k = 0; k < w->key_count; k++) {
        const struct sim_key *key = &w->key[k];
        int holder = -1;

        for (unsigned b = 0; b < w->board_count; b++) {
            if (!w->board[b].used || w->board[b].planted ||
                strcmp(kl_vboard_stored(w->board[b].v), key->key.line) != 0)
                continue;
            if (holder >= 0 &&
                memcmp(&w->board[holder].mac, &w->board[b].mac, sizeof(struct kl_mac)) != 0)
                violated(w, "two boards hold key %s", key->label);
            holder = (int)b;
        }
        if (holder >= 0 && !key->reserved && !key->provisioned)
            violated(w, "a board holds key %s, but it is free", key->label);
        if (key->sent && !key->reserved && !key->provisioned)
            violated(w, "key %s was sent and is free again", key->label);
        if (key->marked && !key->provisioned)
            violated(w, "key %s is marked but not provisioned", key->label);
    }
}

static bool some_board_holds(struct world *w, const struct kl_mac *mac, const char *line)
{
    for (unsigned b = 0; b < w->board_count; b++)
        if (memcmp(&w->board[b].mac, mac, sizeof *mac) == 0 &&
            strcmp(kl_vboard_stored(w->board[b].v), line) == 0)
            return true;
    return false;
}

void oracle_provisioned(struct world *w, const struct sim_key *key, bool acknowledged_only)
{
    if (!acknowledged_only && !some_board_holds(w, &key->mac, key->key.line))
        violated(w, "key %s is recorded, but its board does not hold it", key->label);
}

static const struct sim_key *durable_key_of(struct world *w, const struct kl_mac *mac)
{
    for (unsigned k = 0; k < w->key_count; k++)
        if (w->key[k].provisioned && memcmp(&w->key[k].mac, mac, sizeof *mac) == 0)
            return &w->key[k];
    return NULL;
}

/* The key of this CSV that the board in the slot holds and can be expected to show. */
static const struct sim_key *shown_in(struct world *w, unsigned slot)
{
    const struct sim_board *b = w->in_slot[slot] < 0 ? NULL : &w->board[w->in_slot[slot]];

    for (unsigned k = 0; b && (b->healthy || b->planted) && k < w->key_count; k++)
        if (w->key[k].in_csv && strcmp(kl_vboard_stored(b->v), w->key[k].key.line) == 0)
            return &w->key[k];
    return NULL;
}

static bool is_in(struct world *w, unsigned slot, const struct kl_mac *mac)
{
    return w->in_slot[slot] >= 0 && memcmp(&w->board[w->in_slot[slot]].mac, mac, sizeof *mac) == 0;
}

void oracle_result(struct world *w, unsigned slot, const struct kl_attempt *attempt)
{
    const struct sim_key *recorded = durable_key_of(w, &attempt->mac);

    if (attempt->result == KL_ST_DONE) {
        if (!recorded)
            violated(w, "done was shown before the key was recorded");
        else if (!some_board_holds(w, &attempt->mac, recorded->key.line))
            violated(w, "done was shown for a board that does not hold its key");
    } else if (attempt->reason == KL_FAULT_HOLDS_UNKNOWN && is_in(w, slot, &attempt->mac) &&
               shown_in(w, slot)) {
        violated(w, "key %s of this CSV was called unknown", shown_in(w, slot)->label);
    }
}
