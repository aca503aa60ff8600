/* bundle_find.c: what --firmware and --image name: one file with its companions, a build's folder,
   or files one by one. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle_files.h"

/* ---- beside the firmware ---- */

enum {
    NAME_MAX_SHOWN = 200,
    LOOKED_MAX = 64 /* keyline looks into so many files of a folder */
};

/* "X.ino" of "build/X.ino.bin". */
static void stem_of(const char *path, char out[NAME_MAX_SHOWN])
{
    size_t n;

    kl_copy(out, NAME_MAX_SHOWN, name_in(path));
    n = strlen(out);
    if (n > 4 && strcmp(out + n - 4, ".bin") == 0)
        out[n - 4] = '\0';
}

/* In `names` a * stands for the firmware's own name, a # for the chip's. */
static bool companion(const char *firmware, enum kl_chip_id chip, const char *const *names,
                      char out[PATH_MAX])
{
    char stem[NAME_MAX_SHOWN], name[2 * NAME_MAX_SHOWN];

    stem_of(firmware, stem);
    for (unsigned i = 0; names[i]; i++) {
        size_t before = strcspn(names[i], "*#");
        bool wild = names[i][before] != '\0';
        const char *inside = !wild                     ? ""
                             : names[i][before] == '*' ? stem
                             : chip                    ? kl_chip(chip)->slug
                                                       : "";
        snprintf(name, sizeof name, "%.*s%s%s", (int)before, names[i], inside,
                 names[i] + before + wild);
        if (beside(out, firmware, name) && is_file(out) && strcmp(out, firmware) != 0)
            return true;
    }
    return false;
}

static const char *const bootloaders[] = {"*.bootloader.bin",
                                          "*-bootloader.bin",
                                          "*_bootloader.bin",
                                          "bootloader.bin",
                                          "bootloader/bootloader.bin",
                                          "bootloader-#.bin",
                                          NULL};
static const char *const tables[] = {"*.partitions.bin",      "*.partition-table.bin",
                                     "*-partitions.bin",      "*_partitions.bin",
                                     "partitions.bin",        "partition.bin",
                                     "partition-table.bin",   "partition_table/partition-table.bin",
                                     "partition-table-#.bin", NULL};
static const char *const ota_data[] = {"*.boot_app0.bin", "boot_app0.bin", "ota_data_initial.bin",
                                       NULL};

/* Where the table goes: a build that moved it says so in its list. */
static uint32_t table_place(const char *firmware)
{
    struct kl_flasher_args *args = malloc(sizeof *args);
    char list[PATH_MAX];
    uint32_t place = KL_PARTITION_TABLE_OFFSET;

    if (args && list_beside(firmware, list, args) && args->has_table)
        place = args->table;
    free(args);
    return place;
}

static void add_companions(struct parts *p, const char *firmware)
{
    enum kl_chip_id chip = p->part[0].is_image ? p->part[0].info.chip : KL_CHIP_NONE;
    char path[PATH_MAX];

    if (companion(firmware, chip, bootloaders, path))
        add_named(p, ROLE_BOOTLOADER, path, OFFSET_UNKNOWN);
    else
        problem(p,
                "%s: there is no bootloader.bin beside it; put it there, or name all images with "
                "--image",
                firmware);
    if (companion(firmware, chip, tables, path))
        add_named(p, ROLE_TABLE, path, table_place(firmware));
    else
        problem(p,
                "%s: there is no partitions.bin, partition.bin or partition-table.bin beside it; "
                "put it there, or name all images with --image",
                firmware);
    if (companion(firmware, chip, ota_data, path))
        add_named(p, ROLE_OTA_DATA, path, OFFSET_UNKNOWN);
}

static bool is_8266(const struct part *part, const struct kl_bundle_options *options)
{
    if (options->chip != KL_CHIP_NONE)
        return options->chip == KL_CHIP_ESP8266;
    return part->is_image && part->info.chip == KL_CHIP_ESP8266;
}

