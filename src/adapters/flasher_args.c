/* flasher_args.c: ESP-IDF's list of images, build/flasher_args.json. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

static int mode_named(const char *name)
{
    static const char *const names[] = {"qio", "qout", "dio", "dout"};

    for (int i = 0; i < 4; i++)
        if (name && strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

/* The bootloader that ESP-IDF built already carries mode and frequency; they are only put in again
   where the options did not say otherwise. */
static void read_settings(struct parts *p, const json_t *root)
{
    const json_t *settings = json_object_get(root, "flash_settings");
    int mode = mode_named(json_string_value(json_object_get(settings, "flash_mode")));

    if (p->flash_mode < 0)
        p->flash_mode = mode;
}

static void read_chip(struct parts *p, const json_t *root, const char *path)
{
    const json_t *extra = json_object_get(root, "extra_esptool_args");
    const char *slug = json_string_value(json_object_get(extra, "chip"));
    const struct kl_chip *chip = slug ? kl_chip_by_slug(slug) : NULL;

    if (slug && !chip)
        problem(p, "%s: keyline does not know the chip %s", path, slug);
    else if (chip && p->chip == KL_CHIP_NONE)
        p->chip = chip->id;
    else if (chip && p->chip != chip->id)
        problem(p, "%s is for %s, but --chip says %s", path, chip->name, kl_chip(p->chip)->name);
}

static void add_file(struct parts *p, const char *list, const char *offset, const json_t *file)
{
    const char *name = json_string_value(file);
    const char *slash = strrchr(list, '/');
    char path[PATH_MAX], *end;
    unsigned long long at = strtoull(offset, &end, 0);

    if (!name || end == offset || *end || at > 0xffffffffu) {
        problem(p, "%s: flash_files has an entry that is no \"offset\": \"file\"", list);
        return;
    }
    snprintf(path, sizeof path, "%.*s%s", name[0] == '/' || !slash ? 0 : (int)(slash + 1 - list),
             list, name);
    add_part(p, ROLE_OTHER, path, (uint32_t)at, true);
}

bool read_flasher_args(struct parts *p, const char *path)
{
    json_error_t where;
    json_t *root = json_load_file(path, 0, &where);
    json_t *files = json_object_get(root, "flash_files");
    const char *offset;
    json_t *file;

    if (!root) {
        problem(p, "%s: %s", path, where.text);
        return false;
    }
    if (!json_is_object(files) || json_object_size(files) == 0)
        problem(p, "%s: it has no flash_files", path);
    read_chip(p, root, path);
    read_settings(p, root);
    json_object_foreach(files, offset, file)
    {
        add_file(p, path, offset, file);
    }
    json_decref(root);
    return true;
}
