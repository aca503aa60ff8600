#include "fleet_hand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adapters/store/fleet_history.h"
#include "keyline/secret.h"
#include "seal.h"

/* ---- what people are told ---- */

void kl_fleet_hand_note(struct kl_fleet_hand *h, const char *text)
{
    if (h->note_count == KL_FLEET_NOTES)
        return;
    kl_copy(h->note[(h->note_head + h->note_count++) % KL_FLEET_NOTES], KL_TEXT_MAX, text);
}

enum kl_fleet_result kl_fleet_hand_failed(struct kl_fleet_hand *h, const char *text)
{
    h->why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_OTHER};
    kl_copy(h->why.text, sizeof h->why.text, text);
    return KL_FLEET_DOWN;
}

static void keep_alarm(struct kl_fleet_hand *h, int64_t id, const char *text)
{
    for (unsigned i = 0; i < h->alarm_count; i++)
        if (h->alarm[i].id == id)
            return;
    kl_fleet_hand_note(h, text);
    if (h->alarm_count == KL_FLEET_ALARMS)
        return;
    h->alarm[h->alarm_count].id = id;
    kl_copy(h->alarm[h->alarm_count++].text, KL_TEXT_MAX, text);
}

void kl_fleet_hand_alarm(void *ctx, const struct kl_fdb_alarm *alarm)
{
    char text[KL_TEXT_MAX];

    kl_format(text, sizeof text, "ALARM of the pool: %s", alarm->text);
    keep_alarm(ctx, alarm->id, text);
}

/* The heartbeat tells all that are open: the others were settled. */
struct open_alarms {
    struct kl_fleet_hand *hand;
    int64_t id[KL_FLEET_ALARMS];
    unsigned count;
};

static void take_open_alarm(void *ctx, const struct kl_fdb_alarm *alarm)
{
    struct open_alarms *o = ctx;

    if (o->count < KL_FLEET_ALARMS)
        o->id[o->count++] = alarm->id;
    kl_fleet_hand_alarm(o->hand, alarm);
}

static void drop_settled(struct kl_fleet_hand *h, const struct open_alarms *o)
{
    unsigned left = 0;

    for (unsigned i = 0; i < h->alarm_count; i++) {
        bool is_open = false;
        for (unsigned k = 0; k < o->count; k++)
            is_open |= o->id[k] == h->alarm[i].id;
        if (is_open)
            h->alarm[left++] = h->alarm[i];
    }
    h->alarm_count = left;
}

/* ---- small things ---- */

