/*
 * people.c: the bench of the other runs, with people at its files. Real stores stand in for the
 * model of the disk. The person of tests/custody/copies_*.c copies, moves, renames, corrects,
 * deletes and puts back what they work on, while a station works and between its runs. The boards
 * stay, and so does what was sent to them.
 *
 * What must hold is what holds in every run (oracle.c), and what the person knows of each start
 * (copies_runs.c): nothing is lost, and whatever is doubtful is asked.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "../custody/copies_world.h"

enum {
    ACTS = 40,
};

static struct world *w;
static bool booting;

/* ---- the store ---- */

static unsigned number_of_mac(const struct kl_mac *mac)
{
    return (unsigned)mac->b[4] << 8 | mac->b[5];
}

static int find_key(const struct kl_fingerprint *fp)
{
    const struct far_content *c = far_content();

    for (unsigned i = 0; i < c->row_count; i++)
        if (!c->row[i].bad && kl_fingerprint_equal(&c->row[i].fingerprint, fp))
            return (int)far_number(c->row[i].label);
    for (unsigned i = 0; i < c->ledger_count; i++)
        if (kl_fingerprint_equal(&c->ledger[i].fingerprint, fp))
            return (int)far_number(c->ledger[i].label);
    return -1;
}

static void meet_answer(enum kl_store_op op)
{
    if (op == KL_OP_RESERVE)
        meet(MET_key_sent);
    else if (op == KL_OP_FETCH)
        meet(MET_same_key_sent_again);
    else if (op == KL_OP_PROVISION)
        meet(MET_key_proved);
    else
        meet(MET_key_given_back);
}

static enum kl_store_status ask(struct world *world, struct store_request *r)
{
    struct far_ask far = {.op = FAR_STORE, .action = r->action, .attempt = r->attempt};
    struct far_reply reply;

    far_now = KL_SEC(1000000) + world->now;
    kl_copy(far.label, sizeof far.label, r->label);
    kl_copy(far.reason, sizeof far.reason, r->reason);
    far_ask(&bench, &far, &reply);
    if (reply.has_key)
        r->key = reply.key;
    r->news = reply.news;
    tell(world, "the store answers op %d: %d %s", (int)r->action.u.store.op, (int)reply.status,
         reply.status == KL_STORE_OK ? "" : reply.text);
    if (reply.status == KL_STORE_OK && r->action.u.store.op != KL_OP_ATTEMPT) {
        note_change();
        meet_answer(r->action.u.store.op);
    }
    return reply.status == KL_STORE_ASKS ? KL_STORE_FAILED : reply.status;
}

/* The ledger may know more than was answered, and never less. */
static void compare(const struct far_content *c)
{
    bool known[KEYS_MAX] = {false};

    for (unsigned i = 0; i < c->ledger_count; i++) {
        const struct kl_ledger_row *l = &c->ledger[i];
        unsigned n = far_number(l->label);
        struct sim_key *k = &w->key[n];

        if (n >= w->key_count)
            broken("the store shows %s, which nobody wrote", l->label);
        known[n] = true;
        if ((k->reserved || k->provisioned) && !kl_mac_equal(&k->mac, &l->mac))
            broken("key %u was promised to board %u, and the store says %u", n,
                   number_of_mac(&k->mac), number_of_mac(&l->mac));
        if (k->provisioned && !l->provisioned)
            broken("key %u was proved, and the store says that it was not", n);
        k->reserved |= !l->provisioned;
        k->provisioned |= l->provisioned;
        k->mac = l->mac;
    }
    for (unsigned n = 0; n < w->key_count; n++)
        if (!known[n] && (w->key[n].reserved || w->key[n].provisioned))
            broken("the store has forgotten that key %u was promised", n);
}

static void load(struct world *world, struct kl_event *ev)
{
    static struct far_content kept[2]; /* the pool refers to the rows until the next load is over */
    static unsigned turn;
    struct far_content *c = &kept[turn = !turn];

    *c = *far_content();
    for (unsigned i = 0; i < c->row_count; i++)
        c->row[i].label = c->row_label[i];
    if (booting)
        compare(c);
    for (unsigned n = 0; n < world->key_count; n++)
        world->key[n].in_csv = false;
    for (unsigned i = 0; i < c->row_count; i++)
        for (unsigned n = 0; n < world->key_count; n++) /* under a corrected label it is another */
            world->key[n].in_csv |=
                !c->row[i].bad && strcmp(c->row[i].label, world->key[n].label) == 0;
    ev->u.keys.rows = c->row;
    ev->u.keys.row_count = c->row_count;
    ev->u.keys.ledger = c->ledger;
    ev->u.keys.ledger_count = c->ledger_count;
    ev->u.keys.fields = c->fields;
}

