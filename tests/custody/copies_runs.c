/* copies_runs.c: the runs of the benches: starts and what the person answers, work, ends. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "copies_world.h"

/* ---- a start ---- */

/* In the bench's process. */
static const char *content_is_right(const struct kl_store_content *c)
{
    static char text[200];

    for (uint32_t i = 0; i < c->row_count; i++) {
        const struct kl_pool_row *row = &c->rows[i];
        unsigned k = far_number(row->label), held = 0;
        if (row->bad || k >= KEYS || key[k].board == 0)
            continue;
        for (uint32_t n = 0; n < c->ledger_count; n++) {
            const struct kl_ledger_row *l = &c->ledger[n];
            if (!kl_fingerprint_equal(&l->fingerprint, &row->fingerprint) &&
                !kl_fingerprint_equal(&l->kin, &row->kin))
                continue;
            held = (unsigned)l->mac.b[4] << 8 | l->mac.b[5];
            if (held == key[k].board)
                break;
        }
        if (held == key[k].board || (held == 0 && row->marked))
            continue;
        snprintf(text, sizeof text, "%s is with board %u, and the store says %u (0 = free)",
                 row->label, key[k].board, held);
        return text;
    }
    return NULL;
}

static void meet_doubt(const struct far_reply *r)
{
    static const struct {
        const char *words;
        enum met what;
    } all[] = {
        {"it was copied, moved", MET_moved_to_another_path},
        {"used on another machine last", MET_used_on_another_machine},
        {"a copy was put back", MET_a_copy_was_put_back},
        {"is an old copy", MET_the_ledger_is_an_old_copy},
        {"has no ledger", MET_there_is_no_ledger},
        {"its ledger does not know", MET_its_ledger_does_not_know},
        {"its ledger still holds", MET_its_ledger_still_holds},
        {"with a ledger that is not here", MET_given_with_a_ledger_that_is_not_here},
        {"tell different stories", MET_different_stories},
        {"-wal file is missing", MET_the_log_is_missing},
        {"is called", MET_renamed},
    };

    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (strstr(r->text, all[i].words) != NULL) {
            meet(all[i].what);
            return;
        }
    broken("a doubt that no row of docs/custody.md has: %s", r->text);
}

void delete_folder(struct place *p)
{
    remove_folder(p->folder);
    p->there = false;
    memset(p->ledger, 0, sizeof p->ledger);
}

/* KEPT OUT: "answered --moved on two machines": with journals of their own, the benches are like
   two machines. The person deletes all other copies first. */
static bool says_moved(struct place *p)
{
    if (!own_journals)
        return true;
    if (one_in(2))
        return false;
    for (unsigned i = 0; i < PLACES; i++)
        if (&place[i] != p && place[i].there)
            delete_folder(&place[i]);
    return true;
}

/* Yes: the start is tried again with the answer. */
static bool answer(struct place *p, const struct far_reply *r, uint32_t *answers)
{
    bool relabelled = false;

    meet_doubt(r);
    if ((*answers >> r->doubt & 1) != 0)
        broken("asked again after the answer: %s", r->text);
    for (unsigned k = 0; k < KEYS; k++)
        relabelled |= key[k].relabelled;
    if (p->untouched && !has_moved(p) && p->user == sitting.user)
        broken("nobody did anything, and the start asks: %s", r->text);
    if (r->doubt == KL_DOUBT_MOVED && !has_moved(p) && !ledger_of(p)->unknown)
        broken("nobody moved it, and the start asks: %s", r->text);
    if (r->doubt == KL_DOUBT_RENAMED && !relabelled)
        broken("nobody corrected a label, and the start asks: %s", r->text);
    if (r->doubt == KL_DOUBT_MOVED && !says_moved(p)) {
        meet(MET_moved_answered_no);
        return false;
    }
    *answers |= 1u << r->doubt;
    return true;
}

/* From here on any of them may have to ask. */
void touch_all(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        place[i].untouched = false;
}

static void opened(struct place *p, uint32_t answers)
{
    struct ledger *l = ledger_of(p);

    if (has_moved(p) && (answers >> KL_DOUBT_MOVED & 1) == 0 && !l->unknown)
        broken("the ledger was moved or put back, and nobody is asked");
    if (!l->there && !l->unknown && *journal_version_of(p) == now && was_given_from(p) &&
        (answers >> KL_DOUBT_OLD & 1) == 0)
        broken("the ledger is gone, and nobody is asked");
    if (p->corrected && (answers >> KL_DOUBT_RENAMED & 1) == 0)
        broken("a label was corrected, and nobody is asked");
    meet(answers == 0 ? MET_opened_at_once : MET_opened_after_answers);
    if (!l->there)
        l->token = ++tokens;
    l->there = l->log = true;
    l->unknown = l->may_fail = false;
    l->version = *journal_version_of(p) = now;
    l->at = l->token;
    l->lease = bench.pid;
    snprintf(l->home, sizeof l->home, "%s", reached(p));
    l->machine = seat_of(p).machine;
    if (sitting.mounted)
        meet(MET_through_another_mount);
    if (l->machine > 0)
        meet(MET_on_another_machine);
    if (sitting.user > 0)
        meet(MET_as_another_user);
    running = (int)(p - place);
    p->user = sitting.user;
    disturbed = journal_cut = false;
    p->corrected = false;
    touch_all();
}

