/* oracle.c: what must be true at every instant. It looks only at bytes on wires, at what virtual
   boards hold and at the durable state. It shares no code with the pool. */
#include <string.h>

#include "world.h"

/* key_in() finds a key if so many of its characters in a row stand in the text, from any place in
   any field. */
enum {
    PART = 16
};

/* A label is no part of a key. */
bool oracle_same_key(const char *a, const char *b)
{
    a = strchr(a, ',');
    b = strchr(b, ',');
    while (a && b && (*a || *b)) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 'a' - 'A') : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 'a' - 'A') : *b;
        if (x != y && x != '-' && y != '-')
            return false;
        a += x == y || x == '-';
        b += x == y || y == '-';
    }
    return a && b;
}

static int key_in(struct world *w, const char *text, size_t size)
{
    char part[PART];

    for (size_t i = 0; i + PART <= size; i++) {
        bool hex = true;
        for (size_t n = 0, at = i; n < PART && hex; n++, at++) {
            at += at + 1 < size && text[at] == '-'; /* as people spell it, too */
            char c = at < size ? text[at] : '\0';
            part[n] = c >= 'A' && c <= 'F' ? (char)(c + 'a' - 'A') : c;
            hex = (part[n] >= '0' && part[n] <= '9') || (part[n] >= 'a' && part[n] <= 'f');
        }
        for (unsigned k = 0; hex && k < w->key_count; k++)
            if (memmem(w->key[k].key.line, strlen(w->key[k].key.line), part, PART))
                return (int)k;
    }
    return -1;
}

/* ---- secrets in what is told ---- */

enum {
    TOLD = 8 /* nobody may see so many characters of one field of a secret in a row */
};

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static unsigned part_of(const char *text)
{
    uint32_t hash = 0;

    for (int i = 0; i < TOLD; i++)
        hash = hash * 31 + (uint8_t)folded(text[i]);
    return (hash * 2654435761u) >> 16;
}

static bool same(const char *a, const char *b)
{
    for (int i = 0; i < TOLD; i++)
        if (folded(a[i]) != folded(b[i]))
            return false;
    return true;
}

/* What ends one field and begins the next may stand in any line: "2,5ec000" is no secret. */
static bool is_in_one_field(const char *part)
{
    return memchr(part, ',', TOLD) == NULL;
}

/* A key's secrets: all that stands behind its label. */
static const char *secrets_of(const struct sim_key *k)
{
    return strchr(k->key.line, ',') + 1;
}

void oracle_learn_key(struct world *w, const struct sim_key *k)
{
    const char *secret = secrets_of(k);

    for (size_t i = 0; i + TOLD <= strlen(secret); i++) {
        if (!is_in_one_field(secret + i))
            continue;
        unsigned part = part_of(secret + i);
        w->secret_parts[part / 8] |= (uint8_t)(1u << part % 8);
    }
}

/* The key of which the text holds a part; NULL = none. */
static const struct sim_key *secret_in(const struct world *w, const char *text, size_t size)
{
    for (size_t at = 0; at + TOLD <= size; at++) {
        unsigned part = part_of(text + at);
        if (!(w->secret_parts[part / 8] >> part % 8 & 1))
            continue;
        for (unsigned k = 0; k < w->key_count; k++) {
            const char *secret = secrets_of(&w->key[k]);
            for (size_t i = 0; i + TOLD <= strlen(secret); i++)
                if (is_in_one_field(secret + i) && same(secret + i, text + at))
                    return &w->key[k];
        }
    }
    return NULL;
}

/* Whether the text holds part of a secret, plainly or as the hex of its characters. */
static bool is_told(const struct world *w, const char *text)
{
    size_t size = strlen(text);
    char plain[2 * KL_TEXT_MAX];

    if (secret_in(w, text, size))
        return true;
    for (size_t from = 0; from < 2; from++) {
        size_t n = 0;
        for (size_t i = from; i + 2 <= size && n < sizeof plain; i += 2) {
            unsigned value = 0;
            if (sscanf(text + i, "%2x", &value) != 1)
                value = ' ';
            plain[n++] = (char)value;
        }
        if (secret_in(w, plain, n))
            return true;
    }
    return false;
}

