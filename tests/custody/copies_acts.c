/* copies_acts.c: what the person does, between runs and during them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copies_world.h"

struct place *some_place(bool there)
{
    unsigned from = prng_below(&prng, PLACES);

    for (unsigned i = 0; i < PLACES; i++) {
        struct place *p = &place[(from + i) % PLACES];
        if (p->there == there)
            return p;
    }
    return NULL;
}

/* The copies are other files than the originals. */
static void renew(struct place *p)
{
    for (unsigned n = 0; n < 2; n++)
        p->ledger[n].token = ++tokens;
    p->untouched = p->corrected = false;
}

static void take_on(struct place *to, const struct place *from)
{
    char folder[sizeof to->folder];

    snprintf(folder, sizeof folder, "%s", to->folder);
    *to = *from;
    snprintf(to->folder, sizeof to->folder, "%s", folder);
    to->there = true;
    renew(to);
}

static void lose_log(struct place *p)
{
    struct ledger *l = ledger_of(p);
    struct stat st;

    if (stat(part_of(p, 2), &st) == 0 && st.st_size > 0) {
        l->log = false;
        l->version = 0;
    }
    unlink(part_of(p, 2));
    unlink(part_of(p, 3));
    p->untouched = p->corrected = false;
}

/* The bench may have been at its files while they were copied. */
static void doubt(struct ledger *l)
{
    l->version = 0;
    l->may_fail = true;
}

/* KEPT OUT: "copied the CSV alone to another machine, and works on both", and "copied the CSV alone
   with a program that drops attributes, or saved it anew, and deleted the ledger, as another user":
   the CSV alone only where the journal is the same. */
static void copy_place(struct place *from)
{
    struct place *to = some_place(false);
    bool here = from - place == running;

    if (to == NULL || !from->there)
        return;
    copy_folder(from->folder, to->folder);
    take_on(to, from);
    if (!own_journals && one_in(3)) {
        story("copy the CSV of %s to %s", from->folder, to->folder);
        unlink(part_of(to, 1));
        unlink(part_of(to, 2));
        unlink(part_of(to, 3));
        to->ledger[to->name] = (struct ledger){.there = false};
        meet(MET_csv_copied);
    } else if (one_in(3)) {
        story("copy %s without the log to %s", from->folder, to->folder);
        lose_log(to);
        meet(MET_folder_copied_without_log);
    } else {
        story("copy %s to %s", from->folder, to->folder);
        meet(MET_folder_copied);
    }
    if (here) {
        doubt(ledger_of(to));
        meet(MET_while_it_runs_copied);
    }
}

static void move_place(struct place *from)
{
    struct place *to = some_place(false);

    if (to == NULL || !from->there || rename(from->folder, to->folder) != 0)
        return;
    story("move %s to %s", from->folder, to->folder);
    take_on(to, from);
    for (unsigned n = 0; n < 2; n++) /* the files are the same */
        to->ledger[n].token = from->ledger[n].token;
    from->there = false;
    memset(from->ledger, 0, sizeof from->ledger);
    if (from - place == running) {
        disturbed = true;
        meet(MET_while_it_runs_folder_moved);
    }
    meet(MET_folder_moved);
}

static void back_up(const struct place *p)
{
    struct keep *k = &keep[prng_below(&prng, KEEPS)];
    char journal[PATH];

    if (k->there)
        remove_folder(k->folder);
    k->there = true;
    k->was = *p;
    if (p - place == running)
        doubt(ledger_of(&k->was));
    story("back up %s to %s", p->folder, k->folder);
    copy_folder(p->folder, k->folder);
    snprintf(journal, sizeof journal, "%s/journal", k->folder);
    copy_journal(journal_of(p), journal, false);
    meet(MET_backup_made);
}

/* Of the same name: with its log or without, in place or as a new file, beside what log there is.
 */
