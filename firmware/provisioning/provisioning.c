#include "provisioning.h"

#include <string.h>

static void print(const struct kl_prov *p, const char *text, size_t size)
{
    p->config.print(p->config.ctx, text, size);
}

static void print_text(const struct kl_prov *p, const char *text)
{
    print(p, text, strlen(text));
}

static void print_line(const struct kl_prov *p, const char *text)
{
    print_text(p, text);
    print_text(p, "\r\n");
}

static void print_number(const struct kl_prov *p, unsigned n)
{
    char digits[12];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    print(p, digits + at, sizeof digits - at);
}

/* ---- the printout of a provisioned board ---- */

static void print_name(const struct kl_prov *p, unsigned field)
{
    if (p->config.names && field < p->config.name_count) {
        print_text(p, p->config.names[field]);
    } else {
        print_text(p, "Key");
        print_number(p, field + 1);
    }
    print_text(p, ": ");
}

static void print_digest(const struct kl_prov *p, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[32];
    char out[64];

    p->config.sha256(text, strlen(text), digest);
    for (unsigned i = 0; i < sizeof digest; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    print_text(p, "sha256:");
    print(p, out, sizeof out);
}

static bool is_digest(const struct kl_prov *p, unsigned field)
{
    return p->config.sha256 && (p->config.digest_fields >> field & 1u);
}

static unsigned stored_count(const struct kl_prov *p)
{
    unsigned count = p->config.store.count(p->config.store.ctx);

    return count > KL_PROV_FIELDS_MAX ? KL_PROV_FIELDS_MAX : count;
}

static void forget_line(struct kl_prov *p)
{
    memset(p->line, 0, sizeof p->line);
    p->size = 0;
    p->in_line = false;
}

/* A field that the store can't read still gets its line, without a value. No key has an empty
   value, so a reader sees at once which field is lost. */
static void print_fields(struct kl_prov *p, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        print_name(p, i);
        if (!kl_prov_field(p, i, p->line, sizeof p->line))
            p->line[0] = '\0';
        if (is_digest(p, i) && p->line[0])
            print_digest(p, p->line);
        else
            print_text(p, p->line);
        print_line(p, "");
    }
    forget_line(p);
}

/* ---- what the product calls ---- */

static void announce(struct kl_prov *p, uint32_t now_ms)
{
    print_line(p, "Provisioning");
    p->announced_ms = now_ms;
}

void kl_prov_start(struct kl_prov *p, const struct kl_prov_config *config, uint32_t now_ms)
{
    unsigned count;

    memset(p, 0, sizeof *p);
    p->config = *config;
    count = stored_count(p);
    if (count > 0) {
        p->state = KL_PROV_PROVISIONED;
        print_line(p, "Provisioned");
        print_fields(p, count);
    } else {
        p->state = KL_PROV_ANNOUNCING;
        announce(p, now_ms);
    }
}

bool kl_prov_is_done(const struct kl_prov *p)
{
    return p->state == KL_PROV_PROVISIONED;
}

bool kl_prov_field(const struct kl_prov *p, unsigned field, char *out, size_t size)
{
    return field < stored_count(p) && p->config.store.read(p->config.store.ctx, field, out, size);
}

bool kl_prov_forget(struct kl_prov *p)
{
    const struct kl_prov_store *s = &p->config.store;

    if (!s->set_count(s->ctx, 0))
        return false;
    p->state = KL_PROV_ANNOUNCING;
    return !s->erase || s->erase(s->ctx);
}

/* ---- a line ---- */

static void refuse(struct kl_prov *p, const char *what)
{
    print_text(p, "Error: ");
    print_line(p, what);
}

static void refuse_count(struct kl_prov *p, unsigned count)
{
    print_text(p, "Error: expected ");
    print_number(p, p->config.fields);
    print_text(p, " fields, got ");
    print_number(p, count);
    print_line(p, "");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_text(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c < 0x20 || c == 0x7f || c == 0xff)
            return false;
    }
    return true;
}

/* Takes the blanks off both ends of text[0 … size), as the original tool's firmware does with the
   line, and ends it with a NUL. */
