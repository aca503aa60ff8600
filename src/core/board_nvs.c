/*
 * board_nvs.c: a key is written into its board's NVS partition (--deliver nvs, nvs_judge.h). It
 * is the loader's talk from the first to the last byte:
 *
 *   asking      the partition is read; what it holds decides
 *   reserving   the key is made durably this board's own
 *   sending     its image is written, pages that differ only
 *   confirming  MD5 of what was written, then all of it is read back and compared with the key
 *   recording   that is made durable
 *   booting     the board is started; only then it is done. With --confirm readback its program
 *               must print what it reads in its NVS, and that must be the key
 *
 * Before `sending` the partition is read once more: only the loader that we talked with can answer.
 */
#include "station_state.h"

static struct kl_nvs_room *room_of(const struct kl_station *st, const struct kl_board *b)
{
    KL_ASSERT(st->config.nvs);
    return &st->config.nvs->room[b->place.index];
}

static void start(struct kl_station *st, struct kl_board *b, enum kl_nvs_phase phase)
{
    const struct kl_nvs_delivery *d = st->config.nvs;
    struct kl_nvs_room *room = room_of(st, b);
    struct kl_loader_range range = {
        .offset = d->offset, .size = d->size, .out = room->old, .md5 = st->config.bundle->md5};
    enum kl_loader_task task = phase == KL_NVS_WRITES     ? KL_LOADER_FLASH
                               : phase == KL_NVS_VERIFIES ? KL_LOADER_VERIFY
                               : phase == KL_NVS_STARTS   ? KL_LOADER_RUN
                                                          : KL_LOADER_READ;

    KL_ASSERT(b->talker == KL_TALK_LOADER);
    b->nvs_phase = phase;
    b->deadline = KL_NEVER;
    if (task == KL_LOADER_READ)
        kl_loader_read_into(&b->loader, &range);
    kl_loader_start(&b->loader, task, &room->bundle, st->now);
}

void kl_board_nvs_begin(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_VERIFYING && st->config.bundle);
    kl_board_enter(st, b, KL_ST_ASKING);
    start(st, b, KL_NVS_READS);
}

/* Reads the NVS again: the silent board waited for a key, so another may be there. */
void kl_board_nvs_read_again(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_ASKING && b->nvs_phase == KL_NVS_RESTS);
    start(st, b, KL_NVS_READS);
    kl_board_loader_step(st, b);
}

void kl_board_nvs_forget(struct kl_station *st, struct kl_board *b)
{
    b->nvs_phase = KL_NVS_RESTS;
    if (!st->config.nvs)
        return;
    kl_nvs_wipe(st->config.nvs, room_of(st, b));
    kl_loader_wipe(&b->loader);
}

/* ---- what was found ---- */

static void settle_key(struct kl_station *st, struct kl_board *b, const struct kl_nvs_finding *f)
{
    uint32_t key = NO_KEY;
    unsigned which = 0;

    for (unsigned i = 0; i < 2 && key == NO_KEY; i++) {
        if (kl_fingerprint_is_set(&f->fingerprint[i]))
            key = kl_pool_find(&st->pool, &f->fingerprint[i]);
        which = i;
    }
    if (key != NO_KEY)
        kl_board_settle(st, b, &f->fingerprint[which], kl_pool_row_of(&st->pool, key)->label);
    else if (st->config.nvs->policy == KL_NVS_REPLACE)
        kl_board_ask_pool(st, b);
    else
        kl_board_fail(st, b, KL_FAULT_HOLDS_UNKNOWN, "");
}

