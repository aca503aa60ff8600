#include "handover.h"

#include <string.h>

#define ASK_SILENCE KL_SEC(2)   /* a prompt is due every 500 ms: this is four missing */
#define SEND_AGAIN  KL_MS(1500) /* firmware gives a line one second to complete … */
#define FIRST_VALUE KL_SEC(4)   /* some firmware waits three seconds before it reads back */
#define NEXT_VALUE  KL_MS(1500)
#define RESTART_DUE KL_SEC(5) /* for the restart, after a read-back without one */
#define PIECE_TIME  KL_MS(10)

enum {
    PROMPTS_AGAIN = 2, /* … and a prompt may have been on its way when the line was sent */
};

static const char NO_FIELDS[] =
    "what it prints then are no lines \"name: value\"; --field-names REGEX";
static const char MIXED[] =
    "other lines stand between those of its read-back: --field-names tells them apart";

/* When in the 500 ms after a prompt the line goes out again. The times differ, because firmware may
   be deaf at one point of its cycle. */
static const kl_us again_after[] = {KL_MS(250), KL_MS(80), KL_MS(400), KL_MS(160), KL_MS(320), 0};

/* ---- events ---- */

static struct kl_handover_event *add_event(struct kl_handover *h, enum kl_handover_event_kind kind)
{
    if (h->event_count == KL_HO_EVENTS)
        h->event_count--; /* nobody pulls events: the newest replaces the last one */
    struct kl_handover_event *ev = &h->event[(h->event_first + h->event_count++) % KL_HO_EVENTS];
    *ev = (struct kl_handover_event){.kind = kind};
    return ev;
}

bool kl_handover_event(struct kl_handover *h, struct kl_handover_event *out)
{
    KL_ASSERT(h->event_count <= KL_HO_EVENTS && h->event_first < KL_HO_EVENTS);
    if (h->event_count == 0)
        return false;
    *out = h->event[h->event_first];
    h->event_first = (h->event_first + 1) % KL_HO_EVENTS;
    h->event_count--;
    return true;
}

static void add_timeout(struct kl_handover *h, enum kl_reason reason, const char *why)
{
    struct kl_handover_event *ev = add_event(h, KL_HO_TIMEOUT);

    KL_ASSERT(reason != KL_FAULT_NONE);
    ev->reason = reason;
    ev->why = why;
}

/* The known key; NULL if custody does not have it yet or has lost it, or if it is a long one, which
   no firmware tells. */
static const struct kl_key *known_key(const struct kl_handover *h)
{
    return h->key && h->key->count > 0 && !h->key->text ? h->key : NULL;
}

/* ---- phases ---- */

static void enter(struct kl_handover *h, enum kl_handover_phase phase, kl_us deadline)
{
    KL_ASSERT((phase == KL_HO_REST) == (deadline == KL_NEVER));
    h->phase = phase;
    h->deadline = deadline;
    h->line.again_at = KL_NEVER;
    h->line.piece_at = KL_NEVER;
    h->values.reading = false;
}

/* Not one more byte leaves. */
static void stop_sending(struct kl_handover *h)
{
    h->line.due = false;
    kl_wipe(h->line.piece, sizeof h->line.piece);
}

/* Waits for nothing any more; the console only passes on what still comes. */
static void rest(struct kl_handover *h)
{
    enter(h, KL_HO_REST, KL_NEVER);
    stop_sending(h);
}

void kl_handover_init(struct kl_handover *h, const struct kl_handover_setup *setup)
{
    KL_ASSERT(setup->fields <= KL_FIELDS_MAX && setup->console);
    KL_ASSERT(setup->prompt_timeout > 0 && setup->ack_timeout > 0 && setup->sha256);
    kl_wipe(h, sizeof *h);
    h->setup = *setup;
    rest(h);
}

void kl_handover_listen(struct kl_handover *h, const struct kl_key *key, kl_us now)
{
    struct kl_handover_setup setup = h->setup;

    KL_ASSERT(setup.console && h->phase == KL_HO_REST);
    kl_wipe(h, sizeof *h);
    h->setup = setup;
    h->open = true;
    h->key = key;
    kl_console_restart(setup.console);
    enter(h, KL_HO_LISTENING, now + setup.prompt_timeout);
}

