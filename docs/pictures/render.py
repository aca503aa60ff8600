#!/usr/bin/env python3
"""render.py SCREEN >PICTURE.svg: a screen as `tmux capture-pane -e -p` prints it, as an SVG.

Lines and blocks are drawn, everything else is text in whatever monospaced font there is, stretched
to its columns.
"""
import html
import re
import sys

CELL_W, CELL_H, SIZE, MARGIN = 8, 17, 13, 10
PAPER, INK = "#101418", "#d0d4d8"
BASIC = ("#000000 #c23621 #25bc24 #adad27 #492ee1 #d338d3 #33bbc8 #cbcccd "
         "#818383 #fc391f #31e722 #eaec23 #5833ff #f935f8 #14f0f0 #e9ebeb").split()
# up, right, down, left; and whether heavy
LINES = {"│": "ud", "─": "lr", "┌": "rd", "┐": "dl", "└": "ur", "┘": "ul",
         "┃": "UD", "━": "LR", "┏": "RD", "┓": "DL", "┗": "UR", "┛": "UL"}


def colour(number):
    if number < 16:
        return BASIC[number]
    if number >= 232:
        return "#" + "%02x" % (8 + 10 * (number - 232)) * 3
    number -= 16
    steps = [0, 95, 135, 175, 215, 255]
    return "#%02x%02x%02x" % (steps[number // 36], steps[number // 6 % 6], steps[number % 6])


class Style:
    def __init__(self):
        self.ink, self.paper, self.bold, self.turned = INK, None, False, False

    def change(self, codes):
        codes = [int(c or 0) for c in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.__init__()
            elif code == 1:
                self.bold = True
            elif code == 7:
                self.turned = True
            elif code in (38, 48) and codes[:1] == [5]:
                setattr(self, "ink" if code == 38 else "paper", colour(codes[1]))
                del codes[:2]
            elif 30 <= code <= 37:
                self.ink = BASIC[code - 30]
            elif 40 <= code <= 47:
                self.paper = BASIC[code - 40]
            elif code == 39:
                self.ink = INK
            elif code == 49:
                self.paper = None

    def look(self):
        if self.turned:
            return self.paper or PAPER, self.ink, self.bold
        return self.ink, self.paper, self.bold


def runs(line, style):
    """(column, text, look) for each stretch of one look."""
    column = 0
    for codes, text in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b]+)", line):
        if text:
            yield column, text, style.look()
            column += len(text)
        else:
            style.change(codes)


def x_of(column):
    return MARGIN + column * CELL_W


def y_of(row):
    return MARGIN + row * CELL_H


def rectangle(row, column, width, fill, opacity=""):
    return '<rect x="%d" y="%d" width="%d" height="%d" fill="%s"%s/>' % (
        x_of(column), y_of(row), width * CELL_W, CELL_H, fill, opacity)


def draw_lines(paths, row, column, text, ink):
    heavy = LINES[text[0]].isupper()
    path = paths.setdefault((ink, heavy), [])
    x, y = x_of(column) + CELL_W / 2, y_of(row) + CELL_H / 2
    if LINES[text[0]].lower() == "lr":
        path.append("M%g %gh%g" % (x_of(column), y, len(text) * CELL_W))
        return
    reach = {"u": (0, -CELL_H / 2), "d": (0, CELL_H / 2), "l": (-CELL_W / 2, 0), "r": (CELL_W / 2, 0)}
    for i in range(len(text)):
        for way in LINES[text[i]].lower():
            path.append("M%g %gl%g %g" % ((x + i * CELL_W, y) + reach[way]))


def draw_text(row, column, text, ink, bold):
    words = text.strip(" ")
    column += len(text) - len(text.lstrip(" "))
    return '<text x="%d" y="%d" fill="%s"%s textLength="%d">%s</text>' % (
        x_of(column), y_of(row) + 13, ink, ' font-weight="bold"' if bold else "",
        len(words) * CELL_W, html.escape(words))


def draw(lines):
    columns, style = 0, Style()
    papers, texts, paths = [], [], {}
    for row, line in enumerate(lines):
        for column, text, (ink, paper, bold) in runs(line, style):
            columns = max(columns, column + len(text))
            if paper:
                papers.append(rectangle(row, column, len(text), paper))
            for part in re.finditer(r"([─━])\1*|[│┃┌┐└┘┏┓┗┛]|█+|░+|(?:(?!  )[^─━│┃┌┐└┘┏┓┗┛█░])+", text):
                at, words = column + part.start(), part.group()
                if words[0] in LINES:
                    draw_lines(paths, row, at, words, ink)
                elif words[0] in "█░":
                    papers.append(rectangle(row, at, len(words), ink,
                                            "" if words[0] == "█" else ' opacity=".4"'))
                elif words.strip(" "):
                    texts.append(draw_text(row, at, words, ink, bold))
    width, height = 2 * MARGIN + columns * CELL_W, 2 * MARGIN + len(lines) * CELL_H
    yield ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
           'font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="%d" '
           'xml:space="preserve">' % (width, height, width, height, SIZE))
    yield '<rect width="100%%" height="100%%" rx="6" fill="%s"/>' % PAPER
    yield from papers
    for (ink, heavy), path in paths.items():
        yield '<path d="%s" stroke="%s" stroke-width="%d" fill="none"/>' % (
            "".join(path), ink, 3 if heavy else 1)
    yield from texts
    yield "</svg>"


with open(sys.argv[1], encoding="utf-8") as screen:
    print("\n".join(draw(screen.read().rstrip("\n").split("\n"))))
