/*
 * vboard_inside.h: the inside of a virtual board, shared by src/virtual only.
 *
 * vboard.c owns time and the modes; every other file is one part of the board: wire, flash,
 * registers, ROM loader, stub, boot, firmware, faults. "§n" is docs/esp-serial-protocol.md.
 */
#ifndef KEYLINE_VBOARD_INSIDE_H
#define KEYLINE_VBOARD_INSIDE_H

#define ZLIB_CONST
#include <zlib.h>

#include "keyline/chip.h"
#include "keyline/vboard.h"

enum {
    SECTOR = 0x1000,
    ROM_BLOCK_MAX = 0x1800,             /* §1.5, refused above */
    FRAME_MAX = 8 + 16 + 0x4000 + 0xFF, /* the new stub's receive buffer (§1.1) */
    SPI_WORDS = 16,
    REGS_KEPT = 128,
    SEGMENTS_KEPT = 4,
    UART_FIFO = 256, /* Arduino's receive buffer, and the firmware's (docs/firmware.md) */
};

/* ---- what differs between chips beyond keyline/chip.h (vchip.c) ---- */

struct vchip {
    const char *banner;     /* ROM's first lines */
    const char *download;   /* the boot line's value and words in the loader */
    const char *flash_boot; /* the same for a normal start */
    const char *waiting;    /* printed in the loader after the boot line */
    const char *power_on;   /* reset names (§6.1) */
    const char *software;
    const char *watchdog;
    const char *brownout;
    const char *oui; /* first three bytes of factory MACs */
    enum kl_chip_id id;
    uint32_t magic;           /* READ_REG 0x40001000 at the usual revision */
    uint16_t revision;        /* the usual one */
    uint8_t crystal_mhz;      /* on this board */
    uint8_t rom_assumes_mhz;  /* what CHANGE_BAUDRATE computes with (§4.4) */
    uint8_t security_version; /* last word of GET_SECURITY_INFO */
    bool security_short;      /* ESP32-S2: without chip id and version */
    bool end_is_monitor;      /* FLASH_END drops into the text monitor (§2.3) */
};

const struct vchip *vchip(enum kl_chip_id id);
uint32_t crystal_hz(const struct kl_vboard *b);
/* What the ROM takes that for when it computes dividers; an ESP32 measures it, and not well. */
uint64_t rom_assumes_hz(const struct kl_vboard *b);

/* ---- faults (fault.c) ---- */

enum fault_argument {
    FAULT_FLAG,  /* none */
    FAULT_AT,    /* byte number, once; none = drawn from the seed */
    FAULT_TIMES, /* how often; none = always */
    FAULT_VALUE, /* a figure; none = the table's */
    FAULT_TEXT,  /* text up to the comma */
};

