/*
 * copies.c: what a person does with whole files, between the runs of a bench and during them.
 * Usage: copies SEEDS ACTS [FIRST-SEED]
 *
 * The person copies, moves, renames, deletes and puts back: folders, CSV, ledger with its log and
 * without it, journal. He reaches a folder by a mount, works on several machines that see it under
 * one path, and hands it to another user. Benches work on what is there then. They are real stores
 * in processes of their own, sometimes killed. The boards are the memory of this world: which
 * secret ever went to which board.
 *
 * What must hold: no secret goes to two boards, whatever its label and spelling; no board gets two;
 * whatever start goes well knows of each secret that left which board has it; and a start stops, by
 * the right doubt, after each act that docs/custody.md says is caught.
 *
 * The person answers honestly. Yes to "moved": no other copy is in use. Yes to "heal": always. Yes
 * to "renamed": only after correcting labels.
 *
 * Acts that docs/custody.md names as not caught are kept out, each where `KEPT OUT` stands.
 */
#include <stdlib.h>

#include "copies_world.h"

static unsigned acts = 60;

static void live(uint64_t seed)
{
    bool two_lists = seed % 4 == 0;

    snprintf(repeat, sizeof repeat, "repeat it with: copies 1 %u %llu", acts,
             (unsigned long long)seed);
    several_users = seed % 4 > 1;
    own_journals = seed % 4 == 1;
    set_up(two_lists);
    for (unsigned i = 0; i < acts; i++) {
        struct place *p = some_place(true);

        if (p == NULL)
            break;
        story("-- act %u of seed %llu", i, (unsigned long long)seed);
        if (running < 0) {
            if (one_in(12))
                start_oddly(p);
            else if (one_in(2))
                act(p, two_lists);
            else
                start(p);
        } else if (one_in(3)) {
            end_run(one_in(2));
        } else if (one_in(3)) {
            disturb(&place[running], two_lists);
        } else if (one_in(4)) {
            start_second(p);
        } else if (one_in(8)) {
            start_oddly(p);
        } else {
            work();
        }
    }
}

int main(int argc, char **argv)
{
    unsigned seeds = argc > 1 ? (unsigned)atoi(argv[1]) : 500;
    uint64_t first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;

    acts = argc > 2 ? (unsigned)atoi(argv[2]) : 60;
    return play_seeds(seeds, first, live, seeds >= 250);
}
