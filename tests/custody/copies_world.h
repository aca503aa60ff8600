/* copies_world.h: the world of copies.c: its files, its boards, and what the person knows. */
#ifndef KEYLINE_TESTS_COPIES_WORLD_H
#define KEYLINE_TESTS_COPIES_WORLD_H

#include <stdio.h>
#include <sys/types.h>

#include "copies_bench.h"
#include "prng.h"
#include "scratch.h"

enum {
    PLACES = 3,
    KEEPS = 4, /* backups */
    KEYS = 24,
    BOARDS = 250,
    PATH = 512,
    TEXT = 8192,
    NAMES = 2, /* that a CSV can have */
    PARTS = 4,
    WORKERS = 4,
    NOBODY = 65534, /* another user */
};

/* What happened in any seed, so that a run that proves nothing is seen. */
#define MET(X)                                                                                     \
    X(opened_at_once)                                                                              \
    X(opened_after_answers)                                                                        \
    X(moved_to_another_path)                                                                       \
    X(a_copy_was_put_back)                                                                         \
    X(the_ledger_is_an_old_copy)                                                                   \
    X(there_is_no_ledger)                                                                          \
    X(its_ledger_does_not_know)                                                                    \
    X(different_stories)                                                                           \
    X(its_ledger_still_holds)                                                                      \
    X(given_with_a_ledger_that_is_not_here)                                                        \
    X(the_log_is_missing)                                                                          \
    X(renamed)                                                                                     \
    X(through_another_mount)                                                                       \
    X(used_on_another_machine)                                                                     \
    X(on_another_machine)                                                                          \
    X(as_another_user)                                                                             \
    X(another_user_is_refused)                                                                     \
    X(the_file_alone_is_mounted)                                                                   \
    X(on_an_overlay_in_memory)                                                                     \
    X(by_another_name)                                                                             \
    X(held_by_a_station_elsewhere)                                                                 \
    X(damaged)                                                                                     \
    X(moved_answered_no)                                                                           \
    X(key_sent)                                                                                    \
    X(same_key_sent_again)                                                                         \
    X(key_proved)                                                                                  \
    X(key_given_back)                                                                              \
    X(killed)                                                                                      \
    X(released_by_command)                                                                         \
    X(no_release_on_a_copy)                                                                        \
    X(folder_copied)                                                                               \
    X(folder_copied_without_log)                                                                   \
    X(csv_copied)                                                                                  \
    X(folder_moved)                                                                                \
    X(folder_deleted)                                                                              \
    X(backup_made)                                                                                 \
    X(ledger_put_back)                                                                             \
    X(ledger_overwritten)                                                                          \
    X(ledger_put_back_beside_a_log)                                                                \
    X(folder_put_back)                                                                             \
    X(csv_put_back)                                                                                \
    X(journal_put_back)                                                                            \
    X(journal_deleted)                                                                             \
    X(ledger_deleted)                                                                              \
    X(log_deleted)                                                                                 \
    X(csv_renamed)                                                                                 \
    X(csv_renamed_with_ledger)                                                                     \
    X(label_corrected)                                                                             \
    X(secret_respelled)                                                                            \
    X(rows_put_into_another_list)                                                                  \
    X(while_it_runs_list_sorted)                                                                   \
    X(while_it_runs_copied)                                                                        \
    X(while_it_runs_ledger_deleted)                                                                \
    X(while_it_runs_ledger_replaced)                                                               \
    X(while_it_runs_ledger_overwritten)                                                            \
    X(while_it_runs_journal_deleted)                                                               \
    X(while_it_runs_journal_put_back)                                                              \
    X(while_it_runs_folder_moved)                                                                  \
    X(while_it_runs_rows_put_in)

enum met {
#define X(name) MET_##name,
    MET(X)
#undef X
    METS
};
extern volatile unsigned *met;
extern const char *const met_name[METS];

/* What the person would have to know about a ledger to judge a start. */
struct ledger {
    bool there, log;        /* log: its -wal is beside it, or it needs none */
    unsigned version;       /* knows all that happened until then; 0 = less than that */
    unsigned token, at;     /* which file it is, and which file a station left */
    char home[PATH];        /* where a station left it; "" = nobody knows */
    unsigned machine;       /* … and on which machine */
    pid_t lease;            /* the process that its lease names */
    bool unknown, may_fail; /* changed under a station; parts of two ledgers */
};

