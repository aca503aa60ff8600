/* fuzz_config.c: any bytes as a config file: settings within their bounds, or an error with its
 * line. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faces/cli/config_files.h"
#include "faces/cli/station_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct option_settings *all, const char *file)
{
    char why[KL_TEXT_MAX];

    for (unsigned i = 0; i < all->count; i++) {
        const struct option_setting *s = &all->item[i];
        must(s->source == OPTION_SYSTEM && s->line > 0 && strcmp(s->file, file) == 0);
        must(!s->option->typed_only && options_check(s->option, s->text, "", why));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct option_settings all;
    static struct station_args args;
    char file[64], error[KL_TEXT_MAX], *argv[] = {NULL};
    const struct config_places places = {file, NULL};
    int fd = memfd_create("config", MFD_CLOEXEC);

    unsetenv("KEYLINE_CONFIG");
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && fchmod(fd, 0600) == 0);
    snprintf(file, sizeof file, "/proc/self/fd/%d", fd);
    if (config_read(&kl_station_options, &kl_station_options, &places, argv, &all, NULL, error)) {
        check(&all, file);
        station_defaults(&args);
        options_apply(&all, &args);
        must(args.ports.count <= OPTION_LIST_MAX && args.baud >= 9600);
    } else {
        must(strncmp(error, file, strlen(file)) == 0 && strlen(error) < KL_TEXT_MAX);
    }
    close(fd);
    return 0;
}
