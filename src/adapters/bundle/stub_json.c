/* stub_json.c: flasher stubs from their JSON files (docs/esp-serial-protocol.md 8.1, 8.4). */
#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/host/regular.h"
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
    size_t size = strlen(text), end = size, n = 0;
    uint32_t bits = 0;
    uint8_t *bytes;

    while (end > 0 && size - end < 2 && text[end - 1] == '=')
        end--;
    if (size % 4 || size > STUB_BYTES_MAX || !(bytes = calloc(1, size + 4)))
        return false;
    for (size_t i = 0; i < end; i++) {
        int value = sextet(text[i]);
        if (value < 0) {
            free(bytes);
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 > 0)
            bytes[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
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

static bool fits_memory(uint32_t start, size_t size)
{
    return size <= UINT32_MAX - start;
}

/* What the file lacks, or NULL. */
static const char *read_stub(const json_t *root, struct kl_stub *stub)
{
    const char *text = json_string_value(json_object_get(root, "text"));
    const json_t *data = json_object_get(root, "data");

    if (!get_number(root, "entry", &stub->entry))
        return "entry";
    if (!get_number(root, "text_start", &stub->text_start))
        return "text_start";
    if (!text || !decode(text, &stub->text) || stub->text.size == 0 ||
        !fits_memory(stub->text_start, stub->text.size))
        return "text";
    if (stub->entry < stub->text_start || stub->entry - stub->text_start >= stub->text.size)
        return "an entry inside its text";
    if (!data)
        return NULL;
    if (!get_number(root, "data_start", &stub->data_start))
        return "data_start";
    if (!json_is_string(data) || !decode(json_string_value(data), &stub->data) ||
        !fits_memory(stub->data_start, stub->data.size))
        return "data";
    return NULL;
}

struct kl_stub *kl_stub_parse(const char *json, size_t size, char error[KL_TEXT_MAX])
{
    json_error_t where;
    json_t *root = json_loadb(json, size, 0, &where);
    struct kl_stub *stub = calloc(1, sizeof *stub);

    const char *lacks = NULL;

    error[0] = '\0';
    if (!root)
        snprintf(error, KL_TEXT_MAX, "is no JSON (line %d): %.150s", where.line, where.text);
    else if (!stub)
        kl_copy(error, KL_TEXT_MAX, "can't be read: out of memory");
    else if ((lacks = read_stub(root, stub)))
        snprintf(error, KL_TEXT_MAX, "is no flasher stub: it has no %s that makes sense", lacks);
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

static char *read_text(const char *path, size_t *size, const char **trouble)
{
    FILE *file = kl_fopen_regular(path, trouble);
    char *text = file ? malloc(STUB_BYTES_MAX) : NULL;

    if (text)
        *size = fread(text, 1, STUB_BYTES_MAX, file);
    if (file)
        fclose(file);
    return text;
}

/* NULL if the folder has no such file. NULL too if the file is no stub: then `bad` tells why. */
static struct kl_stub *load_one(const char *folder, const char *slug, char bad[KL_TEXT_MAX])
{
    char path[PATH_MAX], error[KL_TEXT_MAX];
    struct kl_stub *stub = NULL;
    const char *trouble;
    size_t size = 0;
    char *text;

    if ((size_t)snprintf(path, sizeof path, "%s/%s.json", folder, slug) >= sizeof path)
        return NULL;
    text = read_text(path, &size, &trouble);
    if (!text && errno == EINVAL)
        kl_format(bad, KL_TEXT_MAX, "; %s.json is %s", slug, trouble);
    if (text) {
        stub = kl_stub_parse(text, size, error);
        if (!stub)
            kl_format(bad, KL_TEXT_MAX, "; %s.json %s", slug, error);
    }
    free(text);
    return stub;
}

static unsigned load_folder(const char *folder, struct kl_stubs *s, char bad[KL_TEXT_MAX])
{
    unsigned found = 0;

    for (unsigned id = 1; id < KL_CHIP_COUNT; id++) {
        s->chip[id] = load_one(folder, kl_chip((enum kl_chip_id)id)->slug, bad);
        found += s->chip[id] != NULL;
    }
    if (found)
        s->p4_rev1 = load_one(folder, "esp32p4-rev1", bad);
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

/* Flashers that people have installed bring stubs too: the new ones in a folder 2, the older ones
   in a folder 1 (8.4). Returns how many were found; `folder` is where. */
static unsigned load_installed(struct kl_stubs *s, char folder[PATH_MAX], char bad[KL_TEXT_MAX])
{
    static const char *const roots[] = {
        "~/.espressif/python_env/*/lib/python3*/site-packages",
        "~/.local/lib/python3*/site-packages",
        "~/.platformio/packages/tool-esptoolpy",
        "/usr/local/lib/python3*/dist-packages",
        "/usr/lib/python3/dist-packages",
    };
    char pattern[PATH_MAX];
    unsigned found = 0;

    for (unsigned i = 0; i < 2 * (sizeof roots / sizeof roots[0]) && found == 0; i++) {
        glob_t places;
        snprintf(pattern, sizeof pattern, "%s/esptool/targets/stub_flasher/%d", roots[i / 2],
                 i % 2 ? 1 : 2);
        if (glob(pattern, GLOB_TILDE, NULL, &places) != 0)
            continue;
        for (size_t n = places.gl_pathc; n > 0 && found == 0; n--) { /* newest first */
            kl_copy(folder, PATH_MAX, places.gl_pathv[n - 1]);
            found = load_folder(folder, s, bad);
        }
        globfree(&places);
    }
    return found;
}

struct kl_stubs *kl_stubs_load(const char *where, char note[KL_TEXT_MAX])
{
    char folder[PATH_MAX], bad[KL_TEXT_MAX] = "";
    bool search = strcmp(where, "auto") == 0;
    struct kl_stubs *s;
    unsigned found = 0;

    kl_copy(note, KL_TEXT_MAX, "flasher stubs are switched off: the ROM loaders are used");
    if (strcmp(where, "none") == 0 || !(s = calloc(1, sizeof *s)))
        return NULL;
    kl_copy(folder, sizeof folder, where);
    if (!search)
        found = load_folder(where, s, bad);
    for (unsigned i = 0; search && found == 0 && usual_place(i, folder); i++)
        found = folder[0] ? load_folder(folder, s, bad) : 0;
    if (search && found == 0)
        found = load_installed(s, folder, bad);
    if (found)
        kl_format(note, KL_TEXT_MAX, "flasher stubs for %u chips from %s%s", found, folder, bad);
    else
        kl_format(note, KL_TEXT_MAX, "no flasher stubs found%s%s: the ROM loaders are used%s",
                  search ? "" : " in ", search ? "" : where, bad);
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
