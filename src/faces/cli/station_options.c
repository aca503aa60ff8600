#include "station_options.h"

#include <string.h>

#define AT(member) offsetof(struct station_args, member)
#define HEADING(text)                                                                              \
    {                                                                                              \
        .name = text, .type = OPT_HEADING                                                          \
    }
#define FLAG(name, member, help)                                                                   \
    {                                                                                              \
        name, OPT_FLAG, AT(member), NULL, help, 0, 0                                               \
    }
#define TEXT(name, member, value, help)                                                            \
    {                                                                                              \
        name, OPT_TEXT, AT(member), value, help, 0, 0                                              \
    }
#define LIST(name, member, value, help)                                                            \
    {                                                                                              \
        name, OPT_LIST, AT(member), value, help, 0, 0                                              \
    }
#define NUMBER(name, member, value, low, high, help)                                               \
    {                                                                                              \
        name, OPT_NUMBER, AT(member), value, help, low, high                                       \
    }
#define SECONDS(name, member, low, high, help)                                                     \
    {                                                                                              \
        name, OPT_SECONDS, AT(member), "S", help, low, high                                        \
    }
#define CHOICE(name, member, words, help)                                                          \
    {                                                                                              \
        name, OPT_CHOICE, AT(member), words, help, 0, 0                                            \
    }

/* clang-format off */
static const struct option options[] = {
    HEADING("Keys"),
    TEXT("csv-file", csv, "FILE", "the keys, one row each (default keys.csv); --csv_file too"),
    FLAG("csv-header", csv_header, "its first row names the columns and is no key"),
    TEXT("journal", journal, "DIR",
         "where the second record of all keys is kept, best on another disk\n"
         "(default /var/lib/keyline, or ~/.local/state/keyline)"),
    NUMBER("warn-keys", warn_keys, "N", 0, 1000000, "warn when no more than N keys are left (default 10)"),
    CHOICE("confirm", confirm, "readback|ack",
           "what proves that a board has its key (default readback);\n"
           "ack: the word Provisioned alone, for firmware that prints nothing back"),

    HEADING("Answers to what stops a start"),
    FLAG("moved", moved, "the keys and their ledger were moved or put back; from now on they are here only"),
    FLAG("heal", heal, "the ledger is an old copy: go on with all that it and its journal know"),
    FLAG("volatile", volatile_storage, "a demonstration: the keys' storage may forget what was given out"),
    FLAG("renamed", renamed, "keys that boards have or may have got new labels; the secrets are the same"),

    HEADING("Images"),
    TEXT("firmware", firmware, "FILE",
         "a .bin with bootloader.bin and partitions.bin beside it, a PlatformIO\n"
         "build folder, or flasher_args.json (default firmware.bin)"),
    LIST("image", images, "OFFSET:FILE", "one image at one offset, any number of times, instead of --firmware"),
    TEXT("chip", chip, "CHIP", "esp32, esp32s3, esp32c3 …: refuse any other (default: the images' chip)"),
    CHOICE("flash-mode", flash_mode, "keep|qio|qout|dio|dout", "patched into the bootloader (default keep)"),
    CHOICE("flash-freq", flash_freq, "keep|80m|60m|48m|40m|30m|26m|24m|20m|16m|15m|12m", "the same"),
    CHOICE("flash-size", flash_size, "detect|keep", "the same (default detect)"),
    FLAG("erase", erase, "erase all of a board's flash first"),

    HEADING("Ports"),
    LIST("port", ports, "PORT",
         "use only this one, any number of times: /dev/ttyUSB0, a USB place such as\n"
         "1-1.4.2, rfc2217://host:port or socket://host:port"),
    TEXT("slots", slots, "FILE", "names and orders the slots (keyline ports --teach writes it)"),
    LIST("usb-id", usb_ids, "VID:PID", "take boards with this USB id too"),
    LIST("exclude", exclude, "PORT", "never use this path or place"),
    NUMBER("baud", baud, "RATE", 9600, 5000000, "fastest rate to try (default 921600)"),
    TEXT("stub", stub, "auto|none|DIR", "the flasher stub (default auto: if it is installed)"),

    HEADING("The bench"),
    FLAG("once", once, "handle each port once, then end"),
    NUMBER("count", count, "N", 1, 1000000000, "end after N boards"),
    FLAG("fixture", fixture, "needle bed: the adapter stays, boards are found by talking to them"),
    NUMBER("max-flashing", max_flashing, "N", 1, KL_SLOTS_MAX, "flash at most N boards at a time"),
    NUMBER("retries", retries, "N", 0, 100, "automatic retries, instead of those of --list-faults"),
    SECONDS("settle", settle, 0, 60, "wait after plugging in (default 0.5)"),
    SECONDS("prompt-timeout", prompt_timeout, 0.1, 3600, "until the firmware asks for its key (default 30)"),
    SECONDS("ack-timeout", ack_timeout, 0.1, 3600, "until it acknowledges, and until it has read back (default 20)"),

    HEADING("What is told"),
    FLAG("headless", headless, "one line per change, no dashboard (also without a terminal)"),
    TEXT("events", events, "FILE|-", "one JSON object per line (docs/events.md)"),
    TEXT("log-dir", log_dir, "DIR", "a log file per board"),
    TEXT("on-result", on_result, "CMD", "a shell command per result, with its event on standard input"),
    FLAG("read-only", read_only, "the dashboard only watches"),
    TEXT("lock", phrase, "PHRASE", "the dashboard only retries and skips until PHRASE is typed"),
    FLAG("bell", bell, "the dashboard rings on a failure and on the last key"),
    FLAG("ascii", ascii, "plain characters only"),
    FLAG("no-colour", no_colour, "no colours"),

    HEADING("Help"),
    FLAG("list-faults", list_faults, "every way in which a board can fail, and what to do"),
    FLAG("version", version, "print the version"),
    FLAG("help", help, "print this"),
};
/* clang-format on */