/* The line goes out from its beginning. */
static void start_line(struct kl_handover *h, kl_us now)
{
    KL_ASSERT(h->phase == KL_HO_SENDING);
    h->line.due = true;
    h->line.sent_at = now;
    h->line.at = 0;
    h->line.prompts = 0;
}

void kl_handover_send(struct kl_handover *h, const struct kl_key *key, kl_us now)
{
    KL_ASSERT(h->open && h->phase == KL_HO_ASKED);
    KL_ASSERT(key->count > 0 && key->line[0] && memchr(key->line, '\0', sizeof key->line));
    h->key = key;
    h->line = (struct kl_handover_line){0};
    kl_console_await_answer(h->setup.console);
    enter(h, KL_HO_SENDING, now + h->setup.ack_timeout);
    start_line(h, now);
}

void kl_handover_rest(struct kl_handover *h)
{
    rest(h);
    KL_ASSERT(!h->line.due && h->line.again_at == KL_NEVER && h->line.piece_at == KL_NEVER);
}

void kl_handover_finish(struct kl_handover *h)
{
    struct kl_handover_setup setup = h->setup;

    kl_wipe(h, sizeof *h);
    h->setup = setup;
    rest(h);
}

/* The next bytes of the line and its end, at their place on the wire. Returns how many. */
static size_t cut_piece(struct kl_handover *h, const struct kl_key *key)
{
    size_t whole = strlen(key->line), left = whole + 1 - h->line.at;
    size_t size = left < KL_HO_PIECE ? left : KL_HO_PIECE;
    size_t text = size < left ? size : size - 1;

    KL_ASSERT(whole > 0 && whole <= KL_LINE_MAX && h->line.at <= whole);
    memcpy(h->line.piece, key->line + h->line.at, text);
    if (size == left)
        h->line.piece[text] = '\n';
    return size;
}

bool kl_handover_next(struct kl_handover *h, struct kl_io *out)
{
    const struct kl_key *key = known_key(h);

    if (!h->line.due)
        return false;
    KL_ASSERT(h->phase == KL_HO_SENDING);
    h->line.due = false;
    if (!key) /* the key is no longer this board's: only an unfinished line has left */
        return false;
    size_t size = cut_piece(h, key);
    *out = (struct kl_io){.kind = KL_IO_WRITE, .data = h->line.piece, .size = size, .secret = true};
    h->line.at += size;
    if (h->line.at <= strlen(key->line))
        h->line.piece_at = h->line.sent_at + PIECE_TIME;
    else
        h->line.sent = true;
    return true;
}

enum kl_handover_phase kl_handover_phase(const struct kl_handover *h)
{
    return h->phase;
}

kl_us kl_handover_deadline(const struct kl_handover *h)
{
    kl_us at = h->line.again_at < h->deadline ? h->line.again_at : h->deadline;

    if (h->line.piece_at < at)
        at = h->line.piece_at;
    return h->values.reading && h->values.read_by < at ? h->values.read_by : at;
}

/* ---- a read-back ---- */

static void start_reading(struct kl_handover *h, bool loose, kl_us now)
{
    struct kl_handover_values *v = &h->values;
    const struct kl_key *key = known_key(h);

    /* A board that repeats "Provisioned" without values must not prolong the wait. */
    if (!v->reading || v->got > 0)
        v->read_by = now + FIRST_VALUE;
    v->reading = true;
    v->loose = loose;
    v->others = false;
    v->got = v->next = 0;
    v->due = key ? key->count : h->setup.fields;
    KL_ASSERT(v->due <= KL_FIELDS_MAX);
}

/* The fingerprint of the last `count` values. */
static struct kl_fingerprint last_values(const struct kl_handover *h, unsigned count)
{
    const struct kl_handover_values *v = &h->values;
    struct kl_fingerprint fp;
    uint8_t ordered[KL_FIELDS_MAX][32];

    KL_ASSERT(count > 0 && count <= v->got && count <= KL_FIELDS_MAX);
    for (unsigned i = 0; i < count; i++)
        memcpy(ordered[i], v->digest[(v->got - count + i) % count], sizeof ordered[i]);
    kl_fingerprint_of_digests(&fp, (const uint8_t(*)[32])ordered, count, h->setup.sha256);
    kl_wipe(ordered, sizeof ordered);
    return fp;
}

/* The first of the last `count` values. */
static struct kl_handover_first first_of(const struct kl_handover *h, unsigned count)
{
    const struct kl_handover_values *v = &h->values;
    struct kl_handover_first first;

