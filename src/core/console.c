#include "console.h"

#include <string.h>

#include "harmless.h"
#include "mask.h"

/* How long a board that asked counts as holding no key. Then its next prompt is overdue, and
   another board may be there. */
#define ASKED_FOR KL_SEC(2)

enum {
    BANNER_MAX = 96,      /* no banner is longer */
    PLAIN_WORD_MAX = 14,  /* longest word shown of a line that looks like a prompt */
    PLAIN_WORDS_MAX = 64, /* and the most of all its words together */
};

static const char HIDDEN[] = "[masked]";

static const struct kl_key *key_at_hand(const struct kl_console *c)
{
    KL_ASSERT(!c->key || c->key->count <= KL_COLUMNS_MAX);
    return c->key && c->key->count > 0 ? c->key : NULL;
}

/* ---- what is told ---- */

static char *add_told(struct kl_console *c)
{
    KL_ASSERT(c->told_first < KL_CONSOLE_TOLD && c->told_count <= KL_CONSOLE_TOLD);
    if (c->told_count == KL_CONSOLE_TOLD) {
        c->told_first = (c->told_first + 1) % KL_CONSOLE_TOLD;
        c->told_count--;
    }
    return c->told[(c->told_first + c->told_count++) % KL_CONSOLE_TOLD];
}

bool kl_console_next(struct kl_console *c, char out[KL_TEXT_MAX])
{
    KL_ASSERT(c->told_count <= KL_CONSOLE_TOLD);
    if (c->told_count == 0)
        return false;
    memcpy(out, c->told[c->told_first], KL_TEXT_MAX);
    c->told_first = (c->told_first + 1) % KL_CONSOLE_TOLD;
    c->told_count--;
    return true;
}

/* A part of the line, masked; `out` ends with a NUL. */
static void show(const struct kl_console *c, char out[KL_TEXT_MAX], const char *text, size_t size)
{
    size_t used = kl_mask_line(out, KL_TEXT_MAX - 1, text, size, key_at_hand(c));

    KL_ASSERT(used < KL_TEXT_MAX);
    out[used] = '\0';
}

static bool is_label_at_hand(const struct kl_console *c, struct kl_span value)
{
    const struct kl_key *key = key_at_hand(c);

    if (!key)
        return false;
    struct kl_span label = kl_key_field(key, 0);
    return value.size == label.size && memcmp(value.data, label.data, label.size) == 0;
}

/* Hides a line but for a well-known name and the public label of the key at hand. */
static void show_hidden(const struct kl_console *c, char out[KL_TEXT_MAX],
                        const struct kl_said *line)
{
    bool named = line->kind == KL_SAID_FIELD && kl_harmless_name(line->name);

    if (named && (line->value.size == 0 || is_label_at_hand(c, line->value))) {
        show(c, out, line->text, line->size);
    } else if (named) {
        show(c, out, (const char *)line->name.data, line->name.size);
        size_t used = strlen(out);
        kl_format(out + used, KL_TEXT_MAX - used, ": %s", HIDDEN);
    } else {
        kl_copy(out, KL_TEXT_MAX, HIDDEN);
    }
}

/* Where in the line the banner begins: after a reset in the middle of a line, other text precedes
   it. */
static size_t banner_start(const struct kl_said *line)
{
    static const char *const heads[] = {"ets ", "ESP-ROM:esp", "rst:0x", ",boot:0x"};

    for (size_t at = 0; at < line->size; at++)
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
            if (line->size - at >= strlen(heads[i]) &&
                memcmp(line->text + at, heads[i], strlen(heads[i])) == 0)
                return at;
    return 0;
}

static void show_banner(const struct kl_console *c, char out[KL_TEXT_MAX],
                        const struct kl_said *line)
{
    size_t at = banner_start(line), size = line->size - at;

    show(c, out, line->text + at, size < BANNER_MAX ? size : BANNER_MAX);
}

/* Shows only the word itself: what stands before it may belong to a line that lost its end. */
static void show_word(const struct kl_console *c, char out[KL_TEXT_MAX], const struct kl_said *line)
{
    KL_ASSERT(line->word.size > 0);
    show(c, out, (const char *)line->word.data, line->word.size);
}

static bool may_be_shown(const struct kl_console *c, const struct kl_said *line)
{
    if (c->state == KL_CONSOLE_ASKS)
        return true;
    if (c->boot.known || line->known)
        return true;
    return c->state == KL_CONSOLE_STARTS && kl_harmless_at_start(line->text, line->size);
}

/* May a word beside "Provisioning" be shown? Any program may have printed it: it must be short and
   hold hardly a digit. */
static bool is_plain_word(const char *word, size_t size)
{
    unsigned figures = 0;

    for (size_t i = 0; i < size; i++)
        figures += word[i] >= '0' && word[i] <= '9';
    return size <= PLAIN_WORD_MAX && figures <= 2;
}

/* The line looks like one of the protocol and is none: the operator shall see at least its plain
   words. */