static void put_ledger_back(struct place *p, const struct keep *k)
{
    struct ledger *l = ledger_of(p);
    bool in_place = one_in(3), log = one_in(2), clean = one_in(2);
    unsigned token = l->token;
    struct stat st;

    if (!k->was.ledger[p->name].there)
        return;
    story("put the ledger of %s back from %s%s%s%s", p->folder, k->folder,
          in_place ? ", in place" : "", log ? ", with its log" : "", clean ? ", cleaned" : "");
    if (clean) {
        unlink(part_of(p, 2));
        unlink(part_of(p, 3));
    }
    if (stat(part_of(p, 2), &st) == 0)
        meet(MET_ledger_put_back_beside_a_log);
    in_place = in_place && l->there;
    copy(path_in(k->folder, names[p->name], parts[1]), part_of(p, 1), in_place);
    if (log && copy(path_in(k->folder, names[p->name], parts[2]), part_of(p, 2), in_place))
        unlink(part_of(p, 3));
    *l = k->was.ledger[p->name];
    l->token = in_place ? token : ++tokens;
    l->may_fail = true;
    l->log = false; /* who knows what fits to what */
    l->version = 0;
    p->untouched = p->corrected = false;
    meet(in_place ? MET_ledger_overwritten : MET_ledger_put_back);
}

static void put_folder_back(struct place *p, const struct keep *k)
{
    story("put the folder %s back from %s", p->folder, k->folder);
    if (p->there)
        remove_folder(p->folder);
    copy_folder(k->folder, p->folder);
    take_on(p, &k->was);
    meet(MET_folder_put_back);
}

static void put_back(struct place *p)
{
    struct keep *k = &keep[prng_below(&prng, KEEPS)];

    if (!k->there)
        return;
    if (!p->there || one_in(3)) {
        /* KEPT OUT: the CSV alone with another journal, as in copy_place. */
        if (p->there ? can_spare_ledger(p) : !own_journals || k->was.ledger[k->was.name].there)
            put_folder_back(p, k);
    } else if (one_in(3) && k->was.name == p->name) {
        story("put the CSV of %s back from %s", p->folder, k->folder);
        copy(path_in(k->folder, names[p->name], ""), csv_of(p), one_in(2));
        p->untouched = p->corrected = false;
        meet(MET_csv_put_back);
    } else if (can_spare_ledger(p)) {
        put_ledger_back(p, k);
    }
}

static void journal_act(struct place *p)
{
    const struct keep *k = &keep[prng_below(&prng, KEEPS)];
    bool here = p - place == running || (!own_journals && running >= 0);
    char journal[PATH];

    if (!can_spare_journal())
        return;
    snprintf(journal, sizeof journal, "%s/journal", k->folder);
    if (one_in(2)) {
        story("delete %s", journal_of(p));
        remove_folder(journal_of(p));
        meet(here ? MET_while_it_runs_journal_deleted : MET_journal_deleted);
    } else if (k->there) {
        bool in_place = one_in(3);
        story("put %s back from %s%s", journal_of(p), k->folder, in_place ? ", in place" : "");
        if (!in_place)
            remove_folder(journal_of(p));
        copy_journal(journal, journal_of(p), in_place);
        meet(here ? MET_while_it_runs_journal_put_back : MET_journal_put_back);
    } else {
        return;
    }
    *journal_version_of(p) = 0;
    journal_cut = true;
    touch_all();
}

static void rename_csv(struct place *p)
{
    unsigned other = 1 - p->name;
    bool with_ledger = one_in(3);
    struct ledger *l = &p->ledger[other];
    char to[PATH];

    if (own_journals || (with_ledger ? l->there && !can_spare_ledger(p) : !can_spare_ledger(p)))
        return;
    story("rename %s%s", csv_of(p), with_ledger ? " with its ledger" : "");
    for (unsigned i = 0; i < (with_ledger ? 4U : 1U); i++) {
        snprintf(to, sizeof to, "%s", path_in(p->folder, names[other], parts[i]));
        if (i > 0)
            unlink(to);
        rename(part_of(p, i), to);
    }
    if (with_ledger) {
        *l = p->ledger[p->name];
        memset(&p->ledger[p->name], 0, sizeof *l);
    }
    p->name = other;
    p->untouched = p->corrected = false;
    meet(with_ledger ? MET_csv_renamed_with_ledger : MET_csv_renamed);
}