void remove_ledger(struct place *p, bool log_too)
{
    struct ledger *l = ledger_of(p);

    unlink(part_of(p, 1));
    if (log_too || one_in(3)) {
        unlink(part_of(p, 2));
        unlink(part_of(p, 3));
    }
    memset(l, 0, sizeof *l);
    l->may_fail = true;
    p->untouched = p->corrected = false;
}

static void sit_down(void)
{
    sitting.mounted = can_mount && (own_journals || one_in(4));
    sitting.user = several_users && can_change_user && one_in(4);
}

void start(struct place *p)
{
    struct sitting was = sitting;
    struct ledger *l = ledger_of(p);
    struct far_reply r;
    uint32_t answers = 0;

    sit_down();
    if (!knows_all(p)) {
        sitting = was;
        return;
    }
    give_rights(p);
    do {
        const struct far_seat seat = seat_of(p);
        far_start(&bench, &seat, reached(p), journal_of(p), answers, content_is_right, &r);
        story("start %s as %s, machine %u, user %u, answers %x: result %d doubt %d %s", csv_of(p),
              reached(p), seat.machine, seat.uid, answers, r.result, r.doubt, r.text);
        if (r.result == KL_STORE_OPENED && r.status != KL_STORE_OK)
            broken("opened, and %s", r.text);
        if (r.result == KL_STORE_OPENED) {
            opened(p, answers);
            return;
        }
        if (r.result == KL_STORE_BROKEN && (l->may_fail || l->unknown)) {
            meet(MET_damaged);
            if (*journal_version_of(p) == now)
                remove_ledger(p, true);
            return;
        }
        if (r.result != KL_STORE_DOUBT)
            broken("the start fails: %s", r.text);
    } while (answer(p, &r, &answers));
}

/* While another bench works. KEPT OUT: "Two benches with copies of one list would both hand out its
   first key": so only where the ledger came along, or is at work here. */
static void try_second(struct place *p, bool may_read)
{
    struct far_bench second;
    struct far_reply r;
    bool held = (p - place == running && !disturbed) || is_alive(p);
    const struct far_seat seat = seat_of(p);

    if (!p->there || ledger_of(p)->unknown || (!held && !has_moved(p)))
        return;
    far_start(&second, &seat, reached(p), journal_of(p), 0, content_is_right, &r);
    story("second start %s as %s, machine %u, user %u: result %d %s", csv_of(p), reached(p),
          seat.machine, seat.uid, r.result, r.text);
    if (r.result == KL_STORE_OPENED)
        broken("two benches work on copies of one ledger");
    if (!may_read) {
        meet(MET_another_user_is_refused);
        return;
    }
    if (r.result == KL_STORE_BROKEN && ledger_of(p)->may_fail) {
        meet(MET_damaged);
        return;
    }
    held |= disturbed && r.result == KL_STORE_HELD; /* the very folder may have been moved here */
    if (held ? r.result != KL_STORE_HELD : r.doubt != KL_DOUBT_MOVED)
        broken("the second bench is told: %s", r.text);
    meet(held ? MET_held_by_a_station_elsewhere : MET_moved_answered_no);
}

void start_second(struct place *p)
{
    struct sitting was = sitting;

    sit_down();
    try_second(p, sitting.user == 0);
    sitting = was;
}

/* ---- starts that are refused ---- */

static void refused(const char *how, const struct far_reply *r, enum kl_store_open_result result,
                    const char *words, enum met what)
{
    story("start %s: result %d %s", how, r->result, r->text);
    if (r->result != result || strstr(r->text, words) == NULL)
        broken("whoever starts %s is told: %s", how, r->text);
    meet(what);
}

static void start_with_the_file_alone(struct place *p)
{
    const char *at = path_in(dir.folder, "alone/", names[p->name]);
    struct far_seat seat = seat_of(p);
    struct far_reply r;

    seat.mounts = csv_of(p);
    seat.at = at;
    file_put(at, "");
    far_try(&seat, at, journal_of(p), &r);
    refused("with the CSV alone mounted elsewhere", &r, KL_STORE_BROKEN,
            "the file itself is mounted here", MET_the_file_alone_is_mounted);
}