/* Writes the fields of the key that an NVS holds, or "". */
static void read_held(struct kl_nvs_image image, char line[FIELDS * 256])
{
    size_t used = 0;

    for (int i = 0; i < FIELDS; i++) {
        char name[8];
        struct kl_nvs_item item;
        kl_format(name, sizeof name, "key%d", i + 1);
        if (!kl_nvs_find(image, "provision", name, &item) || item.type != KL_NVS_STRING ||
            item.size > 250) {
            line[0] = '\0';
            return;
        }
        line[used] = ',';
        used += i > 0;
        kl_nvs_read(image, &item, 0, (uint8_t *)line + used, item.size);
        used += item.size - 1;
    }
}

/* What a board holds. Its firmware says what it was handed. A key written into flash is read from
   there, even if the board never started since. The text is the board's until it is asked again. */
const char *board_holds(const struct world *w, const struct sim_board *b)
{
    static struct {
        uint8_t nvs[0x6000]; /* as it was read last: most looks find nothing new */
        char line[FIELDS * 256];
        bool known;
    } held[BOARDS_MAX];
    const struct kl_nvs_delivery *d = w->config.nvs;
    size_t at = (size_t)(b - w->board);
    uint32_t size;

    if (!d)
        return kl_vboard_stored(b->v);
    const uint8_t *flash = kl_vboard_flash(b->v, &size);
    if (size < d->offset + d->size || d->size > sizeof held[at].nvs)
        return "";
    if (held[at].known && memcmp(held[at].nvs, flash + d->offset, d->size) == 0)
        return held[at].line;
    read_held((struct kl_nvs_image){flash + d->offset, d->size}, held[at].line);
    memcpy(held[at].nvs, flash + d->offset, d->size);
    held[at].known = true;
    return held[at].line;
}

/* Checks bytes that leave the host for the board in the slot. They reach nobody if the link's port
   has gone. */
void oracle_bytes_out(struct world *w, unsigned slot, const struct kl_io *io, bool connected)
{
    int n = io->size <= 4096 || w->config.nvs ? key_in(w, (const char *)io->data, io->size) : -1;
    static struct kl_snapshot snap;
    enum kl_state state;
    struct sim_key *k;
    struct kl_mac to;

    if (n < 0)
        return;
    k = &w->key[n];
    kl_station_look(w->st, &snap);
    state = snap.slot[slot].state;
    if (k->told)
        violated(w, "key %s leaves the host, and another tool has marked it", k->label);
    if (k->burnt)
        violated(w, "key %s leaves the host, and another board has shown it", k->label);
    if (state != KL_ST_SENDING)
        violated(w, "key %s leaves the host while its board is %s", k->label, kl_state_name(state));
    if (!io->secret)
        violated(w, "key %s leaves in a write that is not marked secret", k->label);
    if (!k->reserved && !k->provisioned) {
        violated(w, "key %s leaves the host before its reservation is durable", k->label);
        return;
    }
    if (!connected || w->in_slot[slot] < 0)
        return; /* no board gets these bytes */
    to = w->board[w->in_slot[slot]].mac;
    if (memcmp(&to, &k->mac, sizeof to) != 0)
        violated(w, "key %s is sent to a board that it is not reserved for", k->label);
    if (k->sent && memcmp(&to, &k->sent_to, sizeof to) != 0)
        violated(w, "key %s was sent to two boards", k->label);
    for (unsigned i = 0; i < w->key_count; i++)
        if (&w->key[i] != k && w->key[i].sent && memcmp(&w->key[i].sent_to, &to, sizeof to) == 0)
            violated(w, "one board was sent the keys %s and %s", w->key[i].label, k->label);
    if (k->sent)
        saw(SIM_SENT_AGAIN);
    k->sent = true;
    k->sent_to = to;
}

