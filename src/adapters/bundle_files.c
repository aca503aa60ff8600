#include "bundle_files.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    FILE_BYTES_MAX = 64 << 20
};

static void say(char lines[][KL_TEXT_MAX * 2], unsigned *count, const char *format, va_list args)
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

static uint8_t *read_file(const char *path, size_t *size, const char **why)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    uint8_t *data;

    if (!file || fstat(fileno(file), &st) != 0) {
        *why = strerror(errno);
        if (file)
            fclose(file);
        return NULL;
    }
    *size = (size_t)st.st_size;
    *why = !S_ISREG(st.st_mode)          ? "not a file"
           : st.st_size == 0             ? "the file is empty"
           : st.st_size > FILE_BYTES_MAX ? "the file is larger than any flash"
                                         : NULL;
    data = *why ? NULL : malloc(*size);
    if (data && fread(data, 1, *size, file) != *size) {
        *why = "it could not be read to its end";
        free(data);
        data = NULL;
    }
    fclose(file);
    return data;
}

bool add_part(struct parts *p, enum role role, const char *path, uint32_t offset, bool needed)
{
    struct part *part = &p->part[p->count];
    const char *why = "out of memory";

    if (p->count == KL_REGIONS_MAX) {
        problem(p, "%s: more than %d images", path, KL_REGIONS_MAX);
        return false;
    }
    *part = (struct part){.role = role, .offset = offset};
    kl_copy(part->path, sizeof part->path, path);
    part->data = read_file(path, &part->size, &why);
    if (!part->data) {
        if (needed)
            problem(p, "%s: %s", path, why);
        return false;
    }
    p->count++;
    return true;
}

/* ---- beside the firmware ----------------------------------------------------------------------
 */

static void beside(char out[PATH_MAX], const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash + 1 - path) : 0;

    if (snprintf(out, PATH_MAX, "%.*s%s", folder, path, name) >= PATH_MAX)
        out[0] = '\0';
}

static bool add_beside(struct parts *p, enum role role, const char *firmware,
                       const char *const *names, uint32_t offset)
{
    char path[PATH_MAX];

    for (unsigned i = 0; names[i]; i++) {
        beside(path, firmware, names[i]);
        if (add_part(p, role, path, offset, false))
            return true;
    }
    return false;
}

/* All in one, as esptool's merge makes it: a bootloader at some chip's place, a partition table at
   0x8000. */
static bool is_merged(const struct part *part)
{
    static const uint32_t places[] = {0, 0x1000, 0x2000};

    if (part->size < KL_PARTITION_TABLE_OFFSET + 32 ||
        !kl_partitions_look_like(part->data + KL_PARTITION_TABLE_OFFSET, 32))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (part->data[places[i]] == KL_IMAGE_MAGIC)
            return true;
    return false;
}

static bool is_8266(const struct part *part, const struct kl_bundle_options *options)
{
    struct kl_image_info info;
    char why[KL_TEXT_MAX];

    if (options->chip != KL_CHIP_NONE)
        return options->chip == KL_CHIP_ESP8266;
    return !kl_image_read(part->data, part->size, &info, why) && info.chip == KL_CHIP_ESP8266;
}

static void find_beside(struct parts *p, const char *firmware,
                        const struct kl_bundle_options *options)
{
    static const char *const bootloaders[] = {"bootloader.bin", NULL};
    static const char *const tables[] = {"partitions.bin", "partition.bin", "partition-table.bin",
                                         NULL};
    static const char *const ota_data[] = {"boot_app0.bin", "ota_data_initial.bin", NULL};
    struct part *app;

    if (!add_part(p, ROLE_APP, firmware, OFFSET_UNKNOWN, true))
        return;
    app = &p->part[0];
    if (is_merged(app)) {
        app->role = ROLE_MERGED;
        app->offset = 0;
        return;
    }
    if (is_8266(app, options)) {
        app->offset = 0; /* its firmware brings its own start */
        return;
    }
    if (!add_beside(p, ROLE_BOOTLOADER, firmware, bootloaders, OFFSET_UNKNOWN))
        problem(p,
                "%s: there is no bootloader.bin beside it; put it there, or name the images with "
                "--image",
                firmware);
    if (!add_beside(p, ROLE_TABLE, firmware, tables, KL_PARTITION_TABLE_OFFSET))
        problem(p,
                "%s: there is no partitions.bin, partition.bin or partition-table.bin beside it; "
                "put it there, or name the images with --image",
                firmware);
    add_beside(p, ROLE_OTHER, firmware, ota_data, OFFSET_UNKNOWN);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}

static void find_by_firmware(struct parts *p, const struct kl_bundle_options *options)
{
    const char *firmware = options->firmware;
    size_t length = strlen(firmware);
    char path[PATH_MAX];

    if (is_folder(firmware)) {
        /* ESP-IDF's build folder names its images in a list; PlatformIO's holds firmware.bin. */
        snprintf(path, sizeof path, "%.*s/flasher_args.json", PATH_MAX - 32, firmware);
        if (exists(path)) {
            read_flasher_args(p, path);
            return;
        }
        snprintf(path, sizeof path, "%.*s/firmware.bin", PATH_MAX - 32, firmware);
        find_beside(p, path, options);
    } else if (length > 5 && strcmp(firmware + length - 5, ".json") == 0) {
        read_flasher_args(p, firmware);
    } else {
        find_beside(p, firmware, options);
    }
}

/* OFFSET:FILE */
static void add_named(struct parts *p, const char *text)
{
    char *end;
    unsigned long long offset;

    errno = 0;
    offset = strtoull(text, &end, 0);
    if (end == text || *end != ':' || errno || offset > 0xffffffffu || !end[1]) {
        problem(p, "--image %s: give it as OFFSET:FILE, as in 0x10000:firmware.bin", text);
        return;
    }
    add_part(p, ROLE_OTHER, end + 1, (uint32_t)offset, true);
}

void find_parts(struct parts *p, const struct kl_bundle_options *options)
{
    if (options->image_count == 0) {
        find_by_firmware(p, options);
        return;
    }
    for (unsigned i = 0; i < options->image_count; i++)
        add_named(p, options->images[i]);
}