static void start_on_an_overlay(struct place *p)
{
    const char *at = path_in(dir.folder, "bench", "");
    struct far_seat seat = seat_of(p);
    struct far_reply r;

    seat.mounts = p->folder;
    seat.at = at;
    seat.overlay = true;
    far_try(&seat, path_in(dir.folder, "bench/", names[p->name]), journal_of(p), &r);
    refused("on an overlay", &r, KL_STORE_DOUBT, "an overlay whose upper layer is memory",
            MET_on_an_overlay_in_memory);
}

/* A hard link. The bench that works may not have seen yet that the list is another file now. */
static void start_by_another_name(struct place *p)
{
    const char *name = path_in(p->folder, "name.csv", "");
    const struct far_seat seat = {.uid = 0};
    struct far_bench second;
    struct far_reply r;
    bool held;

    if (link(csv_of(p), name) != 0)
        broken("no link");
    far_start(&second, &seat, name, journal_of(p), 0, content_is_right, &r);
    unlink(name);
    held = p - place == running && r.result == KL_STORE_HELD;
    refused("through a hard link", &r, held ? KL_STORE_HELD : KL_STORE_BAD_CSV,
            held ? "through another name of the same file" : "hard links", MET_by_another_name);
}

void start_oddly(struct place *p)
{
    struct sitting was = sitting;
    unsigned how = prng_below(&prng, 3);

    if (running >= 0 && (how < 2 || p - place != running || disturbed))
        return;
    sitting = (struct sitting){.user = 0};
    if (how == 0 && can_mount)
        start_with_the_file_alone(p);
    else if (how == 1 && can_overlay)
        start_on_an_overlay(p);
    else if (how == 2)
        start_by_another_name(p);
    sitting = was;
}

/* ---- work ---- */

void note_change(void)
{
    struct place *p = &place[running];

    now++;
    *journal_version_of(p) = now;
    ledger_of(p)->version = disturbed ? 0 : now;
}

static void hand_over(unsigned b, const char *line)
{
    unsigned k = number_of_secret(line);

    if (key[k].board != 0 && key[k].board != b)
        broken("the secret of key %u went to board %u, and board %u has it", k, b, key[k].board);
    if (board[b].key != 0 && board[b].key != k + 1)
        broken("board %u got key %u, and has key %u", b, k, board[b].key - 1);
    meet(key[k].board == b ? MET_same_key_sent_again : MET_key_sent);
    key[k].board = b;
    board[b].key = k + 1;
}

static void give(bool any)
{
    bool fresh = any || boards == 0 || one_in(2);
    unsigned b = fresh ? boards + 1 : 1 + prng_below(&prng, boards);
    struct far_ask ask = {.op = any ? FAR_TRY : FAR_GIVE,
                          .board = b,
                          .hint = prng_below(&prng, KEYS),
                          .own = board[b].key};
    struct far_reply r;

    if (boards + 2 > BOARDS)
        return;
    /* A board with a key of another list shows it, and asks for none. */
    if (board[b].key != 0 && !has_row(&place[running], board[b].key - 1))
        return;
    boards += fresh;
    far_ask(&bench, &ask, &r);
    story("%s board %u: %d %s", any ? "try" : "give", b, r.status, r.has_key ? r.key.line : r.text);
    if ((r.status == KL_STORE_FAILED || r.status == KL_STORE_ASKS) && !disturbed)
        broken("a request fails: %s", r.text);
    if (r.status != KL_STORE_OK)
        return;
    note_change();
    board[b].promised = true;
    if (!one_in(3))
        hand_over(b, r.key.line);
    else
        story("… but it was not sent");
}

static void settle(bool prove)
{
    unsigned b = boards == 0 ? 0 : 1 + prng_below(&prng, boards);
    struct far_ask ask = {.op = prove ? FAR_PROVISION : FAR_RELEASE, .board = b};
    struct far_reply r;

    if (b == 0 || (prove ? board[b].key == 0 : board[b].key != 0 || !board[b].promised))
        return;
    far_ask(&bench, &ask, &r);
    story("%s board %u: %d %s", prove ? "prove" : "give back", b, r.status, r.text);
    if (r.status != KL_STORE_OK)
        return;
    note_change();
    meet(prove ? MET_key_proved : MET_key_given_back);
    if (prove)
        key[board[b].key - 1].proved = true;
    else
        board[b].promised = false;
}

void work(void)
{
    for (unsigned i = 1 + prng_below(&prng, 4); i > 0; i--)
        switch (prng_below(&prng, 8)) {
        case 0:
            give(true);
            break;
        case 1:
        case 2:
            settle(true);
            break;
        case 3:
            settle(false);
            break;
        default:
            give(false);
        }
}

void end_run(bool killed)
{
    struct place *p = &place[running];
    struct ledger *l = ledger_of(p);

    story(killed ? "kill" : "close");
    if (killed) {
        far_kill(&bench);
        meet(MET_killed);
    } else {
        far_close(&bench);
    }
    running = -1;
    if (!disturbed)
        l->lease = 0;
    p->untouched = !disturbed && !journal_cut && !killed;
}