enum file_kind {
    FILE_OTHER,
    FILE_PROGRAM,
    FILE_MERGED
};

static enum file_kind kind_of_file(const char *path)
{
    struct part *part = calloc(1, sizeof *part);
    char why[KL_TEXT_MAX];
    const char *wrong;
    enum file_kind kind = FILE_OTHER;

    if (part)
        part->data = read_whole_file(path, &part->size, &wrong);
    if (part && part->data) {
        part->is_image = !kl_image_read(part->data, part->size, &part->info, why);
        if (looks_merged(part))
            kind = FILE_MERGED;
        else if (part->is_image && (stands_alone(part) || !kl_image_is_bootloader(&part->info)))
            kind = FILE_PROGRAM;
        free(part->data);
    }
    free(part);
    return kind;
}

/* A folder's name may hold characters that glob takes for a pattern. */
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

/* What matches the pattern in a folder; globfree() it if any was found. */
static unsigned list_folder(const char *folder, const char *pattern, glob_t *out)
{
    char quoted[PATH_MAX], path[PATH_MAX + 64];

    if (!quote(folder, quoted))
        return 0;
    snprintf(path, sizeof path, "%s/%s", quoted, pattern);
    if (glob(path, 0, NULL, out) == 0)
        return (unsigned)out->gl_pathc;
    globfree(out);
    return 0;
}

static void folder_of(const char *path, char out[PATH_MAX])
{
    char *slash;

    kl_copy(out, PATH_MAX, path);
    slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    else
        kl_copy(out, PATH_MAX, ".");
}

/* The one program in a folder, or else the one file with all in it; false if there is none, or more
   than one. */
static bool only_program(const char *folder, char out[PATH_MAX])
{
    unsigned count, found[FILE_MERGED + 1] = {0};
    char path[FILE_MERGED + 1][PATH_MAX];
    enum file_kind kind;
    glob_t files;

    count = list_folder(folder, "*.bin", &files);
    for (unsigned i = 0; i < count && i < LOOKED_MAX; i++) {
        kind = kind_of_file(files.gl_pathv[i]);
        if (kind != FILE_OTHER && found[kind]++ == 0)
            kl_copy(path[kind], PATH_MAX, files.gl_pathv[i]);
    }
    if (count > 0)
        globfree(&files);
    kind = found[FILE_PROGRAM] == 1 ? FILE_PROGRAM : FILE_MERGED;
    if (kind == FILE_PROGRAM && found[FILE_MERGED] == 1 &&
        !companion(path[FILE_PROGRAM], KL_CHIP_NONE, bootloaders, out))
        kind = FILE_MERGED;
    return found[kind] == 1 && kl_copy(out, PATH_MAX, path[kind]);
}

/* Somebody named a file as the firmware that is no program. */
static void refuse_as_firmware(struct parts *p, const char *path, const char *what)
{
    char folder[PATH_MAX], program[PATH_MAX];

    folder_of(path, folder);
    if (only_program(folder, program))
        problem(p, "%s is %s, not a program; name the program: --firmware %s", path, what,
                as_word(p, program));
    else
        problem(p,
                "%s is %s, not a program; name the program's .bin, the build's folder, or each "
                "image with --image OFFSET:FILE",
                path, what);
}

static bool is_foreign(enum kl_content content)
{
    return content != KL_CONTENT_IMAGE && content != KL_CONTENT_UNKNOWN &&
           content != KL_CONTENT_SECRET && content != KL_CONTENT_BLANK;
}

