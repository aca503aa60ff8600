/* slots_file.c: see keyline/slots_file.h. */
#include "keyline/slots_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyline/link.h"
#include "regular.h"

enum {
    FILE_MAX = 64 * 1024
};

/* ---- reading ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copies without the spaces around it; false if it does not fit or is empty. */
static bool copy_trimmed(char *out, size_t room, const char *text, size_t size)
{
    while (size > 0 && is_space(*text)) {
        text++;
        size--;
    }
    while (size > 0 && is_space(text[size - 1]))
        size--;
    if (size == 0 || size >= room)
        return false;
    memcpy(out, text, size);
    out[size] = '\0';
    return true;
}

static bool is_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= KL_NAME_MAX || is_space(name[0]) || is_space(name[n - 1]))
        return false;
    for (; *name != '\0'; name++)
        if ((unsigned char)*name < ' ' || *name == 0x7f || *name == '=' || *name == '#')
            return false;
    return true;
}

static const char *skip_number(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 ? text + n : NULL;
}

/* "1-1.4.2", then maybe ":1.1", then maybe "#1". */
static bool is_topology(const char *text)
{
    text = skip_number(text);
    if (!text || *text != '-')
        return false;
    do {
        text = skip_number(text + 1);
    } while (text && *text == '.');
    if (text && *text == ':') {
        text = skip_number(text + 1);
        text = text && *text == '.' ? skip_number(text + 1) : NULL;
    }
    if (text && *text == '#')
        text = skip_number(text + 1);
    return text && *text == '\0';
}

static bool is_place(const char *where)
{
    enum kl_link_kind kind;
    return is_topology(where) || kl_link_kind_of(where, &kind);
}

static int find_name(const struct kl_slots_file *file, const char *name)
{
    for (unsigned i = 0; i < file->count; i++)
        if (strcmp(file->slot[i].name, name) == 0)
            return (int)i;
    return -1;
}

int kl_slots_find(const struct kl_slots_file *file, const char *where)
{
    for (unsigned i = 0; i < file->count; i++)
        if (strcmp(file->slot[i].where, where) == 0)
            return (int)i;
    return -1;
}

/* What is wrong with one line that is not empty; NULL if nothing is. */
static const char *take_line(struct kl_slots_file *file, const char *line, size_t size)
{
    struct kl_slot_place place;
    const char *equals = memchr(line, '=', size);
    if (!equals)
        return "expected NAME = PLACE";
    size_t name = (size_t)(equals - line);
    if (!copy_trimmed(place.name, sizeof place.name, line, name) || !is_name(place.name))
        return "the name is empty, too long or has control characters";
    if (!copy_trimmed(place.where, sizeof place.where, equals + 1, size - name - 1) ||
        !is_place(place.where))
        return "the place is no USB socket (1-1.4.2), device (/dev/…) or network port "
               "(rfc2217://host:port)";
    if (find_name(file, place.name) >= 0)
        return "this name was given before";
    if (kl_slots_find(file, place.where) >= 0)
        return "this place has a name already";
    if (file->count == KL_SLOTS_MAX)
        return "more slots than a bench has";
    file->slot[file->count++] = place;
    return NULL;
}

bool kl_slots_parse(const char *text, size_t size, struct kl_slots_file *out,
                    char error[KL_TEXT_MAX])
{
    unsigned number = 0;
    out->count = 0;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t whole = end ? (size_t)(end - text) + 1 : size;
        const char *comment = memchr(text, '#', whole);
        /* A '#' within a place names an interface's second port. The '#' of a comment has a space
           before it. */
        while (comment && comment > text && !is_space(comment[-1]))
            comment = memchr(comment + 1, '#', whole - (size_t)(comment + 1 - text));
        size_t length = comment ? (size_t)(comment - text) : whole;
        while (length > 0 && (is_space(text[length - 1]) || text[length - 1] == '\n'))
            length--;
        number++;
        const char *wrong = length > 0 ? take_line(out, text, length) : NULL;
        if (wrong) {
            kl_format(error, KL_TEXT_MAX, "line %u: %s", number, wrong);
            return false;
        }
        text += whole;
        size -= whole;
    }
    return true;
}

