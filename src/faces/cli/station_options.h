/*
 * station_options.h: what can be asked of the station on the command line.
 */
#ifndef KEYLINE_STATION_OPTIONS_H
#define KEYLINE_STATION_OPTIONS_H

#include "keyline/bundle_load.h"
#include "keyline/shell.h"
#include "options.h"

struct station_args {
    const char *csv, *firmware, *chip, *stub, *events, *log_dir, *on_result, *slots, *phrase,
        *journal;
    struct option_list images, ports, usb_ids, exclude;
    bool csv_header, erase, once, fixture, headless, list_faults, version, help;
    bool renamed, moved, heal, volatile_storage; /* answers: KL_DOUBT_… */
    bool ascii, no_colour, read_only, bell;
    long baud, retries, count, max_flashing, warn_keys;
    kl_us prompt_timeout, ack_timeout, settle;
    int confirm, flash_mode, flash_freq, flash_size;
};

/* Defaults first, then argv (without the program's name). */
bool station_options_parse(char **argv, struct station_args *out, char error[KL_TEXT_MAX]);
void station_options_help(void);

/* What is to be flashed; points into `a`. */
struct kl_bundle_options station_bundle_options(const struct station_args *a, enum kl_chip_id chip);

#endif
