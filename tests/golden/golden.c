/*
 * golden.c: draws a scenario as a screen. `golden FILE.scenario ROWS COLS` prints the grid as text,
 * each line followed by nothing; styles as a second block, one letter a cell.
 *
 * A scenario is lines of `what key=value …`; see the files beside this one.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faces/dashboard/view.h"

static const char style_letters[KL_STYLE_COUNT + 1] = ".d*=kf>bwPF!#-";

static struct kl_model model;
static struct kl_view view;

static enum kl_state state_named(const char *name)
{
    for (int s = 0; s < KL_ST_COUNT; s++)
        if (strcmp(kl_state_name((enum kl_state)s), name) == 0)
            return (enum kl_state)s;
    fprintf(stderr, "no state '%s'\n", name);
    exit(2);
}

static enum kl_reason reason_named(const char *name)
{
    for (int r = 0; r < KL_FAULT_COUNT; r++)
        if (strcmp(kl_fault_info((enum kl_reason)r).name, name) == 0)
            return (enum kl_reason)r;
    fprintf(stderr, "no reason '%s'\n", name);
    exit(2);
}

static void set_slot(struct kl_slot_view *s, const char *key, const char *value)
{
    long long n = atoll(value);

    if (strcmp(key, "name") == 0)
        kl_copy(s->name, sizeof s->name, value);
    else if (strcmp(key, "port") == 0)
        kl_copy(s->port, sizeof s->port, value);
    else if (strcmp(key, "state") == 0)
        s->state = state_named(value);
    else if (strcmp(key, "fault") == 0)
        s->fault.reason = reason_named(value);
    else if (strcmp(key, "detail") == 0)
        kl_copy(s->fault.detail, sizeof s->fault.detail, value);
    else if (strcmp(key, "mac") == 0)
        kl_mac_parse(value, &s->identity.mac);
    else if (strcmp(key, "chip") == 0)
        s->identity.chip = kl_chip_by_slug(value)->id;
    else if (strcmp(key, "flash") == 0)
        s->identity.flash_size = (uint32_t)n << 20;
    else if (strcmp(key, "label") == 0)
        kl_copy(s->label, sizeof s->label, value);
    else if (strcmp(key, "since") == 0)
        s->since = model.snap.at - KL_SEC(n);
    else if (strcmp(key, "again") == 0)
        s->retry_at = model.snap.at + KL_SEC(n);
    else if (strcmp(key, "tries") == 0)
        s->tries = (unsigned)n;
    else if (strcmp(key, "done") == 0)
        s->progress.done = (uint64_t)n;
    else if (strcmp(key, "total") == 0)
        s->progress.total = (uint64_t)n;
    else if (strcmp(key, "rate") == 0)
        s->bytes_per_second = (uint32_t)n;
    else if (strcmp(key, "left") == 0)
        s->left = KL_SEC(n);
    else if (strcmp(key, "texts") == 0)
        s->exam_came = (unsigned)n;
    else if (strcmp(key, "texts_due") == 0)
        s->exam_due = (unsigned)n;
    else if (strcmp(key, "already") == 0)
        s->already = n != 0;
    else if (strcmp(key, "network") == 0)
        s->network = n != 0;
    else
        exit(fprintf(stderr, "slot: no '%s'\n", key) ? 2 : 2);
}

static void set_bench(const char *key, const char *value)
{
    struct kl_snapshot *s = &model.snap;
    uint32_t n = (uint32_t)atoll(value);
    struct {
        const char *name;
        uint32_t *at;
    } numbers[] = {
        {"free", &s->keys.free},
        {"reserved", &s->keys.reserved},
        {"provisioned", &s->keys.provisioned},
        {"in_doubt", &s->keys.in_doubt},
        {"done", &model.stats.done},
        {"failed", &model.stats.failed},
        {"first_pass", &model.stats.first_pass},
        {"per_hour", &model.stats.boards_per_hour},
    };
    struct {
        const char *name;
        bool *at;
    } flags[] = {
        {"paused", &s->paused},          {"stopping", &s->stopping},
        {"few_keys", &s->few_keys},      {"store_trouble", &s->store_trouble},
        {"connected", &model.connected}, {"ascii", &view.ascii},
        {"compact", &view.compact},      {"locked", &view.locked},
        {"read_only", &view.read_only},  {"stale", &model.build_stale},
        {"console", &view.console},      {"volatile", &s->forgets},
        {"pool", &s->fleet.there},       {"online", &s->fleet.online},
    };
    struct {
        const char *name;
        char *at;
        size_t size;
    } texts[] = {
        {"csv", model.csv, sizeof model.csv},
        {"firmware", model.firmware, sizeof model.firmware},
        {"project", model.project, sizeof model.project},
        {"version", model.version, sizeof model.version},
        {"chip", model.chip, sizeof model.chip},
        {"digest", model.digest, sizeof model.digest},
        {"since", model.since, sizeof model.since},
        {"clock", model.clock, sizeof model.clock},
        {"uptime", model.uptime, sizeof model.uptime},
        {"last_slot", model.stats.last_slot, sizeof model.stats.last_slot},
        {"warning", s->warning, sizeof s->warning},
        {"kept_back", s->kept_back, sizeof s->kept_back},
        {"question", s->question, sizeof s->question},
        {"asks", s->asks, sizeof s->asks},
        {"phrase", view.phrase, sizeof view.phrase},
        {"pool_name", s->fleet.name, sizeof s->fleet.name},
        {"station", s->fleet.station, sizeof s->fleet.station},
    };

    if (strcmp(key, "last") == 0) {
        model.stats.last_result = state_named(value);
        model.stats.last_took = KL_SEC(8);
    }
    if (strcmp(key, "pool_free") == 0)
        s->fleet.left = n;
    if (strcmp(key, "by_state") == 0)
        view.order = n ? KL_ORDER_NEED : KL_ORDER_SLOT;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(key, numbers[i].name) == 0)
            *numbers[i].at = n;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(key, flags[i].name) == 0)
            *flags[i].at = n != 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(key, texts[i].name) == 0)
            kl_copy(texts[i].at, texts[i].size, value);
}

static void set_figure(struct kl_stats_slot *f, const char *key, const char *value)
{
    unsigned n = (unsigned)atoll(value);

    if (strcmp(key, "name") == 0)
        kl_copy(f->name, sizeof f->name, value);
    else if (strcmp(key, "turns") == 0)
        f->turns = n;
    else if (strcmp(key, "done") == 0)
        f->done = n;
    else if (strcmp(key, "failed") == 0)
        f->failed = n;
    else if (strcmp(key, "first") == 0)
        f->first_pass = n;
    else if (strcmp(key, "median") == 0)
        f->median = f->last = KL_SEC(n);
    else if (strcmp(key, "baud") == 0)
        f->baud = n;
    else if (strcmp(key, "worse") == 0)
        f->worse = n != 0;
    else {
        unsigned at = f->reason[0].count > 0;
        f->reason[at].reason = reason_named(key);
        f->reason[at].count = n;
    }
}

/* key=value, where value may be "in quotes". Returns the rest, or NULL at the end. */
static char *next_pair(char *at, char **key, char **value)
{
    char *equals, *end;

    at += strspn(at, " ");
    equals = strchr(at, '=');
    if (!equals)
        return NULL;
    *equals = '\0';
    *key = at;
    *value = equals + 1;
    if (**value == '"') {
        (*value)++;
        end = strchr(*value, '"');
    } else {
        end = *value + strcspn(*value, " ");
    }
    if (!end || !*end)
        return equals + 1 + strlen(equals + 1);
    *end = '\0';
    return end + 1;
}