/* What the named file is decides which other files it needs. */
static void take_firmware(struct parts *p, const struct kl_bundle_options *options)
{
    struct part *app = &p->part[0];

    if (looks_merged(app)) {
        app->role = ROLE_MERGED;
        app->offset = merged_place(app);
    } else if (is_8266(app, options) || stands_alone(app)) {
        app->role = ROLE_BOOTLOADER; /* it brings its own start */
        app->offset =
            app->is_image && app->info.chip ? kl_chip(app->info.chip)->bootloader_offset : 0;
    } else if (app->content == KL_CONTENT_MCUBOOT) {
        problem(p,
                "%s is a program for MCUboot, and does not say where that looks for it; name both: "
                "--image OFFSET:mcuboot.bin --image OFFSET:%s",
                app->path, as_word(p, app->path));
    } else if (is_foreign(app->content)) {
        refuse_as_firmware(p, app->path, kl_content_name(app->content));
    } else if (app->is_image && kl_image_is_bootloader(&app->info)) {
        refuse_as_firmware(p, app->path, "a bootloader");
    } else {
        add_companions(p, app->path);
    }
}

static void find_beside(struct parts *p, const char *firmware,
                        const struct kl_bundle_options *options)
{
    struct part *app = &p->part[0];
    char why[KL_TEXT_MAX];

    p->found_beside = true;
    if (!add_named(p, ROLE_APP, firmware, OFFSET_UNKNOWN))
        return;
    app->content = kl_content_of(app->data, app->size);
    app->is_image = !kl_image_read(app->data, app->size, &app->info, why);
    take_firmware(p, options);
}

/* ---- folders ---- */

/* "./firmware.bin" -> "firmware.bin" */
static const char *without_dot(const char *path)
{
    return path[0] == '.' && path[1] == '/' ? path + 2 : path;
}

enum {
    TOLD_MAX = 6 /* a folder may hold anything */
};

static bool is_taken(const struct parts *p, const char *path)
{
    for (unsigned n = 0; n < p->count; n++)
        if (strcmp(without_dot(p->part[n].path), without_dot(path)) == 0)
            return true;
    return false;
}

/* Files of a build that keyline does not flash by itself: file systems, storage, other programs. */
static bool is_worth_telling(enum kl_content content)
{
    return content == KL_CONTENT_IMAGE || content == KL_CONTENT_NVS ||
           content == KL_CONTENT_SPIFFS || content == KL_CONTENT_LITTLEFS ||
           content == KL_CONTENT_FAT || content == KL_CONTENT_OTADATA;
}

/* Where a file system or storage would go; NULL if that is not certain. */
static const struct kl_partition *home_of(const struct parts *p, enum kl_content content)
{
    const struct kl_partition *home = NULL;

    for (unsigned i = 0; i < p->table.count; i++) {
        const struct kl_partition *row = &p->table.row[i];
        bool spiffs = row->subtype == 0x82, littlefs = row->subtype == 0x83;
        bool fits = (content == KL_CONTENT_LITTLEFS && (littlefs || spiffs)) ||
                    (content == KL_CONTENT_SPIFFS && spiffs) ||
                    (content == KL_CONTENT_FAT && row->subtype == 0x81) ||
                    (content == KL_CONTENT_NVS && row->subtype == DATA_NVS);
        if (row->type != TYPE_DATA || !fits)
            continue;
        if (home)
            return NULL;
        home = row;
    }
    return home;
}

static void tell_one(struct parts *p, const char *path, enum kl_content content)
{
    const struct kl_partition *home = home_of(p, content);

    if (kind_of_file(path) == FILE_MERGED)
        left_out(p, "%s: a merged image; --firmware %s would flash it instead", path,
                 as_word(p, path));
    else if (home)
        left_out(p, "%s: %s; --image 0x%x:%s would flash it too", path, kl_content_name(content),
                 home->offset, as_word(p, path));
    else
        left_out(p, "%s: %s; --image OFFSET:FILE would flash it too", path,
                 kl_content_name(content));
}