/* X(NAME, "name", argument, default figure, "what it does") */
/* clang-format off */
#define VBOARD_FAULTS(X) \
 X(DROP_RX,        "drop_rx",         AT,    0,      "the Nth byte from the host is lost") \
 X(DROP_TX,        "drop_tx",         AT,    0,      "the Nth byte to the host is lost") \
 X(FLIP_RX,        "flip_rx",         AT,    0,      "one bit of the Nth byte from the host is flipped") \
 X(FLIP_TX,        "flip_tx",         AT,    0,      "one bit of the Nth byte to the host is flipped") \
 X(DOUBLE_RX,      "double_rx",       AT,    0,      "the Nth byte from the host arrives twice") \
 X(DOUBLE_TX,      "double_tx",       AT,    0,      "the Nth byte to the host arrives twice") \
 X(NOISE,          "noise",           VALUE, 20000,  "one byte in N is damaged, both ways") \
 X(NOISE_ABOVE,    "noise_above",     VALUE, 115200, "above N baud one byte in 500 is damaged, both ways") \
 X(SILENT_AFTER,   "silent_after",    AT,    0,      "says nothing more after N bytes, until it loses power") \
 X(DEAF_AFTER,     "deaf_after",      AT,    0,      "hears nothing more after N bytes, until it loses power") \
 X(UNPLUG_AT,      "unplug_at",       AT,    0,      "leaves the bus at the Nth byte from the host") \
 X(RESET_AT,       "reset_at",        AT,    0,      "resets by itself (brownout) at the Nth byte from the host") \
 X(SLOW,           "slow",            VALUE, 20,     "every answer comes N ms late") \
 X(CHATTER,        "chatter",         FLAG,  0,      "prints a line of rubbish before every answer of the loader") \
 X(NO_SYNC,        "no_sync",         TIMES, 0,      "the first N SYNCs get no answer") \
 X(NO_AUTO_RESET,  "no_auto_reset",   TIMES, 0,      "the first N resets into the loader start the program instead") \
 X(BOOT_HELD,      "boot_held",       TIMES, 0,      "IO0 stays low: the first N resets end in the loader") \
 X(DEAF,           "deaf",            FLAG,  0,      "hears nothing: the wire from the adapter's TX is broken") \
 X(MUTE,           "mute",            FLAG,  0,      "says nothing: the wire to the adapter's RX is broken") \
 X(NO_BAUD,        "no_baud",         TIMES, 0,      "refuses CHANGE_BAUDRATE") \
 X(ROM_HANGS,      "rom_hangs",       FLAG,  0,      "the ROM hangs once it is told another rate or to start a stub") \
 X(STUB_RETURNS,   "stub_returns",    FLAG,  0,      "the stub speaks at the rate that SYNC found, whatever the ROM was told") \
 X(STUB_DIES,      "stub_dies",       TIMES, 0,      "the first N stubs greet and say nothing more") \
 X(DEAF_AMID,      "deaf_amid",       VALUE, 20,     "asked for MD5 amid a stream, the stub hears nothing for N ms") \
 X(ROM_OVERRUN,    "rom_overrun",     VALUE, 230400, "from N baud on the ROM loses a byte of every long frame") \
 X(CLOCK_OFF,      "clock_off",       VALUE, 48,     "an ESP32's ROM takes its crystal for N/1000 faster than it is") \
 X(CRYSTAL_26,     "crystal_26",      FLAG,  0,      "an ESP32 with a crystal of 26 MHz") \
 X(NO_FLASH,       "no_flash",        FLAG,  0,      "no flash chip answers") \
 X(BAD_CELL,       "bad_cell",        VALUE, 0x10100,"the flash byte at this address stays 0xFF") \
 X(WRITE_FAILS,    "write_fails",     TIMES, 0,      "the first N blocks can't be written to flash") \
 X(DIES_WRITING,   "dies_writing",    VALUE, 330,    "the power fails amid the Nth step of erasing or programming its flash") \
 X(MD5_WRONG,      "md5_wrong",       TIMES, 0,      "the first N MD5 answers are wrong") \
 X(STUB_FAILS,     "stub_fails",      TIMES, 0,      "the first N uploaded stubs do not start") \
 X(FLASH_ENCRYPTED,"flash_encrypted", FLAG,  0,      "flash encryption is on") \
 X(ENCRYPTS_ITSELF,"encrypts_itself", FLAG,  0,      "its program switches flash encryption on when it first starts") \
 X(SECURE_BOOT,    "secure_boot",     FLAG,  0,      "secure boot is on") \
 X(SECURE_DOWNLOAD,"secure_download", FLAG,  0,      "the ROM is in secure download mode") \
 X(MAC_SHARED,     "mac_shared",      FLAG,  0,      "the MAC is the same on every board with this fault") \
 X(MAC_EMPTY,      "mac_empty",       FLAG,  0,      "the MAC's eFuses are blank") \
 X(FLASH_READ_ERR, "flash_read_err",  TIMES, 0,      "the first N starts can't read the flash") \
 X(STRAPPED,       "strapped",        TIMES, 0,      "the first N starts end in a boot mode that runs nothing") \
 X(BROWNOUT,       "brownout",        TIMES, 3,      "the supply sags: the first N starts of the program end in a brownout") \
 X(BOOT_LOOP,      "boot_loop",       FLAG,  0,      "the program crashes at every start") \
 X(PANIC,          "panic",           TIMES, 1,      "the program crashes at its first N starts") \
 X(PANIC_ON_LINE,  "panic_on_line",   TIMES, 1,      "the program crashes when a line comes, before it stores it") \
 X(SLOW_BOOT,      "slow_boot",       VALUE, 2000,   "the program starts N ms late") \
 X(NEVER_ASKS,     "never_asks",      FLAG,  0,      "the program runs, but never asks") \
 X(SILENT_APP,     "silent_app",      FLAG,  0,      "the program prints nothing") \
 X(MISSES_LINE,    "misses_line",     TIMES, 1,      "the program misses the first N lines") \
 X(REFUSES,        "refuses",         TIMES, 0,      "the program answers the first N lines with an error") \
 X(RESTARTS,       "restarts",        TIMES, 1,      "the program restarts by itself after asking, N times") \
 X(DIES_STORING,   "dies_storing",    TIMES, 1,      "the power fails while the program stores, N times") \
 X(DIES_STORED,    "dies_stored",     TIMES, 1,      "the program crashes after storing, before it says so, N times") \
 X(ACK_LOST,       "ack_lost",        TIMES, 1,      "the first N acknowledgements are not printed") \
 X(STORES_WRONG,   "stores_wrong",    TIMES, 0,      "acknowledges, but stores something else, the first N times") \
 X(STORES_SHORT,    "stores_short",    TIMES, 0,      "acknowledges, but stores the second field without its end, the first N times") \
 X(STORES_NOTHING, "stores_nothing",  TIMES, 0,      "acknowledges, but stores nothing, the first N times") \
 X(NO_READBACK,    "no_readback",     FLAG,  0,      "says Provisioned, but shows no fields") \
 X(READS_WRONG,    "reads_wrong",     TIMES, 0,      "stores well, but the first N read-backs are wrong") \
 X(READS_SHORT,    "reads_short",     TIMES, 0,      "the first N read-backs end after one field") \
 X(LEAKS,          "leaks",           FLAG,  0,      "the program prints what it received, as text and as hex") \
 X(SPELLS,         "spells",          FLAG,  0,      "the program prints its key again and again, each time in another way") \
 X(CHATTY,         "chatty",          FLAG,  0,      "the program prints log lines between all others") \
 X(TEST_FAILS,     "test_fails",      TIMES, 0,      "firmware selftest: its first N tests fail") \
 X(TEST_SILENT,    "test_silent",     FLAG,  0,      "firmware selftest: its test has no end") \
 X(TEST_RESTARTS,  "test_restarts",   TIMES, 1,      "firmware selftest: it restarts during its test, N times") \
 X(TEST_CRASHES,   "test_crashes",    TIMES, 1,      "firmware selftest: it crashes during its test, N times") \
 X(TEST_FLOODS,    "test_floods",     FLAG,  0,      "firmware selftest: instead of an end it prints for ever, without a line end") \
 X(PROVISIONED,    "provisioned",     TEXT,  0,      "already holds a key: its fields, separated by |; none = one of its own")