static const struct sim_files files = {ask, load, find_key};

/* ---- what the person knows of the boards ---- */

static void tell_person(void)
{
    memset(board, 0, sizeof board);
    boards = w->board_count - 1;
    for (unsigned n = 0; n < KEYS; n++) {
        const struct sim_key *k = &w->key[n];

        key[n].board = k->sent ? number_of_mac(&k->sent_to) : 0;
        key[n].proved = k->provisioned;
        if (k->sent)
            board[key[n].board].key = n + 1;
        if (k->reserved || k->provisioned)
            board[number_of_mac(&k->mac)].promised = true;
    }
}

/* A person may have released a key that never left. */
static void hear_person(void)
{
    for (unsigned n = 0; n < KEYS; n++) {
        struct sim_key *k = &w->key[n];
        if (k->reserved && !k->provisioned && !board[number_of_mac(&k->mac)].promised)
            k->reserved = false;
    }
}

/* ---- a life ---- */

static void check(void)
{
    if (w->violation[0])
        broken("%s", w->violation);
}

static void begin(struct place *p)
{
    start(p);
    if (running < 0)
        return;
    booting = true;
    world_boot(w);
    booting = false;
    check();
}

/* False if the station does not come to rest: its store may be broken by what the person did. */
static bool stop(void)
{
    kl_us until = w->now + KL_SEC(120);

    w->stopped_at = w->now;
    world_command(w, KL_CMD_STOP, 0);
    drain(w);
    while (!w->rested && w->now < until)
        step_until(w, w->now + KL_SEC(1));
    check();
    if (!w->rested && !disturbed && !journal_cut)
        broken("a stopped station does not come to rest");
    return w->rested && w->store_at_rest == 0;
}

static void end(bool kill)
{
    if (kill || !stop()) {
        kill = true;
        w->crashes++;
        disk_crash(w);
    }
    world_end(w);
    end_run(kill);
    w->now += KL_SEC(1 + (kl_us)below(w, 20));
}

static void look_at_files(void)
{
    struct far_ask look = {.op = FAR_LOOK};
    struct far_reply reply;

    far_now = KL_SEC(1000000) + w->now;
    far_ask(&bench, &look, &reply);
    if (reply.news)
        disk_load(w);
}

static void one_act(struct place *p)
{
    tell_person();
    if (one_in(16)) {
        start_oddly(p);
    } else if (running < 0 && one_in(2)) {
        act(p, false);
        hear_person();
    } else if (running < 0) {
        begin(p);
    } else if (one_in(4)) {
        end(one_in(2));
    } else if (one_in(3)) {
        disturb(&place[running], false);
    } else if (one_in(4)) {
        start_second(p);
    } else {
        look_at_files();
        world_live(w, w->now + KL_SEC(2 + (kl_us)prng_below(&prng, 20)));
        check();
    }
}

static void set_up_world(uint64_t seed)
{
    w = calloc(1, sizeof *w);
    world_init(w, seed, story_trace);
    w->files = &files;
    w->w.crash = w->w.stop = w->w.release = 0;         /* the person's */
    w->w.more_keys = w->w.foreign = w->w.row_gone = 0; /* … and this, too */
    w->w.clone = w->w.planted = 0;                     /* the person knows of none */
    w->board[new_board(w)].slot = -2;                  /* whose number says "none" to the person */
    disk_make_keys(w, KEYS - w->key_count);
    for (unsigned n = 0; n < KEYS; n++) {
        const char *secret = strchr(w->key[n].key.line, ',') + 1;
        snprintf(key[n].secret, sizeof key[n].secret, "%.32s", secret);
        snprintf(key[n].more, sizeof key[n].more, "%s", secret + 32);
    }
}

static void live(uint64_t seed)
{
    snprintf(repeat, sizeof repeat, "repeat it with: simulation --people 1 --from %llu --trace",
             (unsigned long long)seed);
    several_users = seed % 4 > 1;
    own_journals = seed % 4 == 1;
    set_up_world(seed);
    set_up(false);
    for (unsigned i = 0; i < ACTS; i++) {
        struct place *p = some_place(true);

        if (p == NULL)
            break;
        story("-- act %u of seed %llu", i, (unsigned long long)seed);
        one_act(p);
    }
    if (running >= 0)
        end(false);
    oracle_boards(w);
    check();
    world_finish(w);
    free(w);
}

int people_play(uint64_t first, unsigned lives, bool traced)
{
    sim_bundle();
    sim_stubs();
    story_trace = traced ? stdout : NULL;
    int status = play_seeds(lives, first, live, false);

    if (status == 0 && lives >= 50 && met[MET_key_proved] < lives) {
        fprintf(stderr, "people: hardly a board got its key\n");
        status = 1;
    }
    sim_images_free();
    return status;
}