bool kl_slots_read(const char *path, struct kl_slots_file *out, char error[KL_TEXT_MAX])
{
    char *text = malloc(FILE_MAX), why[KL_TEXT_MAX] = "";
    size_t size = 0;
    ssize_t n = -1;
    const char *trouble = NULL;
    int fd = kl_open_regular(path, &trouble);
    if (text && fd >= 0)
        while (size < FILE_MAX && (n = read(fd, text + size, FILE_MAX - size)) > 0)
            size += (size_t)n;
    bool ok = n == 0;
    if (n > 0)
        kl_copy(why, sizeof why, "too long for a slots file");
    else if (!ok)
        kl_copy(why, sizeof why, fd < 0 ? trouble : strerror(errno));
    else
        ok = kl_slots_parse(text, size, out, why);
    if (!ok)
        kl_format(error, KL_TEXT_MAX, "%s: %s", path, why);
    if (fd >= 0)
        close(fd);
    free(text);
    return ok;
}

/* ---- writing ---- */

static bool write_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
    }
    return true;
}

static bool write_slots(int fd, const struct kl_slots_file *file)
{
    static const char head[] = "# Slots of this bench, in their order: NAME = PLACE\n";
    char line[KL_NAME_MAX + KL_PORT_MAX + 8];
    bool ok = write_all(fd, head, sizeof head - 1);
    for (unsigned i = 0; i < file->count && ok; i++)
        ok = write_all(
            fd, line,
            kl_format(line, sizeof line, "%s = %s\n", file->slot[i].name, file->slot[i].where));
    return ok && fsync(fd) == 0;
}

bool kl_slots_write(const char *path, const struct kl_slots_file *file, char error[KL_TEXT_MAX])
{
    char part[4096];
    bool ok = kl_format(part, sizeof part, "%s.new", path) + 1 < sizeof part;
    int fd = ok ? open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    ok = fd >= 0 && write_slots(fd, file);
    int why = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && rename(part, path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", path, strerror(why));
        if (fd >= 0)
            unlink(part);
    }
    return ok;
}

/* ---- teaching ---- */

static bool was_present(const struct kl_teach *t, const char *where)
{
    for (unsigned i = 0; i < t->present_count; i++)
        if (strcmp(t->present[i], where) == 0)
            return true;
    return false;
}

static void forget_gone(struct kl_teach *t, const struct kl_port_info *ports, int count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < t->present_count; i++) {
        bool there = false;
        for (int p = 0; p < count && !there; p++)
            there = strcmp(ports[p].topology, t->present[i]) == 0;
        if (there)
            memmove(t->present[kept++], t->present[i], sizeof t->present[i]);
    }
    t->present_count = kept;
}

static void add_numbered(struct kl_teach *t, const char *where)
{
    struct kl_slot_place *slot = &t->file.slot[t->file.count];
    unsigned number = 1;
    do {
        kl_format(slot->name, sizeof slot->name, "%u", number++);
    } while (find_name(&t->file, slot->name) >= 0);
    kl_copy(slot->where, sizeof slot->where, where);
    t->file.count++;
}

int kl_teach_look(struct kl_teach *t, const struct kl_port_info *ports, int count, bool *known)
{
    bool first = !t->looked;
    t->looked = true;
    forget_gone(t, ports, count);
    for (int i = 0; i < count; i++) {
        const char *where = ports[i].topology;
        if (!ports[i].usable || where[0] == '\0' || was_present(t, where) ||
            t->present_count == KL_SLOTS_MAX)
            continue;
        kl_copy(t->present[t->present_count++], sizeof t->present[0], where);
        if (first)
            continue;
        int slot = kl_slots_find(&t->file, where);
        *known = slot >= 0;
        if (*known)
            return slot;
        if (t->file.count == KL_SLOTS_MAX)
            continue;
        add_numbered(t, where);
        return (int)t->file.count - 1;
    }
    return -1;
}

bool kl_teach_rename(struct kl_teach *t, unsigned slot, const char *name)
{
    KL_ASSERT(slot < t->file.count);
    int taken = find_name(&t->file, name);
    if (!is_name(name) || (taken >= 0 && taken != (int)slot))
        return false;
    return kl_copy(t->file.slot[slot].name, sizeof t->file.slot[slot].name, name);
}