static void press(const char *keys, int rows, int cols)
{
    static const struct {
        const char *name;
        int code;
    } names[] = {{"<up>", KL_KEYCODE_UP},        {"<down>", KL_KEYCODE_DOWN},
                 {"<left>", KL_KEYCODE_LEFT},    {"<right>", KL_KEYCODE_RIGHT},
                 {"<enter>", KL_KEYCODE_ENTER},  {"<esc>", KL_KEYCODE_ESCAPE},
                 {"<pgup>", KL_KEYCODE_PAGE_UP}, {"<pgdn>", KL_KEYCODE_PAGE_DOWN},
                 {"<tab>", KL_KEYCODE_TAB},      {"<end>", KL_KEYCODE_END},
                 {"<home>", KL_KEYCODE_HOME}};

    while (*keys) {
        int code = *keys;
        size_t length = 1;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strncmp(keys, names[i].name, strlen(names[i].name)) == 0) {
                code = names[i].code;
                length = strlen(names[i].name);
            }
        keys += length;
        view.now += KL_SEC(1); /* and each screen was looked at */
        kl_view_is_on_screen(&view);
        view.now += KL_SEC(1);
        struct kl_input_event e = {.kind = KL_INPUT_KEY, .key = code, .at = view.now};
        struct kl_want w = kl_view_input(&view, &model, &e, rows, cols);
        if (w.kind != KL_WANT_NOTHING)
            printf("want %d: %s in slot %u%s%s\n", (int)w.kind,
                   kl_command_info(w.command.kind).name, w.command.slot,
                   w.command.argument[0] ? ": " : "", w.command.argument);
    }
}

