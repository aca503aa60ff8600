/* images.c: the images that all simulated benches flash. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyline/bundle_load.h"
#include "keyline/demo_images.h"
#include "loader_bench.h"
#include "world.h"

static struct kl_bundle *bundle;

static bool write_image(const char *folder, const char *name, struct kl_demo_image *image)
{
    char path[256];
    FILE *file;
    bool ok;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    ok = file && fwrite(image->data, 1, image->size, file) == image->size;
    if (file)
        fclose(file);
    free(image->data);
    return ok;
}

/* Small images for a flash of 1 MB, so that a life takes little real time. */
static struct kl_bundle *make_bundle(void)
{
    static const struct kl_demo_partition rows[] = {{"nvs", 1, 2, 0x9000, 0x6000},
                                                    {"factory", 0, 0, 0x10000, 0xe0000}};
    struct kl_demo_app app = {.payload = 6000, .noise_percent = 60};
    struct kl_bundle_report report;
    char folder[] = "/tmp/keyline-simulation-XXXXXX", firmware[256], command[256];
    struct kl_demo_image image;
    struct kl_bundle_options o = {.firmware = firmware, .flash_mode = -1};

    if (!mkdtemp(folder))
        exit(2);
    snprintf(firmware, sizeof firmware, "%s/firmware.bin", folder);
    if (!kl_demo_bootloader(KL_CHIP_ESP32, &image) ||
        !write_image(folder, "bootloader.bin", &image) || !kl_demo_partitions(rows, 2, &image) ||
        !write_image(folder, "partitions.bin", &image) ||
        !kl_demo_app(KL_CHIP_ESP32, &app, &image) || !write_image(folder, "firmware.bin", &image))
        exit(2);
    struct kl_bundle *made = kl_bundle_load(&o, &report);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0 || !made) {
        fprintf(stderr, "no bundle: %s\n", report.problem[0]);
        exit(2);
    }
    return made;
}

const struct kl_bundle *sim_bundle(void)
{
    if (!bundle)
        bundle = make_bundle();
    return bundle;
}

void sim_images_free(void)
{
    kl_bundle_free(bundle);
    bundle = NULL;
}

void sim_fill_nvs(struct kl_vboard *v, const struct kl_nvs_delivery *d, enum sim_content content)
{
    static uint8_t image[0x6000], much[19700];
    const struct kl_span ssid = {(const uint8_t *)"home", 4};
    size_t size = content == SIM_MUCH ? sizeof much : 3500;
    struct kl_nvs_build b;

    memset(much, 'c', sizeof much);
    kl_nvs_begin(&b, image, d->size);
    KL_ASSERT(kl_nvs_namespace(&b, "wifi") == KL_NVS_OK &&
              kl_nvs_put(&b, "ssid", KL_NVS_AS_STRING, ssid) == KL_NVS_OK &&
              kl_nvs_put(&b, "cal", KL_NVS_AS_BLOB, (struct kl_span){much, size}) == KL_NVS_OK);
    for (unsigned i = KL_NVS_FIRST_ENTRY; content == SIM_CIPHER && i < KL_NVS_PAGE; i++)
        image[i] ^= 0x5A; /* header and bitmap stay in clear */
    KL_ASSERT(kl_vboard_put_flash(v, d->offset, image, d->size));
}

const struct kl_nvs_delivery *sim_nvs(enum kl_nvs_policy policy)
{
    static const char *const names[] = {"provision/key1:string", "provision/key2:string",
                                        "provision/key3:string", "provision/done:u8=1"};
    static struct kl_nvs_schema schema;
    static struct kl_nvs_room room[KL_SLOTS_MAX];
    static uint8_t bytes[KL_SLOTS_MAX][2][0x6000];
    static struct kl_nvs_delivery delivery = {.schema = &schema, .room = room};
    struct kl_nvs_schema_error error;
    struct kl_span cells[4];
    unsigned columns;

    for (unsigned i = 0; i < 4; i++)
        cells[i] = (struct kl_span){(const uint8_t *)names[i], strlen(names[i])};
    if (!kl_nvs_schema_header(&schema, cells, 4, &columns, &error))
        exit(2);
    delivery.policy = policy;
    delivery.offset = sim_bundle()->nvs_offset;
    delivery.size = sim_bundle()->nvs_size;
    if (delivery.size > sizeof bytes[0][0])
        exit(2);
    memset(bytes, 0, sizeof bytes);
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++)
        room[i] = (struct kl_nvs_room){.old = bytes[i][0], .image = bytes[i][1]};
    return &delivery;
}

const struct kl_exam *sim_exam(void)
{
    static struct kl_exam exam = {.expects = 2, .rejects = 1, .timeout = KL_SEC(8)};
    char error[KL_TEXT_MAX];

    exam.expect[0].source = "SELFTEST sensor ok";
    exam.expect[1].source = "^SELFTEST OK$";
    exam.reject[0].source = "SELFTEST FAIL";
    if (!kl_pattern_compile(&exam.expect[0].pattern, exam.expect[0].source, error) ||
        !kl_pattern_compile(&exam.expect[1].pattern, exam.expect[1].source, error) ||
        !kl_pattern_compile(&exam.reject[0].pattern, exam.reject[0].source, error))
        exit(2);
    return &exam;
}

const struct kl_stubs *sim_stubs(void)
{
    return lb_stubs();
}