static void found(struct kl_station *st, struct kl_board *b)
{
    enum kl_nvs_policy policy = st->config.nvs->policy;
    const struct kl_key *own = kl_custody_key(&b->custody);
    struct kl_nvs_finding f;

    if (kl_custody_has_key(&b->custody) && !own) {
        kl_board_identify_again(st, b, "the key that it was promised could not be read");
        return;
    }
    kl_nvs_judge(st->config.nvs, room_of(st, b), own, st->config.sha256, &f);
    b->nvs_keeps = f.holds == KL_NVS_HOLDS_OTHER && policy == KL_NVS_MERGE;
    switch (f.holds) {
    case KL_NVS_HOLDS_NOTHING:
        kl_board_ask_pool(st, b);
        break;
    case KL_NVS_HOLDS_PART:
        kl_tell_key(st, b, "damaged", "the key was written in part: the same key again");
        kl_board_ask_pool(st, b);
        break;
    case KL_NVS_HOLDS_OWN:
        kl_board_settle(st, b, &own->fingerprint, b->custody.label);
        break;
    case KL_NVS_HOLDS_KEY:
        settle_key(st, b, &f);
        break;
    case KL_NVS_HOLDS_CIPHER:
        kl_board_fail(st, b, KL_FAULT_NVS_ENCRYPTED, "");
        break;
    case KL_NVS_HOLDS_OTHER:
        if (policy != KL_NVS_REFUSE)
            kl_board_ask_pool(st, b);
        else
            kl_board_fail(st, b, KL_FAULT_NVS_HOLDS_MORE, "");
        break;
    case KL_NVS_HOLDS_RUBBISH:
        if (policy == KL_NVS_REPLACE)
            kl_board_ask_pool(st, b);
        else
            kl_board_fail(st, b, KL_FAULT_NVS_HOLDS_MORE, "it is damaged, or no NVS");
        break;
    }
}

/* ---- the key's way in ---- */

/* Making the key durable took time, so the loader must answer once more: only the one that we
   talked with can. Until it has, no key counts as sent. */
void kl_board_nvs_look(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_RESERVING);
    if (b->nvs_phase != KL_NVS_RESTS)
        return;
    start(st, b, KL_NVS_LOOKS);
    kl_board_loader_step(st, b);
}

static void looked(struct kl_station *st, struct kl_board *b)
{
    if (kl_custody_key(&b->custody))
        kl_board_send(st, b);
    else
        kl_board_fail(st, b, KL_FAULT_KEY_CONFLICT, b->custody.label);
}

/* board_key.c's send() has checked all that must hold here. */
bool kl_board_nvs_prepare(struct kl_station *st, struct kl_board *b, const struct kl_key *key)
{
    KL_ASSERT(b->state == KL_ST_RESERVING && b->nvs_phase == KL_NVS_RESTS);
    if (kl_nvs_prepare(st->config.nvs, room_of(st, b), key, b->identity.chip,
                       st->config.bundle->md5, b->nvs_keeps))
        return true;
    kl_board_give_back_unsent(st, b, "it does not fit into the board's NVS");
    kl_board_fail(st, b, KL_FAULT_NVS_NO_FIT, "");
    return false;
}

void kl_board_nvs_send(struct kl_station *st, struct kl_board *b)
{
    KL_ASSERT(b->state == KL_ST_SENDING && kl_custody_was_sent(&b->custody));
    b->loader.wire.secret = true;
    start(st, b, KL_NVS_WRITES);
    kl_board_loader_step(st, b);
}

/* The key is recorded: starts the program; the board is done once that runs. True: it starts. */
bool kl_board_nvs_starts(struct kl_station *st, struct kl_board *b)
{
    if (!st->config.nvs || b->talker != KL_TALK_LOADER || b->port.state != KL_PORT_OPEN ||
        b->stage == KL_STAGE_LEFT)
        return false;
    kl_board_enter(st, b, KL_ST_BOOTING);
    start(st, b, KL_NVS_STARTS);
    kl_board_loader_step(st, b);
    return true;
}

static void started(struct kl_station *st, struct kl_board *b)
{
    bool native = b->port.kind == KL_LINK_USB_JTAG || b->port.kind == KL_LINK_USB_OTG;

    kl_board_listen(st, b);
    if (kl_board_nvs_prints(st))
        return;                   /* the delivery's deadline holds: its firmware has to speak */
    if (native && !b->watch.exam) /* a native-USB board may leave the bus and come back */
        b->deadline = st->now + KL_SEC(2);
    else
        kl_board_done(st, b);
}

