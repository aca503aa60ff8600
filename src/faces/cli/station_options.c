#include "station_options.h"

#include <stdlib.h>
#include <string.h>

#include "config_files.h"
#include "keyline/lint.h"

#define AT(member) offsetof(struct station_args, member)

/* clang-format off */
static const struct option options[] = {
    HEADING("Keys"),
    TEXT("csv-file", csv, "FILE", "the keys, one row each (default keys.csv); --csv_file too"),
    FLAG("csv-header", csv_header, "its first row names the columns and is no key"),
    TEXT("pool", pool, "SERVICE",
         "the keys come from a pool in PostgreSQL that several stations share, instead of\n"
         "--csv-file: a name in libpq's service file, or a connection text (docs/fleet.md)"),
    TEXT("offline", offline, "wait|TIME",
         "--pool: boards that this station has never seen while its database is silent\n"
         "(default wait); 30m, 8h: they go on for at most so long, and are checked later"),
    NUMBER("lease-max", lease_max, "N", 1, 10000, "--pool: hold at most N unused keys here (default 1000)"),
    TEXT("journal", journal, "DIR",
         "where the second record of all keys is kept, best on another disk\n"
         "(default /var/lib/keyline, or ~/.local/state/keyline)"),
    {.name = "accept", .type = OPT_LIST, .at = AT(accept), .value = "KIND", .typed_only = true,
     .help = "start although rows are suspicious in this way, any number of times, after\n"
             "a look at them (keyline keys lint lists and explains them)"},
    NUMBER("warn-keys", warn_keys, "N", 0, 1000000, "warn when no more than N keys are left (default 10)"),
    CHOICE("confirm", confirm, "auto|readback|ack|flash",
           "what proves that a board has its key (default auto: readback, with nvs flash);\n"
           "readback: its firmware prints its fields, and with nvs flash besides; flash: the\n"
           "loader reads the NVS back; ack, by handover: the word Provisioned alone"),

    CHOICE("deliver", deliver, "handover|nvs",
           "how a key gets in (default handover): the running firmware asks for it, or it is\n"
           "written into the board's NVS partition before that starts (docs/nvs.md)"),
    TEXT("nvs-schema", nvs_schema, "FILE",
         "nvs: where the columns go, as Espressif's mfg_gen has it (default: the CSV's\n"
         "header row tells, as NAMESPACE/NAME:TYPE)"),
    TEXT("nvs-partition", nvs_partition, "LABEL", "nvs: the partition's name in the table (default nvs)"),
    CHOICE("nvs", nvs, "refuse|replace|merge",
           "nvs: a partition that holds something else (default refuse); replace: writes\n"
           "over all of it, also over keys that are not in this CSV; merge: keeps it"),

    HEADING("Answers to what stops a start"),
    TYPED_FLAG("moved", 0, moved, "the keys and their ledger were moved or put back; from now on they are here only"),
    TYPED_FLAG("heal", 0, heal, "the ledger is an old copy: go on with all that it and its journal know"),
    FLAG("volatile", volatile_storage, "a demonstration: the keys' storage may forget what was given out"),
    TYPED_FLAG("renamed", 0, renamed, "keys that boards have or may have got new labels; the secrets are the same"),

    HEADING("Images"),
    TEXT("firmware", firmware, "FILE",
         "a program's .bin with bootloader and partition table beside it, a merged image,\n"
         "the folder of a build or of its project, or the build's list of images:\n"
         "flasher_args.json, flash_args (default firmware.bin); check tells what is taken"),
    LIST("image", images, "OFFSET:FILE", "one image at one offset, up to 64 times, without --firmware or beside it"),
    TEXT("chip", chip, "CHIP", "esp32, esp32s3, esp32c3 …: refuse any other (default: the images' chip)"),
    CHOICE("flash-mode", flash_mode, "keep|qio|qout|dio|dout", "patched into the bootloader (default keep)"),
    CHOICE("flash-freq", flash_freq, "keep|80m|60m|48m|40m|30m|26m|24m|20m|16m|15m|12m", "the same"),
    CHOICE("flash-size", flash_size, "detect|keep", "the same (default detect)"),
    FLAG("erase", erase, "erase all of a board's flash first"),
    CHOICE("secured", secured, "refuse|handover",
           "a board with flash encryption or secure boot on (default refuse); handover:\n"
           "if it was flashed with these images before, it is only given its key"),

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

    HEADING("Firmware that says it in other words (docs/firmware.md)"),
    TEXT("prompt", prompt, "REGEX", "a line that asks for a key, besides Provisioning"),
    TEXT("ack", ack, "REGEX", "a line that says that a key is stored, besides Provisioned"),
    TEXT("field-names", field_names, "REGEX",
         "the name before a value that is read back; all other lines are its log"),

    HEADING("A product's functional test (docs/exam.md)"),
    LIST("expect", expect, "REGEX",
         "a board that has its key passes once a line of its log matches; with several,\n"
         "once all have, in any order"),
    LIST("reject", reject, "REGEX", "a board fails if a line matches until then, or within the time"),
    SECONDS("expect-timeout", expect_timeout, 0.1, 3600, "how long its log is watched at most (default 10)"),

    HEADING("What is told"),
    FLAG("headless", headless, "one line per change, no dashboard (also without a terminal)"),
    TEXT("events", events, "FILE|-", "one JSON object per line (docs/events.md)"),
    TEXT("socket", socket, "FILE",
         "where dashboards reach it, instead of beside the CSV; its name ends in .socket;\n"
         "members of this process's group may attach: keyline attach --csv-file FILE"),
    TEXT("log-dir", log_dir, "DIR", "a log file per board"),
    TEXT("metrics", metrics, "FILE", "how the bench stands, for Prometheus; its name ends in .prom"),
    TEXT("power-hook", power_hook, "CMD",
         "a shell command that switches a silent board's socket off and on, after its retries and\n"
         "before it is given up; once, until a board passes there or ten minutes are over"),
    TEXT("on-result", on_result, "CMD", "a shell command per result, with its event on standard input"),
    FLAG("read-only", read_only, "the dashboard only watches"),
    TEXT("lock", lock, "FILE|ask",
         "the dashboard only retries and skips until a phrase is typed: the first line\n"
         "of FILE, or asked for at the start"),
    TEXT("lock-phrase", lock_phrase, "PHRASE", "that phrase, in a config file; never on the command line"),
    FLAG("bell", bell, "the dashboard rings on a failure and on the last key"),
    CHOICE("alert", alert, "off|bell|flash", "the dashboard rings, or its screen flashes, at every result (default off)"),
    FLAG("no-mouse", no_mouse, "the terminal keeps the mouse: it marks text as ever"),
    FLAG("ascii", ascii, "plain characters only"),
    CHOICE("color", color, "auto|always|never", "colours (default auto: on a terminal, unless NO_COLOR is set)"),
    FLAG("no-colour", no_colour, "no colours: the same as --color never"),

    HEADING("Help"),
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's; none: read none at all"),
    TYPED_FLAG("list-faults", 0, list_faults, "every way in which a board can fail, and what to do"),
    TYPED_FLAG("json", 0, json, "check, --list-faults and --version as JSON"),
    TYPED_FLAG("version", 'V', version, "the version, its commit, its libraries, the flasher stubs"),
    TYPED_FLAG("help", 'h', help, "print this"),
};
/* clang-format on */

