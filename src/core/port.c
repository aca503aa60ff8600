/* port.c: see port.h. */
#include "port.h"

#include <string.h>

#define OPEN_DUE   KL_SEC(30)
#define CLOSE_DUE  KL_SEC(60)
#define FIRST_WAIT KL_MS(250)
#define LAST_WAIT  KL_SEC(5)
#define LOOK_EACH  KL_MS(300)
#define AWAY_MAX   KL_SEC(6)

enum {
    LEAVES_MAX = 5, /* times that a board may leave the bus within one try */
};

void kl_port_init(struct kl_port *p, bool network)
{
    KL_ASSERT(p->state == KL_PORT_CLOSED);
    *p = (struct kl_port){
        .network = network,
        .generation = p->generation,
        .request = p->request,
        .answer_due = KL_NEVER,
        .again = {.at = KL_NEVER, .wait = FIRST_WAIT},
        .follow = {.look_at = KL_NEVER, .until = KL_NEVER},
    };
}

void kl_port_plugged(struct kl_port *p, const struct kl_event *ev)
{
    KL_ASSERT(ev->kind == KL_EV_PLUGGED);
    p->plugged = true;
    p->kind = ev->u.port.link;
    kl_copy(p->path, sizeof p->path, ev->u.port.path);
    kl_copy(p->usb_serial, sizeof p->usb_serial, ev->u.port.serial);
}

void kl_port_removed(struct kl_port *p)
{
    p->plugged = false;
}

/* ---- opening and closing ---- */

void kl_port_open(struct kl_port *p, kl_us now)
{
    KL_ASSERT(p->state == KL_PORT_CLOSED && p->answer_due == KL_NEVER);
    p->state = KL_PORT_OPENING;
    p->generation++;
    p->answer_due = now + OPEN_DUE;
    kl_port_new_talk(p);
}

bool kl_port_close(struct kl_port *p, kl_us now)
{
    KL_ASSERT((p->answer_due == KL_NEVER) ==
              (p->state == KL_PORT_CLOSED || p->state == KL_PORT_OPEN));
    if (p->state == KL_PORT_CLOSED || p->state == KL_PORT_CLOSING)
        return false;
    p->state = KL_PORT_CLOSING;
    p->answer_due = now + CLOSE_DUE;
    return true;
}

enum kl_port_verdict kl_port_opened(struct kl_port *p, enum kl_open_result result)
{
    if (p->state != KL_PORT_OPENING)
        return KL_PORT_NOTHING; /* we closed it meanwhile: its CLOSED is on the way */
    if (result != KL_OPEN_OK)
        return KL_PORT_REFUSED;
    p->state = KL_PORT_OPEN;
    p->then = KL_PORT_THEN_REST;
    p->answer_due = KL_NEVER;
    p->again.at = KL_NEVER;
    p->again.wait = FIRST_WAIT;
    p->again.refused = 0;
    if (!kl_port_is_away(p))
        return KL_PORT_USABLE;
    kl_port_unfollow(p);
    return KL_PORT_BACK;
}

enum kl_port_verdict kl_port_closed(struct kl_port *p)
{
    enum kl_port_then then = p->then;

    KL_ASSERT(p->state != KL_PORT_CLOSED);
    p->state = KL_PORT_CLOSED;
    p->then = KL_PORT_THEN_REST;
    p->answer_due = KL_NEVER;
    p->generation++;
    return then == KL_PORT_THEN_START ? KL_PORT_ENDED_START : KL_PORT_ENDED;
}

void kl_port_start_when_closed(struct kl_port *p)
{
    KL_ASSERT(p->state == KL_PORT_OPENING || p->state == KL_PORT_CLOSING);
    p->then = KL_PORT_THEN_START;
}

void kl_port_try_at(struct kl_port *p, kl_us at)
{
    KL_ASSERT(at != KL_NEVER);
    p->again.at = at;
}

