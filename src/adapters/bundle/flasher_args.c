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

/* The text without its byte order mark, in single bytes. NULL if memory is out; free() it. */
static char *plain_text(const char *text, size_t *size)
{
    bool wide = *size >= 2 && memcmp(text, "\xff\xfe", 2) == 0;
    size_t from = wide ? 2 : *size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t step = wide ? 2 : 1, n = 0;
    char *out = malloc(*size + 1);

    if (!out)
        return NULL;
    for (size_t i = from; i < *size; i += step)
        out[n++] = text[i];
    out[n] = '\0';
    *size = n;
    return out;
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

static bool read_offset(const char *text, uint32_t *out)
{
    char *end;
    unsigned long long at;

    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    at = strtoull(text, &end, 0);
    *out = (uint32_t)at;
    return *end == '\0' && at < UINT32_MAX;
}

/* Windows writes its paths with backslashes. */
static bool read_name(const char *text, char out[KL_FLASHER_NAME_MAX])
{
    if (!text || text[0] == '\0' || !kl_copy(out, KL_FLASHER_NAME_MAX, text))
        return false;
    for (char *c = out; *c; c++)
        if (*c == '\\')
            *c = '/';
    return true;
}

static const char *too_many(size_t count, char why[KL_TEXT_MAX])
{
    snprintf(why, KL_TEXT_MAX, "names %zu images; keyline takes %d at most", count, KL_IMAGES_MAX);
    return why;
}

/* ---- flasher_args.json ---- */

static const char *read_files(json_t *files, struct kl_flasher_args *out, char why[KL_TEXT_MAX])
{
    const char *offset;
    json_t *name;

    if (!json_is_object(files) || json_object_size(files) == 0)
        return say(why, "has no flash_files: is it ESP-IDF's build/flasher_args.json?");
    if (json_object_size(files) > KL_IMAGES_MAX)
        return too_many(json_object_size(files), why);
    json_object_foreach(files, offset, name)
    {
        struct kl_flasher_file *file = &out->file[out->count++];
        if (!read_offset(offset, &file->offset) || !read_name(json_string_value(name), file->name))
            return say(why, "has an entry in flash_files that is no \"offset\": \"file\"");
    }
    return NULL;
}

/* The list holds each part a second time, under its own name. There it says whether to encrypt
   it. */
static bool any_encrypted(const json_t *root)
{
    const char *key;
    json_t *part;

    json_object_foreach((json_t *)(uintptr_t)root, key, part)
    {
        const json_t *word = json_object_get(part, "encrypted");
        const char *text = json_string_value(word);
        if (json_is_true(word) || (text && strcmp(text, "true") == 0))
            return true;
    }
    return false;
}

static bool read_place(const json_t *root, const char *key, uint32_t *out)
{
    return read_offset(json_string_value(json_object_get(json_object_get(root, key), "offset")),
                       out);
}

static const char *read_chip(const json_t *root, struct kl_flasher_args *out, char why[KL_TEXT_MAX])
{
    const json_t *chip = json_object_get(json_object_get(root, "extra_esptool_args"), "chip");

    if (json_is_string(chip) && !kl_copy(out->chip, sizeof out->chip, json_string_value(chip)))
        return say(why, "names a chip that keyline does not know");
    return NULL;
}

static void read_settings(const json_t *root, struct kl_flasher_args *out)
{
    const json_t *settings = json_object_get(root, "flash_settings");
    const char *size = json_string_value(json_object_get(settings, "flash_size"));

    out->mode = mode_named(json_string_value(json_object_get(settings, "flash_mode")));
    out->keep_size = size && strcmp(size, "keep") == 0;
    out->encrypted = any_encrypted(root);
    out->has_app = read_place(root, "app", &out->app);
    out->has_table = read_place(root, "partition-table", &out->table) ||
                     read_place(root, "partition_table", &out->table);
}

const char *kl_flasher_args_parse(const char *json, size_t size, struct kl_flasher_args *out,
                                  char why[KL_TEXT_MAX])
{
    char *text = plain_text(json, &size);
    json_error_t where = {.line = 0};
    json_t *root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &where) : NULL;
    const char *wrong;

    *out = (struct kl_flasher_args){.mode = -1};
    free(text);
    if (!root) {
        snprintf(why, KL_TEXT_MAX, "is no JSON (line %d): %.150s", where.line, where.text);
        return why;
    }
    wrong = read_files(json_object_get(root, "flash_files"), out, why);
    if (!wrong)
        wrong = read_chip(root, out, why);
    read_settings(root, out);
    json_decref(root);
    return wrong;
}

/* ---- the words of a command line ---- */

/* The next word, without its quotes, ended in place; NULL behind the last one. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t\r\n"), *end;

    if (*word == '\0')
        return NULL;
    if (*word == '"' || *word == '\'') {
        end = strchr(word + 1, *word);
        word++;
    } else {
        end = word + strcspn(word, " \t\r\n");
    }
    if (!end)
        end = word + strlen(word);
    *rest = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

/* "--flash_mode" and "--flash-mode" are one. */
static bool is_option(const char *word, const char *name)
{
    for (; *name; word++, name++)
        if (*word != *name && !(*word == '_' && *name == '-'))
            return false;
    return *word == '\0';
}

static void take_option(struct kl_flasher_args *out, const char *option, const char *value)
{
    if (is_option(option, "--flash-mode"))
        out->mode = mode_named(value);
    else if (is_option(option, "--flash-size"))
        out->keep_size = strcmp(value, "keep") == 0;
    else if (is_option(option, "--chip"))
        kl_copy(out->chip, sizeof out->chip, value);
}

static bool has_value(const char *option)
{
    static const char *const names[] = {"--flash-mode", "--flash-freq", "--flash-size",
                                        "--chip",       "--port",       "--baud",
                                        "--before",     "--after",      "--connect-attempts",
                                        "-fm",          "-ff",          "-fs",
                                        "-c",           "-p",           "-b",
                                        "--spi",        "--override"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_option(option, names[i]))
            return true;
    return false;
}

static const char *take_words(char *rest, struct kl_flasher_args *out, char why[KL_TEXT_MAX])
{
    uint32_t offset = 0;

    for (char *word; (word = next_word(&rest));) {
        char *value = word[0] == '-' ? strchr(word, '=') : NULL;
        if (value)
            *value++ = '\0';
        else if ((word[0] == '-' && has_value(word)) || read_offset(word, &offset))
            value = next_word(&rest);
        else
            continue; /* a switch, or the name of a command */
        if (word[0] == '-') {
            take_option(out, word, value ? value : "");
            out->encrypted |= is_option(word, "--encrypt-files");
            continue;
        }
        if (out->count == KL_IMAGES_MAX)
            return too_many(KL_IMAGES_MAX + 1, why);
        if (!read_name(value, out->file[out->count].name))
            return say(why, "names an offset without its file");
        out->file[out->count++].offset = offset;
    }
    return out->count ? NULL : say(why, "names no images: is it a build's flash_args?");
}

const char *kl_flash_args_parse(const char *text, size_t size, struct kl_flasher_args *out,
                                char why[KL_TEXT_MAX])
{
    char *plain = plain_text(text, &size);
    const char *wrong;

    *out = (struct kl_flasher_args){.mode = -1};
    if (!plain)
        return say(why, "takes more memory than there is");
    wrong = take_words(plain, out, why);
    free(plain);
    return wrong;
}
