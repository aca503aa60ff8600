#include "input.h"

#include <stdlib.h>
#include <string.h>

#define ESCAPE_WAIT   KL_MS(100)  /* an ESC that stays alone so long is the key */
#define SEQUENCE_WAIT KL_MS(1000) /* a sequence that does not end is dropped */
#define PASTE_WAIT    KL_SEC(5)   /* then brackets count as closed */

/* ---- the queue ---- */

static struct kl_input_event *push(struct kl_input *in, enum kl_input_kind kind, kl_us now)
{
    struct kl_input_queue *q = &in->queue;
    unsigned capacity = sizeof q->item / sizeof q->item[0];
    struct kl_input_event *e;

    if (q->count == capacity) { /* nobody takes events: drop the oldest */
        q->head = (q->head + 1) % capacity;
        q->count--;
    }
    e = &q->item[(q->head + q->count++) % capacity];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->at = now;
    return e;
}

/* ---- pastes ---- */

static void begin_paste(struct kl_input *in, kl_us now)
{
    memset(&in->paste, 0, sizeof in->paste);
    in->paste.kind = KL_INPUT_PASTE;
    in->paste.at = now;
    in->paste.whole = true;
}

static void add_to_paste(struct kl_input *in, int key, kl_us now)
{
    struct kl_input_event *p = &in->paste;
    size_t used = strlen(p->text);

    p->at = now;
    p->ends_line = key == KL_KEYCODE_ENTER;
    if (key == KL_KEYCODE_ENTER) {
        p->line_ends++;
    } else if (key >= 0x20 && key < 0x7f && used + 1 < sizeof p->text && p->line_ends == 0) {
        p->text[used] = (char)key;
        p->text[used + 1] = '\0';
    } else {
        p->whole = false;
    }
}

static void end_paste(struct kl_input *in)
{
    *push(in, KL_INPUT_PASTE, in->paste.at) = in->paste;
    in->in_brackets = in->in_burst = false;
}

/* The keys that wait in the queue belong to the burst, since nobody has acted on them. */
static void begin_burst(struct kl_input *in, kl_us now)
{
    struct kl_input_queue old = in->queue;
    unsigned capacity = sizeof old.item / sizeof old.item[0];

    begin_paste(in, now);
    in->in_burst = true;
    in->queue.count = 0;
    for (unsigned i = 0; i < old.count; i++) {
        const struct kl_input_event *e = &old.item[(old.head + i) % capacity];
        if (e->kind == KL_INPUT_KEY)
            add_to_paste(in, e->key, now);
    }
}

/* ---- keys ---- */

/* Keys that repeat while a hand holds them, and that do not occur in text. */
static bool is_movement(int key)
{
    return key >= KL_KEYCODE_UP && key <= KL_KEYCODE_END;
}

static bool is_too_fast(struct kl_input *in, kl_us now)
{
    kl_us *oldest = &in->recent[in->recent_head];
    bool fast = *oldest > 0 && now - *oldest < KL_INPUT_HOLD;

    *oldest = now > 0 ? now : 1;
    in->recent_head = (in->recent_head + 1) % KL_INPUT_BURST;
    return fast;
}

static void end_old_burst(struct kl_input *in, kl_us now)
{
    if (in->in_burst && now - in->paste.at >= KL_INPUT_HOLD)
        end_paste(in);
}

static void key(struct kl_input *in, int code, kl_us now)
{
    if (in->decoder.drop)
        return;
    if (in->in_brackets) {
        add_to_paste(in, code, now);
        return;
    }
    end_old_burst(in, now);
    if (!is_movement(code) && is_too_fast(in, now) && !in->in_burst)
        begin_burst(in, now);
    if (in->in_burst)
        add_to_paste(in, code, now);
    else
        push(in, KL_INPUT_KEY, now)->key = code;
}

/* ---- escape sequences ---- */

