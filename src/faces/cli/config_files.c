#include "config_files.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "station_options.h"

enum {
    TEXT_SIZE = 64 * 1024, /* of all values together */
    LINE_SIZE = 4096,
};

/* Holds the values from the files and the environment. */
static char text[TEXT_SIZE];
static size_t text_used;

struct reading {
    const struct option_table *table, *known;
    struct option_settings *all;
    FILE *file;
    const char *name;
    enum option_source source;
    unsigned line;
    char *error; /* "" = none yet */
};

/* NULL if there is no room. */
static const char *keep(const char *from, size_t size)
{
    char *at = text + text_used;

    if (size >= TEXT_SIZE - text_used)
        return NULL;
    memcpy(at, from, size);
    at[size] = '\0';
    text_used += size + 1;
    return at;
}

/* Takes one value for one option, from any source; `where` begins the sentence about what is
   wrong. */
static bool set(const struct reading *r, const struct option *known, const char *value,
                const char *where)
{
    struct option_setting one = {options_find(r->table, known->name, strlen(known->name)), NULL,
                                 r->source, r->name, r->line};
    char why[KL_TEXT_MAX];

    if (!options_check(known, value, "", why)) {
        kl_format(r->error, KL_TEXT_MAX, "%s%s", where, why);
        return false;
    }
    if (!one.option || one.option->type != known->type || one.option->typed_only)
        return true;
    one.text = keep(value, strlen(value));
    if (!one.text) {
        kl_format(r->error, KL_TEXT_MAX, "%smore text than can be kept", where);
        return false;
    }
    if (!options_add(r->all, &one, why)) {
        kl_format(r->error, KL_TEXT_MAX, "%s%s", where, why);
        return false;
    }
    return true;
}

/* ---- files ---- */

/* The library calls this to read a line. Counts lines; removes indents, which the library would
   take for the last line's continuation. */
static char *next_line(char *line, int size, void *stream)
{
    struct reading *r = stream;
    size_t length;

    if (r->error[0] || !fgets(line, size, r->file))
        return NULL;
    r->line++;
    length = strlen(line);
    if (length == 0 || (line[length - 1] != '\n' && !feof(r->file))) {
        kl_format(r->error, KL_TEXT_MAX, "%s:%u: the line is too long, or no text", r->name,
                  r->line);
        return NULL;
    }
    memmove(line, line + strspn(line, " \t"), length + 1 - strspn(line, " \t"));
    if (line[0] == '[') {
        kl_format(r->error, KL_TEXT_MAX, "%s:%u: there are no sections here", r->name, r->line);
        return NULL;
    }
    return line;
}

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *r = user;
    char where[PATH_MAX + 32];
    const struct option *o;

    (void)section;
    snprintf(where, sizeof where, "%s:%u: ", r->name, r->line);
    o = options_find(r->known, name, strlen(name));
    if (!o) {
        char why[KL_TEXT_MAX];
        options_unknown(r->known, name, strlen(name), "", why);
        kl_format(r->error, KL_TEXT_MAX, "%s%s", where, why);
        return 0;
    }
    if (o->typed_only) {
        kl_format(r->error, KL_TEXT_MAX, "%s%s belongs on the command line only", where, o->name);
        return 0;
    }
    return set(r, o, value, where);
}

static void set_up_library(void)
{
    ini_use_stack = 0;
    ini_allow_realloc = 0;
    ini_initial_alloc = LINE_SIZE;
    ini_max_line = LINE_SIZE;
    ini_allow_multiline = 0;
    ini_allow_inline_comments = 0; /* a command may hold a ';' */
    ini_stop_on_first_error = 1;
}

static bool read_open_file(struct reading *r)
{
    struct stat s;
    int rc;

    if (fstat(fileno(r->file), &s) == 0 && (s.st_mode & S_IWOTH) && S_ISREG(s.st_mode)) {
        kl_format(r->error, KL_TEXT_MAX, "%s: everybody can write to it: chmod o-w %s", r->name,
                  r->name);
        return false;
    }
    set_up_library();
    rc = ini_parse_stream(next_line, r, take_line, r);
    if (rc != 0 && !r->error[0])
        kl_format(r->error, KL_TEXT_MAX, "%s:%d: neither a comment nor NAME = VALUE", r->name, rc);
    return r->error[0] == '\0';
}

/* There is no such file, or this user can't look into its folder (another user's home). */
static bool is_absent(const char *path)
{
    struct stat s;

    return stat(path, &s) != 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES);
}

