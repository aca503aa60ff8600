/* needles.c: see needles.h. */
#include "needles.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WIDEST = 12,
    HEADS = 1 << 16,
    FIELD_MAX = 256,
    PAGE = 4096,
    CHUNK = 256 * PAGE,
    PAGES = 1 << 15, /* of which is asked at once */
};

struct needle {
    uint8_t bytes[WIDEST];
    unsigned size, name;
    bool exact; /* else in lower case */
    unsigned next;
};

struct needles {
    struct needle *item;
    unsigned count, room;
    unsigned head[HEADS]; /* 0 = none */
    char (*names)[32];
    unsigned name_count;
};

struct needles *needles_new(void)
{
    struct needles *n = calloc(1, sizeof *n);

    n->count = 1;
    return n;
}

void needles_free(struct needles *n)
{
    free(n->item);
    free(n->names);
    free(n);
}

/* The same for both cases of a letter, so that one look is enough. */
static unsigned hash(const uint8_t *b)
{
    uint32_t word =
        (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;

    return ((word | 0x20202020u) * 2654435761u) >> 16;
}

/* Times, ports and process numbers look like that by chance. */
static bool is_figures(const uint8_t *bytes, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (!isdigit(bytes[i]))
            return false;
    return true;
}

static void add_windows(struct needles *n, const void *data, size_t size, unsigned width,
                        bool exact)
{
    const uint8_t *bytes = data;

    for (size_t at = 0; at + width <= size; at++) {
        struct needle *x;
        if (!exact && is_figures(bytes + at, width))
            continue;
        if (n->count >= n->room)
            n->item = realloc(n->item, (n->room = 2 * n->room + 64) * sizeof *n->item);
        x = &n->item[n->count];
        *x = (struct needle){.size = width, .exact = exact, .name = n->name_count - 1};
        for (unsigned i = 0; i < width; i++)
            x->bytes[i] = exact ? bytes[at + i] : (uint8_t)tolower(bytes[at + i]);
        x->next = n->head[hash(x->bytes)];
        n->head[hash(x->bytes)] = n->count++;
    }
}

/* ---- spellings ---- */

static bool is_separator(char c)
{
    return (uint8_t)c <= ' ' || strchr("-:,._;|\\\"'[]{}()", c) != NULL;
}

/* Without separators, and without what stands before a number in hex. */
static size_t compact(const char *text, size_t size, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        bool starts = i == 0 || !isalnum((unsigned char)text[i - 1]);
        bool prefix = i + 1 < size && text[i] == '0' && (text[i + 1] | 0x20) == 'x';
        if (starts && prefix)
            i++;
        else if (!is_separator(text[i]) && !(text[i] == 'x' && i > 0 && text[i - 1] == '\\'))
            out[n++] = text[i];
    }
    return n;
}

static size_t bytes_of(const char *digits, size_t size, uint8_t out[FIELD_MAX])
{
    unsigned byte;

    for (size_t i = 0; i < size; i++)
        if (!isxdigit((unsigned char)digits[i]))
            return 0;
    for (size_t i = 0; i + 1 < size; i += 2) {
        sscanf(digits + i, "%2x", &byte);
        out[i / 2] = (uint8_t)byte;
    }
    return size / 2;
}

static size_t base64(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;

    for (size_t bit = 0; bit < 8 * size; bit += 6) {
        unsigned two =
            (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < size ? bytes[bit / 8 + 1] : 0u);
        out[n++] = digits[two >> (10 - bit % 8) & 63];
    }
    return n;
}

static void add_bytes(struct needles *n, const uint8_t *bytes, size_t size, unsigned binary)
{
    char hex[2 * FIELD_MAX + 1] = "", back[2 * FIELD_MAX + 1] = "", bare[2 * FIELD_MAX + 1] = "";
    char decimal[3 * FIELD_MAX + 1] = "", b64[2 * FIELD_MAX];
    size_t bare_size = 0, decimal_size = 0;

    for (size_t i = 0; i < size; i++) {
        sprintf(hex + 2 * i, "%02x", bytes[i]);
        sprintf(back + 2 * i, "%02x", bytes[size - 1 - i]);
        bare_size += (size_t)sprintf(bare + bare_size, "%x", bytes[i]);
        decimal_size += (size_t)sprintf(decimal + decimal_size, "%u", bytes[i]);
    }
    add_windows(n, hex, 2 * size, 8, false);
    add_windows(n, back, 2 * size, WIDEST, false);
    add_windows(n, bare, bare_size, WIDEST, false);
    add_windows(n, decimal, decimal_size, WIDEST, false);
    add_windows(n, b64, base64(bytes, size, b64), WIDEST, false);
    add_windows(n, bytes, size, binary, true);
}

void needles_add(struct needles *n, const char *name, const char *field, unsigned binary)
{
    char dense[FIELD_MAX];
    uint8_t bytes[FIELD_MAX];
    size_t size = compact(field, strlen(field), dense);

    n->names = realloc(n->names, (n->name_count + 1) * sizeof *n->names);
    snprintf(n->names[n->name_count++], sizeof *n->names, "%s", name);
    add_windows(n, field, strlen(field), 8, false);
    add_windows(n, dense, size, 8, false);
    add_bytes(n, (const uint8_t *)field, strlen(field), 8);
    add_bytes(n, bytes, bytes_of(dense, size, bytes), binary);
}

