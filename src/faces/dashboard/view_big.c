/*
 * view_big.c: what people see from across the room: a slot's number, and PASS or FAIL, in block
 * letters. The words differ in shape and not only in colour: PASS has thin letters and a tick, FAIL
 * thick ones between crosses.
 */
#include <stdio.h>
#include <string.h>

#include "view_draw.h"

enum {
    HEIGHT = 5
};

static const char *const digits[10][HEIGHT] = {
    {"###", "# #", "# #", "# #", "###"}, {" # ", "## ", " # ", " # ", "###"},
    {"###", "  #", "###", "#  ", "###"}, {"###", "  #", "###", "  #", "###"},
    {"# #", "# #", "###", "  #", "  #"}, {"###", "#  ", "###", "  #", "###"},
    {"###", "#  ", "###", "# #", "###"}, {"###", "  #", " # ", " # ", " # "},
    {"###", "# #", "###", "# #", "###"}, {"###", "# #", "###", "  #", "###"},
};

static const char *const pass_word[HEIGHT] = {
    "###   #   ### ###      #", "# #  # #  #   #       # ", "###  ###  ### ###  # #  ",
    "#    # #    #   #   #   ", "#    # #  ### ###       ",
};

static const char *const fail_word[HEIGHT] = {
    "#   #  #### #### #### #     #   #", " # #   #    #  #  ##  #      # # ",
    "  #    ###  ####  ##  #       #  ", " # #   #    #  #  ##  #      # # ",
    "#   #  #    #  # #### ####  #   #",
};

static const char *const no_word[HEIGHT] = {"", "", "", "", ""};

/* Where the crosses have no room. */
static const char *const fail_alone[HEIGHT] = {
    "#### #### #### #   ", "#    #  #  ##  #   ", "###  ####  ##  #   ",
    "#    #  #  ##  #   ", "#    #  # #### ####",
};

struct canvas {
    struct kl_grid *g;
    int row, col, width, height; /* of one dot, in cells */
    enum kl_style style;
    bool ascii;
};

/* Draws a bitmap `x` dots from the left; returns its width in dots. */
static int draw_bits(const struct canvas *c, int x, const char *const bits[HEIGHT])
{
    for (int y = 0; y < HEIGHT; y++)
        for (int i = 0; bits[y][i]; i++)
            for (int h = 0; bits[y][i] == '#' && h < c->height; h++)
                for (int w = 0; w < c->width; w++)
                    kl_grid_text(c->g, c->row + y * c->height + h, c->col + (x + i) * c->width + w,
                                 1, c->style, c->ascii ? "#" : "█");
    return (int)strlen(bits[0]);
}

int draw_big(struct kl_grid *g, int row, int col, int rows, int cols, enum kl_style style,
             unsigned number, enum big_word what, bool ascii)
{
    const char *const *word = what == BIG_PASS ? pass_word : what == BIG_FAIL ? fail_word : no_word;
    char text[12];
    int dots, x = 0, count = snprintf(text, sizeof text, "%u", number);
    struct canvas c = {g, row, col, 0, 0, style, ascii};

    if (what == BIG_FAIL && count * 4 + 2 + (int)strlen(fail_word[0]) > cols)
        word = fail_alone;
    dots = count * 4 + 2 + (int)strlen(word[0]);
    c.height = rows / HEIGHT < 4 ? rows / HEIGHT : 4;
    c.width = cols / dots;
    if (c.height < 1 || c.width < 1)
        return 0;
    if (c.width > 2 * c.height + 1)
        c.width = 2 * c.height + 1;
    if (c.height > c.width + 1)
        c.height = c.width + 1;
    c.row += (rows - c.height * HEIGHT) / 2;
    c.col += (cols - c.width * dots) / 2;
    for (int i = 0; i < count; i++)
        x += draw_bits(&c, x, digits[text[i] - '0']) + 1;
    draw_bits(&c, x + 2, word);
    return c.height * HEIGHT + (rows - c.height * HEIGHT) / 2;
}
