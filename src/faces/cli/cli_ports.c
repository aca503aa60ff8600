/* cli_ports.c: `keyline ports`: which ports there are, which would be used, and which slot is
 * where. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "config_files.h"
#include "faces/stream/json_text.h"
#include "keyline/slots_file.h"

enum {
    PORTS_MAX = 256,
    POLL_MS = 250,
};

struct ports_args {
    struct kl_port_rules rules;
    uint32_t ids[OPTION_LIST_MAX];
    struct option_list usb_ids, exclude, only;
    const char *slots, *teach, *config;
    bool json, help;
};

static int list(struct kl_port_info ports[PORTS_MAX], const struct kl_port_rules *rules)
{
    int count = kl_ports_list(ports, PORTS_MAX, rules);
    return count > PORTS_MAX ? PORTS_MAX : count;
}

/* ---- showing ---- */

static const char *slot_name(const struct kl_slots_file *slots, const struct kl_port_info *p)
{
    int slot = p->topology[0] != '\0' ? kl_slots_find(slots, p->topology) : -1;
    if (slot < 0)
        slot = kl_slots_find(slots, p->path);
    return slot >= 0 ? slots->slot[slot].name : "";
}

enum {
    COLUMNS = 7
};

static void cells(const struct kl_slots_file *slots, const struct kl_port_info *p, char id[10],
                  const char *out[COLUMNS])
{
    id[0] = '\0';
    if (p->vid != 0)
        snprintf(id, 10, "%04x:%04x", p->vid, p->pid);
    out[0] = slot_name(slots, p);
    out[1] = p->path;
    out[2] = p->topology;
    out[3] = id;
    out[4] = p->driver;
    out[5] = p->serial;
    out[6] = p->usable ? "yes" : "no";
}

static void show_table(const struct kl_port_info *ports, int count,
                       const struct kl_slots_file *slots)
{
    static const char *const titles[COLUMNS] = {"SLOT",   "PORT",   "PLACE", "USB ID",
                                                "DRIVER", "SERIAL", "USED"};
    int width[COLUMNS];
    const char *cell[COLUMNS];
    char id[10];
    for (int c = 0; c < COLUMNS; c++)
        width[c] = (int)strlen(titles[c]);
    for (int i = 0; i < count; i++) {
        cells(slots, &ports[i], id, cell);
        for (int c = 0; c < COLUMNS; c++)
            if ((int)strlen(cell[c]) > width[c])
                width[c] = (int)strlen(cell[c]);
    }
    int first = slots->count > 0 ? 0 : 1;
    for (int c = first; c < COLUMNS; c++)
        printf("%-*s  ", width[c], titles[c]);
    puts("WHY");
    for (int i = 0; i < count; i++) {
        cells(slots, &ports[i], id, cell);
        for (int c = first; c < COLUMNS; c++)
            printf("%-*s  ", width[c], cell[c]);
        puts(ports[i].why);
    }
    if (count == 0)
        puts("no serial ports");
}

