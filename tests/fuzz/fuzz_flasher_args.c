/* fuzz_flasher_args.c: any text as a build's list of images, in either of its forms. */
#include <stdlib.h>
#include <string.h>

#include "adapters/bundle/flasher_args.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct kl_flasher_args *args)
{
    must(args->count > 0 && args->count <= KL_IMAGES_MAX);
    for (unsigned i = 0; i < args->count; i++) {
        must(args->file[i].name[0] != '\0');
        must(memchr(args->file[i].name, '\0', sizeof args->file[i].name) != NULL);
    }
    must(memchr(args->chip, '\0', sizeof args->chip) != NULL);
    must(args->mode >= -1 && args->mode <= 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kl_flasher_args args;
    char why[KL_TEXT_MAX] = "";

    if (!kl_flasher_args_parse((const char *)data, size, &args, why))
        check(&args);
    else
        must(why[0] != '\0');
    why[0] = '\0';
    if (!kl_flash_args_parse((const char *)data, size, &args, why))
        check(&args);
    else
        must(why[0] != '\0');
    return 0;
}
