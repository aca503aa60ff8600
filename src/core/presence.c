/* presence.c: see presence.h. */
#include "presence.h"

enum {
    MISSES_MAX = 2
};

void kl_presence_init(struct kl_presence *p)
{
    *p = (struct kl_presence){.state = KL_PRESENCE_IDLE, .at = KL_NEVER};
}

void kl_presence_stop(struct kl_presence *p)
{
    p->state = KL_PRESENCE_IDLE;
    p->at = KL_NEVER;
}

void kl_presence_wait(struct kl_presence *p, kl_us at)
{
    KL_ASSERT(!kl_presence_is_looking(p) && at != KL_NEVER);
    p->state = KL_PRESENCE_WAITS;
    p->at = at;
}

void kl_presence_greet(struct kl_presence *p)
{
    KL_ASSERT(p->state == KL_PRESENCE_WAITS);
    p->state = KL_PRESENCE_GREETS;
    p->at = KL_NEVER;
}

void kl_presence_ask(struct kl_presence *p)
{
    KL_ASSERT(p->state == KL_PRESENCE_GREETS);
    p->state = KL_PRESENCE_ASKS;
}

bool kl_presence_is_looking(const struct kl_presence *p)
{
    KL_ASSERT((p->at == KL_NEVER) == (p->state != KL_PRESENCE_WAITS));
    return p->state == KL_PRESENCE_GREETS || p->state == KL_PRESENCE_ASKS;
}

enum kl_presence_verdict kl_presence_saw(struct kl_presence *p, const struct kl_mac *mac)
{
    KL_ASSERT(p->state == KL_PRESENCE_WAITS);
    p->misses = 0;
    return kl_mac_equal(mac, &p->seen) ? KL_PRESENCE_SAME : KL_PRESENCE_OTHER;
}

enum kl_presence_verdict kl_presence_missed(struct kl_presence *p)
{
    KL_ASSERT(p->state == KL_PRESENCE_WAITS);
    p->misses++;
    return p->misses >= MISSES_MAX ? KL_PRESENCE_NOBODY : KL_PRESENCE_UNSURE;
}

void kl_presence_remember(struct kl_presence *p, const struct kl_mac *mac)
{
    p->seen = *mac;
}

void kl_presence_forget(struct kl_presence *p)
{
    kl_presence_stop(p);
    p->seen = (struct kl_mac){0};
}