void kl_port_back_off(struct kl_port *p, kl_us now)
{
    KL_ASSERT(p->again.wait >= FIRST_WAIT && p->again.wait <= LAST_WAIT);
    p->again.at = now + p->again.wait;
    p->again.wait = 2 * p->again.wait < LAST_WAIT ? 2 * p->again.wait : LAST_WAIT;
}

void kl_port_renew(struct kl_port *p)
{
    p->again.refused = 0;
}

void kl_port_rest(struct kl_port *p)
{
    p->again.at = KL_NEVER;
    p->then = KL_PORT_THEN_REST;
}

/* ---- a board that leaves the bus ---- */

enum kl_port_verdict kl_port_leaves(struct kl_port *p, bool program, kl_us now)
{
    enum kl_port_verdict verdict = KL_PORT_LEFT_AGAIN;

    KL_ASSERT(!p->network);
    if (!kl_port_is_away(p)) {
        if (program && ++p->follow.times > LEAVES_MAX)
            return KL_PORT_LEAVES_ON;
        p->follow.state = KL_PORT_AWAY;
        p->follow.until = now + AWAY_MAX;
        verdict = KL_PORT_LEAVES;
    }
    p->follow.look_at = now + LOOK_EACH;
    return verdict;
}

bool kl_port_is_away(const struct kl_port *p)
{
    return p->follow.state == KL_PORT_AWAY;
}

void kl_port_unfollow(struct kl_port *p)
{
    p->follow.state = KL_PORT_STAYS;
    p->follow.look_at = p->follow.until = KL_NEVER;
}

void kl_port_look_now(struct kl_port *p, kl_us now)
{
    if (kl_port_is_away(p))
        p->follow.look_at = now;
}

void kl_port_new_try(struct kl_port *p)
{
    p->follow.times = 0;
}

/* ---- requests ---- */

uint32_t kl_port_request(struct kl_port *p)
{
    return ++p->request;
}

void kl_port_new_talk(struct kl_port *p)
{
    KL_ASSERT(!kl_port_is_of_this_talk(p, p->floor));
    p->floor = p->request;
}

bool kl_port_is_of_this_talk(const struct kl_port *p, uint32_t request)
{
    return (int32_t)(request - p->floor) > 0;
}

/* ---- time ---- */

static enum kl_port_verdict answer_is_overdue(struct kl_port *p, kl_us now)
{
    KL_ASSERT(p->state == KL_PORT_OPENING || p->state == KL_PORT_CLOSING);
    if (p->state == KL_PORT_OPENING)
        return KL_PORT_STUCK;
    p->answer_due = now + CLOSE_DUE;
    return KL_PORT_BLOCKED;
}

static enum kl_port_verdict look_for_it(struct kl_port *p, kl_us now)
{
    KL_ASSERT(kl_port_is_away(p));
    p->follow.look_at = now + LOOK_EACH;
    if (now >= p->follow.until) {
        kl_port_unfollow(p);
        kl_port_removed(p);
        return KL_PORT_STAYED_AWAY;
    }
    return p->state == KL_PORT_CLOSED && p->plugged ? KL_PORT_SHOWN : KL_PORT_NOTHING;
}

enum kl_port_verdict kl_port_tick(struct kl_port *p, kl_us now)
{
    if (p->answer_due <= now)
        return answer_is_overdue(p, now);
    if (p->again.at <= now) {
        p->again.at = KL_NEVER;
        return KL_PORT_TRY;
    }
    return p->follow.look_at <= now ? look_for_it(p, now) : KL_PORT_NOTHING;
}

kl_us kl_port_deadline(const struct kl_port *p)
{
    kl_us at = p->answer_due < p->again.at ? p->answer_due : p->again.at;

    KL_ASSERT((p->follow.look_at == KL_NEVER) == !kl_port_is_away(p));
    return p->follow.look_at < at ? p->follow.look_at : at;
}