/* No face may get a secret of any key, and nothing may write one down. */
static void check_attempt(struct world *w, const struct kl_attempt *attempt)
{
    if (attempt && (is_told(w, attempt->detail) || is_told(w, attempt->label)))
        violated(w, "a record shows key material: %s, %s", attempt->label, attempt->detail);
}

void oracle_note(struct world *w, const struct kl_note *n)
{
    if (is_told(w, n->text))
        violated(w, "a note shows key material: %s", n->text);
    if (n->fault && is_told(w, n->fault->detail))
        violated(w, "a fault's detail shows key material: %s", n->fault->detail);
    if (is_told(w, n->label))
        violated(w, "a label shows key material: %s", n->label);
    check_attempt(w, n->attempt);
}

void oracle_action(struct world *w, const struct kl_action *a)
{
    if (a->kind != KL_AC_STORE)
        return;
    check_attempt(w, a->u.store.attempt);
    if (a->u.store.reason && is_told(w, a->u.store.reason))
        violated(w, "a reason that the ledger keeps shows key material");
}

void oracle_snapshot(struct world *w, const struct kl_snapshot *snap)
{
    for (unsigned s = 0; s < snap->slot_count; s++)
        if (is_told(w, snap->slot[s].fault.detail) || is_told(w, snap->slot[s].label))
            violated(w, "the view of slot %u shows key material: %s, %s", s + 1,
                     snap->slot[s].label, snap->slot[s].fault.detail);
    if (is_told(w, snap->warning))
        violated(w, "the station's warning shows key material");
}