static bool take_accepted(struct station_args *a, char error[KL_TEXT_MAX])
{
    enum kl_csv_kind kind;

    for (unsigned i = 0; i < a->accept.count; i++) {
        if (!kl_csv_kind_by_word(a->accept.item[i], &kind)) {
            kl_format(error, KL_TEXT_MAX,
                      "--accept %s: there is no such kind; keyline keys lint "
                      "--help lists them",
                      a->accept.item[i]);
            return false;
        }
        a->accepted |= 1u << kind;
    }
    return true;
}

const struct option_table kl_station_options = {options, sizeof options / sizeof options[0]};

const struct command kl_command_station = {
    .name = "",
    .run = kl_cli_station,
    .options = &kl_station_options,
    .words = "[options] [COMMAND]",
    .summary = "the station; on a terminal with its dashboard",
    .about =
        "keyline " KEYLINE_VERSION ": flashes many ESP32 boards at once and gives each its key.\n"
        "Without a command it is the station; on a terminal with its dashboard.",
    .after =
        "Exit status\n"
        "  0  all well          3  bad CSV or images                  6  the store can't write\n"
        "  1  a board failed    4  another station holds this CSV\n"
        "  2  usage             5  keys ran out                       7  a person has to answer "
        "first\n"
        "\n"
        "SIGTERM and SIGINT finish or park what runs and end with 0; the second one ends at "
        "once.\n"
        "Manual: man keyline, man keyline.conf\n",
};

