/*
 * scenario.h: a fixed sequence of wishes to a store, and what the disk may hold after any part of
 * it: the state after all that was answered, or after one of the wishes that were not.
 */
#ifndef KEYLINE_TESTS_CUSTODY_SCENARIO_H
#define KEYLINE_TESTS_CUSTODY_SCENARIO_H

#include <stdbool.h>

#include "keyline/store.h"

enum {
    SCENARIO_KEYS = 6,
    SCENARIO_STEPS_MAX = 32,
};

/* What the parent process gets to know of a child that may die at any instant. */
struct scenario_report {
    unsigned submitted, answered;
};

void scenario_write_csv(const char *path);
/* Runs it to its end, asking again whatever failed; `report` is updated as it goes (shared
   memory). False if the store could not be opened or did not do what it was asked. */
bool scenario_run(const char *csv, volatile struct scenario_report *report);
/* Opens and closes, which puts right whatever a crash left. */
bool scenario_recover(const char *csv);
/* Compares ledger and CSV, read without keyline's own code. Aborts with words if they are not what
   they may be. `closed`: the store was closed in peace since, so all marks are there. */
void scenario_check(const char *csv, const struct scenario_report *report, bool closed);
/* Aborts if the history lacks an attempt: for a scenario that came to its end. */
void scenario_check_history(const char *csv);

#endif
