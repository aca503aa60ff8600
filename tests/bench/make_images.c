/* make_images.c FOLDER [PAYLOAD [CHIP]]: writes images for the benchmark into a folder, and prints
   how many bytes of them go over the wire compressed, and how many they are. */
#include <stdio.h>
#include <stdlib.h>

#include "keyline/bundle_load.h"
#include "keyline/demo_images.h"

int main(int argc, char **argv)
{
    struct kl_demo_app app = {.payload = 900000, .noise_percent = 55, .project = "bench"};
    struct kl_bundle_options o = {.flash_mode = -1};
    struct kl_bundle_report report;
    struct kl_bundle *b;
    char path[1024];

    const struct kl_chip *chip = kl_chip_by_slug(argc > 3 ? argv[3] : "esp32");
    if (argc > 2)
        app.payload = strtoul(argv[2], NULL, 10);
    if (argc < 2 || !chip || !kl_demo_write(argv[1], chip->id, &app))
        return 2;
    snprintf(path, sizeof path, "%s/firmware.bin", argv[1]);
    o.firmware = path;
    b = kl_bundle_load(&o, &report);
    if (!b)
        return 2;
    printf("%llu %llu\n", (unsigned long long)b->packed_total, (unsigned long long)b->raw_total);
    kl_bundle_free(b);
    return 0;
}
