/*
 * fault.h: every way in which a board can fail, as one list.
 *
 * The enum, the short text, the advice, the name in the event stream and the policy come from the
 * same lines; docs/faults.md is generated from them (`keyline --list-faults`).
 *
 *   X(NAME, "event_name", policy, "what happened", "what to do")
 *
 * The policy is one of enum kl_policy; src/core/fault.c gives each its retries and back-off.
 */
#ifndef KEYLINE_FAULT_H
#define KEYLINE_FAULT_H

#include "keyline/base.h"

enum kl_policy {
    KL_POLICY_STOP,      /* a person has to do something: no automatic retry */
    KL_POLICY_RECONNECT, /* try again from the start, next reset sequence */
    KL_POLICY_SLOWER,    /* try again one baud rate lower */
    KL_POLICY_AGAIN,     /* try again unchanged */
    KL_POLICY_WAIT, /* not the board's fault: the board waits, and shows it, until this clears */
};

/* clang-format off */
#define KL_FAULTS(X) \
 X(NONE,             "none",              STOP,      "", "") \
 X(PORT_BUSY,        "port_busy",         AGAIN,     "another program holds the port", "close the other program (a serial monitor?); if nothing happens then, press r") \
 X(PORT_DENIED,      "port_denied",       STOP,      "no permission to open the port", "add this user to the group dialout, log in again, then press r") \
 X(PORT_ERROR,       "port_error",        AGAIN,     "the port can't be opened", "unplug the board and plug it in again; run keyline doctor") \
 X(PORT_LOST,        "port_lost",         AGAIN,     "the port vanished", "check cable, hub and power, plug the board in again") \
 X(LINK_STUCK,       "link_stuck",        RECONNECT, "the adapter does not answer", "unplug the adapter and plug it in again") \
 X(NO_SYNC,          "no_sync",           RECONNECT, "the chip does not answer", "check power and cable, hold BOOT while it connects, then press r") \
 X(WRONG_BOOT_MODE,  "wrong_boot_mode",   RECONNECT, "the chip started its program instead of the loader", "hold BOOT (IO0) while it connects; the board lacks auto-reset or its EN capacitor") \
 X(NO_TX_PATH,       "no_tx_path",        RECONNECT, "the loader runs but does not hear us", "check the wire from the adapter's TX to the board's RX") \
 X(STILL_IN_LOADER,  "still_in_loader",   RECONNECT, "the chip stays in its loader after flashing", "release BOOT (IO0), press EN or unplug the board, then press r") \
 X(UNKNOWN_CHIP,     "unknown_chip",      STOP,      "the chip is not one that keyline knows", "use a supported ESP chip; note the values in the log") \
 X(WRONG_CHIP,       "wrong_chip",        STOP,      "the images are for another chip", "use the board these images are for, or other images") \
 X(CHIP_REVISION,    "chip_revision",     STOP,      "the images need another chip revision", "use a board with the right revision, or build for this one") \
 X(BAD_MAC,          "bad_mac",           STOP,      "the chip's MAC is not valid", "put the board aside: its eFuses are damaged or empty") \
 X(MAC_LIVE_TWICE,   "mac_live_twice",    STOP,      "another slot shows the same MAC", "unplug one of the two; if both are real, the MACs are cloned: put them aside") \
 X(MAC_LINGERS,      "mac_lingers",       AGAIN,     "another slot that has fallen silent shows the same MAC", "nothing to do if the board was moved; else unplug one of the two") \
 X(SECURE_DOWNLOAD,  "secure_download",   STOP,      "the chip is in secure download mode", "this board is already locked: put it aside") \
 X(FLASH_ENCRYPTED,  "flash_encrypted",   STOP,      "flash encryption is on: plain images would brick it", "this board is already locked: put it aside; if these images lock boards themselves, use --secured handover") \
 X(SECURE_BOOT,      "secure_boot",       STOP,      "secure boot is on: plain images would not start", "this board is already locked: put it aside; if these images lock boards themselves, use --secured handover") \
 X(NO_FLASH,         "no_flash",          RECONNECT, "no flash chip answers", "check the flash's soldering and supply; on ESP32: GPIO12 must not be high") \
 X(FLASH_TOO_SMALL,  "flash_too_small",   STOP,      "the flash is too small for the images", "use a board with more flash, or a smaller partition table") \
 X(PROTOCOL,         "protocol",          RECONNECT, "the loader gave a wrong answer", "press r; if it stays, try a lower --baud") \
 X(TIMEOUT,          "timeout",           SLOWER,    "the loader stopped answering", "check cable and power; press r") \
 X(LINE_NOISE,       "line_noise",        SLOWER,    "data arrives damaged", "use a shorter cable or a lower --baud") \
 X(REFUSED,          "refused",           RECONNECT, "the loader refused a command", "press r; note the chip's error in the log") \
 X(WRITE_FAILED,     "write_failed",      AGAIN,     "the chip could not write its flash", "check the supply; if it stays, the flash is worn or write-protected") \
 X(VERIFY_FAILED,    "verify_failed",     SLOWER,    "the flash does not hold what was written", "press r; if it stays, the flash is bad") \
 X(NO_BOOT_OUTPUT,   "no_boot_output",    RECONNECT, "the board is silent after flashing", "does the firmware print at 115200 baud on this port?") \
 X(FLASH_READ_ERR,   "flash_read_err",    AGAIN,     "the chip can't read its flash at boot", "bootloader missing or flash badly soldered; on ESP32: GPIO12 must be low") \
 X(INVALID_HEADER,   "invalid_header",    AGAIN,     "nothing bootable at the bootloader's place", "wrong bootloader image or offset for this chip") \
 X(BAD_APP,          "bad_app",           STOP,      "the bootloader finds no valid program", "partition table and firmware do not fit each other") \
 X(BAD_PARTITIONS,   "bad_partitions",    STOP,      "the bootloader rejects the partition table", "check partitions.bin and the flash size in the bootloader") \
 X(BAD_STRAPS,       "bad_straps",        RECONNECT, "the chip booted in a mode set by its strapping pins", "check the strapping pins and what is wired to them") \
 X(BROWNOUT,         "brownout",          AGAIN,     "the supply sagged (brownout)", "use a powered hub, shorter cables, fewer boards at once") \
 X(PANIC,            "panic",             AGAIN,     "the firmware crashed", "see the log; the firmware needs a fix") \
 X(BOOT_LOOP,        "boot_loop",         STOP,      "the board restarts again and again", "see the log; check supply and firmware") \
 X(NEVER_ASKED,      "never_asked",       AGAIN,     "the firmware never asked for its key", "does this firmware print Provisioning at 115200 baud?") \
 X(NO_ACK,           "no_ack",            AGAIN,     "the board did not acknowledge its key", "press r: the same board gets the same key again") \
 X(KEY_REFUSED,      "key_refused",       STOP,      "the firmware refused its key", "see the log; does the CSV have the fields this firmware expects?") \
 X(NO_READBACK,      "no_readback",       AGAIN,     "the board did not read its key back", "press r; for firmware that prints nothing use --confirm ack, or flash with --deliver nvs") \
 X(READBACK_DIFFERS, "readback_differs",  AGAIN,     "the board reads back something else than was sent", "press r to send the same key again; if it stays, its NVS is bad") \
 X(HOLDS_OTHER_KEY,  "holds_other_key",   STOP,      "the board holds another board's key", "put it aside: two boards may share this key; see keyline keys history") \
 X(HOLDS_UNKNOWN,    "holds_unknown_key", AGAIN,      "the board holds a key that is not in this CSV", "put it aside, or press e to erase it and give it a key of its own") \
 X(HOLDS_UNREADABLE, "holds_unreadable",  STOP,      "the board says it is provisioned but shows no key", "use firmware that reads its key back, or --field-names; or press e to erase it") \
 X(NVS_HOLDS_MORE,   "nvs_holds_more",    STOP,      "the board's NVS holds something that is not keyline's", "--nvs merge keeps it, --nvs replace writes over it; or press e to erase the board") \
 X(NVS_ENCRYPTED,    "nvs_encrypted",     STOP,      "the board's NVS is encrypted", "put it aside, or press e to erase it: keyline writes no encrypted NVS") \
 X(NVS_NO_FIT,       "nvs_no_fit",        STOP,      "the key does not fit into the board's NVS", "use a larger partition, or --nvs replace instead of merge") \
 X(EXPECT_MISSED,    "expect_missed",     AGAIN,     "its log lacks a text of --expect", "see the log; r tests it again with the key that it has; --expect-timeout S waits longer") \
 X(REJECT_CAME,      "reject_came",       STOP,      "its log says what --reject forbids", "it failed its own test: put it aside, or press r to test it again; it keeps its key") \
 X(KEY_CONFLICT,     "key_conflict",      STOP,      "this board's reserved key changed in the CSV", "see keyline keys status; restore the row, or release the key by label") \
 X(BOARD_CHANGED,    "board_changed",     RECONNECT, "another board may have taken this one's place", "nothing to do: the board is identified again") \
 X(NO_KEYS,          "no_keys",           WAIT,      "no free key is left", "add rows to the CSV; the board goes on by itself") \
 X(POOL_WAIT,        "pool_wait",         WAIT,      "waits for the shared pool", "nothing: it goes on by itself when the database answers") \
 X(BOARD_ELSEWHERE,  "board_elsewhere",   STOP,      "another station of the pool has this board", "take it to that station; it gets no second key here") \
 X(POOL_DISPUTE,     "pool_dispute",      STOP,      "the shared pool has another owner for this key or this board", "put it aside; the pool's owner settles it: keyline pool status") \
 X(STORE_TROUBLE,    "store_trouble",     WAIT,      "the ledger or the list of keys can't be used", "free disk space, or bring the list back; it goes on by itself") \
 X(LIST_ASKS,        "list_asks",         WAIT,      "waits for a person's answer about the list of keys", "press a, or keyline keys accept; or correct the list; it goes on by itself") \
 X(STOPPED,          "stopped",           STOP,      "stopped by the operator", "press r to go on") \
 X(ADAPTER_SETTING,  "adapter_setting",   SLOWER,    "the adapter refused a setting", "try a lower --baud")
/* clang-format on */

enum kl_reason {
#define X(name, event, policy, text, advice) KL_FAULT_##name,
    KL_FAULTS(X)
#undef X
    KL_FAULT_COUNT
};

struct kl_fault_info {
    const char *name; /* in the event stream */
    const char *text;
    const char *advice;
    enum kl_policy policy;
    uint8_t retries; /* automatic retries, when --retries says nothing */
    kl_us back_off;  /* before the first; doubled each time */
};

struct kl_fault_info kl_fault_info(enum kl_reason reason);

/* What went wrong with one board, kept until the board is gone. */
struct kl_fault {
    enum kl_reason reason;
    uint16_t chip_error;      /* the loader's status and error bytes, status first; 0 = none */
    char detail[KL_TEXT_MAX]; /* figures for a person: offset, expected and found; may be empty */
};

#endif
