/* stub_json.c: flasher stubs from their JSON files (docs/esp-serial-protocol.md 8.1, 8.4). */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyline/bundle_load.h"

enum {
    STUB_BYTES_MAX = 256 * 1024
};

static int sextet(char c)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? (int)(at - letters) : -1;
}

/* Base64 (RFC 4648) into a buffer padded with zeros to a multiple of 4. False if it is none. */
static bool decode(const char *text, struct kl_span *out)
{
    size_t size = strlen(text), n = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    uint8_t *bytes;

    if (size > STUB_BYTES_MAX || !(bytes = calloc(1, size + 4)))
        return false;
    while (size > 0 && text[size - 1] == '=')
        size--;
    for (size_t i = 0; i < size; i++) {
        int value = sextet(text[i]);
        if (value < 0) {
            free(bytes);
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[n++] = (uint8_t)(bits >> have);
        }
    }
    *out = (struct kl_span){bytes, (n + 3) / 4 * 4};
    return true;
}

static bool get_number(const json_t *root, const char *name, uint32_t *out)
{
    const json_t *value = json_object_get(root, name);
    json_int_t n = json_integer_value(value);

    *out = (uint32_t)n;
    return json_is_integer(value) && n >= 0 && n <= UINT32_MAX;
}

static bool read_stub(const json_t *root, struct kl_stub *stub)
{
    const char *text = json_string_value(json_object_get(root, "text"));
    const char *data = json_string_value(json_object_get(root, "data"));

    if (!get_number(root, "entry", &stub->entry) ||
        !get_number(root, "text_start", &stub->text_start) || !text || !decode(text, &stub->text) ||
        stub->text.size == 0)
        return false;
    return !data ||
           (get_number(root, "data_start", &stub->data_start) && decode(data, &stub->data));
}

struct kl_stub *kl_stub_parse(const char *json, size_t size, char error[KL_TEXT_MAX])
{
    json_error_t where;
    json_t *root = json_loadb(json, size, 0, &where);
    struct kl_stub *stub = calloc(1, sizeof *stub);

    error[0] = '\0';
    if (!root)
        snprintf(error, KL_TEXT_MAX, "is no JSON: %s (line %d)", where.text, where.line);
    else if (!stub || !read_stub(root, stub))
        snprintf(error, KL_TEXT_MAX,
                 "is no flasher stub: entry, text or text_start is missing or "
                 "wrong");
    json_decref(root);
    if (error[0] == '\0')
        return stub;
    kl_stub_free(stub);
    return NULL;
}

void kl_stub_free(struct kl_stub *s)
{
    if (!s)
        return;
    free((void *)(uintptr_t)s->text.data);
    free((void *)(uintptr_t)s->data.data);
    free(s);
}

static char *read_text(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(STUB_BYTES_MAX) : NULL;

    if (text)
        *size = fread(text, 1, STUB_BYTES_MAX, file);
    if (file)
        fclose(file);
    return text;
}

/* NULL if there is none there, or it is no stub: then the note tells. */
static struct kl_stub *load_one(const char *folder, const char *slug, char note[KL_TEXT_MAX])
{
    char path[PATH_MAX], error[KL_TEXT_MAX];
    struct kl_stub *stub = NULL;
    size_t size = 0;
    char *text;

    if ((size_t)snprintf(path, sizeof path, "%s/%s.json", folder, slug) >= sizeof path)
        return NULL;
    text = read_text(path, &size);
    if (text) {
        stub = kl_stub_parse(text, size, error);
        if (!stub)
            kl_format(note, KL_TEXT_MAX, "%s.json %s", slug, error);
    }
    free(text);
    return stub;
}

static unsigned load_folder(const char *folder, struct kl_stubs *s, char note[KL_TEXT_MAX])
{
    unsigned found = 0;

    for (unsigned id = 1; id < KL_CHIP_COUNT; id++) {
        s->chip[id] = load_one(folder, kl_chip((enum kl_chip_id)id)->slug, note);
        found += s->chip[id] != NULL;
    }
    s->p4_rev1 = load_one(folder, "esp32p4-rev1", note);
    return found;
}

/* Where an installation or a build keeps them, best first; false past the last. */
static bool usual_place(unsigned i, char out[PATH_MAX])
{
    static const char *const beside[] = {"../share/keyline/stubs", "../stubs", "stubs"};
    char exe[PATH_MAX];
    ssize_t n;
    char *slash;

    if (i == 0) {
        const char *set = getenv("KEYLINE_STUB_DIR");
        snprintf(out, PATH_MAX, "%s", set && set[0] ? set : KEYLINE_STUB_DIR);
        return true;
    }
    if (i > sizeof beside / sizeof beside[0])
        return false;
    n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    if ((size_t)snprintf(out, PATH_MAX, "%s/%s", exe, beside[i - 1]) >= PATH_MAX)
        out[0] = '\0';
    return true;
}

struct kl_stubs *kl_stubs_load(const char *where, char note[KL_TEXT_MAX])
{
    struct kl_stubs *s;
    char folder[PATH_MAX];
    unsigned found = 0;

    kl_copy(note, KL_TEXT_MAX, "flasher stubs are switched off: the ROM loaders are used");
    if (strcmp(where, "none") == 0 || !(s = calloc(1, sizeof *s)))
        return NULL;
    note[0] = '\0';
    if (strcmp(where, "auto") != 0) {
        found = load_folder(where, s, note);
        kl_copy(folder, sizeof folder, where);
    } else {
        for (unsigned i = 0; found == 0 && usual_place(i, folder); i++)
            found = folder[0] ? load_folder(folder, s, note) : 0;
    }
    if (found)
        kl_format(note, KL_TEXT_MAX, "flasher stubs for %u chips from %s", found, folder);
    else if (note[0] == '\0')
        kl_format(note, KL_TEXT_MAX, "no flasher stubs found%s%s: the ROM loaders are used",
                  strcmp(where, "auto") ? " in " : "", strcmp(where, "auto") ? where : "");
    return s;
}

void kl_stubs_free(struct kl_stubs *s)
{
    if (!s)
        return;
    for (unsigned id = 0; id < KL_CHIP_COUNT; id++)
        kl_stub_free((struct kl_stub *)(uintptr_t)s->chip[id]);
    kl_stub_free((struct kl_stub *)(uintptr_t)s->p4_rev1);
    free(s);
}
