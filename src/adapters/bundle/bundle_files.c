#include "bundle_files.h"

#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "flasher_args.h"

enum {
    FILE_BYTES_MAX = 128 << 20 /* the largest flash that an image header can name */
};

enum added {
    ADDED,
    ABSENT,
    UNREADABLE /* a problem was said */
};

__attribute__((format(printf, 3, 0))) static void
say(char lines[][KL_TEXT_MAX * 2], unsigned *count, const char *format, va_list args)
{
    if (*count < KL_BUNDLE_PROBLEMS_MAX)
        vsnprintf(lines[(*count)++], KL_TEXT_MAX * 2, format, args);
}

void problem(struct parts *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(p->report->problem, &p->report->problem_count, format, args);
    va_end(args);
}

void warning(struct parts *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(p->report->warning, &p->report->warning_count, format, args);
    va_end(args);
}

const char *file_name(const struct part *part)
{
    const char *slash = strrchr(part->path, '/');

    return slash ? slash + 1 : part->path;
}

struct part *part_with(struct parts *p, enum role role)
{
    for (unsigned i = 0; i < p->count; i++)
        if (p->part[i].role == role)
            return &p->part[i];
    return NULL;
}

uint64_t end_of(const struct part *part)
{
    return ((uint64_t)part->offset + part->size + SECTOR - 1) / SECTOR * SECTOR;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static const char *unfit(const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return "it is a folder, not a file";
    if (!S_ISREG(st->st_mode))
        return "it is not a plain file";
    if (st->st_size == 0)
        return "the file is empty; build it again or copy it again";
    return st->st_size > FILE_BYTES_MAX ? "the file is larger than any flash" : NULL;
}

static uint8_t *read_open_file(FILE *file, size_t *size, const char **why)
{
    uint8_t *data = NULL;
    struct stat st;

    if (fstat(fileno(file), &st) != 0) {
        *why = strerror(errno);
        return NULL;
    }
    if ((*why = unfit(&st)) != NULL)
        return NULL;
    *size = (size_t)st.st_size;
    *why = "out of memory";
    data = malloc(*size);
    if (data && fread(data, 1, *size, file) != *size) {
        *why = "it could not be read to its end";
        free(data);
        data = NULL;
    }
    return data;
}

/* NULL and why, with errno ENOENT if there is no such file. */
static uint8_t *read_file(const char *path, size_t *size, const char **why)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;

    if (!file) {
        *why = strerror(errno);
        return NULL;
    }
    data = read_open_file(file, size, why);
    fclose(file);
    errno = 0;
    return data;
}

static enum added add_part(struct parts *p, enum role role, const char *path, uint32_t offset)
{
    struct part *part = &p->part[p->count];
    const char *why = NULL;

