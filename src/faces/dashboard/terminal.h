/*
 * terminal.h: the terminal: copies a grid to it and reads keys from it. The only file that knows
 * ncurses.
 */
#ifndef KEYLINE_TERMINAL_H
#define KEYLINE_TERMINAL_H

#include "grid.h"

struct kl_term_options {
    bool ascii;   /* no line drawing, no symbols beyond ASCII (also if the locale is not UTF-8) */
    bool console; /* set if the terminal is a Linux console: few glyphs */
    bool no_mouse;
    bool mono; /* no colours (also NO_COLOR and terminals without) */
};

enum kl_term_fitness {
    KL_TERM_FIT,
    KL_TERM_DUMB,  /* TERM=dumb, or none: for lines only */
    KL_TERM_UNFIT, /* no description of it or of one like it */
};

/* Before anything starts: can this terminal show a dashboard? If this host does not know it, a
   relative is tried: TERM in the environment changes, and `note` says so. Else `note` is "". */
enum kl_term_fitness kl_term_try(char note[256]);
/* Takes over the terminal; false and a sentence if it can't be used. */
bool kl_term_open(struct kl_term_options *options, char error[256]);
void kl_term_close(void);
/* Makes writes wait for a terminal that stalls, instead of trying again and again. */
void kl_term_block(void);
void kl_term_size(int *rows, int *cols);
/* Call it after SIGWINCH. */
void kl_term_resized(void);
void kl_term_draw(const struct kl_grid *g);
/* Draws everything anew, as after a `wall` message. */
void kl_term_redraw(void);
void kl_term_bell(void);
void kl_term_flash(void);
/* What was typed, without waiting; 0 = nothing, -1 = the terminal is gone. */
long kl_term_read(void *out, size_t size);
/* Throws away what was typed and not read yet. */
void kl_term_forget(void);

/* The screen library's name and version. */
const char *kl_term_library(void);

/* Puts a terminal right after a killed child has left it behind. */
struct kl_term_saved;
struct kl_term_saved *kl_term_save(void);
void kl_term_restore(struct kl_term_saved *saved, bool killed);

#endif
