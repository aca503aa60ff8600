/*
 * fleet_view.h: what `keyline fleet` shows: all stations of a shared pool, or one station's
 * history. Draws from the pool's own answers (docs/fleet.md); no terminal, no clock, no database.
 */
#ifndef KEYLINE_FLEET_VIEW_H
#define KEYLINE_FLEET_VIEW_H

#include <jansson.h>

#include "grid.h"
#include "keyline/base.h"

enum {
    FLEET_SILENT_S = 30, /* a station that has said nothing for so long is away */
};

/* The pool's answers, as last heard; NULL = none yet. */
struct fleet_model {
    json_t *pool, *stations, *station;
    char trouble[KL_TEXT_MAX]; /* why the last question had no answer; "" = it had */
};

struct fleet_screen {
    unsigned chosen;           /* index of a station */
    char history[KL_NAME_MAX]; /* whose history is shown; "" = all stations are */
    unsigned scrolled;         /* lines of it */
};

enum fleet_want {
    FLEET_NOTHING,
    FLEET_QUIT,
    FLEET_HISTORY, /* ask for the history of screen->history */
};

void fleet_draw(const struct fleet_model *m, const struct fleet_screen *s, struct kl_grid *g);
/* `key`: enum kl_key_code or a character. */
enum fleet_want fleet_input(struct fleet_screen *s, const struct fleet_model *m, int key);
/* The same table as plain lines, for a pipe. */
void fleet_print(const struct fleet_model *m, FILE *out);

#endif