static bool read_file(struct reading *r, const char *path, enum option_source source)
{
    bool good;

    if (!path)
        return true;
    r->name = keep(path, strlen(path));
    r->source = source;
    r->line = 0;
    r->file = fopen(path, "re");
    if (!r->file || !r->name) {
        int why = errno;
        if (r->name && source != OPTION_FILE && is_absent(path))
            return true;
        kl_format(r->error, KL_TEXT_MAX, "%s: %s", path, strerror(why));
        return false;
    }
    good = read_open_file(r);
    fclose(r->file);
    return good;
}

struct config_places config_places(void)
{
    static char user[PATH_MAX];
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    struct config_places places = {KEYLINE_SYSCONF_DIR "/keyline.conf", user};

    if (config && config[0] == '/')
        snprintf(user, sizeof user, "%s/keyline/keyline.conf", config);
    else if (home && home[0] == '/')
        snprintf(user, sizeof user, "%s/.config/keyline/keyline.conf", home);
    else
        places.user = NULL;
    return places;
}

/* ---- the environment ---- */

void config_variable(const struct option *o, char out[64])
{
    size_t n = (size_t)snprintf(out, 64, "KEYLINE_%s", o->name);

    for (size_t i = 0; i < n && i < 63; i++)
        out[i] =
            out[i] == '-' ? '_' : (char)(out[i] >= 'a' && out[i] <= 'z' ? out[i] - 32 : out[i]);
}

/* Blanks separate the items of a list. */
static bool set_list(const struct reading *r, const struct option *o, const char *value,
                     const char *where)
{
    char item[LINE_SIZE];

    while (*(value += strspn(value, " \t\n"))) {
        size_t size = strcspn(value, " \t\n");
        if (size >= sizeof item)
            return false;
        memcpy(item, value, size);
        item[size] = '\0';
        if (!set(r, o, item, where))
            return false;
        value += size;
    }
    return true;
}

static bool read_environment(struct reading *r)
{
    r->source = OPTION_ENVIRONMENT;
    r->name = NULL;
    r->line = 0;
    for (size_t i = 0; i < r->known->count; i++) {
        const struct option *o = &r->known->row[i];
        char name[64], where[96];
        const char *value;
        if (o->type == OPT_HEADING || o->typed_only)
            continue;
        config_variable(o, name);
        if (!(value = getenv(name)) || value[0] == '\0')
            continue;
        snprintf(where, sizeof where, "%s in the environment: ", name);
        if (o->type == OPT_LIST ? !set_list(r, o, value, where) : !set(r, o, value, where))
            return false;
    }
    return true;
}

/* ---- all of it ---- */

/* The file of --config if that was typed, else the environment's; NULL = neither. */
static const char *chosen_file(const struct option_table *t, const struct option_settings *typed)
{
    const struct option *o = options_find(t, "config", strlen("config"));
    const struct option_setting *s = o ? options_winner(typed, o) : NULL;
    const char *variable = getenv("KEYLINE_CONFIG");

    if (s)
        return s->text;
    return variable && variable[0] ? variable : NULL;
}

bool config_read(const struct option_table *t, const struct option_table *known,
                 const struct config_places *places, char **argv, struct option_settings *all,
                 struct option_list *words, char error[KL_TEXT_MAX])
{
    struct reading r = {.table = t, .known = known, .all = all, .error = error};
    const char *file;

    text_used = 0;
    all->count = 0;
    error[0] = '\0';
    if (!options_read(t, argv, all, words, error))
        return false;
    file = chosen_file(t, all);
    if (file && strcmp(file, "none") == 0)
        return read_environment(&r);
    return read_file(&r, places->system, OPTION_SYSTEM) &&
           read_file(&r, places->user, OPTION_USER) && read_file(&r, file, OPTION_FILE) &&
           read_environment(&r);
}

static struct option_settings parsed;

bool config_parse(const struct option_table *t, char **argv, void *out, struct option_list *words,
                  char error[KL_TEXT_MAX])
{
    struct config_places places = config_places();

    if (!config_read(t, &kl_station_options, &places, argv, &parsed, words, error))
        return false;
    options_apply(&parsed, out);
    return true;
}

bool config_typed(const struct option_table *t, const char *name)
{
    const struct option *o = options_find(t, name, strlen(name));
    const struct option_setting *s = o ? options_winner(&parsed, o) : NULL;

    return s && s->source == OPTION_TYPED;
}