void oracle_boards(struct world *w)
{
    const char *holds[BOARDS_MAX];

    for (unsigned b = 0; b < w->board_count; b++)
        holds[b] = w->board[b].used && !w->board[b].planted ? board_holds(w, &w->board[b]) : NULL;
    for (unsigned k = 0; k < w->key_count; k++) {
        const struct sim_key *key = &w->key[k];
        int holder = -1;

        for (unsigned b = 0; b < w->board_count; b++) {
            if (!holds[b] || !oracle_same_key(holds[b], key->key.line))
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
        if (key->marked && !key->provisioned && !key->foreign)
            violated(w, "key %s is marked but not provisioned", key->label);
    }
}

/* One MAC may be live on one slot at a time only. */
void oracle_slots(struct world *w, const struct kl_snapshot *snap)
{
    for (unsigned a = 0; a < w->slots; a++)
        for (unsigned b = 0; b < a; b++)
            if (snap->slot[a].state >= KL_ST_FLASHING && snap->slot[a].state <= KL_ST_TESTING &&
                snap->slot[b].state >= KL_ST_FLASHING && snap->slot[b].state <= KL_ST_TESTING &&
                memcmp(&snap->slot[a].identity.mac, &snap->slot[b].identity.mac,
                       sizeof(struct kl_mac)) == 0)
                violated(w, "slots %u and %u work on one MAC", b + 1, a + 1);
}

static bool some_board_holds(struct world *w, const struct kl_mac *mac, const char *line)
{
    for (unsigned b = 0; b < w->board_count; b++)
        if (memcmp(&w->board[b].mac, mac, sizeof *mac) == 0 &&
            oracle_same_key(board_holds(w, &w->board[b]), line))
            return true;
    return false;
}

void oracle_provisioned(struct world *w, const struct sim_key *key, bool acknowledged_only)
{
    if (acknowledged_only && w->config.confirm != KL_CONFIRM_ACK)
        violated(w, "key %s is recorded without its read-back", key->label);
    if (!acknowledged_only && !some_board_holds(w, &key->mac, key->key.line))
        violated(w, "key %s is recorded, but its board does not hold it", key->label);
}

static bool is_recorded(const struct sim_key *k, const struct kl_mac *mac)
{
    return k->provisioned && memcmp(&k->mac, mac, sizeof *mac) == 0;
}

/* Clones may have brought more than one key under one MAC. */
static void check_done(struct world *w, const struct kl_attempt *attempt)
{
    bool recorded = false, held = attempt->acknowledged_only;

    for (unsigned k = 0; k < w->key_count; k++) {
        if (!is_recorded(&w->key[k], &attempt->mac))
            continue;
        recorded = true;
        held |= some_board_holds(w, &attempt->mac, w->key[k].key.line);
    }
    if (!recorded)
        violated(w, "done was shown before the key was recorded");
    else if (!held)
        violated(w, "done was shown for a board that does not hold its key");
}

/* The key of this CSV that the board in the slot holds and can be expected to show. */
static const struct sim_key *shown_in(struct world *w, unsigned slot)
{
    const struct sim_board *b = w->in_slot[slot] < 0 ? NULL : &w->board[w->in_slot[slot]];

    for (unsigned k = 0; b && (b->healthy || b->planted) && !b->odd && k < w->key_count; k++)
        if (w->key[k].in_csv && strcmp(board_holds(w, b), w->key[k].key.line) == 0)
            return &w->key[k];
    return NULL;
}

static bool is_in(struct world *w, unsigned slot, const struct kl_mac *mac)
{
    return w->in_slot[slot] >= 0 && memcmp(&w->board[w->in_slot[slot]].mac, mac, sizeof *mac) == 0;
}

/* ---- the functional test ---- */

void oracle_log_begins(struct world *w, unsigned slot)
{
    w->said[slot] = (struct sim_said){.size = 0};
}

static bool is_said(const struct sim_said *s, const char *text)
{
    return memmem(s->line, s->size, text, strlen(text));
}

void oracle_heard(struct world *w, unsigned slot, const uint8_t *data, size_t size)
{
    struct sim_said *s = &w->said[slot];

    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (s->size < sizeof s->line)
                s->line[s->size++] = (char)data[i];
            continue;
        }
        s->sensor |= is_said(s, "SELFTEST sensor ok");
        s->ok |= is_said(s, "SELFTEST OK");
        s->fail |= is_said(s, "SELFTEST FAIL");
        s->size = 0;
    }
}

static void check_test(struct world *w, unsigned slot, const struct kl_attempt *attempt)
{
    const struct sim_said *s = &w->said[slot];

    if (!w->config.exam) {
        if (attempt->exam.result != KL_EXAM_NONE)
            violated(w, "a test is told of that nobody wanted");
        return;
    }
    if ((attempt->result == KL_ST_DONE) != (attempt->exam.result == KL_EXAM_PASSED))
        violated(w, "a board's result and the result of its test do not fit");
    if (attempt->result != KL_ST_DONE)
        return;
    saw(SIM_EXAM_RUN);
    if (w->config.exam != sim_exam())
        return;
    if (!s->sensor || !s->ok)
        violated(w, "slot %u passed, and its log lacks an expected text", slot + 1);
    if (s->fail)
        violated(w, "slot %u passed, and its log holds a rejected text", slot + 1);
}

void oracle_result(struct world *w, unsigned slot, const struct kl_attempt *attempt)
{
    /* The station calls a key unknown for good only after a second look, if it may look again. */
    bool for_good = w->config.retries != 0 && !w->stopped_at && w->failed_at[slot] == w->now &&
                    is_in(w, slot, &attempt->mac);

    check_test(w, slot, attempt);
    if (attempt->result == KL_ST_DONE)
        check_done(w, attempt);
    else if (attempt->reason == KL_FAULT_HOLDS_UNKNOWN && for_good && shown_in(w, slot))
        violated(w, "key %s of this CSV was called unknown", shown_in(w, slot)->label);
}
