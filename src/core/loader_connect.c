/*
 * loader_connect.c: into the loader and in step with it.
 * (docs/esp-serial-protocol.md 1.6, 3.2, 5)
 */
#include "loader_private.h"

#include <string.h>

enum {
    SYNC_TRIES = 5,
    SYNC_REPLIES = 8,
};

#define SYNC_TIME KL_MS(100)
#define CONNECT_TIME                                                                               \
    KL_SEC(60) /* then no other attempt begins: a slow network port needs long for each */
#define BETWEEN     KL_MS(50)
#define REPLIES_GAP KL_MS(100) /* for the other seven replies to one SYNC */

static enum ldr_move set_first_rate(struct kl_loader *l)
{
    if (l->walk.task == KL_LOADER_CONNECT)
        l->identity = (struct kl_identity){0};
    l->identity.baud = FIRST_BAUD;
    l->identity.stub = false;
    l->connect.connected = false;
    l->wire.hears = KL_HEARS_ALL;
    l->connect.attempt = 0;
    l->connect.began = l->now;
    l->connect.saw_download = l->connect.saw_program = l->connect.saw_other = false;
    if (l->setup.link == KL_LINK_RAW)
        return MOVE_NEXT;
    ldr_set_baud(l, FIRST_BAUD);
    return MOVE_WAIT;
}

static enum ldr_move first_rate_set(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return ldr_fail(l, KL_FAULT_ADAPTER_SETTING, "%d baud", FIRST_BAUD);
    KL_ASSERT(l->identity.baud == FIRST_BAUD);
    return MOVE_NEXT;
}

static enum ldr_move step_reset(struct kl_loader *l);

static void skip_reset(struct kl_loader *l)
{
    KL_ASSERT(l->connect.reset);
    while (l->connect.reset->kind != RESET_END)
        l->connect.reset++;
}

static enum ldr_move choose_reset(struct kl_loader *l)
{
    KL_ASSERT(!l->connect.connected);
    KL_ASSERT(l->connect.attempt < l->setup.connect_attempts);
    l->connect.strategy = kl_reset_choose(l->setup.link, l->setup.memory.reset, l->connect.attempt);
    l->connect.reset = kl_reset_steps(l->connect.strategy);
    if (l->setup.reset_done && l->connect.attempt == 0)
        skip_reset(l);
    l->connect.sync_try = 0;
    ldr_forget_text(l);
    return MOVE_NEXT;
}

/* A ROM that says that it waits has sampled its strap, so the reset need wait no longer. */
bool ldr_is_ready_early(const struct kl_loader *l)
{
    const struct kl_reset_step *r = l->connect.reset;

    return l->walk.step->begin == step_reset && l->op.kind == KL_LOADER_OP_WAIT &&
           r->kind == RESET_WAIT && r[1].kind == RESET_LINES && r[2].kind == RESET_END &&
           kl_console_boot(l->setup.console)->waiting_for_download;
}

static enum ldr_move step_reset(struct kl_loader *l)
{
    switch (l->connect.reset->kind) {
    case RESET_END:
        return MOVE_NEXT;
    case RESET_LINES:
        ldr_set_lines(l, l->connect.reset->dtr, l->connect.reset->rts);
        return MOVE_WAIT;
    case RESET_WAIT:
        ldr_wait_for(l, KL_MS(l->connect.reset->ms));
        return MOVE_WAIT;
    }
    return MOVE_NEXT;
}

static enum ldr_move reset_stepped(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome == KL_OUT_IO) {
        /* Some adapters have no modem lines: the board may be in its loader all the same. */
        if (l->connect.attempt == 0)
            ldr_note(l, "the adapter can't move its modem lines: no reset");
        skip_reset(l);
        return MOVE_AGAIN;
    }
    l->connect.reset++;
    return MOVE_AGAIN;
}

/* Behind a network a reset may take longer than a chip does: later attempts are more patient. */
static unsigned sync_tries(const struct kl_loader *l)
{
    bool network = l->setup.link == KL_LINK_RFC2217 || l->setup.link == KL_LINK_RAW;

    return network ? SYNC_TRIES + l->connect.attempt : SYNC_TRIES;
}

static enum ldr_move sync(struct kl_loader *l)
{
    uint8_t payload[36] = {0x07, 0x07, 0x12, 0x20};

    KL_ASSERT(!l->connect.connected);
    KL_ASSERT(l->connect.sync_try < sync_tries(l));
    memset(payload + 4, 0x55, 32);
    l->connect.sync_replies = 0;
    l->connect.looks_like_stub = true;
    ldr_command(l, &(struct ldr_command){.code = CMD_SYNC,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 1,
                                         .judge = true,
                                         .work = SYNC_TIME});
    return MOVE_WAIT;
}