static int64_t wall_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void uuid_text(const uint8_t id[KL_FDB_UUID], char out[KL_POOL_ID_TEXT])
{
    size_t n = 0;

    for (size_t i = 0; i < KL_FDB_UUID; i++)
        n += kl_format(out + n, KL_POOL_ID_TEXT - n,
                       i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

static void uuid_parse(const char *text, uint8_t out[KL_FDB_UUID])
{
    size_t n = 0;

    for (; text[0] && text[1] && n < KL_FDB_UUID; text += 2) {
        if (*text == '-')
            text++;
        out[n++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
    }
}

static bool is_set(const struct kl_request_id *id)
{
    static const struct kl_request_id none;

    return memcmp(id, &none, sizeof none) != 0;
}

/* Keeps what this machine remembers; DOWN if its disk does not take it. */
static enum kl_fleet_result save(struct kl_fleet_hand *h)
{
    char error[KL_TEXT_MAX];

    return kl_fleet_file_save(h->file, &h->kept, error) ? KL_FLEET_OK
                                                        : kl_fleet_hand_failed(h, error);
}

static bool count_row(void *ctx, const struct kl_leased_row *row, bool spent)
{
    (void)row;
    (void)spent;
    ++*(uint32_t *)ctx;
    return true;
}

static void count_list(struct kl_fleet_hand *h)
{
    char error[KL_TEXT_MAX];
    uint32_t rows = 0;

    if (kl_list_each(&h->leased, h->list, count_row, &rows, error))
        h->list_rows = rows;
}

/* ---- greeting ---- */

static void keep_pool_keys(struct kl_fleet_hand *h, const struct kl_fdb_hello *hello)
{
    char error[KL_TEXT_MAX];

    for (unsigned i = 0; i < hello->key_count; i++) {
        const struct kl_fdb_sealed_key *key = &hello->key[i];
        struct kl_fleet_sealed sealed = {.epoch = key->epoch, .size = key->size};

        if (kl_keyring_has(h->keyring, key->epoch))
            continue;
        if (!kl_keyring_add(h->keyring, key)) {
            kl_format(error, sizeof error,
                      "the pool key of epoch %u was not sealed for this station's key file",
                      (unsigned)key->epoch);
            kl_fleet_hand_note(h, error);
            continue;
        }
        memcpy(sealed.box, key->box, key->size);
        kl_fleet_file_add_sealed(h->file, &sealed, error); /* if not: the next greeting does */
    }
}

static enum kl_fleet_result is_known_pool(struct kl_fleet_hand *h, const struct kl_fdb_hello *hello)
{
    char id[KL_POOL_ID_TEXT];

    uuid_text(hello->pool, id);
    if (h->kept.pool[0] != '\0' && strcmp(h->kept.pool, id) != 0) {
        h->why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_REFUSED, .refusal = KL_FLEET_NO_UNKNOWN};
        kl_copy(h->why.text, sizeof h->why.text,
                "the database behind this service is another pool than before");
        return KL_FLEET_REFUSED;
    }
    kl_copy(h->kept.pool, sizeof h->kept.pool, id);
    kl_copy(h->leased.pool, sizeof h->leased.pool, id);
    kl_keyring_set_pool(h->keyring, hello->pool);
    return KL_FLEET_OK;
}

bool kl_fleet_hand_is_pool(const struct kl_fleet_hand *h, const uint8_t pool[KL_FDB_UUID])
{
    char id[KL_POOL_ID_TEXT];

    uuid_text(pool, id);
    return strcmp(h->kept.pool, id) == 0;
}

static bool is_same_database(const struct kl_fleet_hand *h)
{
    return h->kept.timeline == h->server.timeline &&
           h->kept.system_identifier == h->server.system_identifier;
}

static void keep_age(struct kl_fleet_hand *h, const struct kl_fdb_state *state)
{
    h->kept.xid = state->xid;
    h->kept.born = state->born;
}

static enum kl_fleet_result remember_pool(struct kl_fleet_hand *h, struct kl_fdb_hello *hello)
{
    struct kl_fleet_kept *k = &h->kept;
    enum kl_fleet_result result = is_known_pool(h, hello);
    bool back;

    if (result != KL_FLEET_OK)
        return result;
    back = kl_fleet_hand_went_back(h, &hello->state);
    if (back && (result = kl_fleet_hand_tell_went_back(h, &hello->state)) != KL_FLEET_OK)
        return result;
    if (back)
        hello->state.pool_fence.timeline = 0; /* by now */
    if (back || kl_fleet_hand_forgot(h, hello->state.last_seq))
        k->timeline = 0; /* until it has heard what is here */
    h->server = hello->state.server;
    h->pool_seq = hello->state.last_seq;
    h->free_keys = hello->state.free_keys;
    h->left_to_station = hello->state.left_to_station;
    kl_copy(k->pool_name, sizeof k->pool_name, hello->pool_name);
    kl_copy(k->station, sizeof k->station, hello->station);
    k->fields = hello->fields;
    k->epoch = hello->state.epoch;
    k->token = k->coming;
    k->coming = (struct kl_request_id){{0}};
    k->heard = wall_now();
    keep_age(h, &hello->state);
    keep_pool_keys(h, hello);
    return save(h);
}

static enum kl_fleet_result call_hello(struct kl_fleet_hand *h, struct kl_fdb_hello *hello)
{
    struct kl_fdb_greeting greeting = {
        .seen = {h->kept.system_identifier, h->kept.timeline},
        .before = h->kept.token,
        .now = h->kept.coming,
    };
    struct kl_fingerprint *unused = NULL;
    enum kl_fleet_result result;
    char error[KL_TEXT_MAX];

    if (access(h->list, F_OK) == 0 &&
        !kl_fleet_hand_unused(h, &unused, &greeting.unused_count, error))
        return kl_fleet_hand_failed(h, error);
    if (greeting.unused_count > KL_FDB_ROWS_MAX)
        greeting.unused_count = KL_FDB_ROWS_MAX;
    greeting.unused = unused;
    result = h->calls->hello(h->db, KL_FLEET_CALL_MS, &greeting, hello, &h->why);
    free(unused);
    return result;
}

/* A token that was said once, without a certain answer, is said again. */
static enum kl_fleet_result greet(struct kl_fleet_hand *h, struct kl_fleet_answer *a)
{
    struct kl_fdb_hello *hello = calloc(1, sizeof *hello);
    enum kl_fleet_result result = KL_FLEET_OK;

    KL_ASSERT(hello);
    if (!is_set(&h->kept.coming)) {
        kl_seal_uuid(&h->kept.coming);
        result = save(h);
    }
    if (result == KL_FLEET_OK)
        result = call_hello(h, hello);
    if (result == KL_FLEET_OK)
        result = kl_fleet_hand_ledger_is_whole(h, hello->state.last_seq);
    if (result == KL_FLEET_OK && (result = remember_pool(h, hello)) == KL_FLEET_OK) {
        a->same_database = is_same_database(h) && hello->state.told;
        a->may_lease =
            hello->state.open && kl_fdb_fence_equal(&hello->state.server, &hello->state.pool_fence);
        a->left = kl_fleet_file_unchecked(h->file);
    }
    free(hello);
    return result;
}

/* An old copy of the database knows an old token: it is not this station that is a copy. Says so
   to the database, which forgets all tokens then. */
static bool is_copy_itself(struct kl_fleet_hand *h)
{
    struct kl_fdb_why why = h->why;
    struct kl_fdb_state state;
    bool back = h->calls->status(h->db, KL_FLEET_CALL_MS, "{}", &state, NULL, NULL, &h->why) ==
                    KL_FLEET_OK &&
                kl_fleet_hand_went_back(h, &state) &&
                kl_fleet_hand_tell_went_back(h, &state) == KL_FLEET_OK;

    h->why = why;
    return back;
}

/* What the pool has forgotten of the history is told once more. */
static enum kl_fleet_result tell_again_from(struct kl_fleet_hand *h, struct kl_fleet_answer *a)
{
    bool forgot = kl_fleet_hand_forgot(h, h->pool_seq);

    if (forgot)
        h->kept.reported = h->pool_seq;
    a->reported = h->kept.reported;
    return forgot ? save(h) : KL_FLEET_OK;
}

static enum kl_fleet_result say_hello(struct kl_fleet_hand *h, struct kl_fleet_answer *a)
{
    enum kl_fleet_result result = KL_FLEET_OK;

    if (!h->db)
        result = h->calls->open(h->service, KL_FLEET_CALL_MS, &h->db, &h->why);
    if (!h->db || result == KL_FLEET_DOWN)
        return KL_FLEET_DOWN;
    result = greet(h, a);
    if (result == KL_FLEET_REFUSED && h->why.refusal == KL_FLEET_NO_COPY && is_copy_itself(h))
        result = greet(h, a);
    if (result != KL_FLEET_OK || (result = tell_again_from(h, a)) != KL_FLEET_OK)
        return result;
    if (a->may_lease && a->same_database)
        result = kl_fleet_hand_return_leaving(h);
    return result == KL_FLEET_REFUSED ? KL_FLEET_OK : result;
}

/* ---- leasing ---- */

static void take_row(void *ctx, const struct kl_fdb_row *row)
{
    struct kl_fleet_hand *h = ctx;
    struct kl_leased_row *out;

    if (h->row_count == h->row_room) {
        h->row_room = h->row_room == 0 ? 256 : 2 * h->row_room;
        h->rows = reallocarray(h->rows, h->row_room, sizeof *h->rows);
        h->damaged = reallocarray(h->damaged, h->row_room, sizeof *h->damaged);
        KL_ASSERT(h->rows && h->damaged);
    }
    out = &h->rows[h->row_count];
    memset(out, 0, sizeof *out);
    out->fingerprint = row->fingerprint;
    out->kin = row->kin;
    out->fields = row->fields;
    out->epoch = row->epoch;
    h->damaged[h->row_count] = !kl_copy(out->label, sizeof out->label, row->label) ||
                               row->box.size == 0 || row->box.size > sizeof out->box;
    out->box_size = h->damaged[h->row_count] ? 1 : (uint16_t)row->box.size;
    memcpy(out->box, row->box.data, row->box.size > 0 ? out->box_size : 0);
    h->row_count++;
}

static bool knows_epochs(const struct kl_fleet_hand *h)
{
    for (uint32_t i = 0; i < h->row_count; i++)
        if (!kl_keyring_has(h->keyring, h->rows[i].epoch))
            return false;
    return true;
}

/* Better now than when a board waits for it. One key at a time is open. */
static void try_boxes(struct kl_fleet_hand *h)
{
    struct kl_key *key = kl_secret_alloc(sizeof *key);
    char error[KL_TEXT_MAX], text[KL_TEXT_MAX];

    KL_ASSERT(key);
    for (uint32_t i = 0; i < h->row_count; i++) {
        if (!h->damaged[i])
            h->damaged[i] = !kl_keyring_open_row(h->keyring, &h->rows[i], key, error);
        kl_wipe(key, sizeof *key);
        if (!h->damaged[i])
            continue;
        kl_format(text, sizeof text,
                  "the pool's key %.40s can't be opened here and is not used: tell its owner",
                  h->rows[i].label);
        kl_fleet_hand_note(h, text);
    }
    kl_secret_free(key, sizeof *key);
}

static enum kl_fleet_result lease(struct kl_fleet_hand *h, const struct kl_fleet_call *call,
                                  struct kl_fleet_answer *a)
{
    enum kl_fleet_result result;

    h->row_count = 0;
    result =
        h->calls->lease(h->db, KL_FLEET_CALL_MS, &call->request, call->count, take_row, h, &h->why);
    if (result != KL_FLEET_OK)
        return result;
    if (!knows_epochs(h) && (result = greet(h, a)) != KL_FLEET_OK)
        return result;
    if (!knows_epochs(h))
        return kl_fleet_hand_failed(h, "the pool gives keys that are sealed with a pool key which "
                                       "this station was not given: tell its owner");
    try_boxes(h);
    a->rows = h->row_count < call->count ? h->row_count : call->count;
    return KL_FLEET_OK;
}

/* The rows whose boxes do not open are kept too, as spent ones: the pool has them as ours. */
static bool put_rows(struct kl_fleet_hand *h, bool damaged, char error[KL_TEXT_MAX])
{
    struct kl_leased_row *rows = calloc(h->row_count + 1, sizeof *rows);
    uint32_t n = 0;
    bool ok;

    KL_ASSERT(rows);
    for (uint32_t i = 0; i < h->row_count; i++)
        if (h->damaged[i] == damaged)
            rows[n++] = h->rows[i];
    ok = n == 0 || kl_list_append(&h->leased, h->list, rows, n, damaged, error);
    free(rows);
    return ok;
}

static enum kl_fleet_result keep(struct kl_fleet_hand *h, struct kl_fleet_answer *a)
{
    struct kl_fingerprint *keys = calloc(h->row_count + 1, sizeof *keys);
    char error[KL_TEXT_MAX];
    bool ok;

    KL_ASSERT(keys);
    for (uint32_t i = 0; i < h->row_count; i++)
        keys[i] = h->rows[i].fingerprint;
    /* The pool gives them anew: whatever was on its way back is ours again. */
    ok = kl_fleet_file_left(h->file, keys, h->row_count, error) && put_rows(h, false, error) &&
         put_rows(h, true, error);
    free(keys);
    if (!ok)
        return kl_fleet_hand_failed(h, error);
    h->kept.requested = false;
    if (save(h) != KL_FLEET_OK)
        return KL_FLEET_DOWN;
    a->rows = h->row_count;
    h->row_count = 0;
    count_list(h);
    return KL_FLEET_OK;
}

static enum kl_fleet_result remember(struct kl_fleet_hand *h, const struct kl_fleet_call *call,
                                     struct kl_fleet_answer *a)
{
    struct kl_fleet_kept before = h->kept;

    kl_seal_uuid(&h->kept.request);
    h->kept.requested = true;
    h->kept.count = call->count;
    a->request = h->kept.request;
    if (save(h) == KL_FLEET_OK)
        return KL_FLEET_OK;
    h->kept = before;
    return KL_FLEET_DOWN;
}

/* ---- boards ---- */

static enum kl_fleet_result claim(struct kl_fleet_hand *h, const struct kl_fleet_pair *pair,
                                  bool offline, struct kl_fleet_answer *a)
{
    struct kl_fdb_claim c = {.kind = KL_FDB_CLAIM_NEW};
    enum kl_fleet_result result;

    result = h->calls->claim(h->db, KL_FLEET_CALL_MS, &pair->mac, &pair->key, offline, &c, &h->why);
    if (result != KL_FLEET_OK)
        return result;
    a->owner = c.kind == KL_FDB_CLAIM_OTHER ? KL_FLEET_OTHERS : KL_FLEET_OURS;
    h->other[0] = '\0';
    if (a->owner == KL_FLEET_OTHERS)
        kl_format(h->other, sizeof h->other, "station %s has this board%s%s", c.station,
                  c.label[0] ? ", with the key " : "", c.label);
    return KL_FLEET_OK;
}

/* The pool hears of what was released before it is asked, so a release that comes later is told
   later, and unbinds what this claim binds. A board that has left already is not claimed: nobody
   would tell the pool that it is free again. */
static enum kl_fleet_result claim_if_reserved(struct kl_fleet_hand *h,
                                              const struct kl_fleet_pair *pair,
                                              struct kl_fleet_answer *a)
{
    enum kl_fleet_result result = kl_fleet_hand_tell_released(h);
    char error[KL_TEXT_MAX];
    bool reserved;

    if (result != KL_FLEET_OK)
        return result;
    if (!kl_fleet_history_reserved(h->ledger, &pair->key, &pair->mac, &reserved, error))
        return kl_fleet_hand_failed(h, error);
    if (reserved)
        return claim(h, pair, false, a);
    a->owner = KL_FLEET_OTHERS; /* of use to nobody: the question was withdrawn */
    kl_copy(h->other, sizeof h->other, "the board has left");
    return KL_FLEET_OK;
}

/* The agreement is durable before a byte may be sent. */
static enum kl_fleet_result claim_board(struct kl_fleet_hand *h, const struct kl_fleet_call *call,
                                        struct kl_fleet_answer *a)
{
    struct kl_fleet_pair pair = {h->claim_key, call->mac};
    int64_t at = kl_fleet_history_end(h->ledger); /* before it is asked whether that is reserved */
    enum kl_fleet_result result = claim_if_reserved(h, &pair, a);
    char error[KL_TEXT_MAX];

    if (result == KL_FLEET_OK && a->owner == KL_FLEET_OURS &&
        !kl_fleet_file_agree(h->file, &pair, at, error))
        return kl_fleet_hand_failed(h, error);
    if (result == KL_FLEET_REFUSED && h->why.refusal == KL_FLEET_NO_CONFLICT)
        kl_copy(h->other, sizeof h->other, h->why.text);
    return result;
}

static void alarm_of_double(struct kl_fleet_hand *h, const struct kl_mac *mac)
{
    char name[18], text[KL_TEXT_MAX];

    kl_mac_format(mac, name);
    kl_format(text, sizeof text,
              "ALARM of the pool: the board %s got a key here while the database was silent, and "
              "%s: put it aside",
              name, h->other[0] ? h->other : "the pool has it otherwise");
    kl_fleet_hand_note(h, text); /* the pool's own alarm follows with the next heartbeat */
}

static enum kl_fleet_result check(struct kl_fleet_hand *h, struct kl_fleet_answer *a)
{
    struct kl_fleet_pair pair;
    char error[KL_TEXT_MAX];
    enum kl_fleet_result result = KL_FLEET_OK;
    bool has;

    a->owner = KL_FLEET_OURS;
    a->left = 0;
    if (!kl_fleet_file_next_unchecked(h->file, &pair))
        return KL_FLEET_OK;
    if (!kl_fleet_history_has(h->ledger, &pair.key, &pair.mac, &has, error))
        return kl_fleet_hand_failed(h, error);
    if (has) /* else a person has released it, and nothing would unbind it */
        result = claim(h, &pair, true, a);
    if (result == KL_FLEET_REFUSED && h->why.refusal == KL_FLEET_NO_CONFLICT) {
        a->owner = KL_FLEET_OTHERS;
        result = KL_FLEET_OK;
    }
    if (result != KL_FLEET_OK)
        return result;
    if (!kl_fleet_file_checked(h->file, &pair, error))
        return kl_fleet_hand_failed(h, error);
    if (a->owner == KL_FLEET_OTHERS)
        alarm_of_double(h, &pair.mac);
    a->left = kl_fleet_file_unchecked(h->file);
    return KL_FLEET_OK;
}

struct boards {
    const char *self;
    struct kl_fleet_board *item;
    uint32_t count;
};

static void take_board(void *ctx, const struct kl_mac *mac, const char *station)
{
    struct boards *b = ctx;

    if (strcmp(station, b->self) == 0 || b->count == KL_FDB_ROWS_MAX)
        return;
    b->item[b->count].mac = *mac;
    kl_copy(b->item[b->count++].station, KL_NAME_MAX, station);
}

/* The MACs of others, for the time when the database is silent. */
static void follow_boards(struct kl_fleet_hand *h)
{
    struct boards b = {.self = h->kept.station};
    char error[KL_TEXT_MAX], cursor[KL_FDB_CURSOR_MAX];
    bool more = h->follows_boards, anew = false;

    if (!more)
        return;
    b.item = calloc(KL_FDB_ROWS_MAX, sizeof *b.item);
    KL_ASSERT(b.item);
    kl_copy(cursor, sizeof cursor, h->kept.cursor);
    for (unsigned i = 0; more && i < KL_FLEET_BOARDS_ROUNDS; i++) {
        struct kl_fdb_why why;
        b.count = 0;
        if (h->calls->boards(h->db, KL_FLEET_CALL_MS, cursor, &more, &anew, take_board, &b, &why) !=
                KL_FLEET_OK ||
            !kl_fleet_file_add_boards(h->file, b.item, b.count, anew, cursor, error))
            break;
        kl_copy(h->kept.cursor, sizeof h->kept.cursor, cursor);
    }
    free(b.item);
}

/* ---- the heartbeat ---- */

static void note_wall(void *ctx, const struct kl_fleet_entry *e)
{
    *(int64_t *)ctx = e->wall;
}

/* The status, and which results the pool still lacks. */
static void add_unsent(const struct kl_fleet_hand *h, char out[KL_FLEET_STATUS_MAX])
{
    int64_t unsent = kl_fleet_history_end(h->ledger) - h->kept.reported, oldest = wall_now();
    size_t size = strlen(h->status);
    char error[KL_TEXT_MAX];

    kl_copy(out, KL_FLEET_STATUS_MAX, size > 0 ? h->status : "{}");
    if (unsent <= 0 || size < 3 || size + 96 > KL_FLEET_STATUS_MAX ||
        !kl_fleet_history(h->ledger, h->kept.reported, 1, note_wall, &oldest, error))
        return;
    kl_format(out + size - 1, KL_FLEET_STATUS_MAX - size,
              ",\"unsent\":%lld,\"oldest_unsent_s\":%lld}", (long long)unsent,
              (long long)((wall_now() - oldest) / 1000000));
}

/* It was put in place without this station's connection having noticed (behind pgbouncer). The next
   greeting finds it closed, and tells it all. */
static enum kl_fleet_result beat_of_a_copy(struct kl_fleet_hand *h,
                                           const struct kl_fdb_state *state)
{
    enum kl_fleet_result result = kl_fleet_hand_tell_went_back(h, state);

    if (result != KL_FLEET_OK)
        return result;
    h->why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_REFUSED, .refusal = KL_FLEET_NO_FENCE};
    kl_copy(h->why.text, sizeof h->why.text, "it knows less than before");
    return KL_FLEET_REFUSED;
}

static enum kl_fleet_result beat(struct kl_fleet_hand *h, struct kl_fleet_answer *a)
{
    struct open_alarms alarms = {.hand = h};
    struct kl_fdb_state state = {.open = false};
    char status[KL_FLEET_STATUS_MAX];
    enum kl_fleet_result result;

    add_unsent(h, status);
    result = h->calls->status(h->db, KL_FLEET_CALL_MS, status, &state, take_open_alarm, &alarms,
                              &h->why);
    if (result != KL_FLEET_OK)
        return result;
    if (kl_fleet_hand_went_back(h, &state))
        return beat_of_a_copy(h, &state);
    drop_settled(h, &alarms);
    keep_age(h, &state);
    h->free_keys = state.free_keys;
    h->left_to_station = state.left_to_station;
    h->kept.heard = wall_now();
    a->may_lease = state.open && kl_fdb_fence_equal(&state.server, &state.pool_fence);
    if (!kl_keyring_has(h->keyring, state.epoch) && (result = greet(h, a)) != KL_FLEET_OK)
        return result;
    follow_boards(h);
    return save(h);
}

/* ---- all calls ---- */

static enum kl_fleet_result carry_out(struct kl_fleet_hand *h, const struct kl_fleet_call *call,
                                      struct kl_fleet_answer *a)
{
    switch (call->op) {
    case KL_FLEET_HELLO:
        return say_hello(h, a);
    case KL_FLEET_REASSERT:
        return kl_fleet_hand_reassert(h);
    case KL_FLEET_REMEMBER:
        return remember(h, call, a);
    case KL_FLEET_LEASE:
        return lease(h, call, a);
    case KL_FLEET_KEEP:
        return keep(h, a);
    case KL_FLEET_CLAIM:
        return claim_board(h, call, a);
    case KL_FLEET_CHECK:
        return check(h, a);
    case KL_FLEET_REPORT:
        return kl_fleet_hand_report(h, call->after, &a->reported);
    case KL_FLEET_STATUS:
        return beat(h, a);
    default:
        KL_ASSERT(call->op == KL_FLEET_HAND_BACK);
        return kl_fleet_hand_give_back(h);
    }
}

/* A later failover could make the pool forget what told a copy, or a lost station, apart. */
static void keep_bar(struct kl_fleet_hand *h)
{
    struct kl_fdb_why why = h->why;

    if (why.refusal != KL_FLEET_NO_COPY && why.refusal != KL_FLEET_NO_LOST)
        return;
    h->kept.barred = why.refusal;
    save(h);
    h->why = why;
}

void kl_fleet_hand_do(struct kl_fleet_hand *h, const struct kl_fleet_call *call,
                      struct kl_fleet_answer *answer)
{
    struct kl_fdb_why before = h->why;

    memset(answer, 0, sizeof *answer);
    h->why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_NONE};
    answer->result = carry_out(h, call, answer);
    if (answer->result == KL_FLEET_REFUSED)
        keep_bar(h);
    if (answer->result == KL_FLEET_REFUSED)
        answer->refusal = h->why.refusal;
    else if (answer->result == KL_FLEET_OK && call->op != KL_FLEET_HELLO)
        h->why = before; /* what a lease was refused for stays */
}

