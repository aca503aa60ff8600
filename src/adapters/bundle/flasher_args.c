#include "flasher_args.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *say(char why[KL_TEXT_MAX], const char *text)
{
    kl_copy(why, KL_TEXT_MAX, text);
    return why;
}

/* ESP-IDF writes only the mode that the loader needs: a "qio" build starts as DIO by itself. */
static int mode_named(const char *name)
{
    static const char *const names[] = {"qio", "qout", "dio", "dout"};

    for (int i = 0; i < 4; i++)
        if (name && strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static bool read_file(const char *offset, const json_t *name, struct kl_flasher_file *out)
{
    const char *text = json_string_value(name);
    char *end;
    unsigned long long at = strtoull(offset, &end, 0);

    if (!text || text[0] == '\0' || offset[0] < '0' || offset[0] > '9' || *end || at > UINT32_MAX)
        return false;
    out->offset = (uint32_t)at;
    return kl_copy(out->name, sizeof out->name, text);
}

static const char *read_files(json_t *files, struct kl_flasher_args *out, char why[KL_TEXT_MAX])
{
    const char *offset;
    json_t *name;

    if (!json_is_object(files) || json_object_size(files) == 0)
        return say(why, "has no flash_files: is it ESP-IDF's build/flasher_args.json?");
    if (json_object_size(files) > KL_REGIONS_MAX) {
        snprintf(why, KL_TEXT_MAX, "names %zu images; keyline takes %d at most",
                 json_object_size(files), KL_REGIONS_MAX);
        return why;
    }
    json_object_foreach(files, offset, name)
    {
        if (!read_file(offset, name, &out->file[out->count++]))
            return say(why, "has an entry in flash_files that is no \"offset\": \"file\"");
    }
    return NULL;
}

/* Each part stands in the list a second time under its own name, with a word on encryption. */
static bool any_encrypted(const json_t *root)
{
    const char *key;
    json_t *part;

    json_object_foreach((json_t *)(uintptr_t)root, key, part)
    {
        const char *word = json_string_value(json_object_get(part, "encrypted"));
        if (word && strcmp(word, "true") == 0)
            return true;
    }
    return false;
}

static const char *read_chip(const json_t *root, struct kl_flasher_args *out, char why[KL_TEXT_MAX])
{
    const json_t *chip = json_object_get(json_object_get(root, "extra_esptool_args"), "chip");

    if (json_is_string(chip) && !kl_copy(out->chip, sizeof out->chip, json_string_value(chip)))
        return say(why, "names a chip that keyline does not know");
    return NULL;
}

const char *kl_flasher_args_parse(const char *json, size_t size, struct kl_flasher_args *out,
                                  char why[KL_TEXT_MAX])
{
    json_error_t where;
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &where);
    const char *wrong;

    *out = (struct kl_flasher_args){.mode = -1};
    if (!root) {
        snprintf(why, KL_TEXT_MAX, "is no JSON (line %d): %.150s", where.line, where.text);
        return why;
    }
    wrong = read_files(json_object_get(root, "flash_files"), out, why);
    if (!wrong)
        wrong = read_chip(root, out, why);
    out->mode = mode_named(
        json_string_value(json_object_get(json_object_get(root, "flash_settings"), "flash_mode")));
    out->encrypted = any_encrypted(root);
    json_decref(root);
    return wrong;
}