static void control_bytes(char *text)
{
    char *out = text;

    for (; *text; text++) {
        if (text[0] == '\\' && text[1] == 'e') {
            *out++ = 0x1b;
            text++;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
}

static void read_line(char *line, int rows, int cols)
{
    struct kl_snapshot *s = &model.snap;
    char *key, *value, *at;

    if (strncmp(line, "bench", 5) == 0) {
        for (at = line + 5; (at = next_pair(at, &key, &value));)
            set_bench(key, value);
    } else if (strncmp(line, "slot", 4) == 0) {
        struct kl_slot_view *slot = &s->slot[s->slot_count++];
        slot->retry_at = slot->left = KL_NEVER;
        slot->since = s->at;
        for (at = line + 4; (at = next_pair(at, &key, &value));)
            set_slot(slot, key, value);
    } else if (strncmp(line, "figures", 7) == 0) {
        struct kl_stats_slot *f = &model.stats.slot[model.stats.slot_count++];
        for (at = line + 7; (at = next_pair(at, &key, &value));)
            set_figure(f, key, value);
    } else if (strncmp(line, "log ", 4) == 0) {
        control_bytes(line);
        kl_log_add(&model.log[s->slot_count - 1], line + 4);
    } else if (strncmp(line, "event ", 6) == 0) {
        kl_log_add(&model.events, line + 6);
    } else if (strncmp(line, "doubt ", 6) == 0) {
        struct kl_in_doubt *d = &model.in_doubt[model.in_doubt_count++];
        char mac[18];
        if (sscanf(line, "doubt %64s %17s", d->label, mac) != 2)
            exit(2);
        kl_mac_parse(mac, &d->mac);
    } else if (strncmp(line, "press ", 6) == 0) {
        press(line + 6, rows, cols);
    } else if (line[0] && line[0] != '#') {
        fprintf(stderr, "what is '%s'?\n", line);
        exit(2);
    }
}

static void print(struct kl_grid *g)
{
    for (int r = 0; r < g->rows; r++) {
        for (int c = 0; c < g->cols; c++)
            fputs(kl_grid_cell(g, r, c)->text, stdout);
        putchar('\n');
    }
    for (int r = 0; r < g->rows; r++) {
        for (int c = 0; c < g->cols; c++)
            putchar(style_letters[kl_grid_cell(g, r, c)->style]);
        putchar('\n');
    }
}

/* The table of docs/operating.md. */
static int print_keys(void)
{
    const char *keys, *what;

    printf("| key | what it does |\n| --- | --- |\n");
    for (unsigned i = 0; (keys = kl_view_binding(i, &what)); i++)
        printf("| `%s` | %s |\n", keys, what);
    return 0;
}

int main(int argc, char **argv)
{
    struct kl_grid grid;
    char line[1024];
    FILE *file;

    if (argc == 2 && strcmp(argv[1], "--keys") == 0)
        return print_keys();
    if (argc != 4 || !setlocale(LC_CTYPE, "C.UTF-8") || !(file = fopen(argv[1], "r")))
        return 2;
    model.connected = true;
    model.snap.at = KL_SEC(100000);
    model.expect_timeout = KL_SEC(10);
    model.snap.keys_empty_in = KL_NEVER;
    for (int i = 0; i < KL_SLOTS_MAX; i++)
        kl_log_init(&model.log[i], 200);
    kl_log_init(&model.events, 200);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        read_line(line, atoi(argv[2]), atoi(argv[3]));
    }
    fclose(file);
    if (!kl_grid_init(&grid, atoi(argv[2]), atoi(argv[3])))
        return 2;
    kl_view_follow(&view, &model);
    kl_view_draw(&model, &view, &grid);
    print(&grid);
    kl_grid_finish(&grid);
    for (int i = 0; i < KL_SLOTS_MAX; i++)
        kl_log_finish(&model.log[i]);
    kl_log_finish(&model.events);
    return 0;
}