    if (p->count == KL_REGIONS_MAX) {
        problem(p, "%s: keyline takes %d images at most", path, KL_REGIONS_MAX);
        return UNREADABLE;
    }
    *part = (struct part){.role = role, .offset = offset};
    if (!kl_copy(part->path, sizeof part->path, path)) {
        problem(p, "%.100s…: the path is too long", path);
        return UNREADABLE;
    }
    part->data = read_file(path, &part->size, &why);
    if (part->data) {
        p->count++;
        return ADDED;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        return ABSENT;
    problem(p, "%s: %s", path, why);
    return UNREADABLE;
}

/* A file that the person named. */
static bool add_named(struct parts *p, enum role role, const char *path, uint32_t offset)
{
    enum added added = add_part(p, role, path, offset);

    if (added == ABSENT)
        problem(p, "%s: no such file; check the path, or build it first", path);
    return added == ADDED;
}

/* ---- beside the firmware ----------------------------------------------------------------------
 */

static bool beside(char out[PATH_MAX], const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;

    return snprintf(out, PATH_MAX, "%.*s%s", folder, path, name) < PATH_MAX;
}

static enum added add_beside(struct parts *p, enum role role, const char *firmware,
                             const char *const *names, uint32_t offset)
{
    char path[PATH_MAX];

    for (unsigned i = 0; names[i]; i++) {
        enum added added =
            beside(path, firmware, names[i]) ? add_part(p, role, path, offset) : ABSENT;
        if (added != ABSENT)
            return added;
    }
    return ABSENT;
}

static bool is_8266(const struct part *part, const struct kl_bundle_options *options)
{
    struct kl_image_info info;
    char why[KL_TEXT_MAX];

    if (options->chip != KL_CHIP_NONE)
        return options->chip == KL_CHIP_ESP8266;
    return !kl_image_read(part->data, part->size, &info, why) && info.chip == KL_CHIP_ESP8266;
}

static void add_companions(struct parts *p, const char *firmware)
{
    static const char *const bootloaders[] = {"bootloader.bin", NULL};
    static const char *const tables[] = {"partitions.bin", "partition.bin", "partition-table.bin",
                                         NULL};
    static const char *const ota_data[] = {"boot_app0.bin", "ota_data_initial.bin", NULL};

    if (add_beside(p, ROLE_BOOTLOADER, firmware, bootloaders, OFFSET_UNKNOWN) == ABSENT)
        problem(p,
                "%s: there is no bootloader.bin beside it; put it there, or name all images with "
                "--image",
                firmware);
    if (add_beside(p, ROLE_TABLE, firmware, tables, KL_PARTITION_TABLE_OFFSET) == ABSENT)
        problem(p,
                "%s: there is no partitions.bin, partition.bin or partition-table.bin beside it; "
                "put it there, or name all images with --image",
                firmware);
    add_beside(p, ROLE_OTA_DATA, firmware, ota_data, OFFSET_UNKNOWN);
}

static void find_beside(struct parts *p, const char *firmware,
                        const struct kl_bundle_options *options)
{
    struct part *app = &p->part[0];

    p->found_beside = true;
    if (!add_named(p, ROLE_APP, firmware, OFFSET_UNKNOWN))
        return;
    if (looks_merged(app)) {
        app->role = ROLE_MERGED;
        app->offset = 0;
    } else if (is_8266(app, options)) {
        app->role = ROLE_BOOTLOADER; /* its firmware brings its own start */
        app->offset = 0;
    } else {
        add_companions(p, firmware);
    }
}

/* ---- ESP-IDF's list ---------------------------------------------------------------------------
 */

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

static void take_args(struct parts *p, const char *list, const struct kl_flasher_args *args)
{
    char path[PATH_MAX];

    if (args->chip[0])
        take_chip(p, list, args->chip);
    if (p->flash_mode < 0)
        p->flash_mode = args->mode;
    if (args->encrypted)
        warning(p,
                "%s: this build encrypts the flash when it first starts: a board can be flashed "
                "only once",
                list);
    for (unsigned i = 0; i < args->count; i++) {
        const struct kl_flasher_file *file = &args->file[i];
        if (file->name[0] == '/')
            add_named(p, ROLE_OTHER, file->name, file->offset);
        else if (beside(path, list, file->name))
            add_named(p, ROLE_OTHER, path, file->offset);
    }
}

static void read_list(struct parts *p, const char *path)
{
    struct kl_flasher_args *args = malloc(sizeof *args);
    char why[KL_TEXT_MAX];
    const char *wrong = "out of memory";
    size_t size = 0;
    uint8_t *text = args ? read_file(path, &size, &wrong) : NULL;

    if (!text)
        problem(p, "%s: %s", path, wrong);
    else if ((wrong = kl_flasher_args_parse((const char *)text, size, args, why)) != NULL)
        problem(p, "%s %s", path, wrong);
    else
        take_args(p, path, args);
    free(text);
    free(args);
}

/* ---- folders ----------------------------------------------------------------------------------
 */

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Folder names may hold what glob takes for a pattern. */
static bool quote(const char *text, char out[PATH_MAX])
{
    size_t n = 0;

    for (; *text && n + 2 < PATH_MAX; text++) {
        if (strchr("*?[\\", *text))
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n] = '\0';
    return *text == '\0';
}

/* Where builds leave their images: in the build folder itself, or below the project's. */
static unsigned find_builds(const char *folder, glob_t *found)
{
    static const char *const places[] = {"flasher_args.json", "firmware.bin",
                                         "build/flasher_args.json", ".pio/build/*/firmware.bin"};
    char quoted[PATH_MAX], pattern[PATH_MAX + 32];

    if (!quote(folder, quoted))
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(pattern, sizeof pattern, "%s/%s", quoted, places[i]);
        if (glob(pattern, 0, NULL, found) == 0)
            return (unsigned)found->gl_pathc;
        globfree(found);
    }
    return 0;
}

static bool is_json(const char *path)
{
    size_t length = strlen(path);

    return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

static void find_by_path(struct parts *p, const char *path, const struct kl_bundle_options *options)
{
    if (is_json(path))
        read_list(p, path);
    else
        find_beside(p, path, options);
}

static void find_in_folder(struct parts *p, const struct kl_bundle_options *options)
{
    const char *folder = options->firmware;
    glob_t found;
    unsigned builds = find_builds(folder, &found);

    if (builds == 1)
        find_by_path(p, found.gl_pathv[0], options);
    else if (builds == 0)
        problem(p, "%s: this folder holds no flasher_args.json and no firmware.bin; build first",
                folder);
    else
        problem(p, "%s holds %u builds, %s and others; name one of them", folder, builds,
                found.gl_pathv[0]);
    if (builds > 0)
        globfree(&found);
}

/* ---- OFFSET:FILE ------------------------------------------------------------------------------
 */

static void add_image(struct parts *p, const char *text)
{
    char *end;
    unsigned long long offset;

    errno = 0;
    offset = strtoull(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end != ':' || errno || offset >= OFFSET_UNKNOWN ||
        !end[1])
        problem(p, "--image %s: give it as OFFSET:FILE, as in 0x10000:firmware.bin", text);
    else
        add_named(p, ROLE_OTHER, end + 1, (uint32_t)offset);
}

void find_parts(struct parts *p, const struct kl_bundle_options *options)
{
    for (unsigned i = 0; i < options->image_count; i++)
        add_image(p, options->images[i]);
    if (options->image_count > 0)
        return;
    if (is_folder(options->firmware))
        find_in_folder(p, options);
    else
        find_by_path(p, options->firmware, options);
}
