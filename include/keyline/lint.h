/*
 * lint.h: what can be wrong with a list of keys, everything that is wrong with one CSV, and a
 * mended copy of it as far as it can be mended.
 *
 * Whatever a firmware could take is fine. A finding needs something that no key looks like, or one
 * odd row among rows that are all alike. A finding has lines, columns and a kind; never a value.
 */
#ifndef KEYLINE_LINT_H
#define KEYLINE_LINT_H

#include "keyline/base.h"

/* X(NAME, "word for --accept", "what it is", "the way out"). A line of at most KL_TEXT_MAX holds
   both texts. */
#define KL_CSV_KINDS(X)                                                                            \
    X(BINARY, "binary", "not text: another kind of file, UTF-16, or half written",                 \
      "export it again as CSV in UTF-8")                                                           \
    X(MARKUP, "markup", "a web page, JSON or error message that was saved as CSV",                 \
      "download or export the CSV again")                                                          \
    X(CONFLICT, "conflict", "a version control's conflict mark", "merge the file to its end")      \
    X(ENCODING, "encoding", "in another encoding than other rows", "save the whole file as UTF-8") \
    X(HEADER, "header", "a header, not a key", "use --csv-header, or delete the line")             \
    X(NO_HEADER, "no-header", "skipped by --csv-header, but looks like the keys below it",         \
      "start without --csv-header")                                                                \
    X(COMMENT, "comment", "begins with #, but keyline knows no comments", "delete the line")       \
    X(DECORATION, "decoration", "a title, ruler or total, not a key", "delete the line")           \
    X(TAILS, "tails", "outvotes most rows, whose last fields are empty",                           \
      "delete the empty columns, or mend this row")                                                \
    X(BLANKS, "blanks", "empty, as under a merged cell", "fill the column, or delete it")          \
    X(OPEN_QUOTE, "open-quote", "an open quote swallows the lines below it", "close the quote")    \
    X(TRUNCATED, "truncated", "the file ends in the middle of this row", "copy the file again")    \
    X(MARK_INSIDE, "mark-inside", "the mark stands before other fields: is it spent?",             \
      "put the mark at the row's end")                                                             \
    X(INVISIBLE, "invisible", "holds a character that nobody sees", "keyline keys lint --fix")     \
    X(QUOTES, "quotes", "quotes that are part of the value", "keyline keys lint --fix")            \
    X(FORMULA, "formula", "a spreadsheet's formula or text mark", "keyline keys lint --fix")       \
    X(ERROR, "error-value", "a spreadsheet's error", "export the column as text")                  \
    X(SCIENTIFIC, "scientific", "a number that a spreadsheet has rounded",                         \
      "export the column as text")                                                                 \
    X(ROUNDED, "rounded", "numbers that a spreadsheet has rounded to 15 digits",                   \
      "export the column as text")                                                                 \
    X(FRACTION, "fraction", "a whole number with .0 behind it", "keyline keys lint --fix")         \
    X(ZEROS, "zeros", "shorter than others: a spreadsheet has dropped zeros",                      \
      "export the column as text, or keyline keys lint --fix")                                     \
    X(DATE, "date", "a spreadsheet has made a date of it", "export the column as text")            \
    X(BOOLEAN, "boolean", "TRUE or FALSE where others have a value", "export the column as text")  \
    X(CURRENCY, "currency", "an amount of money", "export the column as text")                     \
    X(PLACEHOLDER, "placeholder", "a word for a missing value", "fill it, or delete the line")     \
    X(MASKED, "masked", "stars or dots in place of a secret", "export the secrets in full")        \
    X(CUT, "cut", "ends in an ellipsis: it was copied from a screen", "export it in full")         \
    X(ODD, "odd", "unlike all others of its column", "look for a typing or reading error")         \
    X(REPEATED, "repeated", "a secret that another row has too", "give each row its own")

enum kl_csv_kind {
#define X(name, word, text, advice) KL_CSV_##name,
    KL_CSV_KINDS(X)
#undef X
    KL_CSV_KIND_COUNT
};

struct kl_csv_kind_info {
    const char *word, *text, *advice;
};
struct kl_csv_kind_info kl_csv_kind_info(enum kl_csv_kind kind);
/* False if there is no such word. */
bool kl_csv_kind_by_word(const char *word, enum kl_csv_kind *kind);

enum {
    KL_CSV_FINDINGS_MAX = 64,
    KL_CSV_LINES_MAX = 3,
};

struct kl_csv_finding {
    enum kl_csv_kind kind;
    uint32_t column;                 /* from 1; 0 = the whole row */
    uint32_t count;                  /* rows like this */
    uint32_t line[KL_CSV_LINES_MAX]; /* the first of them; 0 = the file as a whole */
};

/* By the order of the kinds, then of the columns. */
struct kl_csv_verdict {
    struct kl_csv_finding finding[KL_CSV_FINDINGS_MAX];
    unsigned count;
};

/* The way out of this finding: the kind's, or a better one for where it stands. A constant. */
const char *kl_csv_finding_advice(const struct kl_csv_finding *f);
/* "line 7, column 2: a spreadsheet's error, and 3 more lines" */
void kl_csv_finding_text(const struct kl_csv_finding *f, char text[KL_TEXT_MAX]);
/* Writes what forbids a start: the first finding that `accepted` (bits 1 << kind) lacks, as a
   sentence with the way out. False if nothing does. */
bool kl_csv_refused(const struct kl_csv_verdict *v, uint32_t accepted, char text[KL_TEXT_MAX]);

/* "header, zeros": the kinds in it, each once. */
void kl_csv_verdict_words(const struct kl_csv_verdict *v, char text[KL_TEXT_MAX]);

/* ---- one file, blocking; it is only read ---- */

enum {
    KL_LINT_ROWS_MAX = 20 /* unfit rows that are named; all are counted */
};

struct kl_csv_lint {
    uint32_t rows, unfit;
    unsigned fields; /* of the rows that are keys */
    struct {
        uint32_t line;
        const char *why; /* a constant */
    } row[KL_LINT_ROWS_MAX];
    struct kl_csv_verdict verdict;
    char broken[KL_TEXT_MAX]; /* "" = it can be read as a CSV; else why not */
};

/* False and `error` if the file can't be opened or read. */
bool kl_csv_lint(const char *path, bool header, struct kl_csv_lint *out, char error[KL_TEXT_MAX]);

/*
 * Writes `to`, which must not exist: it leaves out rows that are no keys, takes off invisible
 * characters and spreadsheets' formulas and quotes, and puts back missing leading zeros. Separators
 * become commas and the encoding UTF-8. Marks, labels and the rows' order stay. What can't be
 * mended stays as it is: judge the new file. Mode 0600. False and `error`: there is no new file.
 */
bool kl_csv_fix(const char *path, bool header, const char *to, char error[KL_TEXT_MAX]);

#endif
