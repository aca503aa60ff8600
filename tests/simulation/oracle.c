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
            if (!w->board[b].used || strcmp(kl_vboard_stored(w->board[b].v), key->key.line) != 0)
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