static char *trim(char *text, size_t size)
{
    while (size > 0 && is_blank(text[size - 1]))
        size--;
    text[size] = '\0';
    while (is_blank(*text))
        text++;
    return text;
}

/* Cuts the line at its commas; fields past the last place are only counted. */
static unsigned split(struct kl_prov *p, const char *fields[KL_PROV_FIELDS_MAX])
{
    unsigned count = 0;
    size_t from = 0;

    for (size_t at = 0; at <= p->size; at++) {
        if (at < p->size && p->line[at] != ',')
            continue;
        if (count < KL_PROV_FIELDS_MAX)
            fields[count] = trim(p->line + from, at - from);
        count++;
        from = at + 1;
    }
    return count;
}

static bool check(struct kl_prov *p, const char *const *fields, unsigned count)
{
    if (count > KL_PROV_FIELDS_MAX) {
        refuse(p, "too many fields");
        return false;
    }
    if (p->config.fields && count != p->config.fields) {
        refuse_count(p, count);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!fields[i][0]) {
            refuse(p, "empty field");
            return false;
        }
        if (!is_text(fields[i], strlen(fields[i]))) {
            refuse(p, "line holds bytes that are no text");
            return false;
        }
    }
    return true;
}

/* An earlier call may have failed and still stored its count. So this never writes fields under a
   count that says that they are whole. */
static bool store(struct kl_prov *p, const char *const *fields, unsigned count)
{
    const struct kl_prov_store *s = &p->config.store;

    if (stored_count(p) > 0 && !s->set_count(s->ctx, 0))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!s->write(s->ctx, i, fields[i], strlen(fields[i])))
            return false;
    return s->set_count(s->ctx, count);
}

static void take_line(struct kl_prov *p)
{
    const char *fields[KL_PROV_FIELDS_MAX];
    unsigned count;
    bool stored = false;

    if (memchr(p->line, '\0', p->size)) {
        refuse(p, "line holds bytes that are no text");
    } else {
        count = split(p, fields);
        if (check(p, fields, count)) {
            stored = store(p, fields, count);
            if (!stored)
                refuse(p, "storing failed");
        }
    }
    forget_line(p);
    if (stored) {
        p->state = KL_PROV_PROVISIONED;
        print_line(p, "Provisioned");
        p->config.restart(p->config.ctx);
    }
}

/* The rest of this line must not pass for a line of its own: the board would store part of a
   key. */
static void give_up(struct kl_prov *p, const char *why)
{
    refuse(p, why);
    forget_line(p);
    p->dropping = true;
}

static void give_up_if_late(struct kl_prov *p, uint32_t now_ms)
{
    if (p->in_line && now_ms - p->line_ms >= KL_PROV_LINE_MS)
        give_up(p, "line incomplete");
}

/* Blanks, and bytes that an adapter or a floating wire sends while it wakes up. */
static bool is_no_beginning(uint8_t byte)
{
    return byte <= ' ' || byte == 0x7f || byte == 0xff;
}

static void add(struct kl_prov *p, uint8_t byte, uint32_t now_ms)
{
    if (!p->in_line) {
        if (is_no_beginning(byte))
            return;
        p->in_line = true;
        p->line_ms = now_ms;
    }
    if (p->size == KL_PROV_LINE_MAX)
        give_up(p, "line too long");
    else
        p->line[p->size++] = (char)byte;
}

void kl_prov_feed(struct kl_prov *p, uint8_t byte, uint32_t now_ms)
{
    if (p->state != KL_PROV_ANNOUNCING)
        return;
    give_up_if_late(p, now_ms);
    if (byte == '\n' || byte == '\r') {
        p->dropping = false;
        if (p->in_line)
            take_line(p);
    } else if (!p->dropping) {
        add(p, byte, now_ms);
    }
}

void kl_prov_tick(struct kl_prov *p, uint32_t now_ms)
{
    if (p->state != KL_PROV_ANNOUNCING)
        return;
    give_up_if_late(p, now_ms);
    if (now_ms - p->announced_ms >= KL_PROV_ANNOUNCE_MS)
        announce(p, now_ms);
}