/* Parameter `n` from 0, of "1;5"; 0 if there is none. */
static int parameter(const struct kl_input *in, unsigned n)
{
    const char *at = in->decoder.parameters;

    at += strspn(at, "<");
    while (n > 0 && at) {
        at = strchr(at, ';');
        at = at ? at + 1 : NULL;
        n--;
    }
    return at ? (int)strtol(at, NULL, 10) : 0;
}

/* A button of the mouse, as xterm counts them; `up` when it was let go. */
static void mouse(struct kl_input *in, int button, int col, int row, bool up, kl_us now)
{
    static const enum kl_input_kind kinds[] = {
        [0] = KL_INPUT_CLICK, [64] = KL_INPUT_WHEEL_UP, [65] = KL_INPUT_WHEEL_DOWN};
    struct kl_input_event *e;

    button &= ~(4 | 8 | 16); /* Shift, Alt, Ctrl */
    if (up || (button != 0 && button != 64 && button != 65) || in->in_burst || in->in_brackets ||
        in->decoder.drop)
        return;
    e = push(in, kinds[button], now);
    e->row = row - 1;
    e->col = col - 1;
}

static int cursor_key(int final)
{
    static const struct {
        char final;
        int code;
    } keys[] = {
        {'A', KL_KEYCODE_UP},   {'B', KL_KEYCODE_DOWN}, {'C', KL_KEYCODE_RIGHT},
        {'D', KL_KEYCODE_LEFT}, {'H', KL_KEYCODE_HOME}, {'F', KL_KEYCODE_END},
        {'P', KL_KEYCODE_F1},   {'R', KL_KEYCODE_F3},   {'M', KL_KEYCODE_ENTER},
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].final == final)
            return keys[i].code;
    return 0;
}

static int numbered_key(int number)
{
    static const struct {
        int number, code;
    } keys[] = {
        {1, KL_KEYCODE_HOME}, {7, KL_KEYCODE_HOME},    {4, KL_KEYCODE_END},
        {8, KL_KEYCODE_END},  {5, KL_KEYCODE_PAGE_UP}, {11, KL_KEYCODE_F1},
        {13, KL_KEYCODE_F3},  {21, KL_KEYCODE_F10},    {6, KL_KEYCODE_PAGE_DOWN},
    };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].number == number)
            return keys[i].code;
    return 0;
}

static void end_tilde(struct kl_input *in, kl_us now)
{
    int number = parameter(in, 0), code = numbered_key(number);

    if (number == 200 && !in->in_brackets) {
        end_old_burst(in, now);
        if (in->in_burst)
            end_paste(in);
        begin_paste(in, now);
        in->paste.bracketed = in->in_brackets = true;
    } else if (number == 201 && in->in_brackets) {
        end_paste(in);
    } else if (code) {
        key(in, code, now);
    }
}

/* "ESC [ … final". `R` with parameters is a report of the cursor, not F3. */
static void end_csi(struct kl_input *in, int final, kl_us now)
{
    bool sgr = in->decoder.parameters[0] == '<';
    int code = cursor_key(final);

    in->decoder.state = KL_IN_GROUND;
    if (final == '[' && in->decoder.parameter_count == 0)
        in->decoder.state = KL_IN_LINUX_FN;
    else if (final == 'M' && in->decoder.parameter_count == 0)
        in->decoder.state = KL_IN_X10;
    else if ((final == 'M' || final == 'm') && sgr)
        mouse(in, parameter(in, 0), parameter(in, 1), parameter(in, 2), final == 'm', now);
    else if (final == 'M')
        mouse(in, parameter(in, 0) - 32, parameter(in, 1), parameter(in, 2), false, now);
    else if (final == '~')
        end_tilde(in, now);
    else if (final == 'Z')
        key(in, KL_KEYCODE_BACK_TAB, now);
    else if (code && !(final == 'R' && parameter(in, 0) != 1))
        key(in, code, now);
    in->decoder.x10_count = 0;
}