static void edit(struct place *p)
{
    unsigned k = prng_below(&prng, KEYS);
    bool was_untouched = p->untouched, known = is_current(ledger_of(p)) && key[k].board != 0;
    char *before, *after;

    if (!has_row(p, k))
        return;
    if (one_in(3)) {
        story("spell the secret of key %u in %s otherwise", k, csv_of(p));
        edit_csv(p, respelled, &k);
        key[k].respelled = true;
        p->untouched = p->corrected = false;
        meet(MET_secret_respelled);
        return;
    }
    story("correct the label of key %u in %s", k, csv_of(p));
    before = file_read(csv_of(p), NULL);
    edit_csv(p, corrected, &k);
    after = file_read(csv_of(p), NULL);
    p->untouched = false;
    p->corrected = was_untouched && known && !key[k].respelled && strcmp(before, after) != 0;
    free(before);
    free(after);
    meet(MET_label_corrected);
}

/* KEPT OUT: "put rows of one list into another as another user, or with another `--journal`": only
   where the journal is the same. */
struct merging {
    char text[TEXT];
    unsigned lacks, count;
};

static size_t find_lacking(void *ctx, unsigned k, const char *line, char *out, size_t room)
{
    struct merging *m = ctx;
    const char *comma = strchr(strchr(line, ',') + 1, ',');

    if ((m->lacks >> k & 1) != 0 && one_in(2)) {
        snprintf(m->text + strlen(m->text), sizeof m->text - strlen(m->text), "%.*s\n",
                 comma == NULL ? (int)strlen(line) : (int)(comma - line), line);
        m->count++;
    }
    return (size_t)snprintf(out, room, "%s\n", line);
}

static void merge(struct place *from, struct place *to)
{
    static struct merging m;
    char *text;

    if (to == from || own_journals || *journal_version_of(to) != now)
        return;
    m = (struct merging){.lacks = 0};
    for (unsigned k = 0; k < KEYS; k++)
        m.lacks |= (unsigned)!has_row(to, k) << k;
    edit_csv(from, find_lacking, &m);
    if (m.count == 0)
        return;
    story("put %u rows of %s into %s", m.count, csv_of(from), csv_of(to));
    text = file_read(csv_of(to), NULL);
    snprintf(m.text + strlen(m.text), sizeof m.text - strlen(m.text), "%s", text);
    free(text);
    file_put(csv_of(to), m.text);
    to->untouched = to->corrected = false;
    ledger_of(to)->version = 0;
    disturbed |= to - place == running;
    meet(to - place == running ? MET_while_it_runs_rows_put_in : MET_rows_put_into_another_list);
}

/* `keyline keys release`. */
static void mend(struct place *p)
{
    unsigned b = boards == 0 ? 0 : 1 + prng_below(&prng, boards);
    bool current = is_current(ledger_of(p));
    const struct far_seat seat = seat_of(p);
    char text[KL_TEXT_MAX];

    if (b == 0 || board[b].key != 0 || !board[b].promised || ledger_of(p)->unknown || !knows_all(p))
        return;
    if (!far_mend(&seat, reached(p), journal_of(p), b, text)) {
        if (has_moved(p))
            meet(MET_no_release_on_a_copy);
        return;
    }
    story("keys release of board %u at %s", b, csv_of(p));
    if (has_moved(p))
        broken("a key was released on a copy");
    board[b].promised = false;
    meet(MET_released_by_command);
    *journal_version_of(p) = *journal_version_of(p) == now ? now + 1 : 0;
    now++;
    ledger_of(p)->version = current ? now : 0;
    p->untouched = p->corrected = false;
}