struct place {
    char folder[128];
    bool there;
    unsigned name;           /* of the CSV */
    struct ledger ledger[2]; /* of each name */
    bool untouched;          /* nobody did anything since the good end of the last run, here … */
    unsigned user;           /* … by him: the others have other journals */
    bool corrected; /* nothing else was done since then, and the ledger has the old label */
};

struct keep {
    struct place was;
    char folder[128];
    bool there;
};

struct key {
    char secret[33], more[40]; /* fields; more: what stands behind it */
    unsigned board;            /* has it or may have it; 0 = it never left */
    bool proved, relabelled, respelled;
};

struct board {
    unsigned key; /* 1 + number */
    bool promised;
};

extern struct scratch dir;
extern struct prng prng;
extern struct place place[PLACES];
extern struct keep keep[KEEPS];
extern unsigned journal_version[2 * PLACES]; /* as of a ledger */
/* Each place is a machine, which sees its folder under the same path as the others do, and has a
   folder of journals of its own. */
extern bool own_journals;
extern bool several_users; /* each has a folder of journals, too */

/* Who starts a bench, and how he sees the files. */
struct sitting {
    bool mounted;
    unsigned user;
};
extern struct sitting sitting; /* as the bench was started that works, or worked last */
extern bool can_mount, can_overlay, can_change_user; /* here */
extern unsigned now, tokens;
extern struct far_bench bench;
extern int running;      /* the place; -1 = none */
extern bool disturbed;   /* the person was at the running ledger */
extern bool journal_cut; /* … or at a journal */
extern struct key key[KEYS];
extern struct board board[BOARDS];
extern unsigned boards;
extern const char *const names[NAMES], *const parts[PARTS];

/* ---- copies_world.c ---- */

/* A line of the story that is told when something is broken; and at once, if there is a trace. */
extern FILE *story_trace;
extern char repeat[200]; /* what is told besides: how to see it again */
void story(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *path_in(const char *folder, const char *name, const char *suffix);
const char *csv_of(const struct place *p);
const char *part_of(const struct place *p, unsigned part);
const char *reached(const struct place *p); /* as a bench sees the CSV */
struct far_seat seat_of(const struct place *p);
void give_rights(const struct place *p); /* to whoever sits at the bench */
struct ledger *ledger_of(struct place *p);
const char *journal_of(const struct place *p);
unsigned *journal_version_of(const struct place *p);
bool copy(const char *from, const char *to, bool in_place);
void remove_folder(const char *folder);
void copy_folder(const char *from, const char *to);
void copy_journal(const char *from, const char *to, bool in_place);
void edit_csv(const struct place *p,
              size_t (*edit)(void *ctx, unsigned k, const char *line, char *out, size_t room),
              void *ctx);
bool has_row(const struct place *p, unsigned k);
size_t corrected(void *ctx, unsigned k, const char *line, char *out, size_t room);
size_t respelled(void *ctx, unsigned k, const char *line, char *out, size_t room);
unsigned number_of_secret(const char *line);
bool is_current(const struct ledger *l);
bool knows_all(struct place *p);
bool is_alive(struct place *p);
bool has_moved(struct place *p);
bool can_spare_ledger(struct place *p);
bool can_spare_journal(void);
bool was_given_from(const struct place *p);
bool one_in(unsigned one_in);
void meet(enum met what);

/* Plays each seed in a process of its own, and lists what they met. Its exit status. */
int play_seeds(unsigned seeds, uint64_t first, void (*live)(uint64_t seed), bool must_meet);

/* ---- copies_acts.c ---- */

void set_up(bool two_lists);
struct place *some_place(bool there);
/* Between runs. */
void act(struct place *p, bool two_lists);
/* At the files of the bench that works. */
void disturb(struct place *p, bool two_lists);

/* ---- copies_runs.c ---- */

void delete_folder(struct place *p);
void remove_ledger(struct place *p, bool log_too);
void touch_all(void);
void start(struct place *p);
void start_second(struct place *p);
/* In a way that keyline refuses. */
void start_oddly(struct place *p);
void work(void);
void end_run(bool killed);
/* The store that runs has changed what it knows. */
void note_change(void);

#endif