bool station_options_parse(char **argv, struct station_args *out, char error[KL_TEXT_MAX])
{
    *out = (struct station_args){
        .csv = "keys.csv",
        .stub = "auto",
        .warn_keys = 10,
        .baud = 921600,
        .retries = -1,
        .settle = KL_MS(500),
        .prompt_timeout = KL_SEC(30),
        .ack_timeout = KL_SEC(20),
    };
    if (!options_parse(options, sizeof options / sizeof options[0], argv, out, error))
        return false;
    if (out->firmware && out->images.count > 0) {
        kl_copy(error, KL_TEXT_MAX, "--firmware and --image exclude each other");
        return false;
    }
    if (!out->firmware)
        out->firmware = "firmware.bin";
    return true;
}

void station_options_help(void)
{
    fputs("keyline " KEYLINE_VERSION ": flashes many ESP32 boards at once and gives each its key\n"
          "\n"
          "usage: keyline [options]        the station; on a terminal with its dashboard\n"
          "       keyline attach           the dashboard of a station that runs\n"
          "       keyline keys …           what became of each key\n"
          "       keyline ports            which ports there are, and which would be used\n"
          "       keyline check [options]  checks keys and images, touches nothing\n"
          "       keyline demo             shows all of it with virtual boards\n"
          "       keyline doctor           is this host fit to be a bench?\n"
          "       keyline virtual          virtual boards as network ports\n",
          stdout);
    options_help(options, sizeof options / sizeof options[0], stdout);
    fputs("\nExit status\n"
          "  0  all well          3  bad CSV or images                  6  the store can't write\n"
          "  1  a board failed    4  another station holds this CSV\n"
          "  2  usage             5  keys ran out                       7  a person has to answer "
          "first\n"
          "\n"
          "SIGTERM and SIGINT finish or park what runs and end with 0; the second one ends at "
          "once.\n",
          stdout);
}

struct kl_bundle_options station_bundle_options(const struct station_args *a, enum kl_chip_id chip)
{
    static const unsigned mhz[] = {0, 80, 60, 48, 40, 30, 26, 24, 20, 16, 15, 12};

    return (struct kl_bundle_options){
        .firmware = a->images.count ? NULL : a->firmware,
        .images = a->images.item,
        .image_count = a->images.count,
        .chip = chip,
        .flash_mode = a->flash_mode - 1, /* the words are in the header's order, after "keep" */
        .flash_mhz = mhz[a->flash_freq],
        .keep_size = a->flash_size == 1,
        .erase_all = a->erase,
    };
}