static void add_parameter(struct kl_input *in, uint8_t byte)
{
    if (in->decoder.parameter_count + 1 < KL_INPUT_PARAMETERS)
        in->decoder.parameters[in->decoder.parameter_count++] = (char)byte;
    in->decoder.parameters[in->decoder.parameter_count] = '\0';
}

static void in_sequence(struct kl_input *in, uint8_t byte, kl_us now)
{
    bool ss3 = in->decoder.state == KL_IN_SS3;
    int code = cursor_key(byte);

    if (byte >= 0x20 && byte < 0x40 && !(ss3 && byte == 0x20)) {
        add_parameter(in, byte);
    } else if (ss3) {
        in->decoder.state = KL_IN_GROUND;
        if (code)
            key(in, code, now);
    } else if (byte >= 0x40 && byte < 0x7f) {
        end_csi(in, byte, now);
    } else {
        in->decoder.state = KL_IN_GROUND; /* the sequence was cut off: drop it, and this byte */
    }
}

static void in_string(struct kl_input *in, uint8_t byte)
{
    if (byte == 7 || byte == 0x18 || byte == 0x1a)
        in->decoder.state = KL_IN_GROUND;
}

static void in_x10(struct kl_input *in, uint8_t byte, kl_us now)
{
    in->decoder.x10[in->decoder.x10_count++] = byte;
    if (in->decoder.x10_count < 3)
        return;
    in->decoder.state = KL_IN_GROUND;
    mouse(in, in->decoder.x10[0] - 32, in->decoder.x10[1] - 32, in->decoder.x10[2] - 32,
          (in->decoder.x10[0] & 3) == 3, now);
}

static void after_escape(struct kl_input *in, uint8_t byte)
{
    in->decoder.parameter_count = 0;
    in->decoder.parameters[0] = '\0';
    if (byte == '[')
        in->decoder.state = KL_IN_CSI;
    else if (byte == 'O')
        in->decoder.state = KL_IN_SS3;
    else if (strchr("]P_^X", byte) && byte)
        in->decoder.state = KL_IN_STRING;
    else if (byte != 27) /* drop Alt and a key; ESC ESC [ is Alt and a cursor key */
        in->decoder.state = KL_IN_GROUND;
}

/* ---- bytes ---- */

static void in_ground(struct kl_input *in, uint8_t byte, kl_us now)
{
    static const struct {
        uint8_t byte;
        int code;
    } controls[] = {{'\r', KL_KEYCODE_ENTER},  {'\n', KL_KEYCODE_ENTER},
                    {8, KL_KEYCODE_BACKSPACE}, {127, KL_KEYCODE_BACKSPACE},
                    {'\t', KL_KEYCODE_TAB},    {12, KL_KEYCODE_REDRAW},
                    {3, KL_KEYCODE_INTERRUPT}, {28, KL_KEYCODE_INTERRUPT}};

    if (in->decoder.more > 0 && byte >> 6 == 2) {
        in->decoder.character = in->decoder.character << 6 | (byte & 0x3f);
        if (--in->decoder.more == 0 && in->decoder.character >= 0xa0)
            key(in, (int)in->decoder.character, now);
        return;
    }
    in->decoder.more = 0;
    if (byte >= 0x20 && byte < 0x7f) {
        key(in, byte, now);
    } else if (byte >= 0xc2 && byte < 0xf5) {
        in->decoder.more = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        in->decoder.character = byte & (0x3fu >> in->decoder.more);
    }
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++)
        if (byte == controls[i].byte)
            key(in, controls[i].code, now);
}

/* Takes the rest of a sequence that came too late: its ESC was taken for the key. */
static bool continues_late(struct kl_input *in, uint8_t byte, kl_us now)
{
    kl_us escaped = in->decoder.escaped_at;

    in->decoder.escaped_at = 0;
    if (!escaped || now - escaped > SEQUENCE_WAIT || (byte != '[' && byte != 'O'))
        return false;
    after_escape(in, byte);
    in->decoder.drop = true;
    return true;
}

