#include "bundle_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    FILE_MAX = 4 << 20
};

static char folder[64];
struct kl_bundle_report bundle_report;

const char *bundle_folder(void)
{
    return folder;
}

int bundle_folder_new(void **state)
{
    struct kl_demo_app app = {.payload = 40000, .noise_percent = 50};

    (void)state;
    strcpy(folder, "/tmp/keyline-bundle-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    return kl_demo_write(folder, KL_CHIP_ESP32, &app) ? 0 : -1;
}

int bundle_folder_drop(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

const char *in_folder(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void put_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

void put_image(const char *name, struct kl_demo_image image)
{
    put_file(name, image.data, image.size);
    free(image.data);
}

struct kl_demo_image get_file(const char *name)
{
    FILE *file = fopen(in_folder(name), "rb");
    struct kl_demo_image image = {malloc(FILE_MAX), 0};

    assert_non_null(file);
    image.size = fread(image.data, 1, FILE_MAX, file);
    fclose(file);
    return image;
}

void put_table(const struct kl_demo_partition *rows, unsigned count)
{
    struct kl_demo_image table;

    assert_true(kl_demo_partitions(rows, count, &table));
    put_image("partitions.bin", table);
}

struct kl_bundle *load_firmware(const char *path)
{
    struct kl_bundle_options o = {.firmware = path, .flash_mode = -1};

    return kl_bundle_load(&o, &bundle_report);
}

struct kl_bundle *load_images(const char *const *images)
{
    static char text[8][300];
    const char *list[8];
    struct kl_bundle_options o = {.images = list, .flash_mode = -1};

    for (; images[o.image_count]; o.image_count++) {
        const char *colon = strchr(images[o.image_count], ':');
        assert_in_range(o.image_count, 0, 7);
        if (colon)
            snprintf(text[o.image_count], sizeof text[0], "%.*s:%s/%s",
                     (int)(colon - images[o.image_count]), images[o.image_count], folder,
                     colon + 1);
        list[o.image_count] = colon ? text[o.image_count] : images[o.image_count];
    }
    return kl_bundle_load(&o, &bundle_report);
}

static bool says(char lines[][KL_BUNDLE_LINE_MAX], unsigned count, const char *words)
{
    for (unsigned i = 0; i < count; i++)
        if (strstr(lines[i], words))
            return true;
    return false;
}

void expect_problem(struct kl_bundle *b, const char *words)
{
    bool loaded = b != NULL;

    kl_bundle_free(b);
    if (loaded || !says(bundle_report.problem, bundle_report.problem_count, words))
        fail_msg("no problem says '%s' (%u problems, the first: %s)", words,
                 bundle_report.problem_count, bundle_report.problem[0]);
}

void expect_warning(const char *words)
{
    if (!says(bundle_report.warning, bundle_report.warning_count, words))
        fail_msg("no warning says '%s' (%u warnings, the first: %s)", words,
                 bundle_report.warning_count, bundle_report.warning[0]);
}

struct kl_bundle *expect_good(struct kl_bundle *b)
{
    if (!b)
        fail_msg("%s", bundle_report.problem[0]);
    return b;
}

unsigned region_at(const struct kl_bundle *b, uint32_t offset)
{
    for (unsigned r = 0; r < b->region_count; r++)
        if (b->region[r].offset == offset)
            return r;
    fail_msg("nothing is flashed at 0x%x", (unsigned)offset);
    return 0;
}