/* clang-format on */

enum fault {
#define X(name, word, argument, figure, text) FAULT_ID_##name,
    VBOARD_FAULTS(X)
#undef X
    FAULT_ID_COUNT
};

struct faults {
    bool set[FAULT_ID_COUNT];
    uint64_t figure[FAULT_ID_COUNT]; /* AT: byte number; TIMES: left; VALUE: itself */
    char provisioned[KL_LINE_MAX + 1];
};

/* ---- the wire (wire.c) ---- */

/* Bytes that are on their way one after the other at one rate. */
struct stretch {
    size_t size, done;
    kl_us start;
    uint32_t baud;     /* the sender's */
    uint32_t heard_at; /* to the host: the adapter's rate when it came, 0 = still coming */
};

/* One direction. */
struct lane {
    uint8_t *bytes;
    size_t head, tail, capacity;
    struct stretch *stretch;
    size_t first, last, room; /* stretch[first … last) */
    kl_us free_at;
    uint64_t count;   /* bytes that came out at the far end, over the board's life */
    uint64_t trouble; /* the count at which vfault.c has something to do */
    size_t run;       /* bytes to the next delimiter, 0 = not looked for yet */
};

/* ---- the parts' own state ---- */

struct reg {
    uint32_t address, value;
};

struct regs {
    struct reg fixed[48]; /* eFuses and other facts of this board */
    unsigned fixed_count;
    struct reg kept[REGS_KEPT]; /* written by the host: the newest ones */
    unsigned kept_count, kept_next;
    uint32_t w[SPI_WORDS];
    uint8_t flash_status[3]; /* the flash chip's own: no reset of the chip clears them */
};

struct frame {
    uint8_t *data; /* FRAME_MAX bytes, allocated when first needed */
    size_t size;
    bool open, escape, bad, waiting;
};

/* What a board keeps of a RAM download: enough to know whether a stub could run. */
struct segment {
    uint32_t address, size, got;
};