/* All replies of a stub have value 0; a ROM's have not (1.6). */
static void look_at_sync_reply(struct kl_loader *l, uint32_t value, size_t status_size)
{
    if (value != 0 || status_size != 2)
        l->connect.looks_like_stub = false;
    l->connect.sync_replies++;
}

bool ldr_took_last_sync_reply(struct kl_loader *l, const uint8_t *frame, size_t size)
{
    if (l->connect.connected)
        return false;
    look_at_sync_reply(l, ldr_get_u32(frame + 4), size - 8);
    return l->connect.sync_replies >= SYNC_REPLIES;
}

static void look_at_boot_text(struct kl_loader *l)
{
    const struct kl_bootlog *b = kl_console_boot(l->setup.console);

    l->connect.saw_download |= b->mode == KL_BOOT_DOWNLOAD || b->waiting_for_download;
    l->connect.saw_program |= b->mode == KL_BOOT_FLASH && !b->waiting_for_download;
    l->connect.saw_other |= b->mode == KL_BOOT_OTHER && !b->waiting_for_download;
}

static bool may_try_again(const struct kl_loader *l)
{
    KL_ASSERT(l->now >= l->connect.began);
    return l->connect.attempt < l->setup.connect_attempts &&
           l->now - l->connect.began < CONNECT_TIME;
}

/* (6.1) */
static enum ldr_move fail_to_connect(struct kl_loader *l)
{
    KL_ASSERT(!may_try_again(l));
    if (l->connect.saw_download)
        return ldr_fail(l, KL_FAULT_NO_TX_PATH, "%u attempts", l->connect.attempt);
    if (l->connect.saw_program)
        return ldr_fail(l, KL_FAULT_WRONG_BOOT_MODE, "%u attempts", l->connect.attempt);
    if (l->connect.saw_other)
        return ldr_fail(l, KL_FAULT_BAD_STRAPS, "%s", kl_console_detail(l->setup.console));
    return ldr_fail(l, KL_FAULT_NO_SYNC, "%u attempts", l->connect.attempt);
}

enum {
    RATE,
    CHOOSE,
    RESET,
    PAUSE,
    SYNC,
    OTHER_REPLIES,
};

static enum ldr_move pause_between(struct kl_loader *l)
{
    if (l->connect.sync_try == 0)
        return MOVE_NEXT;
    ldr_wait_for(l, BETWEEN);
    return MOVE_WAIT;
}

static enum ldr_move synced(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome == KL_OUT_OK) {
        look_at_sync_reply(l, l->reply.value, l->reply.status_size);
        return MOVE_NEXT;
    }
    if (++l->connect.sync_try < sync_tries(l))
        return ldr_go_to(l, &ldr_connect_plan[PAUSE]);
    look_at_boot_text(l);
    l->connect.attempt++;
    if (may_try_again(l))
        return ldr_go_to(l, &ldr_connect_plan[CHOOSE]);
    return fail_to_connect(l);
}

static enum ldr_move await_other_replies(struct kl_loader *l)
{
    ldr_wait_for(l, REPLIES_GAP + ldr_link_allowance(l));
    return MOVE_WAIT;
}

static enum ldr_move be_connected(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(outcome == KL_OUT_OK);
    KL_ASSERT(l->connect.sync_replies > 0);
    l->connect.connected = true;
    l->identity.stub = l->connect.looks_like_stub;
    l->setup.memory.reset = l->connect.strategy;
    l->connect.resets = kl_console_boot(l->setup.console)->banners > 0;
    if (l->connect.attempt > 0)
        ldr_note(l, "connected at attempt %u, reset: %s", l->connect.attempt + 1,
                 kl_reset_name(l->connect.strategy));
    ldr_forget_text(l);
    return MOVE_NEXT;
}

const struct kl_loader_step ldr_connect_plan[] = {
    [RATE] = {set_first_rate, first_rate_set, {NULL}},
    [CHOOSE] = {choose_reset, NULL, {NULL}},
    [RESET] = {step_reset, reset_stepped, {NULL}},
    [PAUSE] = {pause_between, NULL, {NULL}},
    [SYNC] = {sync, synced, {&ldr_connect_plan[PAUSE], &ldr_connect_plan[CHOOSE]}},
    [OTHER_REPLIES] = {await_other_replies, be_connected, {NULL}},
    PLAN_END,
};
