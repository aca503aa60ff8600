/* link.c: the queue, the callbacks and the dispatch that all kinds of link share. */
#include "keyline/link.h"

#include <stdlib.h>
#include <string.h>

#include "keyline/secret.h"
#include "link_private.h"
#include "serial_ops.h"

/* ---- targets ---- */

static bool parse_port(const char *text, size_t size, char out[8])
{
    unsigned value = 0;
    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    kl_format(out, 8, "%u", value);
    return value >= 1 && value <= 65535;
}

/* "host" or "[address]"; returns what follows it, NULL if it is none. */
static const char *parse_host(const char *text, char *out, size_t room)
{
    bool bracket = *text == '[';
    if (bracket)
        text++;
    size_t size = strcspn(text, bracket ? "]" : ":/?");
    if (size == 0 || size >= room || (bracket && text[size] != ']'))
        return NULL;
    memcpy(out, text, size);
    out[size] = '\0';
    return text + size + (bracket ? 1 : 0);
}

bool kl_net_target_parse(const char *text, struct kl_net_target *out)
{
    static const struct {
        const char *scheme;
        enum kl_link_kind kind;
    } schemes[] = {{"rfc2217://", KL_LINK_RFC2217}, {"socket://", KL_LINK_RAW}};
    *out = (struct kl_net_target){.kind = KL_LINK_SERIAL};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t size = strlen(schemes[i].scheme);
        if (strncmp(text, schemes[i].scheme, size) == 0) {
            out->kind = schemes[i].kind;
            text += size;
            break;
        }
    }
    if (out->kind == KL_LINK_SERIAL)
        return false;
    text = parse_host(text, out->host, sizeof out->host);
    if (!text || *text++ != ':')
        return false;
    size_t size = strcspn(text, "/?");
    if (!parse_port(text, size, out->port))
        return false;
    text += size;
    if (*text == '/')
        text++;
    if (*text == '?' && out->kind == KL_LINK_RFC2217) {
        out->ign_set_control = strcmp(text, "?ign_set_control") == 0;
        return out->ign_set_control;
    }
    return *text == '\0';
}

bool kl_link_kind_of(const char *target, enum kl_link_kind *kind)
{
    struct kl_net_target net;
    if (strncmp(target, "/dev/", 5) == 0 && target[5] != '\0') {
        *kind = KL_LINK_SERIAL;
        return true;
    }
    if (!kl_net_target_parse(target, &net))
        return false;
    *kind = net.kind;
    return true;
}

/* ---- life ---- */

struct kl_link *kl_link_open(uv_loop_t *loop, const char *target, uint32_t baud,
                             const struct kl_link_events *events, void *ctx)
{
    struct kl_net_target net;
    struct kl_link *link = NULL;
    if (strncmp(target, "/dev/", 5) == 0 && target[5] != '\0')
        link = kl_link_serial_create(loop, target, baud, &kl_serial_system, events, ctx);
    else if (kl_net_target_parse(target, &net))
        link = net.kind == KL_LINK_RAW ? kl_link_raw_create(loop, &net, events, ctx)
                                       : kl_link_rfc2217_create(loop, &net, baud, events, ctx);
    if (link)
        link->class->open(link);
    return link;
}

static void kicked(uv_idle_t *handle)
{
    struct kl_link *link = handle->data;
    uv_idle_stop(handle);
    if (link->trouble) {
        kl_link_lost(link, link->trouble);
        return;
    }
    if (kl_link_live(link) && link->first && !link->begun) {
        link->begun = true;
        link->class->begin(link, link->first);
    }
}

void *kl_link_new(size_t size, const struct kl_link_class *class, uv_loop_t *loop,
                  const struct kl_link_events *events, void *ctx)
{
    struct kl_link *link = kl_secret_alloc(size);
    if (!link)
        return NULL;
    *link =
        (struct kl_link){.class = class, .size = size, .loop = loop, .events = *events, .ctx = ctx};
    uv_idle_init(loop, &link->kick);
    link->kick.data = link;
    return link;
}

bool kl_link_live(const struct kl_link *link)
{
    return link->open && !link->lost && !link->closing;
}

static void free_op(struct kl_link_op *op)
{
    if (op->secret)
        kl_secret_free(op, sizeof *op + op->size);
    else
        free(op);
}

static void free_ops(struct kl_link *link)
{
    while (link->first) {
        struct kl_link_op *op = link->first;
        link->first = op->next;
        free_op(op);
    }
    link->last = NULL;
}

static void kick_closed(uv_handle_t *handle)
{
    struct kl_link *link = handle->data;
    free_ops(link);
    link->events.closed(link->ctx);
    kl_secret_free(link, link->size);
}

void kl_link_closed(struct kl_link *link)
{
    KL_ASSERT(link->closing);
    uv_close((uv_handle_t *)&link->kick, kick_closed);
}

void kl_link_close(struct kl_link *link)
{
    KL_ASSERT(!link->closing);
    link->closing = true;
    uv_idle_stop(&link->kick);
    link->class->close(link);
}

/* ---- requests ---- */

void kl_link_io(struct kl_link *link, uint32_t request, const struct kl_io *io)
{
    KL_ASSERT(link->open && !link->closing);
    if (link->lost)
        return;
    size_t size = io->kind == KL_IO_WRITE ? io->size : 0;
    struct kl_link_op *op =
        io->secret ? kl_secret_alloc(sizeof *op + size) : malloc(sizeof *op + size);
    uv_idle_start(&link->kick, kicked);
    if (!op) {
        link->trouble = "out of memory";
        return;
    }
    *op = (struct kl_link_op){.request = request,
                              .kind = io->kind,
                              .secret = io->secret,
                              .dtr = io->dtr,
                              .rts = io->rts,
                              .baud = io->baud,
                              .size = size};
    if (size > 0)
        memcpy(op->data, io->data, size);
    if (!link->first)
        link->first = op;
    else
        link->last->next = op;
    link->last = op;
}

void kl_link_op_done(struct kl_link *link, bool ok)
{
    struct kl_link_op *op = link->first;
    KL_ASSERT(op && link->begun);
    link->first = op->next;
    link->begun = false;
    if (link->first && kl_link_live(link))
        uv_idle_start(&link->kick, kicked);
    uint32_t request = op->request;
    bool tell = op->kind != KL_IO_WRITE;
    free_op(op);
    if (tell && kl_link_live(link))
        link->events.io_done(link->ctx, request, ok);
}

/* ---- callbacks ---- */

void kl_link_opened(struct kl_link *link, enum kl_open_result result, const char *text)
{
    if (link->closing)
        return;
    link->open = result == KL_OPEN_OK;
    link->events.opened(link->ctx, result, text);
}

void kl_link_rx(struct kl_link *link, const uint8_t *data, size_t size)
{
    if (kl_link_live(link) && size > 0)
        link->events.rx(link->ctx, data, size);
}

void kl_link_lost(struct kl_link *link, const char *text)
{
    if (!kl_link_live(link))
        return;
    link->lost = true;
    uv_idle_stop(&link->kick);
    link->events.lost(link->ctx, text);
}