/* ---- looking ---- */

static bool is_at(const struct needle *x, const uint8_t *data)
{
    for (unsigned i = 0; i < x->size; i++)
        if ((x->exact ? data[i] : (uint8_t)tolower(data[i])) != x->bytes[i])
            return false;
    return true;
}

/* Offset and needle of the first at or after `from`; 0 = none. */
static unsigned find(const struct needles *n, const uint8_t *data, size_t size, size_t *from)
{
    for (; *from + 4 <= size; ++*from)
        for (unsigned x = n->head[hash(data + *from)]; x; x = n->item[x].next)
            if (*from + n->item[x].size <= size && is_at(&n->item[x], data + *from))
                return x;
    return 0;
}

const char *needles_in_text(const struct needles *n, const char *text, size_t size)
{
    char *dense = malloc(size + 1);
    size_t from = 0, whole = size;
    unsigned x = find(n, (const uint8_t *)text, size, &from);

    if (!x) {
        size = compact(text, size, dense);
        from = 0;
        x = find(n, (const uint8_t *)dense, size, &from);
    }
    if (x)
        fprintf(stderr, "found at %zu, %u bytes: %.*s\n", from, n->item[x].size,
                (int)(size - from < 60 ? size - from : 60), (size == whole ? text : dense) + from);
    free(dense);
    return x ? n->names[n->item[x].name] : NULL;
}

/* ---- memory ---- */

struct mapping {
    unsigned long start, end;
    char name[128];
    bool readable, left_out;
};

static void note(const struct needles *n, unsigned x, unsigned long at, const struct mapping *m,
                 struct memory_look *out)
{
    size_t used = strlen(out->where);

    if (m->left_out) {
        out->left_out++;
        return;
    }
    out->kept++;
    snprintf(out->where + used, sizeof out->where - used, "%s%s at %lx in %s", used ? ", " : "",
             n->names[n->item[x].name], at, m->name[0] ? m->name : "anonymous memory");
}

static void look_at_chunk(const struct needles *n, const uint8_t *data, size_t size,
                          unsigned long at, const struct mapping *m, struct memory_look *out)
{
    unsigned x;

    for (size_t from = 0; (x = find(n, data, size, &from)) != 0; from += n->item[x].size)
        note(n, x, at + from, m, out);
}

/* Which pages from `at` on are there: those never touched are not read, there are gigabytes. */
static void look_at_pages(int pagemap, unsigned long at, uint64_t entries[PAGES])
{
    ssize_t got = pread(pagemap, entries, PAGES * sizeof *entries, (off_t)(at / PAGE * 8));

    memset((char *)entries + (got > 0 ? got : 0), 0,
           PAGES * sizeof *entries - (size_t)(got > 0 ? got : 0));
}

static void look_at_mapping(const struct needles *n, int mem, int pagemap, const struct mapping *m,
                            struct memory_look *out)
{
    static uint8_t data[CHUNK];
    static uint64_t entries[PAGES];
    size_t size = 0;
    unsigned page = 0;

    for (unsigned long at = m->start; at <= m->end; at += PAGE, page++) {
        if (page % PAGES == 0)
            look_at_pages(pagemap, at, entries);
        bool there = at < m->end && entries[page % PAGES] >> 62 != 0 &&
                     pread(mem, data + size, PAGE, (off_t)at) == PAGE;
        size += there ? PAGE : 0;
        if (size > 0 && (!there || size == CHUNK)) {
            look_at_chunk(n, data, size, at + (there ? PAGE : 0) - size, m, out);
            size = 0;
        }
    }
}

static bool next_mapping(FILE *smaps, struct mapping *m)
{
    char line[512], rights[8];
    unsigned long start, end;
    int name = 0;

    while (fgets(line, sizeof line, smaps)) {
        if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &start, &end, rights, &name) >= 3) {
            m->start = start;
            m->end = end;
            snprintf(m->name, sizeof m->name, "%.*s", (int)strcspn(line + name, "\n"), line + name);
            m->readable = rights[0] == 'r';
        } else if (strncmp(line, "VmFlags:", 8) == 0) {
            m->left_out = strstr(line, " dd") != NULL;
            return true;
        }
    }
    return false;
}

static int open_of(pid_t pid, const char *what)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void needles_in_memory(const struct needles *n, pid_t pid, struct memory_look *out)
{
    int mem = open_of(pid, "mem"), error = mem < 0 ? errno : 0;
    int pagemap = open_of(pid, "pagemap"), list = open_of(pid, "smaps");
    FILE *smaps = list < 0 ? NULL : fdopen(list, "r");
    struct mapping m = {0};

    *out = (struct memory_look){.error = error ? error : pagemap < 0 || !smaps ? ESRCH : 0};
    while (out->error == 0 && next_mapping(smaps, &m))
        if (m.readable && strncmp(m.name, "[v", 2) != 0) /* the kernel's own */
            look_at_mapping(n, mem, pagemap, &m, out);
    if (smaps)
        fclose(smaps);
    if (mem >= 0)
        close(mem);
    if (pagemap >= 0)
        close(pagemap);
}
