#include "restart.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "faces/face_text.h"
#include "keyline/store.h"

enum {
    GONE_MS = 10 * 1000, /* from its last word until the CSV is free */
    LOOK_MS = 50,
};

/* ---- what a station works with ---- */

/* False for the dashboard's options, and for the CSV, which led to the station. */
static bool is_the_stations(const struct option *o)
{
    static const char *const others[] = {
        "csv-file", "headless", "read-only", "lock",      "lock-phrase", "alert",  "no-mouse",
        "bell",     "ascii",    "color",     "no-colour", "accept",      "renamed"};

    if (o->type == OPT_HEADING || o->typed_only)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(o->name, others[i]) == 0)
            return false;
    return true;
}

/* A file gets its full name: two folders may name it differently. */
static void put_text(const struct option *o, const char *text, char *out, size_t size)
{
    bool is_file = o->value && (strstr(o->value, "FILE") == o->value || strstr(o->value, "DIR"));
    char *real = text && is_file ? realpath(text, NULL) : NULL;

    snprintf(out, size, "%s", real ? real : text ? text : "");
    free(real);
}

static void put_list(const struct option_list *list, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < list->count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? " " : "", list->item[i]);
}

static void put_choice(const char *words, int index, char *out, size_t size)
{
    for (; index > 0 && *words; index--)
        words += strcspn(words, "|") + (words[strcspn(words, "|")] == '|');
    snprintf(out, size, "%.*s", (int)strcspn(words, "|"), words);
}

static void put_value(const struct option *o, const void *at, char *out, size_t size)
{
    switch (o->type) {
    case OPT_FLAG:
        snprintf(out, size, "%s", *(const bool *)at ? "yes" : "no");
        break;
    case OPT_TEXT:
        put_text(o, *(const char *const *)at, out, size);
        break;
    case OPT_LIST:
        put_list(at, out, size);
        break;
    case OPT_NUMBER:
        snprintf(out, size, "%ld", *(const long *)at);
        break;
    case OPT_SECONDS:
        snprintf(out, size, "%g s", (double)*(const kl_us *)at / 1e6);
        break;
    case OPT_CHOICE:
        put_choice(o->value, *(const int *)at, out, size);
        break;
    case OPT_HEADING:
        out[0] = '\0';
    }
}

void restart_settings(const struct station_args *a, char *out, size_t size)
{
    char value[2048];
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < kl_station_options.count; i++) {
        const struct option *o = &kl_station_options.row[i];
        if (!is_the_stations(o))
            continue;
        put_value(o, (const char *)a + o->at, value, sizeof value);
        used += (size_t)snprintf(out + used, size - used, "%s=%s\n", o->name, value);
        if (used >= size)
            return;
    }
}

/* ---- what differs ---- */

/* The value of `name` among "name=value" lines; false if it has none. */
static bool value_of(const char *settings, const char *name, size_t name_size, char *out,
                     size_t size)
{
    for (const char *line = settings; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > name_size && strncmp(line, name, name_size) == 0 && line[name_size] == '=') {
            snprintf(out, size, "%.*s", (int)(length - name_size - 1), line + name_size + 1);
            return true;
        }
        line += length + (line[length] == '\n');
    }
    out[0] = '\0';
    return false;
}

static void build_words(const struct kl_wire_hello *h, char *out, size_t size)
{
    if (h->digest[0])
        snprintf(out, size, "%s %s %s (%.8s)", h->firmware, h->project, h->project_version,
                 h->digest);
    else
        snprintf(out, size, "images that can't be used: keyline check tells why");
}

static unsigned compare_builds(const struct kl_wire_hello *running,
                               const struct kl_wire_hello *wanted, FILE *out)
{
    char old[256], new[256];

    if (strcmp(running->digest, wanted->digest) == 0)
        return 0;
    build_words(running, old, sizeof old);
    build_words(wanted, new, sizeof new);
    fprintf(out, "  images\n    it flashes    %s\n    on disk now   %s\n", old, new);
    return 1;
}

unsigned restart_compare(const struct kl_wire_hello *running, const struct kl_wire_hello *wanted,
                         FILE *out)
{
    unsigned n = compare_builds(running, wanted, out);
    char old[2048], new[2048];

    for (const char *line = wanted->settings; *line;) {
        size_t length = strcspn(line, "\n"), name = strcspn(line, "=");
        bool known = value_of(running->settings, line, name, old, sizeof old);
        value_of(wanted->settings, line, name, new, sizeof new);
        if (known && strcmp(old, new) != 0) {
            fprintf(out, "  --%.*s\n    it works with %s\n    asked for now %s\n", (int)name, line,
                    old[0] ? old : "none", new[0] ? new : "none");
            n++;
        }
        line += length + (line[length] == '\n');
    }
    return n;
}

/* ---- asking ---- */

enum restart_choice restart_choose(const struct kl_wire_hello *running,
                                   const struct kl_wire_hello *wanted)
{
    char since[32], answer[16], *text = NULL;
    size_t size = 0;
    FILE *list = open_memstream(&text, &size);
    unsigned differences;

    KL_ASSERT(list);
    differences = restart_compare(running, wanted, list);
    fclose(list);
    if (differences == 0) {
        free(text);
        return RESTART_ATTACH;
    }
    kl_clock_time(running->since, since);
    printf("A station works since %s, and not with what was asked for now, on\n  %s\n%s"
           "  a  show it as it is\n"
           "  f  finish it, then start anew with what was asked for\n"
           "  c  do nothing (Enter)\n"
           "? ",
           since, running->csv, text);
    free(text);
    fflush(stdout);
    tcflush(STDIN_FILENO, TCIFLUSH); /* nothing typed or pasted before counts as an answer */
    if (!fgets(answer, sizeof answer, stdin))
        return RESTART_CANCEL;
    return strcmp(answer, "a\n") == 0   ? RESTART_ATTACH
           : strcmp(answer, "f\n") == 0 ? RESTART_FINISH
                                        : RESTART_CANCEL;
}

/* ---- finishing ---- */

bool restart_finish(const char *csv)
{
    char *stop = kl_wire_command(&(struct kl_command){.kind = KL_CMD_STOP});
    char rest[4096], holder[KL_TEXT_MAX] = "";
    int fd = kl_wire_connect(csv);
    bool told = stop && fd >= 0 && write(fd, stop, strlen(stop)) == (ssize_t)strlen(stop);

    free(stop);
    if (told) {
        printf("finishing: boards that are being given a key first\n");
        fflush(stdout);
    }
    while (told && read(fd, rest, sizeof rest) > 0) {
    }
    if (fd >= 0)
        close(fd);
    for (int i = 0; i < GONE_MS / LOOK_MS; i++) {
        kl_store_holder(csv, holder);
        if (!holder[0])
            return true;
        poll(NULL, 0, LOOK_MS);
    }
    fprintf(stderr, "keyline: the station on %s does not end: %s\n", csv, holder);
    return false;
}
