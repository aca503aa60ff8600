/*
 * bench.c: which slot is where. A slot is a place: a USB socket by its topology path, a named
 * device file, or a network port; the bench tells the core in these terms what hotplug saw.
 */
#include <string.h>

#include "shell_private.h"

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* "rfc2217://host:port?options" -> "host:port" */
static void network_name(const char *url, char out[KL_NAME_MAX])
{
    const char *host = strstr(url, "://");

    kl_copy(out, KL_NAME_MAX, host ? host + 3 : url);
    out[strcspn(out, "?/")] = '\0';
}

static struct place *new_place(struct kl_shell *sh, enum place_kind kind, const char *target,
                               const char *name)
{
    struct place *p = NULL;
    struct kl_event *ev;

    for (unsigned i = 0; i < sh->place_count && kind == PLACE_NETWORK; i++)
        if (sh->place[i].kind == PLACE_GONE)
            p = &sh->place[i];
    if (!p && sh->place_count < KL_SLOTS_MAX)
        p = &sh->place[sh->place_count++];
    if (!p)
        return NULL;
    *p = (struct place){.kind = kind, .named = -1};
    kl_copy(p->target, sizeof p->target, target);
    if (name[0])
        kl_copy(p->name, sizeof p->name, name);
    else if (kind == PLACE_NETWORK)
        network_name(target, p->name);
    else
        kl_copy(p->name, sizeof p->name, kind == PLACE_PATH ? file_name(target) : target);
    ev = &push_event(sh, KL_EV_SLOT, (unsigned)(p - sh->place))->event;
    kl_copy(ev->u.slot.name, sizeof ev->u.slot.name, p->name);
    ev->u.slot.network = kind == PLACE_NETWORK;
    return p;
}

static void plug(struct kl_shell *sh, struct place *p, const struct kl_port_info *info)
{
    struct kl_event *ev = &push_event(sh, KL_EV_PLUGGED, (unsigned)(p - sh->place))->event;

    p->plugged = true;
    p->busy = p->seen_held = false;
    kl_copy(p->path, sizeof p->path, info->path);
    kl_copy(ev->u.port.path, sizeof ev->u.port.path, info->path);
    kl_copy(ev->u.port.serial, sizeof ev->u.port.serial, info->serial);
    ev->u.port.link = info->link;
    ev->u.port.vid = info->vid;
    ev->u.port.pid = info->pid;
}

static void unplug(struct kl_shell *sh, struct place *p)
{
    p->plugged = false;
    push_event(sh, KL_EV_UNPLUGGED, (unsigned)(p - sh->place));
}

/* A network port always counts as plugged; the core tries again and again to open it. */
static struct place *add_network(struct kl_shell *sh, const char *target, const char *name)
{
    struct kl_port_info info = {.link = KL_LINK_RFC2217};
    struct place *p = new_place(sh, PLACE_NETWORK, target, name);

    if (!p)
        return NULL;
    kl_link_kind_of(target, &info.link);
    kl_copy(info.path, sizeof info.path, target);
    plug(sh, p, &info);
    return p;
}

static void add_path(struct kl_shell *sh, const char *target, const char *name)
{
    struct hotplug *h = &sh->hotplug;
    struct place *p = new_place(sh, PLACE_PATH, target, name);

    if (p) {
        p->named = (int)h->path_count;
        kl_copy(h->paths[h->path_count++], KL_PORT_MAX, target);
    }
}

void add_known_places(struct kl_shell *sh)
{
    for (unsigned i = 0; i < sh->options.place_count; i++) {
        const struct kl_shell_place *k = &sh->options.places[i];
        if (strstr(k->target, "://"))
            add_network(sh, k->target, k->name);
        else if (k->target[0] == '/')
            add_path(sh, k->target, k->name);
        else
            new_place(sh, PLACE_TOPOLOGY, k->target, k->name);
    }
}

/* ---- hotplug ---- */

static bool is_at(const struct place *p, const struct seen_port *seen)
{
    if (p->kind == PLACE_PATH)
        return p->named >= 0 ? seen->named == p->named : strcmp(p->path, seen->info.path) == 0;
    return p->kind == PLACE_TOPOLOGY && seen->info.usable &&
           strcmp(p->target, seen->info.topology) == 0;
}

static struct place *place_of(struct kl_shell *sh, const struct seen_port *seen)
{
    for (unsigned i = 0; i < sh->place_count; i++)
        if (is_at(&sh->place[i], seen))
            return &sh->place[i];
    return NULL;
}

static void look_at_place(struct kl_shell *sh, struct place *p, const struct seen_port *seen,
                          unsigned count)
{
    const struct seen_port *now = NULL;

    for (unsigned i = 0; i < count && !now; i++)
        if (is_at(p, &seen[i]))
            now = &seen[i];
    /* The same socket with another node is another plugging, however quick it was. So is a port
       that we may open at last. An open port does not mind losing its rights. */
    if (p->plugged && (!now || now->node != p->node || strcmp(now->info.path, p->path) != 0 ||
                       (p->denied && !now->denied)))
        unplug(sh, p);
    if (now && !p->plugged) {
        p->node = now->node;
        p->denied = now->denied;
        plug(sh, p, &now->info);
    }
}