/* Tells of files that lie beside the firmware, so that nobody takes them for flashed. */
void tell_left_out(struct parts *p)
{
    unsigned count, told = 0, more = 0;
    glob_t files;

    count = p->folder[0] ? list_folder(p->folder, "*.bin", &files) : 0;
    for (unsigned i = 0; i < count && i < LOOKED_MAX; i++) {
        const char *wrong, *path = files.gl_pathv[i];
        size_t size = 0;
        uint8_t *data = is_taken(p, path) ? NULL : read_whole_file(path, &size, &wrong);
        enum kl_content content = data ? kl_content_of(data, size) : KL_CONTENT_UNKNOWN;
        free(data);
        if (!data)
            continue;
        if (!is_worth_telling(content) && kind_of_file(path) != FILE_MERGED)
            continue;
        if (told++ < TOLD_MAX)
            tell_one(p, path, content);
        else
            more++;
    }
    if (more > 0)
        left_out(p, "%u more files in %s", more, p->folder);
    if (count > 0)
        globfree(&files);
}

static void take_named_list(struct parts *p, const char *list)
{
    struct kl_flasher_args *args = malloc(sizeof *args);

    if (!args)
        problem(p, "out of memory");
    else if (load_list(p, list, args))
        take_list(p, list, args);
    free(args);
    folder_of(list, p->folder);
}

/* If the build's list names the program, keyline flashes all that the list names. */
static bool take_list_of(struct parts *p, const char *firmware)
{
    struct kl_flasher_args *args = malloc(sizeof *args);
    char list[PATH_MAX];
    bool take = args && list_beside(firmware, list, args) && list_names(args, name_in(firmware)) &&
                list_is_whole(list, args);

    if (take)
        take_list(p, list, args);
    free(args);
    return take;
}

static void find_by_path(struct parts *p, const char *path, const struct kl_bundle_options *options)
{
    if (is_list(path)) {
        take_named_list(p, path);
        return;
    }
    if (!take_list_of(p, path))
        find_beside(p, path, options);
    folder_of(path, p->folder);
}

/* PlatformIO with ESP-IDF leaves a list with ESP-IDF's names of the files; PlatformIO uses other
   names. */
static bool is_stale(struct parts *p, const char *folder, const char *list)
{
    struct kl_flasher_args *args = malloc(sizeof *args);
    char firmware[PATH_MAX], path[PATH_MAX], inside[PATH_MAX + 2], other[PATH_MAX];
    bool stale = false;

    snprintf(inside, sizeof inside, "%s/", folder);
    if (args && beside(firmware, inside, "firmware.bin") && is_file(firmware) &&
        list_beside(list, other, args) && strcmp(other, list) == 0) {
        bool whole = list_is_whole(list, args), names = list_names(args, "firmware.bin");
        bool complete = companion(firmware, KL_CHIP_NONE, bootloaders, path) &&
                        companion(firmware, KL_CHIP_NONE, tables, path);
        stale = complete ? !whole || !names : !whole && !names;
    }
    if (stale)
        left_out(p, "%s: it names other files than those beside firmware.bin", list);
    free(args);
    return stale;
}

/* Where builds leave their images: in the build folder itself, or below the project's. */
static unsigned find_builds(struct parts *p, const char *folder, glob_t *out)
{
    static const char *const places[] = {
        "flasher_args.json",
        "flash_args",
        "flash_project_args",
        "firmware.bin",
        "*.ino.bin",
        "download.config",
        "zephyr/zephyr.bin",
        "nuttx.merged.bin",
        "nuttx.bin",
        "*.factory.bin",
        "build/flasher_args.json",
        "build/*/flasher_args.json",
        "build/*/flash_args",
        "build/*/*.ino.bin",
        "build/*.ino.bin",
        "build/download.config",
        "build/zephyr/zephyr.bin",
        ".pio/build/*/firmware.bin",
        ".pioenvs/*/firmware.bin",
        ".esphome/build/*/.pioenvs/*/firmware.bin",
        "build-*/firmware.bin",
    };

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        unsigned count = list_folder(folder, places[i], out);
        if (count == 1 && i < 3 && is_stale(p, folder, out->gl_pathv[0])) {
            globfree(out);
            continue;
        }
        if (count > 0)
            return count;
    }
    return 0;
}

