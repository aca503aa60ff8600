/* custody.c: see custody.h. */
#include "custody.h"

void kl_custody_init(struct kl_custody *c, struct kl_key_text *text)
{
    kl_wipe(c, sizeof *c);
    c->text = text;
    c->index = NO_KEY;
    c->ask_again_at = KL_NEVER;
}

void kl_custody_forget(struct kl_custody *c)
{
    KL_ASSERT((c->state == KL_CUSTODY_NONE) == (c->index == NO_KEY));
    kl_key_wipe(&c->key);
    kl_custody_init(c, c->text);
}

void kl_custody_name(struct kl_custody *c, uint32_t index, const char *label)
{
    KL_ASSERT(index != NO_KEY && c->state <= KL_CUSTODY_HELD);
    kl_copy(c->label, sizeof c->label, label);
    if (c->index == index)
        return;
    kl_key_wipe(&c->key);
    c->request = 0;
    c->index = index;
    c->state = KL_CUSTODY_NAMED;
}

void kl_custody_ask(struct kl_custody *c, uint32_t request)
{
    KL_ASSERT(c->state >= KL_CUSTODY_NAMED && c->state <= KL_CUSTODY_LATE);
    KL_ASSERT(request != 0);
    c->request = request;
    c->state = KL_CUSTODY_ASKED;
}

bool kl_custody_awaits(const struct kl_custody *c, uint32_t index, uint32_t request)
{
    bool open = c->state == KL_CUSTODY_ASKED || c->state == KL_CUSTODY_LATE;

    return open && c->index == index && c->request == request;
}

void kl_custody_go_on(struct kl_custody *c)
{
    if (c->state == KL_CUSTODY_ASKED)
        c->state = KL_CUSTODY_LATE;
}

void kl_custody_bring(struct kl_custody *c, const struct kl_key *key)
{
    KL_ASSERT(c->state == KL_CUSTODY_ASKED || c->state == KL_CUSTODY_LATE);
    KL_ASSERT(key && key->count > 0 && key->count <= KL_COLUMNS_MAX);
    kl_key_copy(&c->key, c->text, key);
    c->state = KL_CUSTODY_HELD;
}

void kl_custody_miss(struct kl_custody *c)
{
    KL_ASSERT(c->state == KL_CUSTODY_ASKED || c->state == KL_CUSTODY_LATE);
    c->state = KL_CUSTODY_NAMED;
}

void kl_custody_disown(struct kl_custody *c)
{
    KL_ASSERT(c->index != NO_KEY);
    c->index = NO_KEY;
    c->state = KL_CUSTODY_NONE;
    c->request = 0;
    c->label[0] = '\0';
}

void kl_custody_send(struct kl_custody *c)
{
    KL_ASSERT(c->state == KL_CUSTODY_HELD && kl_custody_key(c));
    c->state = KL_CUSTODY_SENT;
}

void kl_custody_prove(struct kl_custody *c, enum kl_proof proof)
{
    KL_ASSERT(c->state != KL_CUSTODY_NONE && c->state < KL_CUSTODY_RECORDING);
    KL_ASSERT(proof != KL_PROOF_NONE);
    c->proof = proof;
    c->state = KL_CUSTODY_RECORDING;
}

void kl_custody_recorded(struct kl_custody *c)
{
    KL_ASSERT(c->state == KL_CUSTODY_RECORDING);
    c->state = KL_CUSTODY_RECORDED;
}

const struct kl_key *kl_custody_key(const struct kl_custody *c)
{
    return c->state != KL_CUSTODY_NONE && c->key.count > 0 ? &c->key : NULL;
}

bool kl_custody_has_key(const struct kl_custody *c)
{
    KL_ASSERT((c->state == KL_CUSTODY_NONE) == (c->index == NO_KEY));
    return c->index != NO_KEY;
}

bool kl_custody_was_sent(const struct kl_custody *c)
{
    return c->state >= KL_CUSTODY_SENT;
}