void act(struct place *p, bool two_lists)
{
    switch (prng_below(&prng, 15)) {
    case 0:
    case 1:
        copy_place(p);
        break;
    case 2:
        move_place(p);
        break;
    case 3:
    case 4:
        back_up(p);
        break;
    case 5:
    case 6:
    case 7:
        put_back(p);
        break;
    case 8:
        if (!two_lists)
            journal_act(p);
        break;
    case 9:
        if (can_spare_ledger(p)) {
            story("delete the ledger of %s", csv_of(p));
            remove_ledger(p, one_in(2));
            meet(MET_ledger_deleted);
        }
        break;
    case 10:
        if (can_spare_ledger(p)) {
            story("delete the log of %s", csv_of(p));
            lose_log(p);
            meet(MET_log_deleted);
        }
        break;
    case 11:
        rename_csv(p);
        break;
    case 12:
        edit(p);
        break;
    case 13:
        if (two_lists)
            merge(p, some_place(true));
        else
            mend(p);
        break;
    default:
        if (can_spare_ledger(p) && some_place(true) != p && !two_lists) {
            story("delete %s", p->folder);
            delete_folder(p);
            meet(MET_folder_deleted);
        }
    }
}

/* As an editor saves it: in place or as a new file. */
static void sort_list(struct place *p)
{
    char *text = file_read(csv_of(p), NULL), sorted[TEXT];
    const char *cut = strchr(text + prng_below(&prng, (uint32_t)strlen(text)), '\n');
    const char *editors = path_in(p->folder, "editor.csv", "");

    story("put the rows of %s in another order", csv_of(p));
    snprintf(sorted, sizeof sorted, "%s%.*s", cut + 1, (int)(cut + 1 - text), text);
    free(text);
    if (one_in(2)) {
        file_put(csv_of(p), sorted);
    } else {
        file_put(editors, sorted);
        rename(editors, csv_of(p));
    }
    p->untouched = p->corrected = false;
}

/* At the files of the bench that works. */
void disturb(struct place *p, bool two_lists)
{
    struct ledger *l = ledger_of(p);
    const struct keep *k = &keep[prng_below(&prng, KEEPS)];
    unsigned what = prng_below(&prng, 9);

    if (!p->there)
        return;
    if (what < 3) {
        copy_place(p);
    } else if (what == 3 && two_lists) {
        merge(some_place(true), p);
    } else if (what == 3) {
        journal_act(p);
    } else if (*journal_version_of(p) == now && what == 4) {
        story("delete the running ledger of %s", csv_of(p));
        remove_ledger(p, one_in(2));
        meet(MET_while_it_runs_ledger_deleted);
    } else if (*journal_version_of(p) == now && what == 5 && k->there &&
               k->was.ledger[p->name].there) {
        unsigned token = l->token;
        put_ledger_back(p, k);
        meet(token == l->token ? MET_while_it_runs_ledger_overwritten
                               : MET_while_it_runs_ledger_replaced);
    } else if (*journal_version_of(p) == now && what == 6) {
        move_place(p);
    } else if (what == 7) {
        sort_list(p);
        meet(MET_while_it_runs_list_sorted);
    } else {
        back_up(p);
        return;
    }
    give_rights(p);
    if (what >= 4 && what < 7) {
        disturbed = true;
        l->unknown = l->may_fail = true;
        l->version = 0;
    }
}

/* ---- the start of the world ---- */

static void write_list(struct place *p, unsigned from, unsigned to)
{
    char text[TEXT];
    size_t n = 0;

    mkdir(p->folder, 0700);
    p->there = true;
    for (unsigned k = from; k < to; k++)
        n += (size_t)snprintf(text + n, sizeof text - n, "dev-%u,%s%s\n", k, key[k].secret,
                              key[k].more);
    file_put(csv_of(p), text);
}

void set_up(bool two_lists)
{
    for (unsigned k = 0; k < KEYS && key[k].secret[0] == '\0'; k++)
        snprintf(key[k].secret, sizeof key[k].secret, "%016llx%016llx",
                 (unsigned long long)prng_next(&prng), (unsigned long long)prng_next(&prng));
    for (unsigned i = 0; i < PLACES; i++)
        snprintf(place[i].folder, sizeof place[i].folder, "%.100s/place%u", dir.folder, i);
    for (unsigned i = 0; i < KEEPS; i++)
        snprintf(keep[i].folder, sizeof keep[i].folder, "%.100s/keep%u", dir.folder, i);
    write_list(&place[0], 0, two_lists ? KEYS / 2 : KEYS);
    if (two_lists)
        write_list(&place[1], KEYS / 2, KEYS);
}