/* ---- Zephyr ---- */

/* The value of one of Zephyr's options for its flasher, up to the line's end; false if it has none.
 */
static bool runner_option(const char *text, const char *name, char out[PATH_MAX])
{
    const char *at = strstr(text, name);
    size_t n;

    if (!at)
        return false;
    at += strlen(name);
    n = strcspn(at, "\r\n");
    return snprintf(out, PATH_MAX, "%.*s", (int)(n < PATH_MAX ? n : PATH_MAX - 1), at) > 0;
}

static void add_at(struct parts *p, const char *path, const char *address)
{
    found(p, "%s goes to %s, as Zephyr's runners.yaml says", path, address);
    add_named(p, ROLE_OTHER, path, (uint32_t)strtoul(address, NULL, 0));
}

static void take_runner_text(struct parts *p, const char *runners, const char *text)
{
    char address[PATH_MAX], path[PATH_MAX], file[PATH_MAX];

    if (!runner_option(text, "--esp-app-address=", address) ||
        !beside(path, runners, "zephyr.signed.bin"))
        return;
    if (!is_file(path) && !(beside(path, runners, "zephyr.bin") && is_file(path)))
        return;
    add_at(p, path, address);
    if (runner_option(text, "--esp-flash-bootloader=", file) &&
        runner_option(text, "--esp-boot-address=", address) && is_file(file))
        add_at(p, file, address);
    if (runner_option(text, "--esp-flash-partition_table=", file) &&
        runner_option(text, "--esp-partition-table-address=", address) && is_file(file))
        add_at(p, file, address);
}

/* One image of a Zephyr build: the file says where it goes. */
static void take_runner(struct parts *p, const char *runners)
{
    const char *wrong;
    size_t size = 0;
    uint8_t *bytes = read_whole_file(runners, &size, &wrong);
    char *text = bytes ? malloc(size + 1) : NULL;

    if (text) {
        memcpy(text, bytes, size);
        text[size] = '\0';
        take_runner_text(p, runners, text);
    }
    free(bytes);
    free(text);
}

static bool find_zephyr(struct parts *p, const char *folder)
{
    static const char *const places[] = {"zephyr/runners.yaml", "*/zephyr/runners.yaml",
                                         "build/zephyr/runners.yaml",
                                         "build/*/zephyr/runners.yaml"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        glob_t runners;
        unsigned count = list_folder(folder, places[i], &runners);
        for (unsigned n = 0; n < count; n++)
            take_runner(p, runners.gl_pathv[n]);
        if (count > 0)
            globfree(&runners);
        if (p->count > 0)
            return true;
    }
    return false;
}

static void find_in_folder(struct parts *p, const struct kl_bundle_options *options)
{
    const char *folder = options->firmware;
    char program[PATH_MAX], bare[PATH_MAX];
    glob_t builds;
    unsigned count;

    kl_copy(bare, sizeof bare, folder);
    for (size_t n = strlen(bare); n > 1 && bare[n - 1] == '/'; n--)
        bare[n - 1] = '\0';
    if (find_zephyr(p, bare))
        return;
    count = find_builds(p, bare, &builds);
    if (count == 1)
        find_by_path(p, builds.gl_pathv[0], options);
    else if (count == 0 && only_program(bare, program))
        find_by_path(p, program, options);
    else if (count == 0)
        problem(p, "%s: this folder holds no flasher_args.json and no firmware.bin; build first",
                folder);
    else
        problem(p, "%s holds %u builds, %s and others; name one of them", folder, count,
                builds.gl_pathv[0]);
    if (count > 0)
        globfree(&builds);
}

/* ---- OFFSET:FILE ---- */

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
    if (options->firmware && is_folder(options->firmware))
        find_in_folder(p, options);
    else if (options->firmware)
        find_by_path(p, options->firmware, options);
    for (unsigned i = 0; i < options->image_count; i++)
        add_image(p, options->images[i]);
}
