/* write_images FOLDER [VERSION]: firmware.bin and what belongs to it, for the tests beside this
 * file. */
#include <stdio.h>

#include "keyline/demo_images.h"

int main(int argc, char **argv)
{
    const struct kl_demo_app app = {.project = "blinky",
                                    .version = argc == 3 ? argv[2] : "2.3",
                                    .payload = 60 * 1024,
                                    .seed = 7};

    if (argc < 2 || argc > 3 || !kl_demo_write(argv[1], KL_CHIP_ESP32, &app)) {
        fprintf(stderr, "usage: write_images FOLDER [VERSION]\n");
        return 1;
    }
    return 0;
}
