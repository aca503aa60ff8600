#include "keyline/handover.h"

#include <string.h>

#include "handover_text.h"
#include "keyline/mask.h"

#define ASK_SILENCE KL_SEC(2)   /* prompts come every 500 ms: four missing means it is gone */
#define SEND_AGAIN  KL_MS(1500) /* firmware gives a line one second to complete … */
#define FIRST_VALUE KL_SEC(4)   /* some firmware waits three seconds before it reads back */
#define NEXT_VALUE  KL_MS(1500)
#define RESTART_DUE KL_SEC(5) /* it read its key back without a restart: it won't restart */
#define PIECE_TIME  KL_MS(10)

enum {
    PIECE = 64, /* half a UART's FIFO: over a network a line arrives faster than a wire is, and what
                   finds the FIFO full may be lost */
    PROMPTS_AGAIN = 2, /* … and a prompt may have been on its way when the line was sent */
};

/* Firmware that is deaf at some point of its cycle must not be met there each time: where in the
   500 ms after a prompt the line goes out again. */
static const kl_us again_after[] = {KL_MS(250), KL_MS(80), KL_MS(400), KL_MS(160), KL_MS(320), 0};

/* ---- events ---- */

/* Places in the queue are kept free for what matters more. */
static unsigned room_for(enum kl_handover_event_kind kind)
{
    return kind == KL_HO_LINE   ? KL_HO_EVENTS - 8
           : kind == KL_HO_ASKS ? KL_HO_EVENTS - 4
                                : KL_HO_EVENTS;
}

/* A caller that does not pull loses lines for the log first, then prompts, then all but the newest
   event. NULL: dropped. What the phase did stands in any case. */
static struct kl_handover_event *add_event(struct kl_handover *h, enum kl_handover_event_kind kind)
{
    if (h->event_count >= room_for(kind)) {
        if (h->event_count < KL_HO_EVENTS || room_for(kind) < KL_HO_EVENTS)
            return NULL;
        h->event_count--;
    }
    struct kl_handover_event *ev = &h->event[(h->event_first + h->event_count++) % KL_HO_EVENTS];
    *ev = (struct kl_handover_event){.kind = kind};
    return ev;
}

bool kl_handover_event(struct kl_handover *h, struct kl_handover_event *out)
{
    if (h->event_count == 0)
        return false;
    *out = h->event[h->event_first];
    h->event_first = (h->event_first + 1) % KL_HO_EVENTS;
    h->event_count--;
    return true;
}

static const struct kl_key *known_key(const struct kl_handover *h)
{
    return h->have_key ? &h->key : NULL;
}

