#include "terminal.h"

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <curses.h>
#include <term.h>

#include "view.h"

struct look {
    short fg, bg;       /* of 8 colours, -1 = the terminal's own */
    short fg256, bg256; /* where there are 256 */
    attr_t attr, mono;  /* with colours, without */
};

/* PASS and FAIL differ in brightness as well as in hue, and in their words. */
static const struct look looks[KL_STYLE_COUNT] = {
    [KL_STYLE_PLAIN] = {-1, -1, -1, -1, 0, 0},
    [KL_STYLE_DIM] = {-1, -1, 245, -1, 0, 0},
    [KL_STYLE_STRONG] = {-1, -1, -1, -1, A_BOLD, A_BOLD},
    [KL_STYLE_BAR] = {COLOR_WHITE, COLOR_BLUE, 255, 24, 0, A_REVERSE},
    [KL_STYLE_BAR_KEY] = {COLOR_YELLOW, COLOR_BLUE, 220, 24, A_BOLD, A_REVERSE | A_BOLD},
    [KL_STYLE_FRAME] = {-1, -1, 240, -1, 0, 0},
    [KL_STYLE_SELECTED] = {COLOR_CYAN, -1, 51, -1, A_BOLD, A_BOLD},
    [KL_STYLE_BUSY] = {COLOR_CYAN, -1, 81, -1, A_BOLD, 0},
    [KL_STYLE_WAIT] = {COLOR_YELLOW, -1, 220, -1, A_BOLD, A_BOLD},
    [KL_STYLE_PASS] = {COLOR_BLACK, COLOR_GREEN, 16, 41, 0, A_BOLD},
    [KL_STYLE_FAIL] = {COLOR_WHITE, COLOR_RED, 231, 124, A_BOLD, A_REVERSE | A_BOLD},
    [KL_STYLE_WARN] = {COLOR_BLACK, COLOR_YELLOW, 16, 220, 0, A_REVERSE},
    [KL_STYLE_DONE] = {COLOR_CYAN, -1, 81, -1, 0, 0},
    [KL_STYLE_LEFT] = {-1, -1, 240, -1, 0, 0},
};

static attr_t attributes[KL_STYLE_COUNT];
static short pairs[KL_STYLE_COUNT];
static bool is_open;
static struct termios settings_before, settings_drawn;

static void set_looks(bool mono)
{
    bool rich = !mono && COLORS >= 256;

    for (int s = 0; s < KL_STYLE_COUNT; s++) {
        const struct look *l = &looks[s];
        pairs[s] = 0;
        attributes[s] = mono ? l->mono : l->attr;
        if (mono)
            continue;
        init_pair((short)(s + 1), rich ? l->fg256 : l->fg, rich ? l->bg256 : l->bg);
        pairs[s] = (short)(s + 1);
    }
}

const char *kl_term_library(void)
{
    return curses_version();
}

static bool wants_no_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return no && no[0];
}

/* A terminal that does not know these ignores them. */
#define BRACKETS_ON  "\033[?2004h"
#define BRACKETS_OFF "\033[?2004l"
#define MOUSE_ON     "\033[?1000h\033[?1006h"
#define MOUSE_OFF    "\033[?1006l\033[?1000l"

/* Sends a sequence that ncurses has no function for, between two outputs of its own. */
static void tell(const char *sequence)
{
    ssize_t n = write(STDOUT_FILENO, sequence, strlen(sequence));

    (void)n;
}

bool kl_term_open(struct kl_term_options *options, char error[256])
{
    SCREEN *screen;

    setlocale(LC_ALL, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        options->ascii = true;
    tcgetattr(STDIN_FILENO, &settings_before);
    screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        const char *term = getenv("TERM");
        snprintf(error, 256, "the terminal '%s' is not known here: set TERM, or use --headless",
                 term ? term : "");
        return false;
    }
    is_open = true;
    set_term(screen);
    raw(); /* Ctrl-C comes as a key: a paste may hold one */
    noecho();
    nonl();
    typeahead(-1); /* input.c reads the keys: drawing must not look for them */
    curs_set(0);
    leaveok(stdscr, TRUE);
    options->console = strncmp(termname(), "linux", 5) == 0;
    options->mono |= wants_no_colour() || !has_colors();
    if (!options->mono) {
        start_color();
        use_default_colors();
    }
    set_looks(options->mono);
    tell(BRACKETS_ON);
    if (!options->no_mouse)
        tell(MOUSE_ON);
    tcgetattr(STDIN_FILENO, &settings_drawn);
    return true;
}

static bool is_as_we_set_it(void)
{
    struct termios now;

    return tcgetattr(STDIN_FILENO, &now) == 0 && now.c_iflag == settings_drawn.c_iflag &&
           now.c_oflag == settings_drawn.c_oflag && now.c_lflag == settings_drawn.c_lflag;
}