struct loader {
    bool locked;         /* a rate was found by SYNC; before that any is taken (§3.2) */
    uint32_t found_baud; /* … this one */
    uint32_t rx_baud;    /* of the bytes being heard */
    struct frame frame, next;
    kl_us busy_until;
    kl_us armed_at;     /* the stub hears again from then on … */
    uint8_t deaf_bytes; /* … or after so many, if no time passes */
    /* replies */
    uint8_t last_op, last_error;
    uint32_t last_value;
    /* SPI flash */
    bool attached;
    uint32_t params_size;
    uint8_t slow_read[64];
    /* one download at a time */
    enum {
        INTO_NOTHING,
        INTO_FLASH,
        INTO_DEFLATE,
        INTO_RAM
    } into;
    uint32_t expected, block_size, address, remaining, packed_remaining;
    uint32_t erase_at, erase_left;
    bool dirty; /* since begin, a sector was not blank */
    z_stream *inflate;
    uint8_t *window; /* 32 KiB, the stub's write unit */
    size_t window_used;
    struct frame late; /* waiting: what the stub has put off for it (stub.c) … */
    kl_us late_by;     /* … and when that can be seen; KL_NEVER = by the next frame */
    struct segment segment[SEGMENTS_KEPT];
    unsigned segments;
    /* the stub */
    uint16_t failure; /* of work after an answer; answers the next command */
    bool reading;     /* READ_FLASH: acknowledgements are due */
    uint32_t read_at, read_left, read_size, read_sent, read_packet;
    void *read_md5;
};

enum mode {
    BOARD_OFF,
    BOARD_HELD,   /* EN low */
    BOARD_RISING, /* EN rises; the straps are sampled at timer_at */
    BOARD_BOOT,   /* ROM and bootloader; then the program, or a reset, at timer_at */
    BOARD_ROM,    /* in the ROM loader */
    BOARD_STUB,
    BOARD_MONITOR, /* ESP32: text monitor after FLASH_END */
    BOARD_APP,
    BOARD_DEAD, /* hangs until reset */
};

enum reset_cause {
    CAUSE_POWER_ON,
    CAUSE_SOFTWARE,
    CAUSE_WATCHDOG,
    CAUSE_BROWNOUT
};

struct app;

struct kl_vboard {
    struct kl_vboard_config config;
    const struct kl_chip *chip;
    const struct vchip *v;
    struct kl_mac mac;
    uint64_t rng;
    struct faults faults;

    kl_us now;  /* of the event being handled; never back */
    kl_us work; /* when the work for that event is finished */
    kl_us flash_ready;
    kl_us flash_worked; /* over its life */
    kl_us timer_at;     /* the mode's own */
    enum mode mode;
    bool dtr, rts, unplugged;
    bool boot_ok;           /* BOARD_BOOT ends in the program */
    uint32_t boot_offset;   /* of the program that started last */
    enum reset_cause cause; /* … or else in a reset with this cause */
    bool io0_latched;       /* the strap as it was sampled last */
    bool usb_wants_loader;  /* native USB: DTR alone was set before the reset (§5.2) */
    bool dead_wire_rx, dead_wire_tx;

    uint32_t host_baud, chip_baud;
    struct lane rx, tx; /* from the host, to the host */

    uint8_t *flash;
    uint32_t flash_size;
    uint64_t flash_steps; /* sectors erased and pages programmed, over its life */
    uint64_t seen_steps;  /* of these, when the stored fields were looked at last */
    bool dying;           /* the power failed amid the last of them */
    bool bricked;         /* plain bytes were written under flash encryption */

    struct regs regs;
    struct loader loader;
    struct app *app;

    char line[4 * (KL_LINE_MAX + 1)]; /* being received by the program */
    size_t line_size;
    char **seen;
    unsigned seen_count, store_count, start_count;
    char stored[KL_LINE_MAX + 1];
    char complaint[KL_TEXT_MAX];
};