/* Cuts between characters, not inside one. */
static void copy_text(char *out, size_t capacity, const char *text, size_t size)
{
    if (size >= capacity) {
        size = capacity - 1;
        while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

static void copy_label(char out[KL_LABEL_MAX + 1], struct kl_span label)
{
    static const char more[] = "…";

    if (label.size <= KL_LABEL_MAX) {
        copy_text(out, KL_LABEL_MAX + 1, (const char *)label.data, label.size);
        return;
    }
    copy_text(out, KL_LABEL_MAX + 2 - sizeof more, (const char *)label.data, label.size);
    memcpy(out + strlen(out), more, sizeof more);
}

static void mask_into(const struct kl_handover *h, char out[KL_TEXT_MAX], const char *text,
                      size_t size)
{
    char masked[KL_HO_RAW_MAX + 64];

    KL_ASSERT(size <= KL_HO_RAW_MAX);
    memcpy(masked, text, size);
    kl_mask_line(masked, &size, sizeof masked, known_key(h));
    copy_text(out, KL_TEXT_MAX, masked, size);
    kl_wipe(masked, sizeof masked);
}

static void add_timeout(struct kl_handover *h, enum kl_reason reason, const char *text)
{
    struct kl_handover_event *ev = add_event(h, KL_HO_TIMEOUT);

    if (!ev)
        return;
    ev->reason = reason;
    mask_into(h, ev->text, text, strlen(text));
}

/* ---- phases ---- */

static void enter(struct kl_handover *h, enum kl_handover_phase phase, kl_us deadline)
{
    h->phase = phase;
    h->deadline = deadline;
    h->again_at = KL_NEVER;
    h->piece_at = KL_NEVER;
    h->reading = false;
}

/* Nothing is waited for any more; what still comes is only masked and passed on. */
static void rest(struct kl_handover *h)
{
    enter(h, KL_HO_REST, KL_NEVER);
    h->due = false;
}

void kl_handover_init(struct kl_handover *h, const struct kl_handover_setup *setup)
{
    KL_ASSERT(setup->fields <= KL_FIELDS_MAX);
    KL_ASSERT(setup->prompt_timeout > 0 && setup->ack_timeout > 0 && setup->sha256);
    kl_wipe(h, sizeof *h);
    h->setup = *setup;
    rest(h);
}

void kl_handover_listen(struct kl_handover *h, const struct kl_key *expected, kl_us now)
{
    struct kl_handover_setup setup = h->setup;

    kl_wipe(h, sizeof *h);
    h->setup = setup;
    h->open = true;
    kl_bootlog_reset(&h->boot);
    if (expected) {
        h->key = *expected;
        h->have_key = true;
    }
    enter(h, KL_HO_LISTENING, now + setup.prompt_timeout);
}

/* The line goes out from its beginning. */
static void start_line(struct kl_handover *h, kl_us now)
{
    h->due = true;
    h->sent_at = now;
    h->sent_bytes = 0;
    h->prompts = 0;
}

void kl_handover_send(struct kl_handover *h, const struct kl_key *key, kl_us now)
{
    size_t size = strlen(key->line);

    KL_ASSERT(h->open && h->phase == KL_HO_ASKED);
    KL_ASSERT(size > 0 && size <= KL_LINE_MAX);
    h->key = *key;
    h->have_key = true;
    memcpy(h->tx, key->line, size);
    h->tx[size] = '\n';
    h->tx_size = size + 1;
    h->sent = false;
    h->again = 0;
    h->refusals = 0;
    enter(h, KL_HO_SENDING, now + h->setup.ack_timeout);
    start_line(h, now);
}

void kl_handover_finish(struct kl_handover *h)
{
    struct kl_handover_setup setup = h->setup;

    kl_wipe(h, sizeof *h);
    h->setup = setup;
    rest(h);
}

bool kl_handover_next(struct kl_handover *h, struct kl_io *out)
{
    if (!h->due)
        return false;
    KL_ASSERT(h->phase == KL_HO_SENDING);
    size_t left = h->tx_size - h->sent_bytes, size = left < PIECE ? left : PIECE;
    *out = (struct kl_io){
        .kind = KL_IO_WRITE, .data = h->tx + h->sent_bytes, .size = size, .secret = true};
    h->due = false;
    h->sent_bytes += size;
    if (size < left)
        h->piece_at = h->sent_at + PIECE_TIME;
    else
        h->sent = true;
    return true;
}

enum kl_handover_phase kl_handover_phase(const struct kl_handover *h)
{
    return h->phase;
}

kl_us kl_handover_deadline(const struct kl_handover *h)
{
    kl_us at = h->again_at < h->deadline ? h->again_at : h->deadline;

    if (h->piece_at < at)
        at = h->piece_at;
    return h->reading && h->read_by < at ? h->read_by : at;
}

/* ---- a read-back ---- */

/* How many values make one; 0 = as many as come. */
static unsigned values_due(const struct kl_handover *h)
{
    return h->have_key ? h->key.count : h->setup.fields;
}

static void start_reading(struct kl_handover *h, kl_us now)
{
    /* "Provisioned" again and again without values must come to an end, too. */
    if (!h->reading || h->got > 0)
        h->read_by = now + FIRST_VALUE;
    h->reading = true;
    h->got = 0;
    h->label[0] = '\0';
}

/* The fingerprint of the last `count` values. */
static struct kl_fingerprint last_values(const struct kl_handover *h, unsigned count)
{
    struct kl_fingerprint fp;
    uint8_t ordered[KL_FIELDS_MAX][32];

    for (unsigned i = 0; i < count; i++)
        memcpy(ordered[i], h->digest[(h->got - count + i) % count], sizeof ordered[i]);
    kl_fingerprint_of_digests(&fp, (const uint8_t(*)[32])ordered, count, h->setup.sha256);
    kl_wipe(ordered, sizeof ordered);
    return fp;
}

/* The digest of the first of the last `count` values. */
static const uint8_t *last_label(const struct kl_handover *h, unsigned count)
{
    return h->digest[(h->got - count) % count];
}

static bool has_own_label(const struct kl_handover *h, const uint8_t digest[32])
{
    struct kl_span label = kl_key_field(&h->key, 0);
    uint8_t own[32];

    h->setup.sha256(label.data, label.size, own);
    return memcmp(own, digest, sizeof own) == 0;
}

static void tell_holds(struct kl_handover *h, const struct kl_fingerprint *fp,
                       const uint8_t label[32], unsigned count, bool matches)
{
    struct kl_handover_event *ev = add_event(h, KL_HO_HOLDS);

    if (ev) {
        ev->fingerprint = *fp;
        memcpy(ev->label_digest, label, sizeof ev->label_digest);
        ev->fields = count;
        ev->matches = matches;
        if (matches)
            copy_label(ev->label, kl_key_field(&h->key, 0));
        else
            kl_copy(ev->label, sizeof ev->label, h->label);
    }
    rest(h);
}

/* A complete read-back before the restart proves nothing about the flash; then the restart is all
   that is still due. */
static bool counts_already(struct kl_handover *h, kl_us now)
{
    if (h->phase != KL_HO_CONFIRMING || h->restarted)
        return true;
    if (now + RESTART_DUE < h->deadline)
        h->deadline = now + RESTART_DUE;
    h->reading = false;
    return false;
}

/* Other values may stand before the key's own ones: any run of them that equals the key will do. */
static void weigh_values(struct kl_handover *h, kl_us now)
{
    unsigned due = values_due(h);

    if (due == 0 || h->got < due)
        return;
    struct kl_fingerprint fp = last_values(h, due);
    if (h->got == due) {
        h->first = fp;
        memcpy(h->first_label, last_label(h, due), sizeof h->first_label);
    }
    bool matches = h->have_key && kl_fingerprint_equal(&fp, &h->key.fingerprint) &&
                   has_own_label(h, last_label(h, due));
    if (matches && counts_already(h, now))
        tell_holds(h, &fp, last_label(h, due), due, true);
    else if (!h->have_key || (!matches && h->got >= 2 * due && counts_already(h, now)))
        tell_holds(h, &h->first, h->first_label, due, false);
}

static void take_value(struct kl_handover *h, const struct kl_ho_text *text, kl_us now)
{
    unsigned due = values_due(h);
    unsigned ring = due ? due : KL_FIELDS_MAX;

    if (due == 0 && h->got == KL_FIELDS_MAX)
        return;
    bool spelled = kl_ho_digest(text->value, h->setup.sha256, h->digest[h->got % ring]);
    if (h->got == 0 && !spelled && kl_ho_is_showable(text->value))
        copy_label(h->label, text->value);
    h->got++;
    h->read_by = now + NEXT_VALUE;
    weigh_values(h, now);
}

/* Silence after "Provisioned" or after the last value. */
static void end_reading(struct kl_handover *h, kl_us now)
{
    unsigned due = values_due(h);
    unsigned count = due ? due : h->got;

    h->reading = false;
    if (count > 0 && h->got >= count) {
        if (!counts_already(h, now))
            return;
        if (due == 0) {
            h->first = last_values(h, count);
            memcpy(h->first_label, h->digest[0], sizeof h->first_label);
        }
        tell_holds(h, &h->first, h->first_label, count, false);
    } else if (h->phase == KL_HO_LISTENING) {
        if (h->got > 0)
            add_timeout(h, KL_FAULT_NO_READBACK, "it read back a part only"); /* garbled: again */
        else
            add_event(h, KL_HO_HOLDS_BARE);
        rest(h);
    }
}

/* ---- what lines do ---- */

/* The time for reading back starts anew, once. */
static void note_restart(struct kl_handover *h, kl_us now)
{
    if (!h->restarted)
        h->deadline = now + h->setup.ack_timeout;
    h->restarted = true;
}

static void take_restart(struct kl_handover *h, kl_us now)
{
    add_event(h, KL_HO_RESTART);
    h->reading = false;
    if (h->phase == KL_HO_CONFIRMING)
        note_restart(h, now);
    else if (h->phase != KL_HO_LISTENING)
        rest(h); /* another board may stand there: not one more byte */
}

static void take_prompt(struct kl_handover *h, kl_us now)
{
    kl_bootlog_alive(&h->boot);
    add_event(h, KL_HO_ASKS);
    h->reading = false;
    if (h->phase == KL_HO_LISTENING || h->phase == KL_HO_ASKED)
        enter(h, KL_HO_ASKED, now + ASK_SILENCE);
    if (h->phase != KL_HO_SENDING || !h->sent)
        return;
    h->prompts++;
    if (h->prompts >= PROMPTS_AGAIN && now - h->sent_at >= SEND_AGAIN && h->again_at == KL_NEVER)
        h->again_at = now + again_after[h->again++ % (sizeof again_after / sizeof again_after[0])];
}

static void take_provisioned(struct kl_handover *h, kl_us now)
{
    kl_bootlog_alive(&h->boot);
    switch (h->phase) {
    case KL_HO_LISTENING:
        start_reading(h, now);
        if (h->deadline <= h->read_by) /* it spoke: that it shows nothing is the news then */
            h->deadline = h->read_by + 1;
        break;
    case KL_HO_ASKED:
        add_timeout(h, KL_FAULT_BOARD_CHANGED, "it asked, and now says Provisioned unsent");
        rest(h);
        break;
    case KL_HO_SENDING:
        if (!h->sent)
            break;
        add_event(h, KL_HO_ACK);
        h->due = false;
        h->restarted = false;
        enter(h, KL_HO_CONFIRMING, now + h->setup.ack_timeout);
        start_reading(h, now);
        break;
    case KL_HO_CONFIRMING:
        note_restart(h, now); /* a USB console may swallow the banner */
        start_reading(h, now);
        break;
    case KL_HO_REST:
        break;
    }
}

/* A garbled line is refused, too, and mended by sending it again: only the second time it is the
   key that is refused. */
static void take_refusal(struct kl_handover *h, const char *line, size_t size)
{
    if (h->phase != KL_HO_SENDING || !h->sent || ++h->refusals < 2)
        return;
    struct kl_handover_event *ev = add_event(h, KL_HO_ERROR);
    if (ev)
        mask_into(h, ev->text, line, size);
}

static void tell_trouble(struct kl_handover *h)
{
    if (!h->boot.conclusive) {
        h->trouble_told = false;
        return;
    }
    if (h->trouble_told)
        return;
    struct kl_handover_event *ev = add_event(h, KL_HO_TROUBLE);
    h->trouble_told = true;
    if (ev) {
        ev->reason = h->boot.reason;
        mask_into(h, ev->text, h->boot.detail, strlen(h->boot.detail));
    }
}

/* ---- lines for the log ---- */

static bool is_name_of_value(const struct kl_handover *h, struct kl_span name)
{
    uint32_t hash = kl_ho_hash(name);

    for (unsigned i = 0; i < h->name_count; i++)
        if (h->names[i] == hash)
            return true;
    return false;
}

static void remember_name(struct kl_handover *h, struct kl_span name)
{
    if (h->name_count < KL_FIELDS_MAX && !is_name_of_value(h, name))
        h->names[h->name_count++] = kl_ho_hash(name);
}

static bool is_own_label(const struct kl_handover *h, struct kl_span value)
{
    if (!h->have_key)
        return false;
    struct kl_span label = kl_key_field(&h->key, 0);
    return value.size == label.size && memcmp(value.data, label.data, label.size) == 0;
}

/* Values of a read-back go whole, and so does whatever comes under one of their names later: some
   firmware prints its key for ever. The label is shown where it is known to be the label. */
static void tell_line(struct kl_handover *h, const char *line, size_t size,
                      const struct kl_ho_text *text)
{
    struct kl_handover_event *ev = add_event(h, KL_HO_LINE);
    bool secret = text->kind == KL_HO_TEXT_FIELD && text->value.size > 0 &&
                  is_name_of_value(h, text->name) && !is_own_label(h, text->value);

    if (!ev)
        return;
    if (!secret) {
        mask_into(h, ev->text, line, size);
        return;
    }
    char name[KL_TEXT_MAX];
    mask_into(h, name, (const char *)text->name.data, text->name.size);
    kl_format(ev->text, sizeof ev->text, "%s: [masked]", name);
}

static void take_line(struct kl_handover *h, kl_us now)
{
    size_t size = kl_mask_strip_escapes(h->line, h->line_size);
    struct kl_ho_text text = kl_ho_read_text(h->line, size);
    bool restart = kl_bootlog_line(&h->boot, h->line, size, now);

    if (h->overlong)
        text.kind = KL_HO_TEXT_OTHER;
    if (text.kind == KL_HO_TEXT_FIELD && h->reading)
        remember_name(h, text.name);
    if (size > 0)
        tell_line(h, h->line, size, &text);
    if (h->phase == KL_HO_REST)
        return;
    if (restart)
        take_restart(h, now);
    else if (text.kind == KL_HO_TEXT_ASKS)
        take_prompt(h, now);
    else if (text.kind == KL_HO_TEXT_PROVISIONED)
        take_provisioned(h, now);
    else if (text.kind == KL_HO_TEXT_ERROR)
        take_refusal(h, h->line, size);
    else if (text.kind == KL_HO_TEXT_FIELD && h->reading)
        take_value(h, &text, now);
    if (h->phase != KL_HO_REST)
        tell_trouble(h);
}

void kl_handover_rx(struct kl_handover *h, const uint8_t *data, size_t size, kl_us now)
{
    if (!h->open)
        return;
    for (size_t i = 0; i < size; i++) {
        h->heard = true;
        if (data[i] != '\n' && data[i] != '\r') {
            if (h->line_size < sizeof h->line)
                h->line[h->line_size++] = (char)data[i];
            else
                h->overlong = true;
            continue;
        }
        if (h->line_size > 0)
            take_line(h, now);
        kl_wipe(h->line, h->line_size);
        h->line_size = 0;
        h->overlong = false;
    }
}

/* ---- time ---- */

/* What boot text said is a better reason than silence. */
static void time_out(struct kl_handover *h, enum kl_reason reason)
{
    if (h->boot.reason != KL_FAULT_NONE)
        add_timeout(h, h->boot.reason, h->boot.detail);
    else
        add_timeout(h, reason, "");
}

static void phase_is_over(struct kl_handover *h, kl_us now)
{
    switch (h->phase) {
    case KL_HO_LISTENING:
        time_out(h, !h->heard                          ? KL_FAULT_NO_BOOT_OUTPUT
                    : h->boot.mode == KL_BOOT_DOWNLOAD ? KL_FAULT_STILL_IN_LOADER
                                                       : KL_FAULT_NEVER_ASKED);
        h->deadline = now + h->setup.prompt_timeout;
        break;
    case KL_HO_ASKED:
        add_timeout(h, KL_FAULT_BOARD_CHANGED, "it stopped asking");
        h->deadline = now + ASK_SILENCE;
        break;
    case KL_HO_SENDING:
        time_out(h, h->refusals ? KL_FAULT_KEY_REFUSED : KL_FAULT_NO_ACK);
        h->deadline = now + h->setup.ack_timeout;
        break;
    case KL_HO_CONFIRMING:
        time_out(h, KL_FAULT_NO_READBACK);
        h->deadline = now + h->setup.ack_timeout;
        break;
    case KL_HO_REST:
        break;
    }
}

static void send_again(struct kl_handover *h, kl_us now)
{
    KL_ASSERT(h->phase == KL_HO_SENDING && h->sent);
    h->again_at = KL_NEVER;
    start_line(h, now);
}

static void send_on(struct kl_handover *h, kl_us now)
{
    KL_ASSERT(h->phase == KL_HO_SENDING && h->sent_bytes < h->tx_size);
    h->due = true;
    h->sent_at = now;
    h->piece_at = KL_NEVER;
}

void kl_handover_tick(struct kl_handover *h, kl_us now)
{
    if (h->again_at <= now)
        send_again(h, now);
    if (h->piece_at <= now)
        send_on(h, now);
    if (h->reading && h->read_by <= now)
        end_reading(h, now);
    if (h->phase != KL_HO_REST && h->deadline <= now)
        phase_is_over(h, now);
    KL_ASSERT((h->phase == KL_HO_REST) == (kl_handover_deadline(h) == KL_NEVER));
}
