#include "console.h"

#include <string.h>

#include "harmless.h"
#include "mask.h"

/* As long as a board that asked holds no key: then the next prompt is overdue, and another board
   may stand there. */
#define ASKED_FOR KL_SEC(2)

enum {
    BANNER_MAX = 96, /* no banner is longer */
};

static const char HIDDEN[] = "[masked]";

static const struct kl_key *key_at_hand(const struct kl_console *c)
{
    KL_ASSERT(!c->key || c->key->count <= KL_FIELDS_MAX);
    return c->key && c->key->count > 0 ? c->key : NULL;
}

/* ---- what is told ----------------------------------------------------------------------------*/

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

/* Of a hidden line only a well-known name stays, and the public label of the key at hand. */
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

/* Where in the line the banner begins: a reset in the middle of a line puts it behind that. */
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

/* Only the word itself: what stands before it may be the rest of a line that lost its end. */
static void show_word(const struct kl_console *c, char out[KL_TEXT_MAX], const struct kl_said *line)
{
    KL_ASSERT(line->word.size > 0);
    show(c, out, (const char *)line->word.data, line->word.size);
}

static bool may_be_shown(const struct kl_console *c, const struct kl_said *line)
{
    if (c->state == KL_CONSOLE_ASKS)
        return true;
    if (c->boot.known || kl_harmless(line->text, line->size))
        return true;
    return c->state == KL_CONSOLE_STARTS && kl_harmless_at_start(line->text, line->size);
}

static void tell(struct kl_console *c, const struct kl_said *line)
{
    bool word = line->kind == KL_SAID_ASKS || line->kind == KL_SAID_PROVISIONED;
    bool shown = c->boot.banner || word || may_be_shown(c, line);

    if (c->boot.banner)
        show_banner(c, c->shown, line);
    else if (word)
        show_word(c, c->shown, line);
    else if (shown)
        show(c, c->shown, line->text, line->size);
    else
        show_hidden(c, c->shown, line);
    if (!shown && c->state == KL_CONSOLE_STARTS)
        c->state = KL_CONSOLE_UNSURE; /* the program speaks */
    if (c->boot.named)
        kl_copy(c->detail, sizeof c->detail, c->shown);
    bool all_hidden = !shown && strcmp(c->shown, HIDDEN) == 0;
    if (!all_hidden || !c->hides)
        kl_copy(add_told(c), KL_TEXT_MAX, c->shown);
    c->hides = all_hidden;
}

/* ---- what a line says of the board -----------------------------------------------------------*/

/* "Provisioned" also where it is damaged or part of a sentence: hiding too much costs little. */
static bool speaks_of_its_key(const struct kl_said *line)
{
    static const char word[] = "rovisioned";

    for (size_t at = 0; at + sizeof word - 1 <= line->size; at++)
        if (memcmp(line->text + at, word, sizeof word - 1) == 0)
            return true;
    return false;
}

static void judge(struct kl_console *c, const struct kl_said *line, kl_us now)
{
    KL_ASSERT(c->state != KL_CONSOLE_ASKS || c->asked_at <= now);
    if (c->state == KL_CONSOLE_ASKS && now - c->asked_at > ASKED_FOR)
        c->state = KL_CONSOLE_UNSURE;
    if (line->kind == KL_SAID_ASKS) {
        c->state = KL_CONSOLE_ASKS;
        c->asked_at = now;
    } else if (speaks_of_its_key(line)) {
        c->state = KL_CONSOLE_UNSURE;
    }
}

static struct kl_said take_line(struct kl_console *c, kl_us now)
{
    struct kl_console_heard *h = &c->heard;

    KL_ASSERT(h->size > 0 && h->size <= sizeof h->text);
    h->size = kl_mask_strip_escapes(h->text, h->size);
    struct kl_said line = kl_said_read(h->text, h->size);
    line.restart = kl_bootlog_line(&c->boot, h->text, h->size, now);
    if (h->overlong)
        line.kind = KL_SAID_OTHER;
    judge(c, &line, now);
    if (line.size > 0)
        tell(c, &line);
    if (c->boot.banner)
        c->state = KL_CONSOLE_STARTS;
    return line;
}

/* ---- what is heard ---------------------------------------------------------------------------*/

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

/* ---- all of it -------------------------------------------------------------------------------*/

void kl_console_init(struct kl_console *c, const struct kl_key *key)
{
    kl_wipe(c, sizeof *c);
    c->key = key;
    kl_bootlog_reset(&c->boot);
}

void kl_console_finish(struct kl_console *c)
{
    kl_console_init(c, c->key);
}

void kl_console_open(struct kl_console *c)
{
    forget_line(c);
    c->state = KL_CONSOLE_UNSURE;
    c->hides = false;
    c->told_count = 0;
}

void kl_console_drop_line(struct kl_console *c)
{
    forget_line(c);
}

void kl_console_restart(struct kl_console *c)
{
    kl_bootlog_reset(&c->boot);
    c->detail[0] = '\0';
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

const char *kl_console_shown(const struct kl_console *c)
{
    KL_ASSERT(memchr(c->shown, '\0', sizeof c->shown));
    return c->shown;
}