    KL_ASSERT(count > 0 && count <= v->got && count <= KL_FIELDS_MAX);
    first.hash = v->hash[(v->got - count) % count];
    memcpy(first.digest, v->digest[(v->got - count) % count], sizeof first.digest);
    return first;
}

static struct kl_handover_first label_of(const struct kl_handover *h, const struct kl_key *key)
{
    struct kl_span label = kl_key_field(key, 0);
    struct kl_handover_first first = {.hash = kl_hash(label.data, label.size)};

    h->setup.sha256(label.data, label.size, first.digest);
    return first;
}

static void tell_holds(struct kl_handover *h, const struct kl_fingerprint *fp,
                       const struct kl_handover_first *label, unsigned count, bool matches,
                       bool certain)
{
    struct kl_handover_event *ev = add_event(h, KL_HO_HOLDS);

    KL_ASSERT(certain || !matches);
    ev->fingerprint = *fp;
    ev->label = *label;
    ev->fields = count;
    ev->matches = matches;
    ev->certain = certain;
    if (certain)
        rest(h);
}

/* Does a complete read-back count? Before the restart it proves nothing about the flash: then only
   the restart is still due. */
static bool counts_already(struct kl_handover *h, kl_us now)
{
    if (h->phase != KL_HO_CONFIRMING || h->restarted)
        return true;
    if (now + RESTART_DUE < h->deadline)
        h->deadline = now + RESTART_DUE;
    h->values.reading = false;
    return false;
}

/* Is this the value of that field, as it is or in quotes? */
static bool is_field(const struct kl_handover *h, const struct kl_key *key, unsigned field,
                     struct kl_span value)
{
    struct kl_span own = kl_key_field(key, field);
    uint8_t want[32], got[32], bare[32];

    h->setup.sha256(own.data, own.size, want);
    kl_said_digest(value, h->setup.sha256, got);
    kl_said_digest(kl_said_unquoted(value), h->setup.sha256, bare);
    return memcmp(want, got, sizeof want) == 0 || memcmp(want, bare, sizeof want) == 0;
}

/* The key's own values must come in order; lines of the program's own may stand between them. True
   when the last one has come. */
static bool follows_key(struct kl_handover *h, const struct kl_key *key, struct kl_span value)
{
    struct kl_handover_values *v = &h->values;

    KL_ASSERT(v->next < key->count);
    if (is_field(h, key, v->next, value))
        v->next++;
    else if (v->next > 0 && is_field(h, key, 0, value))
        v->next = 1; /* the key begins anew: a line was lost */
    if (v->next < key->count)
        return false;
    v->next = 0;
    return true;
}

/* `due` values came that are not the key's. They are certainly the board's read-back only if it
   repeats them exactly or says nothing more. */
static void weigh_others(struct kl_handover *h, bool known, kl_us now)
{
    struct kl_handover_values *v = &h->values;

    if (v->due == 0 || v->got < v->due)
        return;
    struct kl_fingerprint fp = last_values(h, v->due);
    struct kl_handover_first label = first_of(h, v->due);
    if (v->got == v->due) {
        v->first = fp;
        v->label = label;
    }
    bool again = v->got == 2 * v->due && kl_fingerprint_equal(&fp, &v->first) &&
                 memcmp(label.digest, v->label.digest, sizeof label.digest) == 0;
    if (again && counts_already(h, now))
        tell_holds(h, &v->first, &v->label, v->due, false, true);
    else if (!known)
        tell_holds(h, &fp, &label, v->due, false, false);
}

static void take_value(struct kl_handover *h, struct kl_span value, kl_us now)
{
    struct kl_handover_values *v = &h->values;
    unsigned ring = v->due ? v->due : KL_FIELDS_MAX;
    const struct kl_key *key = known_key(h);
    struct kl_span bare = kl_said_unquoted(value);

    KL_ASSERT(v->reading && ring <= KL_FIELDS_MAX);
    if (v->due == 0 && v->got == KL_FIELDS_MAX)
        return;
    kl_said_digest(bare, h->setup.sha256, v->digest[v->got % ring]);
    v->hash[v->got % ring] = kl_hash(bare.data, bare.size);
    v->got++;
    v->read_by = now + NEXT_VALUE;
    if (key && follows_key(h, key, value)) {
        struct kl_handover_first label = label_of(h, key);
        if (counts_already(h, now))
            tell_holds(h, &key->fingerprint, &label, key->count, true, true);
        return;
    }
    weigh_others(h, key != NULL, now);
}