static void one_byte(struct kl_input *in, uint8_t byte, kl_us now)
{
    if (byte == 27) { /* also the first half of what ends a string */
        in->decoder.state = KL_IN_ESCAPE;
        in->decoder.more = 0;
        in->decoder.drop = false;
        return;
    }
    switch (in->decoder.state) {
    case KL_IN_GROUND:
        if (!continues_late(in, byte, now))
            in_ground(in, byte, now);
        break;
    case KL_IN_ESCAPE:
        after_escape(in, byte);
        break;
    case KL_IN_CSI:
    case KL_IN_SS3:
        in_sequence(in, byte, now);
        break;
    case KL_IN_STRING:
        in_string(in, byte);
        break;
    case KL_IN_LINUX_FN:
        in->decoder.state = KL_IN_GROUND;
        if (byte == 'A' || byte == 'C')
            key(in, byte == 'A' ? KL_KEYCODE_F1 : KL_KEYCODE_F3, now);
        break;
    case KL_IN_X10:
        in_x10(in, byte, now);
        break;
    }
    if (in->decoder.state == KL_IN_GROUND)
        in->decoder.drop = false;
}

/* Decides what it means that no byte came for a while. */
static void look_at_clock(struct kl_input *in, kl_us now)
{
    kl_us quiet = now - in->decoder.since;

    if (in->decoder.state == KL_IN_ESCAPE && quiet >= ESCAPE_WAIT) {
        in->decoder.state = KL_IN_GROUND;
        in->decoder.escaped_at = now;
        key(in, KL_KEYCODE_ESCAPE, in->decoder.since);
    } else if (in->decoder.state != KL_IN_GROUND && in->decoder.state != KL_IN_ESCAPE &&
               quiet >= SEQUENCE_WAIT) {
        in->decoder.state = KL_IN_GROUND;
        in->decoder.drop = false;
    }
    if (in->in_brackets && quiet >= PASTE_WAIT)
        end_paste(in);
    end_old_burst(in, now);
}

void kl_input_bytes(struct kl_input *in, const uint8_t *data, size_t size, kl_us now)
{
    look_at_clock(in, now);
    for (size_t i = 0; i < size; i++)
        one_byte(in, data[i], now);
    if (size > 0)
        in->decoder.since = now;
}

/* ---- what is due ---- */

bool kl_input_next(struct kl_input *in, kl_us now, bool (*at_once)(void *ctx, int key), void *ctx,
                   struct kl_input_event *out)
{
    struct kl_input_queue *q = &in->queue;
    const struct kl_input_event *e;

    look_at_clock(in, now);
    if (q->count == 0)
        return false;
    e = &q->item[q->head];
    if (e->kind == KL_INPUT_KEY && !is_movement(e->key) && now - e->at < KL_INPUT_HOLD &&
        !at_once(ctx, e->key))
        return false;
    *out = *e;
    q->head = (q->head + 1) % (sizeof q->item / sizeof q->item[0]);
    q->count--;
    return true;
}

kl_us kl_input_deadline(const struct kl_input *in)
{
    kl_us at = KL_NEVER, each[4] = {KL_NEVER, KL_NEVER, KL_NEVER, KL_NEVER};

    if (in->decoder.state != KL_IN_GROUND)
        each[0] =
            in->decoder.since + (in->decoder.state == KL_IN_ESCAPE ? ESCAPE_WAIT : SEQUENCE_WAIT);
    if (in->queue.count > 0)
        each[1] = in->queue.item[in->queue.head].at + KL_INPUT_HOLD;
    if (in->in_burst)
        each[2] = in->paste.at + KL_INPUT_HOLD;
    if (in->in_brackets)
        each[3] = in->decoder.since + PASTE_WAIT;
    for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
        at = each[i] < at ? each[i] : at;
    return at;
}

void kl_input_forget(struct kl_input *in)
{
    in->queue.count = 0;
}
