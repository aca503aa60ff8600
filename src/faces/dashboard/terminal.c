#include "terminal.h"

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
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
    [KL_STYLE_PASS] = {COLOR_BLACK, COLOR_GREEN, 16, 41, 0, A_REVERSE},
    [KL_STYLE_FAIL] = {COLOR_WHITE, COLOR_RED, 231, 124, A_BOLD, A_REVERSE | A_BOLD},
    [KL_STYLE_WARN] = {COLOR_BLACK, COLOR_YELLOW, 16, 220, 0, A_REVERSE},
    [KL_STYLE_DONE] = {COLOR_CYAN, -1, 81, -1, 0, 0},
    [KL_STYLE_LEFT] = {-1, -1, 240, -1, 0, 0},
};

static attr_t attributes[KL_STYLE_COUNT];
static short pairs[KL_STYLE_COUNT];
static bool is_open;

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

bool kl_term_open(struct kl_term_options *options, char error[256])
{
    SCREEN *screen;

    setlocale(LC_ALL, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        options->ascii = true;
    screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        const char *term = getenv("TERM");
        snprintf(error, 256, "the terminal '%s' is not known here: set TERM, or use --headless",
                 term ? term : "");
        return false;
    }
    is_open = true;
    set_term(screen);
    cbreak();
    noecho();
    nonl();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    leaveok(stdscr, TRUE);
    options->mono |= wants_no_colour() || !has_colors();
    if (!options->mono) {
        start_color();
        use_default_colors();
    }
    set_looks(options->mono);
    return true;
}

void kl_term_close(void)
{
    if (!is_open)
        return;
    is_open = false;
    endwin();
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

void kl_term_bell(void)
{
    beep();
}

int kl_term_key(void)
{
    static const struct {
        int curses, ours;
    } keys[] = {
        {KEY_UP, KL_KEYCODE_UP},         {KEY_DOWN, KL_KEYCODE_DOWN},
        {KEY_LEFT, KL_KEYCODE_LEFT},     {KEY_RIGHT, KL_KEYCODE_RIGHT},
        {KEY_PPAGE, KL_KEYCODE_PAGE_UP}, {KEY_NPAGE, KL_KEYCODE_PAGE_DOWN},
        {KEY_HOME, KL_KEYCODE_HOME},     {KEY_END, KL_KEYCODE_END},
        {KEY_ENTER, KL_KEYCODE_ENTER},   {'\r', KL_KEYCODE_ENTER},
        {'\n', KL_KEYCODE_ENTER},        {27, KL_KEYCODE_ESCAPE},
        {127, KL_KEYCODE_BACKSPACE},     {KEY_BACKSPACE, KL_KEYCODE_BACKSPACE},
        {8, KL_KEYCODE_BACKSPACE},       {12, KL_KEYCODE_REDRAW},
    };
    int key = getch();

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (key == keys[i].curses)
            return keys[i].ours;
    return key == ERR ? -1 : key;
}

/* ---- after a child that was killed ------------------------------------------------------------
 */

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
    fcntl(STDIN_FILENO, F_SETFL, saved->flags); /* the shell shares them */
    if (killed) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved->settings);
        if (setupterm(NULL, STDOUT_FILENO, &result) == OK) {
            put_capability("sgr0");
            put_capability("rmkx");
            put_capability("rmcup");
            put_capability("cnorm");
        }
        fflush(stdout);
    }
    free(saved);
}
