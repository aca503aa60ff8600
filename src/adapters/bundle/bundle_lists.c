/* bundle_lists.c: the lists of images that builds leave, and where the files of one are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

/* keyline looks for them in this order. */
static const char *const list_files[] = {"flasher_args.json", "flash_args", "flash_project_args",
                                         "download.config", NULL};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

bool is_list(const char *path)
{
    for (unsigned i = 1; list_files[i]; i++)
        if (strcmp(name_in(path), list_files[i]) == 0)
            return true;
    return ends_with(path, ".json") || ends_with(path, "_args") || ends_with(path, ".config");
}

/* NULL, or what is wrong with the list. */
static const char *parse(const char *list, struct kl_flasher_args *args, char why[KL_TEXT_MAX])
{
    const char *wrong = NULL;
    size_t size = 0;
    uint8_t *text = read_whole_file(list, &size, &wrong);

    if (!text)
        return wrong;
    wrong = ends_with(list, ".json") ? kl_flasher_args_parse((const char *)text, size, args, why)
                                     : kl_flash_args_parse((const char *)text, size, args, why);
    free(text);
    return wrong;
}

bool load_list(struct parts *p, const char *list, struct kl_flasher_args *args)
{
    char why[KL_TEXT_MAX];
    const char *wrong = parse(list, args, why);

    if (wrong)
        problem(p, wrong == why ? "%s %s" : "%s: %s", list, wrong);
    return !wrong;
}

bool list_beside(const char *path, char list[PATH_MAX], struct kl_flasher_args *args)
{
    char why[KL_TEXT_MAX];

    for (unsigned i = 0; list_files[i]; i++)
        if (beside(list, path, list_files[i]) && is_file(list) && !parse(list, args, why))
            return true;
    return false;
}

/* Lists come from other computers, and exports flatten the folders of a build. So this tries ever
   shorter ends of the file's path beside the list, at last its name alone. */
bool file_of_list(const char *list, const char *name, char out[PATH_MAX])
{
    if (name[0] == '/' && kl_copy(out, PATH_MAX, name) && is_file(out))
        return true;
    for (const char *rest = name; rest; rest = strchr(rest, '/') ? strchr(rest, '/') + 1 : NULL)
        if (rest[0] != '/' && rest[0] != '\0' && beside(out, list, rest) && is_file(out))
            return true;
    return false;
}

/* Arduino keeps this file in its package. Its contents are always the same. */
static bool is_boot_app0(const char *name)
{
    return strcmp(name_in(name), "boot_app0.bin") == 0;
}

bool list_is_whole(const char *list, const struct kl_flasher_args *args)
{
    char path[PATH_MAX];

    for (unsigned i = 0; i < args->count; i++)
        if (!file_of_list(list, args->file[i].name, path) && !is_boot_app0(args->file[i].name))
            return false;
    return true;
}

bool list_names(const struct kl_flasher_args *args, const char *name)
{
    for (unsigned i = 0; i < args->count; i++)
        if (strcmp(name_in(args->file[i].name), name) == 0)
            return true;
    return false;
}

static void take_chip(struct parts *p, const char *list, const char *slug)
{
    const struct kl_chip *chip = kl_chip_by_slug(slug);

    if (!chip)
        problem(p, "%s is for %s, a chip that keyline does not know", list, slug);
    else if (p->chip == KL_CHIP_NONE)
        p->chip = chip->id;
    else if (p->chip != chip->id)
        problem(p, "%s is for %s, but --chip says %s; use the build for your boards", list,
                chip->name, kl_chip(p->chip)->name);
}

static void take_file(struct parts *p, const char *list, const struct kl_flasher_file *file)
{
    char path[PATH_MAX];

    if (file_of_list(list, file->name, path))
        add_named(p, ROLE_OTHER, path, file->offset);
    else if (is_boot_app0(file->name)) {
        p->wants_first_slot = true;
        found(p, "boot_app0.bin is not beside %s: keyline makes the choice that it holds", list);
    } else if (beside(path, list, file->name))
        add_named(p, ROLE_OTHER, file->name[0] == '/' ? file->name : path, file->offset);
}

void take_list(struct parts *p, const char *list, const struct kl_flasher_args *args)
{
    found(p, "%s lists the images", list);
    if (args->chip[0] && strcmp(args->chip, "auto") != 0)
        take_chip(p, list, args->chip);
    if (p->flash_mode < 0)
        p->flash_mode = args->mode;
    p->keep_size |= args->keep_size;
    p->encrypts = args->encrypted;
    if (args->encrypted)
        warning(p,
                "%s: this build encrypts the flash when it first starts: a board can be flashed "
                "only once",
                list);
    if (args->has_app)
        p->wanted = args->app;
    for (unsigned i = 0; i < args->count; i++)
        take_file(p, list, &args->file[i]);
}