static void show_json(const struct kl_port_info *ports, int count,
                      const struct kl_slots_file *slots)
{
    json_t *all = json_array();
    for (int i = 0; i < count; i++) {
        const struct kl_port_info *p = &ports[i];
        const char *cell[COLUMNS];
        char id[10];
        cells(slots, p, id, cell);
        json_t *one = json_object();
        json_object_set_new(one, "port", kl_json_text(p->path));
        json_object_set_new(one, "place", kl_json_text(p->topology));
        json_object_set_new(one, "slot", kl_json_text(cell[0]));
        json_object_set_new(one, "usb_id", kl_json_text(id));
        json_object_set_new(one, "driver", kl_json_text(p->driver));
        json_object_set_new(one, "serial", kl_json_text(p->serial));
        json_object_set_new(one, "manufacturer", kl_json_text(p->manufacturer));
        json_object_set_new(one, "product", kl_json_text(p->product));
        json_object_set_new(one, "used", json_boolean(p->usable));
        json_object_set_new(one, "why", kl_json_text(p->why));
        json_array_append_new(all, one);
    }
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

static int show(const struct ports_args *a)
{
    static struct kl_port_info ports[PORTS_MAX];
    static struct kl_slots_file slots;
    char error[KL_TEXT_MAX];
    if (a->slots && !kl_slots_read(a->slots, &slots, error)) {
        fprintf(stderr, "keyline ports: %s\n", error);
        return KL_EXIT_INPUT;
    }
    int count = list(ports, &a->rules);
    if (count < 0)
        count = 0; /* a machine without any: no sysfs class */
    if (a->json)
        show_json(ports, count, &slots);
    else
        show_table(ports, count, &slots);
    return KL_EXIT_OK;
}

/* ---- teaching ---- */

static int save(const char *path, const struct kl_teach *t)
{
    char error[KL_TEXT_MAX];
    if (kl_slots_write(path, &t->file, error))
        return KL_EXIT_OK;
    fprintf(stderr, "keyline ports: %s\n", error);
    return KL_EXIT_STORE;
}

/* Reads what was typed; false when the person is finished. */
static bool take_typed(const struct ports_args *a, struct kl_teach *t, int slot, int *status)
{
    char line[KL_NAME_MAX + 2];
    if (!fgets(line, sizeof line, stdin))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0')
        return false;
    if (slot < 0)
        puts("plug a board in first, then type its slot's name");
    else if (!kl_teach_rename(t, (unsigned)slot, line))
        puts("this name is taken, too long, or has a character that a name can't have");
    else {
        printf("%s = %s\n", t->file.slot[slot].name, t->file.slot[slot].where);
        *status = save(a->teach, t);
    }
    return *status == KL_EXIT_OK;
}

static int see_ports(const struct ports_args *a, struct kl_teach *t, int *slot)
{
    static struct kl_port_info ports[PORTS_MAX];
    int count = list(ports, &a->rules), found, status = KL_EXIT_OK;
    bool known = false;
    while (status == KL_EXIT_OK && (found = kl_teach_look(t, ports, count, &known)) >= 0) {
        *slot = found;
        printf("%s = %s%s\n", t->file.slot[found].name, t->file.slot[found].where,
               known ? "  (known already)" : "");
        if (!known)
            status = save(a->teach, t);
    }
    return status;
}

static int teach(const struct ports_args *a)
{
    static struct kl_teach t;
    char error[KL_TEXT_MAX];
    if (access(a->teach, F_OK) == 0 && !kl_slots_read(a->teach, &t.file, error)) {
        fprintf(stderr, "keyline ports: %s\n", error);
        return KL_EXIT_INPUT;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("Plug a board into one socket after another, in the order of the slots.\n"
         "Type a name to rename the last one; Enter alone ends. Boards that are plugged in\n"
         "already count once they are plugged in anew.");
    struct pollfd typed = {.fd = STDIN_FILENO, .events = POLLIN};
    int slot = -1, status = KL_EXIT_OK;
    while ((status = see_ports(a, &t, &slot)) == KL_EXIT_OK)
        if (poll(&typed, 1, POLL_MS) > 0 && !take_typed(a, &t, slot, &status))
            break;
    if (status == KL_EXIT_OK)
        status = save(a->teach, &t);
    if (status == KL_EXIT_OK)
        printf("%s: %u slots\n", a->teach, t.file.count);
    return status;
}

/* ---- the command line ---- */

#define AT(member) offsetof(struct ports_args, member)

static const struct option options[] = {
    TYPED_FLAG("json", 0, json, "as JSON"),
    TEXT("slots", slots, "FILE", "show the slot names of this file"),
    TYPED_TEXT("teach", teach, "FILE",
               "write such a file: plug a board into one socket after another"),
    LIST("usb-id", usb_ids, "VID:PID", "take boards with this USB id too (any number of times)"),
    LIST("exclude", exclude, "PORT",
         "a path or place that is not to be used (any number of times)"),
    LIST("port", only, "PORT", "use only this path or place (any number of times)"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

const struct command kl_command_ports = {
    .name = "ports",
    .run = kl_cli_ports,
    .options = OPTION_TABLE(options),
    .words = "[options]",
    .summary = "which ports there are, and which would be used",
    .about =
        "Lists every serial port: where it is plugged in, whether keyline would use it, and why.",
    .after = "exit status: 0 done, 2 usage, 3 a bad slots file, 6 the file can't be written\n",
};

/* False if the text of a USB id is not one. */
static bool take_rules(struct ports_args *a, char error[KL_TEXT_MAX])
{
    for (unsigned i = 0; i < a->usb_ids.count; i++) {
        if (!kl_ports_parse_id(a->usb_ids.item[i], &a->ids[i])) {
            kl_format(error, KL_TEXT_MAX, "no USB id like 10c4:ea60: %s", a->usb_ids.item[i]);
            return false;
        }
    }
    a->rules = (struct kl_port_rules){.extra_ids = a->ids,
                                      .extra_id_count = a->usb_ids.count,
                                      .exclude = a->exclude.item,
                                      .exclude_count = a->exclude.count,
                                      .only = a->only.item,
                                      .only_count = a->only.count};
    return true;
}

int kl_cli_ports(int argc, char **argv)
{
    static struct ports_args a;
    char error[KL_TEXT_MAX];

    a = (struct ports_args){.json = false};
    if (!config_parse(kl_command_ports.options, argv + (argc > 0), &a, NULL, error))
        return command_wrong(&kl_command_ports, error);
    if (a.help)
        return command_help(&kl_command_ports);
    if (!take_rules(&a, error))
        return command_wrong(&kl_command_ports, error);
    if (a.teach && (a.json || config_typed(kl_command_ports.options, "slots")))
        return command_wrong(&kl_command_ports, "--teach goes without --json and --slots");
    return a.teach ? teach(&a) : show(&a);
}