static void show_plain_words(const struct kl_console *c, char out[KL_TEXT_MAX],
                             const struct kl_said *line)
{
    char plain[KL_TEXT_MAX];
    size_t used = 0, at = 0;

    while (at < line->size && used < PLAIN_WORDS_MAX) {
        size_t size = 0;
        while (at + size < line->size && line->text[at + size] != ' ')
            size++;
        bool shown = is_plain_word(line->text + at, size);
        if (used > 0)
            plain[used++] = ' ';
        memcpy(plain + used, shown ? line->text + at : HIDDEN, shown ? size : sizeof HIDDEN - 1);
        used += shown ? size : sizeof HIDDEN - 1;
        at += size + 1;
    }
    show(c, out, plain, used);
}

static bool is_own_of_program(const struct kl_console *c, const struct kl_said *line)
{
    return !line->known && !c->boot.known && !c->boot.banner &&
           (line->kind == KL_SAID_OTHER || line->kind == KL_SAID_FIELD);
}

static void keep_what_is_almost(struct kl_console *c, const struct kl_said *line, bool shown,
                                const char *text)
{
    if (line->kind == KL_SAID_ERROR)
        kl_copy(c->almost.refusal, KL_TEXT_MAX, text);
    else if (c->almost.awaits_answer && shown && is_own_of_program(c, line))
        kl_copy(c->almost.answer, KL_TEXT_MAX, text);
    if (line->kind != KL_SAID_OTHER)
        return;
    if (kl_said_find(line->text, line->size, "provisioning") < line->size)
        show_plain_words(c, c->almost.prompt, line);
    else if (c->almost.awaits_answer &&
             kl_said_find(line->text, line->size, "provisioned") < line->size)
        show_plain_words(c, c->almost.answer, line);
}

static void tell(struct kl_console *c, const struct kl_said *line)
{
    bool word = line->kind == KL_SAID_ASKS || line->kind == KL_SAID_PROVISIONED;
    bool shown = c->boot.banner || word || may_be_shown(c, line);
    char text[KL_TEXT_MAX];

    if (c->boot.banner)
        show_banner(c, text, line);
    else if (word)
        show_word(c, text, line);
    else if (shown)
        show(c, text, line->text, line->size);
    else
        show_hidden(c, text, line);
    if (!shown && c->state == KL_CONSOLE_STARTS)
        c->state = KL_CONSOLE_UNSURE; /* the program speaks */
    if (c->boot.named)
        kl_copy(c->detail, sizeof c->detail, text);
    keep_what_is_almost(c, line, shown, text);
    bool all_hidden = !shown && strcmp(text, HIDDEN) == 0;
    if (!all_hidden || !c->hides)
        kl_copy(add_told(c), KL_TEXT_MAX, text);
    c->hides = all_hidden;
}

/* ---- what a line says of the board ---- */

/* Finds "Provisioned" also damaged or within a sentence: hiding too much costs little. */
static bool speaks_of_its_key(const struct kl_said *line)
{
    static const char word[] = "rovisioned";

    for (size_t at = 0; at + sizeof word - 1 <= line->size; at++)
        if (memcmp(line->text + at, word, sizeof word - 1) == 0)
            return true;
    return false;
}

/* A prompt that is not the bare word counts only if it comes again soon, as prompts do. */
static bool comes_again(struct kl_console *c, const struct kl_said *line, kl_us now)
{
    struct kl_console_almost *a = &c->almost;
    bool again = a->at != KL_NEVER && now - a->at <= ASKED_FOR &&
                 a->frame.hash == line->frame.hash && a->frame.count == line->frame.count;

    KL_ASSERT(line->kind == KL_SAID_ASKS && line->loose);
    a->frame = line->frame;
    a->at = now;
    return again;
}

static void judge(struct kl_console *c, struct kl_said *line, kl_us now)
{
    KL_ASSERT(c->state != KL_CONSOLE_ASKS || c->asked_at <= now);
    line->known = kl_harmless(line->text, line->size);
    if (line->kind == KL_SAID_ASKS && line->loose && !comes_again(c, line, now))
        line->kind = KL_SAID_OTHER;
    if (line->kind == KL_SAID_PROVISIONED)
        c->frame = line->frame;
    if (c->state == KL_CONSOLE_ASKS && now - c->asked_at > ASKED_FOR)
        c->state = KL_CONSOLE_UNSURE;
    if (line->kind == KL_SAID_ASKS) {
        c->state = KL_CONSOLE_ASKS;
        c->asked_at = now;
    } else if (line->kind == KL_SAID_PROVISIONED || speaks_of_its_key(line)) {
        c->state = KL_CONSOLE_UNSURE;
    }
}

/* The size of our own line at the line's beginning: some firmware echoes it, and its end may get
   lost. */
static size_t size_of_echo(const struct kl_console *c)
{
    const struct kl_key *key = key_at_hand(c);
    size_t size = key ? strlen(key->line) : 0;

    return size > 0 && c->heard.size > size && memcmp(c->heard.text, key->line, size) == 0 ? size
                                                                                           : 0;
}