/* ---- opening ---- */

static void take_sealed(void *ctx, const struct kl_fleet_sealed *key)
{
    struct kl_fdb_sealed_key sealed = {.epoch = key->epoch, .size = key->size};
    struct kl_fleet_hand *h = ctx;

    memcpy(sealed.box, key->box, key->size);
    kl_keyring_add(h->keyring, &sealed);
}

bool kl_fleet_hand_open(struct kl_fleet_hand *h, const char *folder, const char *service,
                        const struct kl_fleet_calls *calls, struct kl_keyring *keyring,
                        char error[KL_TEXT_MAX])
{
    uint8_t pool[KL_FDB_UUID];
    char path[PATH_MAX];
    bool lost;

    memset(h, 0, sizeof *h);
    h->calls = calls;
    h->service = service;
    h->keyring = keyring;
    h->free_keys = h->left_to_station = -1;
    if ((size_t)snprintf(h->list, sizeof h->list, "%s/keys.list", folder) >= sizeof h->list ||
        (size_t)snprintf(h->ledger, sizeof h->ledger, "%s/keys.list.ledger", folder) >=
            sizeof h->ledger ||
        (size_t)snprintf(path, sizeof path, "%s/fleet.db", folder) >= sizeof path) {
        kl_copy(error, KL_TEXT_MAX, "the state folder's path is too long");
        return false;
    }
    h->file = kl_fleet_file_open(path, &lost, error);
    if (!h->file || !kl_fleet_file_load(h->file, &h->kept, error))
        return false;
    if (lost)
        kl_fleet_hand_note(h, "fleet.db was damaged and is made anew: the pool hears once more "
                              "what this station holds");
    kl_copy(h->leased.pool, sizeof h->leased.pool, h->kept.pool);
    h->leased.open = kl_keyring_open_row;
    h->leased.ctx = keyring;
    if (h->kept.pool[0] == '\0')
        return true;
    uuid_parse(h->kept.pool, pool);
    kl_keyring_set_pool(keyring, pool);
    return kl_fleet_file_sealed(h->file, take_sealed, h, error);
}

void kl_fleet_hand_close(struct kl_fleet_hand *h)
{
    if (h->db)
        h->calls->close(h->db);
    kl_fleet_file_close(h->file);
    free(h->rows);
    free(h->damaged);
    memset(h, 0, sizeof *h);
}

void kl_fleet_hand_memory(struct kl_fleet_hand *h, struct kl_fleet_memory *out)
{
    int64_t silent = wall_now() - h->kept.heard;

    *out = (struct kl_fleet_memory){
        .requested = h->kept.requested,
        .request = h->kept.request,
        .count = h->kept.count,
        .reported = h->kept.reported,
        .unchecked = kl_fleet_file_unchecked(h->file),
        .barred = (enum kl_fleet_refusal)h->kept.barred,
        /* A clock that was put back tells nothing. */
        .silent = h->kept.heard == 0 || silent < 0 ? KL_NEVER : silent,
    };
    count_list(h);
}