static void take_new_port(struct kl_shell *sh, const struct seen_port *seen)
{
    bool by_path = seen->info.topology[0] == '\0';
    struct place *p;

    if (!seen->info.usable || seen->named >= 0 || place_of(sh, seen))
        return;
    p = new_place(sh, by_path ? PLACE_PATH : PLACE_TOPOLOGY,
                  by_path ? seen->info.path : seen->info.topology, "");
    if (!p && !sh->too_many_said) {
        sh->too_many_said = true;
        kl_shell_note(sh, "there are more ports than slots: the rest is not used");
    }
    if (p)
        kl_copy(p->path, sizeof p->path, seen->info.path);
}

void bench_saw(struct kl_shell *sh, const struct seen_port *seen, unsigned count)
{
    bool only_named = sh->hotplug.path_count > 0;

    for (unsigned i = 0; i < count && !only_named; i++)
        take_new_port(sh, &seen[i]);
    for (unsigned i = 0; i < sh->place_count; i++)
        if (sh->place[i].kind == PLACE_TOPOLOGY || sh->place[i].kind == PLACE_PATH)
            look_at_place(sh, &sh->place[i], seen, count);
}

/* ---- network ports by command ---- */

bool add_port(struct kl_shell *sh, const char *target, char error[KL_TEXT_MAX])
{
    enum kl_link_kind kind;

    for (unsigned i = 0; i < sh->place_count; i++) {
        if (sh->place[i].kind == PLACE_NETWORK && strcmp(sh->place[i].target, target) == 0) {
            kl_format(error, KL_TEXT_MAX, "%s is a slot already", target);
            return false;
        }
    }
    if (!strstr(target, "://") || !kl_link_kind_of(target, &kind)) {
        kl_format(error, KL_TEXT_MAX,
                  "\"%s\" is no network port: rfc2217://host:port or socket://host:port", target);
        return false;
    }
    if (!add_network(sh, target, "")) {
        kl_copy(error, KL_TEXT_MAX, "all slots are taken");
        return false;
    }
    return true;
}

bool remove_port(struct kl_shell *sh, unsigned slot, char error[KL_TEXT_MAX])
{
    struct place *p = slot < sh->place_count ? &sh->place[slot] : NULL;

    if (!p || p->kind != PLACE_NETWORK) {
        kl_copy(error, KL_TEXT_MAX, "only a network port can be removed");
        return false;
    }
    if (p->removing)
        return true;
    p->removing = true;
    unplug(sh, p);
    return true;
}

void place_opened(struct kl_shell *sh, unsigned slot, enum kl_open_result result)
{
    struct place *p = &sh->place[slot];

    p->busy = p->kind != PLACE_NETWORK && (result == KL_OPEN_BUSY || result == KL_OPEN_HELD);
    p->seen_held = p->busy && (p->seen_held || result == KL_OPEN_HELD);
    if (p->removing) /* an operator removed it while it was opening: tell the core, which closes it
                      */
        unplug(sh, p);
}

static bool has_line(const struct kl_shell *sh, unsigned slot)
{
    for (const struct open_port *l = sh->open_ports; l; l = l->next)
        if (l->slot == slot)
            return true;
    return false;
}

/* ---- ports that another program holds ---- */

bool bench_busy_port(const struct kl_shell *sh, unsigned after, struct watched_port *out)
{
    for (unsigned i = 1; i <= sh->place_count; i++) {
        unsigned slot = (after + i) % sh->place_count;
        const struct place *p = &sh->place[slot];
        if (!p->busy || !p->plugged || has_line(sh, slot))
            continue;
        *out = (struct watched_port){.slot = slot, .opened = p->opened};
        kl_copy(out->path, sizeof out->path, p->path);
        return true;
    }
    return false;
}

void bench_saw_holder(struct kl_shell *sh, const struct watched_port *seen)
{
    struct place *p = &sh->place[seen->slot];

    /* If we have opened it ourselves meanwhile, the one seen may have been us. */
    if (!p->busy || !p->plugged || p->opened != seen->opened || strcmp(p->path, seen->path) != 0)
        return;
    if (seen->held) {
        p->seen_held = true;
    } else if (p->seen_held) { /* a holder whom we may not see may hold it still */
        p->busy = p->seen_held = false;
        push_event(sh, KL_EV_PORT_FREE, seen->slot);
    }
}

bool take_removed_place(struct kl_shell *sh, unsigned *slot)
{
    for (unsigned i = 0; i < sh->place_count; i++) {
        struct place *p = &sh->place[i];
        if (!p->removing || has_line(sh, i))
            continue;
        p->kind = PLACE_GONE;
        p->removing = false;
        *slot = i;
        return true;
    }
    return false;
}