static struct kl_said take_line(struct kl_console *c, kl_us now)
{
    struct kl_console_heard *h = &c->heard;

    KL_ASSERT(h->size > 0 && h->size <= sizeof h->text);
    h->size = kl_mask_strip_escapes(h->text, h->size);
    size_t echo = size_of_echo(c);
    struct kl_said line = kl_said_read(h->text + echo, h->size - echo, c->frame, c->words);
    line.restart = kl_bootlog_line(&c->boot, h->text, h->size, now);
    if (h->overlong)
        line.kind = KL_SAID_OTHER;
    judge(c, &line, now);
    if (c->watch && line.restart)
        kl_watch_restart(c->watch);
    if (c->watch && line.size > 0)
        kl_watch_line(c->watch, line.text, line.size);
    if (line.size > 0)
        tell(c, &line);
    if (c->boot.banner) {
        c->state = KL_CONSOLE_STARTS;
        c->frame = (struct kl_said_frame){0, 0};
    }
    return line;
}

/* ---- what is heard ---- */

static void forget_line(struct kl_console *c)
{
    KL_ASSERT(c->heard.size <= sizeof c->heard.text);
    kl_wipe(c->heard.text, c->heard.size);
    c->heard.size = 0;
    c->heard.overlong = c->heard.whole = false;
}

static void hear(struct kl_console_heard *h, char byte)
{
    KL_ASSERT(!h->whole && (!h->overlong || h->size == sizeof h->text));
    if (h->size < sizeof h->text)
        h->text[h->size++] = byte;
    else
        h->overlong = true;
}

size_t kl_console_take(struct kl_console *c, const uint8_t *data, size_t size, kl_us now,
                       struct kl_said *out)
{
    KL_ASSERT(data || size == 0);
    *out = (struct kl_said){.size = 0};
    for (size_t i = 0; i < size; i++) {
        if (c->heard.whole)
            forget_line(c);
        if (data[i] != '\n' && data[i] != '\r') {
            hear(&c->heard, (char)data[i]);
        } else if (c->heard.size > 0) {
            *out = take_line(c, now);
            c->heard.whole = true;
            if (out->size > 0)
                return i + 1;
        }
    }
    return size;
}

/* ---- all of it ---- */

void kl_console_init(struct kl_console *c, const struct kl_key *key, const struct kl_words *words)
{
    kl_wipe(c, sizeof *c);
    c->key = key;
    c->words = words;
    c->almost.at = KL_NEVER;
    kl_bootlog_reset(&c->boot);
}

void kl_console_finish(struct kl_console *c)
{
    struct kl_watch *watch = c->watch;

    kl_console_init(c, c->key, c->words);
    c->watch = watch;
}

void kl_console_show_all(struct kl_console *c, struct kl_watch *watch)
{
    KL_ASSERT(watch && !c->watch);
    c->watch = watch;
}

void kl_console_open(struct kl_console *c)
{
    forget_line(c);
    c->state = KL_CONSOLE_UNSURE;
    c->frame = (struct kl_said_frame){0, 0};
    c->hides = false;
    c->told_count = 0;
    c->almost = (struct kl_console_almost){.at = KL_NEVER};
}

void kl_console_await_answer(struct kl_console *c)
{
    c->almost.awaits_answer = true;
    c->almost.answer[0] = c->almost.refusal[0] = '\0';
}

void kl_console_drop_line(struct kl_console *c)
{
    forget_line(c);
}

void kl_console_restart(struct kl_console *c)
{
    kl_bootlog_reset(&c->boot);
    c->detail[0] = '\0';
    c->almost = (struct kl_console_almost){.at = KL_NEVER};
}

void kl_console_alive(struct kl_console *c)
{
    kl_bootlog_alive(&c->boot);
    c->detail[0] = '\0';
}

const struct kl_bootlog *kl_console_boot(const struct kl_console *c)
{
    return &c->boot;
}

const char *kl_console_detail(const struct kl_console *c)
{
    KL_ASSERT(memchr(c->detail, '\0', sizeof c->detail));
    return c->detail;
}

const char *kl_console_near_prompt(const struct kl_console *c)
{
    KL_ASSERT(memchr(c->almost.prompt, '\0', sizeof c->almost.prompt));
    return c->almost.prompt;
}

const char *kl_console_answer(const struct kl_console *c)
{
    KL_ASSERT(memchr(c->almost.answer, '\0', sizeof c->almost.answer));
    return c->almost.answer;
}

const char *kl_console_refusal(const struct kl_console *c)
{
    KL_ASSERT(memchr(c->almost.refusal, '\0', sizeof c->almost.refusal));
    return c->almost.refusal;
}

void kl_console_cleanse(const struct kl_console *c, const char *text, char out[KL_TEXT_MAX])
{
    KL_ASSERT(text);
    show(c, out, text, strlen(text));
}