/* We can't tell the board's read-back from its log, so nobody may call it a wrong key. */
static void tell_unclear(struct kl_handover *h, const char *why)
{
    add_timeout(h, KL_FAULT_NO_READBACK, why);
    rest(h);
}

/* Silence after "Provisioned" or after the last value. */
static void end_reading(struct kl_handover *h, kl_us now)
{
    struct kl_handover_values *v = &h->values;
    unsigned count = v->due ? v->due : v->got;

    KL_ASSERT(v->reading);
    v->reading = false;
    if (count > 0 && v->got >= count) {
        if (!counts_already(h, now))
            return;
        if (v->got > count) {
            tell_unclear(h, MIXED);
            return;
        }
        if (v->due == 0) {
            v->first = last_values(h, count);
            v->label = first_of(h, count);
        }
        tell_holds(h, &v->first, &v->label, count, false, true);
    } else if (h->phase == KL_HO_LISTENING && v->got > 0) {
        tell_unclear(h, "it read back a part only"); /* garbled: again */
    } else if (h->phase == KL_HO_LISTENING && !v->loose) {
        add_event(h, KL_HO_HOLDS_BARE)->why = v->others ? NO_FIELDS : "";
        rest(h);
    }
}

/* ---- what lines do ---- */

/* Restarts the time for reading back, once. */
static void note_restart(struct kl_handover *h, kl_us now)
{
    if (!h->restarted)
        h->deadline = now + h->setup.ack_timeout;
    h->restarted = true;
}

static void take_restart(struct kl_handover *h, kl_us now)
{
    add_event(h, KL_HO_RESTART);
    h->values.reading = false;
    if (h->phase == KL_HO_CONFIRMING)
        note_restart(h, now);
    else if (h->phase != KL_HO_LISTENING)
        rest(h); /* another board may be there: not one more byte */
}

/* Firmware also refuses a garbled line, and sending it again helps. Only a second refusal means the
   key. */
static void count_refusal(struct kl_handover *h)
{
    KL_ASSERT(h->line.erred);
    h->line.erred = false;
    if (++h->line.refusals >= 2)
        add_event(h, KL_HO_ERROR);
}

static void take_prompt(struct kl_handover *h, kl_us now)
{
    struct kl_handover_line *l = &h->line;

    kl_console_alive(h->setup.console);
    add_event(h, KL_HO_ASKS);
    h->values.reading = false;
    if (h->phase == KL_HO_LISTENING || h->phase == KL_HO_ASKED)
        enter(h, KL_HO_ASKED, now + ASK_SILENCE);
    if (h->phase != KL_HO_SENDING || !l->sent)
        return;
    if (l->erred)
        count_refusal(h);
    l->prompts++;
    if (l->prompts >= PROMPTS_AGAIN && now - l->sent_at >= SEND_AGAIN && l->again_at == KL_NEVER)
        l->again_at = now + again_after[l->again++ % (sizeof again_after / sizeof again_after[0])];
}

static void take_ack(struct kl_handover *h, bool loose, kl_us now)
{
    if (!h->line.sent || (loose && h->setup.ack_alone))
        return;
    add_event(h, KL_HO_ACK);
    stop_sending(h);
    h->restarted = false;
    enter(h, KL_HO_CONFIRMING, now + h->setup.ack_timeout);
    start_reading(h, loose, now);
}

static void take_provisioned(struct kl_handover *h, bool loose, kl_us now)
{
    kl_console_alive(h->setup.console);
    switch (h->phase) {
    case KL_HO_LISTENING:
        start_reading(h, loose, now);
        if (h->deadline <= h->values.read_by) /* it spoke: if it shows nothing, that is the news */
            h->deadline = h->values.read_by + 1;
        break;
    case KL_HO_ASKED:
        if (loose)
            break; /* if the board has stopped asking, the deadline tells */
        add_timeout(h, KL_FAULT_BOARD_CHANGED, "it asked, and now says Provisioned unsent");
        rest(h);
        break;
    case KL_HO_SENDING:
        take_ack(h, loose, now);
        break;
    case KL_HO_CONFIRMING:
        note_restart(h, now); /* a USB console may lose the banner */
        start_reading(h, loose, now);
        break;
    case KL_HO_REST:
        break;
    }
}

