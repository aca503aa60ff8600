/*
 * station_options.h: the station's options.
 */
#ifndef KEYLINE_STATION_OPTIONS_H
#define KEYLINE_STATION_OPTIONS_H

#include "commands.h"
#include "keyline/bundle_load.h"
#include "keyline/shell.h"

struct station_args {
    const char *csv, *firmware, *chip, *stub, *events, *log_dir, *on_result, *power_hook, *slots,
        *lock, *lock_phrase;
    const char *socket, *metrics, *journal;
    const char *pool, *offline; /* a shared pool: then `csv` is the list of what it gave */
    kl_us offline_for;          /* what --offline says; 0 = wait */
    char list[4096];            /* that list */
    const char *config;         /* read already */
    const char *prompt, *ack, *field_names;
    const char *nvs_schema, *nvs_partition;
    struct option_list expect, reject;
    kl_us expect_timeout;
    struct option_list images, ports, usb_ids, exclude, accept;
    uint32_t accepted; /* by --accept: bits 1 << enum kl_csv_kind */
    bool csv_header, erase, once, fixture, headless, list_faults, version, help;
    bool renamed, moved, heal, volatile_storage; /* answers: KL_DOUBT_… */
    bool ascii, no_colour, read_only, bell, no_mouse, json;
    long baud, retries, count, max_flashing, warn_keys, lease_max;
    kl_us prompt_timeout, ack_timeout, settle;
    int deliver, nvs; /* nvs: enum kl_nvs_policy */
    int secured, confirm /* enum station_confirm */, flash_mode, flash_freq, flash_size, color,
        alert;
};

/* Their names are the keys of the config files. */
extern const struct option_table kl_station_options;

void station_defaults(struct station_args *out);
/* Defaults, config files, the environment, argv (without the program's name). */
bool station_options_parse(char **argv, struct station_args *out, char error[KL_TEXT_MAX]);

enum station_confirm {
    CONFIRM_AUTO,
    CONFIRM_READBACK,
    CONFIRM_ACK,
    CONFIRM_FLASH,
};
/* What proves that a board has its key. False if that does not go with the delivery: `error` tells
   what does. */
bool station_confirm(const struct station_args *a, enum kl_confirm *out, char error[KL_TEXT_MAX]);

/* The images to flash; points into `a`. */
struct kl_bundle_options station_bundle_options(const struct station_args *a, enum kl_chip_id chip);

#endif