void station_defaults(struct station_args *out)
{
    *out = (struct station_args){
        .stub = "auto",
        .nvs_partition = "nvs",
        .warn_keys = 10,
        .lease_max = 1000,
        .baud = 921600,
        .retries = -1,
        .settle = KL_MS(500),
        .prompt_timeout = KL_SEC(30),
        .ack_timeout = KL_SEC(20),
        .expect_timeout = KL_SEC(10),
    };
}

/* "wait"; or a time: 90, 90s, 30m, 8h, 2d. */
static bool take_offline(struct station_args *a, char error[KL_TEXT_MAX])
{
    static const char units[] = "smhd";
    static const long seconds[] = {1, 60, 3600, 86400};
    char *end;
    const char *unit;
    long n;

    if (!a->offline || strcmp(a->offline, "wait") == 0)
        return true;
    n = strtol(a->offline, &end, 10);
    unit = *end != '\0' ? strchr(units, *end) : units;
    if (n > 0 && n <= 365 && end > a->offline && unit && (*end == '\0' || end[1] == '\0')) {
        a->offline_for = KL_SEC((kl_us)n * seconds[unit - units]);
        return true;
    }
    if (n > 365 && (*end == '\0' || (*end == 's' && end[1] == '\0')) && n <= 365 * 86400L) {
        a->offline_for = KL_SEC(n);
        return true;
    }
    kl_format(error, KL_TEXT_MAX, "--offline takes wait, or a time such as 30m, 8h or 2d, not %s",
              a->offline);
    return false;
}

/* The keys are in a CSV, or in a pool; what was typed counts more than a config file. */
static bool take_source(struct station_args *a, char error[KL_TEXT_MAX])
{
    bool csv_typed = config_typed(&kl_station_options, "csv-file");

    if (a->pool && a->csv) {
        if (csv_typed == config_typed(&kl_station_options, "pool")) {
            kl_copy(error, KL_TEXT_MAX, "--pool and --csv-file: the keys come from one of them");
            return false;
        }
        if (csv_typed)
            a->pool = NULL;
    }
    if (!a->pool) {
        if (!a->csv)
            a->csv = "keys.csv";
        return true;
    }
    if (!kl_store_shared_list(a->pool, a->list, error))
        return false;
    a->csv = a->list;
    a->csv_header = true;
    return true;
}

bool station_options_parse(char **argv, struct station_args *out, char error[KL_TEXT_MAX])
{
    station_defaults(out);
    if (!config_parse(&kl_station_options, argv, out, NULL, error))
        return false;
    if (out->color == 2)
        out->no_colour = true;
    if (out->deliver == 1)
        out->csv_header = true; /* it names the columns, here or for the schema */
    if (!out->firmware && out->images.count == 0)
        out->firmware = "firmware.bin";
    return take_source(out, error) && take_offline(out, error) && take_accepted(out, error);
}

bool station_confirm(const struct station_args *a, enum kl_confirm *out, char error[KL_TEXT_MAX])
{
    bool nvs = a->deliver == 1;

    *out = a->confirm == CONFIRM_ACK     ? KL_CONFIRM_ACK
           : a->confirm == CONFIRM_FLASH ? KL_CONFIRM_FLASH
           : a->confirm == CONFIRM_AUTO  ? (nvs ? KL_CONFIRM_FLASH : KL_CONFIRM_READBACK)
                                         : KL_CONFIRM_READBACK;
    if (nvs && *out == KL_CONFIRM_ACK)
        kl_copy(error, KL_TEXT_MAX,
                "--confirm ack does not go with --deliver nvs: nobody hands the board a key that "
                "it could acknowledge; flash is enough for firmware that prints nothing");
    else if (!nvs && *out == KL_CONFIRM_FLASH)
        kl_copy(error, KL_TEXT_MAX,
                "--confirm flash needs --deliver nvs: keyline does not know where firmware keeps a "
                "key that was handed over; ack is enough for firmware that prints nothing");
    else
        return true;
    return false;
}

struct kl_bundle_options station_bundle_options(const struct station_args *a, enum kl_chip_id chip)
{
    static const unsigned mhz[] = {0, 80, 60, 48, 40, 30, 26, 24, 20, 16, 15, 12};

    return (struct kl_bundle_options){
        .firmware = a->firmware,
        .images = a->images.item,
        .image_count = a->images.count,
        .chip = chip,
        .flash_mode = a->flash_mode - 1, /* the words are in the header's order, after "keep" */
        .flash_mhz = mhz[a->flash_freq],
        .keep_size = a->flash_size == 1,
        .erase_all = a->erase,
    };
}