/* vboard.c */
/* With nothing put off. Casts const away: what the board holds and says is the same. */
struct kl_vboard *board_settled(const struct kl_vboard *b);
void board_set_identity(struct kl_vboard *b);                  /* MAC and eFuses */
void board_reset(struct kl_vboard *b, enum reset_cause cause); /* by itself: straps stay */
void board_enter(struct kl_vboard *b, enum mode mode);
void board_lose_power(struct kl_vboard *b); /* from within: off the bus */
void board_complain(struct kl_vboard *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t board_random(struct kl_vboard *b);
void board_set_baud(struct kl_vboard *b, uint32_t baud); /* the chip's UART */
void board_send(struct kl_vboard *b, const uint8_t *data, size_t size, kl_us ready);
void board_say(struct kl_vboard *b, const char *text);
void board_sayf(struct kl_vboard *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* vfault.c */
bool faults_parse(struct faults *f, const char *list, uint64_t *rng, char error[KL_TEXT_MAX]);
bool fault_is(const struct kl_vboard *b, enum fault f);
bool fault_takes(struct kl_vboard *b, enum fault f); /* TIMES: uses one up */
uint64_t fault_figure(const struct kl_vboard *b, enum fault f);
/* Passes one byte that is about to come out of a lane: 0, 1 or 2 bytes remain in out. */
unsigned fault_byte(struct kl_vboard *b, struct lane *lane, uint8_t byte, uint8_t out[2]);
void fault_plan(struct kl_vboard *b, struct lane *lane); /* sets lane->trouble */

/* vwire.c */
void lane_put(struct kl_vboard *b, struct lane *lane, const uint8_t *data, size_t size, kl_us ready,
              uint32_t baud);
void lane_free(struct lane *lane);
void lane_drop_from(struct kl_vboard *b, struct lane *lane, kl_us at); /* what is not yet out */
kl_us rx_next(struct kl_vboard *b);
void rx_run(struct kl_vboard *b, kl_us until, bool whole_runs);
size_t tx_take(struct kl_vboard *b, uint8_t *out, size_t size);
kl_us tx_next(const struct kl_vboard *b);
void tx_settle(struct kl_vboard *b); /* before the adapter's rate changes */
bool bauds_agree(uint32_t a, uint32_t b);

/* flash.c: contents and time; b->work moves on when paced */
uint8_t *flash_make(uint32_t size); /* blank; NULL = no memory */
void flash_free(uint8_t *flash, uint32_t size);
bool flash_blank(const struct kl_vboard *b, uint64_t at, uint64_t size);
void flash_erase(struct kl_vboard *b, uint32_t address, uint32_t size);
bool flash_program(struct kl_vboard *b, uint32_t address, const uint8_t *data, size_t size);
enum flash_reader {
    READ_PLAINLY,
    READ_FOR_MD5,
    READ_FOR_ROM_MD5
};
void flash_read_time(struct kl_vboard *b, size_t size, enum flash_reader reader);
void flash_wait(struct kl_vboard *b);
uint32_t flash_id(const struct kl_vboard *b);

/* regs.c */
uint64_t esp32_measures(const struct kl_vboard *b); /* Hz */
void regs_init(struct kl_vboard *b);
void regs_reset(struct kl_vboard *b);
uint32_t regs_read(struct kl_vboard *b, uint32_t address);
void regs_write(struct kl_vboard *b, uint32_t address, uint32_t value, uint32_t mask);

/* vloader.c: framing and what ROM and stub share */
void loader_start(struct kl_vboard *b);
void loader_rx(struct kl_vboard *b, const uint8_t *data, size_t size);
kl_us loader_next(const struct kl_vboard *b);
void loader_idle(struct kl_vboard *b); /* the work of the last frame is done */
void loader_free(struct loader *l);
void loader_forget_download(struct loader *l);
void loader_send(struct kl_vboard *b, const uint8_t *frame, size_t size);
enum inflated {
    INFLATED,
    INFLATE_BROKEN,
    INFLATE_ADLER,
    INFLATE_FLASH
};
enum inflated loader_inflate(struct kl_vboard *b, const uint8_t *data, size_t size,
                             bool (*write)(struct kl_vboard *, const uint8_t *, size_t),
                             bool whole_windows);
void loader_security_info(const struct kl_vboard *b, uint8_t out[20], size_t *size);
void loader_inflate_start(struct kl_vboard *b);
uint8_t loader_checksum(const uint8_t *data, size_t size);
uint32_t get_u32(const uint8_t *p);
void put_u32(uint8_t *p, uint32_t v);
void md5_of_flash(struct kl_vboard *b, uint32_t address, uint32_t size, uint8_t out[16]);

void rom_frame(struct kl_vboard *b, const uint8_t *frame, size_t size);
void monitor_rx(struct kl_vboard *b, uint8_t byte);
void stub_start(struct kl_vboard *b);
void stub_frame(struct kl_vboard *b, const uint8_t *frame, size_t size);
void stub_catch_up(struct kl_vboard *b); /* does what was put off */

/* boot.c */
void boot_start(struct kl_vboard *b, enum reset_cause cause);
void boot_download_text(struct kl_vboard *b);

/* app.c: what any program shares; the faults that programs have */
void app_start(struct kl_vboard *b);
void app_stop(struct kl_vboard *b);
void app_rx(struct kl_vboard *b, const uint8_t *data, size_t size);
void app_tick(struct kl_vboard *b);
void app_preload(struct kl_vboard *b, const char *fields);
void app_refresh_stored(struct kl_vboard *b);
void app_remember(struct kl_vboard *b, const char *line, size_t size); /* for checkers */

/* nvs.c: the firmware's storage, inside the flash */
bool nvs_put(struct kl_vboard *b, const char *key, const void *value, size_t size);
bool nvs_get(const struct kl_vboard *b, const char *key, void *value, size_t *size);
bool nvs_clear(struct kl_vboard *b);

#endif
