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

static void print_digest(const struct kl_prov *p, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[32];
    char out[64];

    p->config.sha256(text, strlen(text), digest);
    for (unsigned i = 0; i < 32; i++) {
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

static void print_fields(struct kl_prov *p)
{
    unsigned count = p->config.store.count(p->config.store.ctx);

    for (unsigned i = 0; i < count; i++) {
        if (!kl_prov_field(p, i, p->line, sizeof p->line))
            continue;
        if (p->config.names) {
            print_text(p, p->config.names[i]);
        } else {
            print_text(p, "Key");
            print_number(p, i + 1);
        }
        print_text(p, ": ");
        if (is_digest(p, i))
            print_digest(p, p->line);
        else
            print_text(p, p->line);
        print_line(p, "");
    }
    memset(p->line, 0, sizeof p->line);
}

static void announce(struct kl_prov *p, uint32_t now_ms)
{
    print_line(p, "Provisioning");
    p->announced_ms = now_ms;
}

static void forget_line(struct kl_prov *p)
{
    memset(p->line, 0, sizeof p->line);
    p->size = 0;
    p->in_line = p->overlong = p->dirty = false;
}

void kl_prov_start(struct kl_prov *p, const struct kl_prov_config *config, uint32_t now_ms)
{
    memset(p, 0, sizeof *p);
    p->config = *config;
    if (config->store.count(config->store.ctx) > 0) {
        p->state = KL_PROV_PROVISIONED;
        print_line(p, "Provisioned");
        print_fields(p);
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
    return p->config.store.read(p->config.store.ctx, field, out, size);
}

bool kl_prov_forget(struct kl_prov *p)
{
    p->state = KL_PROV_ANNOUNCING;
    return p->config.store.set_count(p->config.store.ctx, 0);
}

static void refuse(struct kl_prov *p, const char *what)
{
    print_text(p, "Error: ");
    print_line(p, what);
    forget_line(p);
}

static void refuse_count(struct kl_prov *p, unsigned count)
{
    print_text(p, "Error: expected ");
    print_number(p, p->config.fields);
    print_text(p, " fields, got ");
    print_number(p, count);
    print_line(p, "");
    forget_line(p);
}

/* The ends of a line, like the fields of the original tool's example, are trimmed. */
static void trim(struct kl_prov *p)
{
    size_t from = 0;

    while (p->size > 0 && p->line[p->size - 1] == ' ')
        p->line[--p->size] = '\0';
    while (from < p->size && p->line[from] == ' ')
        from++;
    p->size = (uint16_t)(p->size - from);
    memmove(p->line, p->line + from, (size_t)p->size + 1);
}

/* Cuts the line at its commas. Returns the number of fields, 0 if one of them is empty. */
static unsigned split(struct kl_prov *p, const char *fields[KL_PROV_FIELDS_MAX + 1])
{
    unsigned count = 0;
    char *at = p->line;

    for (;;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = '\0';
        if (!*at)
            return 0;
        if (count <= KL_PROV_FIELDS_MAX)
            fields[count] = at;
        count++;
        if (!comma)
            return count;
        at = comma + 1;
    }
}

static bool store(struct kl_prov *p, const char *const *fields, unsigned count)
{
    const struct kl_prov_store *s = &p->config.store;

    for (unsigned i = 0; i < count; i++)
        if (!s->write(s->ctx, i, fields[i], strlen(fields[i])))
            return false;
    return s->set_count(s->ctx, count);
}

static void take_line(struct kl_prov *p)
{
    const char *fields[KL_PROV_FIELDS_MAX + 1];
    unsigned count;

    if (p->overlong) {
        refuse(p, "line too long");
        return;
    }
    if (p->dirty) {
        refuse(p, "line holds bytes that are no text");
        return;
    }
    trim(p);
    if (p->size == 0) {
        forget_line(p);
        return;
    }
    count = split(p, fields);
    if (count == 0) {
        refuse(p, "empty field");
    } else if (count > KL_PROV_FIELDS_MAX) {
        refuse(p, "too many fields");
    } else if (p->config.fields && count != p->config.fields) {
        refuse_count(p, count);
    } else if (!store(p, fields, count)) {
        refuse(p, "storing failed");
    } else {
        forget_line(p);
        p->state = KL_PROV_PROVISIONED;
        print_line(p, "Provisioned");
        p->config.restart(p->config.ctx);
    }
}

static bool is_overdue(const struct kl_prov *p, uint32_t now_ms)
{
    return p->in_line && now_ms - p->line_ms >= KL_PROV_LINE_MS;
}

void kl_prov_feed(struct kl_prov *p, uint8_t byte, uint32_t now_ms)
{
    if (p->state != KL_PROV_ANNOUNCING)
        return;
    if (is_overdue(p, now_ms))
        refuse(p, "line incomplete");
    if (byte == '\n' || byte == '\r') {
        if (p->in_line)
            take_line(p);
        return;
    }
    if (!p->in_line) {
        p->in_line = true;
        p->line_ms = now_ms;
    }
    if (byte == '\t')
        byte = ' ';
    if (byte < 0x20 || byte == 0x7f)
        p->dirty = true;
    if (p->size == KL_PROV_LINE_MAX)
        p->overlong = true;
    else
        p->line[p->size++] = (char)byte;
}

void kl_prov_tick(struct kl_prov *p, uint32_t now_ms)
{
    if (p->state != KL_PROV_ANNOUNCING)
        return;
    if (is_overdue(p, now_ms))
        refuse(p, "line incomplete");
    if (now_ms - p->announced_ms >= KL_PROV_ANNOUNCE_MS)
        announce(p, now_ms);
}
