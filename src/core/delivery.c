/* delivery.c: a key is handed over to the running firmware. See delivery.h. */
#include "delivery.h"

#include <string.h>

enum kl_state kl_delivery_after(const struct kl_delivery *d)
{
    (void)d;
    return KL_ST_BOOTING;
}

void kl_delivery_begin(struct kl_delivery *d, const struct kl_station_config *config,
                       struct kl_console *console, unsigned fields, const struct kl_key *known,
                       kl_us now)
{
    struct kl_handover_setup setup = {
        .console = console,
        .prompt_timeout = config->prompt_timeout,
        .ack_timeout = config->ack_timeout,
        .fields = fields <= KL_FIELDS_MAX ? fields : 0, /* long keys are not handed over */
        .ack_alone = config->confirm == KL_CONFIRM_ACK,
        .sha256 = config->sha256,
    };

    KL_ASSERT(console && known && known->count <= KL_COLUMNS_MAX);
    d->state = KL_DELIVERY_LISTENS;
    d->confirm = config->confirm;
    kl_handover_init(&d->handover, &setup);
    kl_handover_listen(&d->handover, known, now);
}

bool kl_delivery_is_wanted(const struct kl_delivery *d)
{
    return d->state == KL_DELIVERY_LISTENS && kl_handover_phase(&d->handover) == KL_HO_ASKED;
}

void kl_delivery_send(struct kl_delivery *d, const struct kl_key *key, kl_us now)
{
    KL_ASSERT(kl_delivery_is_wanted(d) && key->count > 0);
    d->state = KL_DELIVERY_SENT;
    kl_handover_send(&d->handover, key, now);
}

void kl_delivery_stop(struct kl_delivery *d)
{
    KL_ASSERT(d->state != KL_DELIVERY_RESTS);
    kl_handover_rest(&d->handover);
}

void kl_delivery_end(struct kl_delivery *d)
{
    d->state = KL_DELIVERY_RESTS;
    kl_handover_finish(&d->handover);
}

size_t kl_delivery_rx(struct kl_delivery *d, const uint8_t *data, size_t size, kl_us now)
{
    KL_ASSERT(d->state != KL_DELIVERY_RESTS);
    return kl_handover_rx(&d->handover, data, size, now);
}

void kl_delivery_tick(struct kl_delivery *d, kl_us now)
{
    KL_ASSERT(d->state != KL_DELIVERY_RESTS);
    kl_handover_tick(&d->handover, now);
}

kl_us kl_delivery_deadline(const struct kl_delivery *d)
{
    return kl_handover_deadline(&d->handover);
}

bool kl_delivery_next(struct kl_delivery *d, struct kl_io *out)
{
    if (!kl_handover_next(&d->handover, out))
        return false;
    KL_ASSERT(d->state == KL_DELIVERY_SENT && out->secret);
    return true;
}

/* ---- what its words mean ---- */

/* What the board's word alone proves. */
static enum kl_proof proof_by_word(const struct kl_delivery *d)
{
    return d->confirm == KL_CONFIRM_ACK ? KL_PROOF_ACKNOWLEDGED : KL_PROOF_NONE;
}

static void holds(const struct kl_delivery *d, const struct kl_handover_event *ev,
                  struct kl_delivery_news *out)
{
    KL_ASSERT(d->state != KL_DELIVERY_RESTS);
    out->proof = KL_PROOF_READ_BACK;
    out->own = ev->matches;
    if (d->state == KL_DELIVERY_LISTENS)
        out->kind = ev->certain ? KL_DELIVERY_CLAIMS : KL_DELIVERY_MAY_CLAIM;
    else if (ev->matches)
        out->kind = KL_DELIVERY_PROVED;
    else if (ev->certain)
        out->kind = KL_DELIVERY_DIFFERS;
    else
        out->kind = KL_DELIVERY_MAY_CLAIM;
}

/* Writes what the board said instead of what we waited for, and how to tell keyline what it means.
   False: there is nothing that may be shown. */
static bool said_instead(const struct kl_console *console, enum kl_reason reason,
                         char out[KL_TEXT_MAX])
{
    const char *prompt = kl_console_near_prompt(console);
    const char *answer = kl_console_answer(console);

    if (reason == KL_FAULT_NEVER_ASKED && prompt[0])
        kl_format(out, KL_TEXT_MAX, "the board said \"%s\"; that is no prompt; --prompt REGEX",
                  prompt);
    else if (reason == KL_FAULT_NO_ACK && answer[0])
        kl_format(out, KL_TEXT_MAX,
                  "the board said \"%.160s\"; that is no acknowledgement; --ack REGEX", answer);
    else
        return false;
    return true;
}

/* Uses only the console's words and our own. */
static void explain(const struct kl_delivery *d, const struct kl_handover_event *ev,
                    struct kl_delivery_news *out)
{
    const struct kl_console *console = d->handover.setup.console;

    if (ev->kind == KL_HO_ERROR)
        kl_copy(out->text, sizeof out->text, kl_console_refusal(console));
    else if (ev->kind == KL_HO_TROUBLE)
        kl_copy(out->text, sizeof out->text, kl_console_detail(console));
    else if (ev->kind == KL_HO_TIMEOUT || ev->kind == KL_HO_HOLDS_BARE)
        if (!said_instead(console, ev->reason, out->text))
            kl_copy(out->text, sizeof out->text, ev->why ? ev->why : kl_console_detail(console));
    if (ev->kind == KL_HO_RESTART && !said_instead(console, KL_FAULT_NO_ACK, out->text))
        kl_copy(out->text, sizeof out->text, "it started again before it acknowledged");
}

bool kl_delivery_news(struct kl_delivery *d, struct kl_delivery_news *out)
{
    static const enum kl_delivery_news_kind kinds[] = {
        [KL_HO_RESTART] = KL_DELIVERY_STARTED,         [KL_HO_ASKS] = KL_DELIVERY_WANTED,
        [KL_HO_ACK] = KL_DELIVERY_ACKNOWLEDGED,        [KL_HO_HOLDS] = KL_DELIVERY_CLAIMS,
        [KL_HO_HOLDS_BARE] = KL_DELIVERY_CLAIMS_BLIND, [KL_HO_ERROR] = KL_DELIVERY_REFUSED,
        [KL_HO_TROUBLE] = KL_DELIVERY_TROUBLE,         [KL_HO_TIMEOUT] = KL_DELIVERY_SILENT,
    };
    struct kl_handover_event ev;

    if (!kl_handover_event(&d->handover, &ev))
        return false;
    KL_ASSERT((unsigned)ev.kind < sizeof kinds / sizeof kinds[0]);
    *out = (struct kl_delivery_news){
        .kind = kinds[ev.kind],
        .reason = ev.reason,
        .fingerprint = ev.fingerprint,
        .label = ev.label,
    };
    explain(d, &ev, out);
    if (ev.kind == KL_HO_ACK || ev.kind == KL_HO_HOLDS_BARE)
        out->proof = proof_by_word(d);
    if (ev.kind == KL_HO_HOLDS)
        holds(d, &ev, out);
    return true;
}