bool kl_board_nvs_step(struct kl_station *st, struct kl_board *b)
{
    enum kl_nvs_phase phase = b->nvs_phase;

    b->nvs_phase = KL_NVS_RESTS;
    switch (phase) {
    case KL_NVS_RESTS:
        return b->state == KL_ST_ASKING || b->state == KL_ST_RESERVING ||
               b->state == KL_ST_RECORDING;
    case KL_NVS_READS:
        found(st, b);
        break;
    case KL_NVS_LOOKS:
        looked(st, b);
        break;
    case KL_NVS_WRITES:
        kl_board_enter(st, b, KL_ST_CONFIRMING);
        kl_tell_key(st, b, "acknowledged", "");
        start(st, b, KL_NVS_VERIFIES);
        break;
    case KL_NVS_VERIFIES:
        start(st, b, KL_NVS_PROVES);
        break;
    case KL_NVS_PROVES:
        if (kl_nvs_proves(st->config.nvs, room_of(st, b), kl_custody_key(&b->custody)))
            kl_board_proved(st, b, KL_PROOF_READ_BACK);
        else
            kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS, "");
        break;
    case KL_NVS_STARTS:
        started(st, b);
        break;
    }
    return true;
}

/* ---- what its firmware prints of it ---- */

bool kl_board_nvs_prints(const struct kl_station *st)
{
    return st->config.nvs && st->config.confirm == KL_CONFIRM_READBACK;
}

const struct kl_key *kl_board_nvs_printed(struct kl_station *st, struct kl_board *b)
{
    struct kl_nvs_room *room = room_of(st, b);
    const struct kl_key *key = kl_custody_key(&b->custody);

    if (key)
        kl_nvs_printed(st->config.nvs, key, st->config.sha256, &room->printed);
    else
        kl_wipe(&room->printed, sizeof room->printed);
    return &room->printed;
}

/* Adopted keys are not here: their fingerprint is. */
static bool is_key(const struct kl_station *st, const struct kl_board *b,
                   const struct kl_delivery_news *news)
{
    const struct kl_key *printed = &room_of(st, b)->printed;

    if (printed->count > 0)
        return news->own;
    return kl_fingerprint_equal(&news->fingerprint,
                                &kl_pool_row_of(&st->pool, b->custody.index)->fingerprint);
}

static void printed(struct kl_station *st, struct kl_board *b, const struct kl_delivery_news *news)
{
    if (is_key(st, b, news)) {
        kl_tell_key(st, b, "confirmed", "its firmware prints it");
        kl_board_done(st, b);
    } else {
        kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS,
                      "its flash holds its key, but its firmware prints something else");
    }
}

void kl_board_nvs_news(struct kl_station *st, struct kl_board *b,
                       const struct kl_delivery_news *news)
{
    bool unasked = news->reason == KL_FAULT_NEVER_ASKED;

    KL_ASSERT(kl_board_nvs_prints(st));
    if (b->state != KL_ST_BOOTING || b->custody.state != KL_CUSTODY_RECORDED)
        return;
    switch (news->kind) {
    case KL_DELIVERY_CLAIMS:
        printed(st, b, news);
        break;
    case KL_DELIVERY_CLAIMS_BLIND:
        kl_board_fail(st, b, KL_FAULT_NO_READBACK, news->text);
        break;
    case KL_DELIVERY_WANTED:
        kl_board_fail(st, b, KL_FAULT_READBACK_DIFFERS,
                      "its flash holds its key, but its firmware asks for one");
        break;
    case KL_DELIVERY_TROUBLE:
        kl_board_fail(st, b, news->reason, news->text);
        break;
    case KL_DELIVERY_SILENT:
        kl_board_fail(st, b, unasked ? KL_FAULT_NO_READBACK : news->reason,
                      unasked ? "" : news->text);
        break;
    default: /* MAY_CLAIM: more comes; STARTED: that is what it should do */
        break;
    }
}