/* A program may print errors of its own at any time. An error that our own firmware prints means
   our line. Any other means our line only if the board asks again after it. */
static void take_error(struct kl_handover *h, bool known)
{
    if (h->phase != KL_HO_SENDING || !h->line.sent)
        return;
    h->line.erred = true;
    if (known)
        count_refusal(h);
}

static void tell_trouble(struct kl_handover *h)
{
    const struct kl_bootlog *boot = kl_console_boot(h->setup.console);

    if (boot->conclusive && !h->trouble_told)
        add_event(h, KL_HO_TROUBLE)->reason = boot->reason;
    h->trouble_told = boot->conclusive;
}

static void take_line(struct kl_handover *h, const struct kl_said *line, kl_us now)
{
    KL_ASSERT(line->size > 0);
    if (h->phase == KL_HO_REST)
        return;
    if (line->restart)
        take_restart(h, now);
    else if (line->kind == KL_SAID_ASKS)
        take_prompt(h, now);
    else if (line->kind == KL_SAID_PROVISIONED)
        take_provisioned(h, line->loose, now);
    else if (line->kind == KL_SAID_ERROR)
        take_error(h, line->known);
    else if (line->kind == KL_SAID_FIELD && h->values.reading)
        take_value(h, line->value, now);
    else if (line->kind == KL_SAID_OTHER && !line->known)
        h->values.others = true;
    if (h->phase != KL_HO_REST)
        tell_trouble(h);
}

size_t kl_handover_rx(struct kl_handover *h, const uint8_t *data, size_t size, kl_us now)
{
    struct kl_said line;

    if (!h->open)
        return size;
    h->heard |= size > 0;
    size_t taken = kl_console_take(h->setup.console, data, size, now, &line);
    if (line.size > 0)
        take_line(h, &line, now);
    return taken;
}

/* ---- time ---- */

/* If boot text named a fault, that is a better reason than silence. */
static void time_out(struct kl_handover *h, enum kl_reason reason)
{
    const struct kl_bootlog *boot = kl_console_boot(h->setup.console);

    if (boot->reason != KL_FAULT_NONE)
        add_timeout(h, boot->reason, NULL);
    else
        add_timeout(h, reason, "");
}

static void phase_is_over(struct kl_handover *h, kl_us now)
{
    const struct kl_bootlog *boot = kl_console_boot(h->setup.console);

    switch (h->phase) {
    case KL_HO_LISTENING:
        if (h->values.reading && h->values.got > 0) {
            tell_unclear(h, MIXED);
            break;
        }
        time_out(h, !h->heard                        ? KL_FAULT_NO_BOOT_OUTPUT
                    : boot->mode == KL_BOOT_DOWNLOAD ? KL_FAULT_STILL_IN_LOADER
                                                     : KL_FAULT_NEVER_ASKED);
        h->deadline = now + h->setup.prompt_timeout;
        break;
    case KL_HO_ASKED:
        add_timeout(h, KL_FAULT_BOARD_CHANGED, "it stopped asking");
        h->deadline = now + ASK_SILENCE;
        break;
    case KL_HO_SENDING:
        time_out(h, h->line.refusals ? KL_FAULT_KEY_REFUSED : KL_FAULT_NO_ACK);
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
    KL_ASSERT(h->phase == KL_HO_SENDING && h->line.sent);
    h->line.again_at = KL_NEVER;
    start_line(h, now);
}

static void send_on(struct kl_handover *h, kl_us now)
{
    KL_ASSERT(h->phase == KL_HO_SENDING && h->line.at > 0);
    h->line.due = true;
    h->line.sent_at = now;
    h->line.piece_at = KL_NEVER;
}

void kl_handover_tick(struct kl_handover *h, kl_us now)
{
    if (h->line.again_at <= now)
        send_again(h, now);
    if (h->line.piece_at <= now)
        send_on(h, now);
    if (h->values.reading && h->values.read_by <= now)
        end_reading(h, now);
    if (h->phase != KL_HO_REST && h->deadline <= now)
        phase_is_over(h, now);
    KL_ASSERT((h->phase == KL_HO_REST) == (kl_handover_deadline(h) == KL_NEVER));
}