/* Our parent was killed, and the shell has the terminal back, perhaps this very moment: for us it
   is in the background then, and endwin could not change it. Some shells put it in order
   themselves, and then we leave it alone; others leave it as we set it. */
static void restore_from_behind(void)
{
    void (*before)(int);

    if (!is_as_we_set_it())
        return;
    before = signal(SIGTTOU, SIG_IGN);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings_before);
    signal(SIGTTOU, before);
}

void kl_term_close(void)
{
    if (!is_open)
        return;
    is_open = false;
    tell(BRACKETS_OFF MOUSE_OFF);
    tcflush(STDIN_FILENO, TCIFLUSH); /* the shell must not run the rest of a paste */
    endwin();
    restore_from_behind();
}

void kl_term_block(void)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);

    fcntl(STDIN_FILENO, F_SETFL, flags & ~O_NONBLOCK);
}

void kl_term_size(int *rows, int *cols)
{
    *rows = LINES;
    *cols = COLS;
}

void kl_term_resized(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        resizeterm(size.ws_row, size.ws_col);
    clearok(curscr, TRUE);
}

void kl_term_draw(const struct kl_grid *g)
{
    for (int r = 0; r < g->rows && r < LINES; r++) {
        move(r, 0);
        for (int c = 0; c < g->cols && c < COLS; c++) {
            const struct kl_cell *cell = &g->cells[r * g->cols + c];
            if (!cell->text[0])
                continue; /* the right half of a wide character */
            attr_set(attributes[cell->style], pairs[cell->style], NULL);
            addstr(cell->text);
        }
    }
    refresh();
}

void kl_term_redraw(void)
{
    clearok(curscr, TRUE);
}

void kl_term_flash(void)
{
    flash();
}

void kl_term_bell(void)
{
    beep();
}

long kl_term_read(void *out, size_t size)
{
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    ssize_t n;

    if (poll(&wait, 1, 0) <= 0)
        return 0;
    n = read(STDIN_FILENO, out, size);
    return n > 0 ? (long)n : -1;
}

void kl_term_forget(void)
{
    tcflush(STDIN_FILENO, TCIFLUSH);
}

/* ---- which terminal ---- */

static bool is_described(const char *term)
{
    int result;
    bool known = setupterm(term, STDOUT_FILENO, &result) == OK;

    if (known)
        del_curterm(cur_term);
    return known;
}

enum kl_term_fitness kl_term_try(char note[256])
{
    static const char *const relatives[] = {"xterm-256color", "xterm", "screen", "linux", "vt100"};
    const char *term = getenv("TERM");

    note[0] = '\0';
    if (!term || !term[0] || strcmp(term, "dumb") == 0)
        return KL_TERM_DUMB;
    if (is_described(term))
        return KL_TERM_FIT;
    for (size_t i = 0; i < sizeof relatives / sizeof relatives[0]; i++) {
        if (!is_described(relatives[i]))
            continue;
        snprintf(note, 256, "the terminal '%.64s' is not known here: it is taken for %s", term,
                 relatives[i]);
        setenv("TERM", relatives[i], 1);
        return KL_TERM_FIT;
    }
    snprintf(
        note, 256,
        "the terminal '%.64s' is not known here, and no other either: install ncurses-base, or "
        "use --headless",
        term);
    return KL_TERM_UNFIT;
}

/* ---- after a child that was killed ---- */

struct kl_term_saved {
    struct termios settings;
    int flags;
};

struct kl_term_saved *kl_term_save(void)
{
    struct kl_term_saved *saved = malloc(sizeof *saved);

    if (saved && tcgetattr(STDIN_FILENO, &saved->settings) != 0) {
        free(saved);
        return NULL;
    }
    if (saved)
        saved->flags = fcntl(STDIN_FILENO, F_GETFL);
    return saved;
}

static int put_byte(int c)
{
    return putchar(c);
}

static void put_capability(const char *name)
{
    char text[16];
    char *value;

    snprintf(text, sizeof text, "%s", name);
    value = tigetstr(text);
    if (value && value != (char *)-1)
        tputs(value, 1, put_byte);
}

void kl_term_restore(struct kl_term_saved *saved, bool killed)
{
    int result;

    if (!saved)
        return;
    fcntl(STDIN_FILENO, F_SETFL, saved->flags); /* the shell shares these flags */
    if (killed) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved->settings);
        if (setupterm(NULL, STDOUT_FILENO, &result) == OK) {
            put_capability("sgr0");
            put_capability("rmkx");
            put_capability("rmcup");
            put_capability("cnorm");
        }
        fflush(stdout);
        tell(BRACKETS_OFF MOUSE_OFF);
    }
    free(saved);
}
