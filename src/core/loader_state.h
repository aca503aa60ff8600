/*
 * loader_state.h: struct kl_loader, the talk with one chip's ROM loader, or with the flasher stub
 * once it runs, and what the board that embeds it calls. Its members belong to loader*.c.
 *
 * Sans-I/O: bytes and completions go in with a time, kl_io requests come out, deadline() says when
 * tick() is due. One task runs at a time; the board starts them in the order of its states:
 *
 * CONNECT: reset sequences of the link's kind in turn, SYNC, until the loader answers.
 *
 * IDENTIFY: security state, chip, revision, MAC, crystal, console; refuses locked chips; then the
 * stub's upload (the ROM stays if it fails), rate with fallback, flash id, SPI parameters.
 *
 * FLASH: MD5 of each region first; what differs is erased and written, compressed if possible; the
 * stub's barrier.
 *
 * VERIFY: MD5 of every region.
 *
 * READ: sectors, into the memory that kl_loader_read_into named.
 *
 * SAME: the MAC is read once more: it is still this chip.
 *
 * RUN: rate back to 115200, hard reset into the program.
 *
 * How, and which traps are avoided: docs/loader.md. Facts: docs/esp-serial-protocol.md.
 */
#ifndef KEYLINE_LOADER_STATE_H
#define KEYLINE_LOADER_STATE_H

#include "keyline/bundle.h"
#include "keyline/efuse.h"
#include "keyline/io.h"
#include "keyline/loader.h"

#include "console.h"
#include "slip.h"

enum {
    KL_BLOCK_MAX = 0x4000,
    /* header, data header and a block, every byte escaped, two delimiters and a spare one */
    KL_LOADER_TX_MAX = 2 * (8 + 16 + KL_BLOCK_MAX) + 3,
    KL_DIFF_SECTORS = 4096, /* of a region that is compared in parts: 16 MB */
    KL_LOADER_NOTES = 4,
    KL_LOADER_NOTE_MAX = 96,
    KL_LOADER_REGS_MAX = 20,
};

enum kl_loader_task {
    KL_LOADER_IDLE,
    KL_LOADER_CONNECT,
    KL_LOADER_IDENTIFY,
    KL_LOADER_FLASH,
    KL_LOADER_VERIFY,
    KL_LOADER_RUN,
    KL_LOADER_READ, /* these two are no part of the usual way */
    KL_LOADER_SAME,
};

enum kl_loader_status {
    KL_LOADER_BUSY,
    KL_LOADER_DONE,   /* the task is finished; start the next */
    KL_LOADER_FAILED, /* see fault */
};

/* How the chip is reset into its loader; data in reset.c (5.2). */
enum kl_reset_strategy {
    KL_RESET_AUTO,       /* the link kind's list, from the first */
    KL_RESET_BRIEF,      /* both lines at once, EN low for 20 ms, the strap for 50 ms */
    KL_RESET_TIGHT,      /* the same, EN low for 100 ms */
    KL_RESET_TIGHT_LONG, /* 550 ms */
    KL_RESET_CLASSIC,
    KL_RESET_CLASSIC_LONG,
    KL_RESET_USB_JTAG,
    KL_RESET_RFC2217_BRIEF, /* classic, its last two changes pipelined, 20 ms */
    KL_RESET_RFC2217,       /* 100 ms */
    KL_RESET_RFC2217_LONG,
    KL_RESET_NONE,
    KL_RESET_COUNT
};
const char *kl_reset_name(enum kl_reset_strategy s);

/* What one board taught about the place where it stood, for the next one there: kl_loader_setup
   carries it in, kl_loader_memory gives it out. All zero: nothing yet. It holds nothing of a chip's
   identity or security state. What it says is proved again or only costs time. */
struct kl_loader_memory {
    enum kl_reset_strategy reset; /* the one that worked last; KL_RESET_AUTO = none yet */
    enum kl_chip_id rom_stays;    /* this chip's ROM failed at a rate at which a stub worked, or the
                                     ROM worked at 115200 only; 0 = none */
    enum kl_chip_id stub_returns; /* this chip's stub greets at 115200 even if its ROM was faster */
    uint32_t baud;       /* the rate that worked where a faster one did not; 0 = none failed */
    bool plain_verify;   /* questions amid a stream led to trouble */
    uint8_t stub_deaths; /* stubs that did not start, or greeted and fell silent, in a row */
    bool stub_rests;     /* the last stub did, and the try failed: the next try is the ROM's */
    uint8_t uses;        /* boards that went a slower way because of it: after two of them
                            everything gets another chance, … */
    uint8_t patience;    /* … if that fails too, after four, eight, sixteen */
};

struct kl_loader_setup {
    struct kl_console *console; /* hears what stands between frames; it outlives the loader */
    enum kl_link_kind link;
    struct kl_loader_memory memory;
    const struct kl_stubs *stubs; /* NULL: ROM loader alone */
    uint32_t baud_max;            /* fastest rate to try, 115200 = never change */
    unsigned connect_attempts;    /* resets before NO_SYNC; 0 = the default of 7 */
    bool reset_done; /* the board was reset into its loader before: try to talk first */
    /* IDENTIFY only reads: it refuses no chip, reads block 0 of the eFuses too, and leaves the ROM
       loader as it is. No FLASH after that. */
    bool only_look;
    /* IDENTIFY is done, not failed, with a chip that has flash encryption or secure boot on; it
       stays in its ROM loader. Only RUN may follow there. */
    bool take_secured;
};

/* ---- the parts of struct kl_loader ---- */

struct kl_loader_step;
struct kl_reset_step;

/* Where the running task stands in its plan. */
struct kl_loader_walk {
    enum kl_loader_task task;
    enum kl_loader_status status;
    const struct kl_loader_step *step;
    const struct kl_loader_step *after; /* where a called plan returns to */
};

enum kl_loader_op_kind {
    KL_LOADER_OP_NONE,
    KL_LOADER_OP_COMMAND, /* a request is out, its reply is due */
    KL_LOADER_OP_IO,      /* LINES or BAUD is out, its completion is due */
    KL_LOADER_OP_PACKET,  /* a frame of a stub that is no reply is due */
    KL_LOADER_OP_WAIT,    /* only the time */
};

enum kl_loader_outcome {
    KL_OUT_OK,
    KL_OUT_REFUSED, /* the chip answered with an error: reply.error */
    KL_OUT_UNKNOWN, /* the loader does not know the command (1.6, 4) */
    KL_OUT_SILENT,  /* no answer in time, all tries spent */
    KL_OUT_IO,      /* the adapter refused */
};

/* The one thing that is under way. At most one block, one LINES or one BAUD is ever outstanding. */
struct kl_loader_op {
    uint8_t kind;    /* enum kl_loader_op_kind */
    uint8_t code;    /* of the command */
    uint8_t result;  /* bytes before the status in a good reply … */
    uint8_t shorter; /* … or this many, if not 0 */
    uint8_t sent;    /* how often */
    uint8_t tries;   /* how often at most */
    bool judge;      /* the engine does not repeat after a refusal: the step decides */
    bool greets;     /* OHAI is the answer, the reply is not */
    bool is_out;     /* it was sent before, and what is to be sent now is the one behind it */
    bool optional;   /* this loader may not know the command */
    bool decided;    /* the outcome stands; until the deadline late duplicates may come */
    bool unknown;    /* answered as an unknown command; wait until the line is silent */
    uint8_t outcome; /* enum kl_loader_outcome, once decided */
    kl_us wait;      /* from sending to giving up */
    size_t tx_size;
    struct kl_io io; /* KL_LOADER_OP_IO */
    kl_us began;
};

struct kl_loader_reply {
    uint32_t value;
    uint16_t error; /* status << 8 | error byte, 0 if the status is good */
    uint8_t size;   /* of result */
    uint8_t status_size;
    uint8_t result[64];
};

enum kl_loader_hears {
    KL_HEARS_ALL,    /* frames, and text between them */
    KL_HEARS_FRAMES, /* the rate changes: what stands between frames is garbage */
    KL_HEARS_TEXT,   /* the loader is left: no more frames */
};

struct kl_loader_wire {
    enum kl_loader_hears hears;
    bool pending;     /* the operation's request waits to be pulled */
    bool unsent;      /* the operation before this was over before its request was pulled */
    bool secret;      /* what is written holds a key: no link may trace it */
    uint32_t damaged; /* frames dropped since the command was first sent */
    kl_us round_trip; /* the slowest LINES so far: the cost of the way to the adapter */
    struct kl_slip slip;
    uint8_t tx[KL_LOADER_TX_MAX];
};

struct kl_loader_connect {
    const struct kl_reset_step *reset;
    enum kl_reset_strategy strategy;
    uint8_t attempt, sync_try, sync_replies;
    bool connected;
    bool looks_like_stub; /* all replies to SYNC so far */
    kl_us began;
    bool resets; /* we heard the chip's banner: these lines do reset it */
    bool saw_download, saw_program, saw_other;
};

/* What the chip says about itself. */
struct kl_loader_answers {
    bool has_magic, has_security, has_id;
    uint8_t crypt_count;
    uint8_t purpose[7];
    uint32_t magic, flags, chip_id;
};

struct kl_loader_reg {
    uint32_t address, value;
};

/* What the chip talks through, as it decides block sizes, watchdogs and rates (4.5). */
enum kl_loader_console {
    KL_CONSOLE_UART,
    KL_CONSOLE_OTG,
    KL_CONSOLE_JTAG,
};

struct kl_loader_identify {
    enum kl_loader_console console;
    uint8_t round, rounds;
    uint8_t reg_count, reg_index;
    uint8_t clock_count; /* of the registers: those that are read once, at the first rate */
    bool regs_differ;
    struct kl_loader_answers answers[2]; /* of the last two rounds */
    struct kl_loader_reg reg[KL_LOADER_REGS_MAX];
};

struct kl_loader_stub {
    const struct kl_stub *image;
    bool failed;  /* the stub did not start, or died: the ROM alone from now on */
    bool hailed;  /* we called it at the first rate, because it was silent at the ROM's */
    uint8_t part; /* 0 text, 1 data */
    uint8_t restarts, failures;
    uint8_t power_stage; /* of the flash's supply, before the stub */
};

struct kl_loader_rate {
    uint32_t next;    /* the rate that was asked for, not yet proved */
    uint32_t ceiling; /* the highest rate to try from now on */
    uint8_t proofs, misses;
    bool rom_failed; /* the ROM failed at this rate; a stub may work */
};

/* State of the SPI controller that asks the flash for its id. */
struct kl_loader_spi {
    bool single; /* one register a packet */
    uint8_t index, polls, rounds;
    uint32_t usr, usr2;
};

/* How far a stub has come with a run of sectors, by what a common flash needs. Times count from the
   run's beginning, sizes are of the run's raw bytes. */
struct kl_loader_pace {
    kl_us taken, busy, flash; /* took the last block; is done with it; its flash is done */
    uint32_t erased, written;
};

/* Blocks of the stub's upload or of a region. */
struct kl_loader_stream {
    uint32_t sequence, sent; /* blocks and bytes that the loader took */
    uint32_t block_size;     /* as announced */
    uint32_t block_len;      /* of the block under way */
    bool packed;
    uint32_t tail_at, tail_block; /* where the tail begins, and the most bytes a block in it */
    /* The next quiet block: it completes no window, so that a stub is idle right after it. 0, 0 =
       none is left. */
    uint32_t quiet_from, quiet_to;
    uint32_t quiet_start; /* no quiet block before that */
    uint32_t quiet_asked; /* windows of this region asked for, once that block's question is out */
    uint8_t quiet_soon;   /* earlier regions whose questions come first */
    uint8_t block_tries;
    struct kl_loader_pace pace;
};

/* A stream that is made of sectors' pieces. */
struct kl_loader_parts {
    bool on;
    uint32_t first, count; /* sectors of the region */
    uint8_t end[6];        /* what ends the stream */
    uint8_t block[0x1000]; /* the block under way */
};

/* A region of which the flash holds much already. */
struct kl_loader_diff {
    bool on;      /* the flash is related to the image: only what differs is written */
    bool deep;    /* the piece before differed here and there: look at this one's sectors at once */
    bool ending;  /* the first sector that is right ends the change that began before */
    bool ahead;   /* the question for the next sector is out already … */
    bool chained; /* … or that for this one was, or one of them waits behind the other */
    bool head_differs;             /* the region's first sector, as a look at it told */
    uint8_t sample, alike, unlike; /* sectors looked at to find out */
    uint8_t edge;                  /* so many sectors at the end of the piece before differed */
    uint32_t dirty_to, blank_from; /* what samples told: from there on it may be blank; 0 = not */
    uint32_t split;                /* a run ends before this sector; 0 = none does */
    uint8_t half_to;               /* HALF: a sector that is right, behind `sector` */
    uint8_t sector, sectors_end;   /* of the present piece: the next to look at, and the end */
    uint32_t at;                   /* where in the region the piece begins */
    uint32_t run_from;             /* and the run that is being written */
    uint32_t right;                /* bytes of the region that are proved, for the progress */
    uint32_t looked, written;      /* sectors so far, and those of them that differ */
    uint32_t runs;                 /* of sectors that differ, so far */
    uint32_t differs[KL_DIFF_SECTORS / 32]; /* one bit each */
    struct kl_loader_parts parts;           /* the run under way */
};

/* A question that the loader asked amid a stream: MD5 of a part that is written. */
struct kl_loader_aside {
    bool out;    /* its answer is due before the next block's answer */
    bool off;    /* a question led to trouble: ask no more */
    bool behind; /* the next block, or the one under way, is the first one after it */
    uint8_t region;
    uint32_t from, to; /* in the region */
};

struct kl_loader_flash {
    unsigned region;
    uint32_t rom_block;        /* the size that this ROM takes, 0 = not yet known to be smaller */
    uint32_t resume_at, until; /* what is being written of the region */
    uint32_t erase_at, peek_at;
    bool looks_blank; /* the first sector of a region that is not there is blank */
    bool doubtful;    /* something was sent twice: MD5 must tell whether it is right */
    bool wrote;       /* anything was written since FLASH began */
    const struct kl_bundle *proved_for; /* what FLASH ended with, for the VERIFY after it */
    uint32_t proved[KL_REGIONS_MAX];    /* bytes from each region's start whose MD5 was right */
    uint8_t restarts, begin_tries, md5_tries;
    kl_us owed; /* stub: the work of the block before, which the next command waits for (3.1) */
    uint64_t done_before;
};

/* What READ is to read, and where to: whole sectors. `md5` as in struct kl_bundle. */
struct kl_loader_range {
    uint32_t offset, size;
    uint8_t *out;
    kl_md5_fn *md5;
};

struct kl_loader_read {
    struct kl_loader_range range;
    uint32_t at, got;   /* bytes of the range that are right, and bytes of the sector after them */
    uint32_t from, end; /* the part of the sector that a stub is sending */
    uint8_t asked[32];  /* the loader's MD5 of that sector, as the loader writes it */
    uint8_t tries;
};

/* The way out of the loader. */
struct kl_loader_leave {
    const struct kl_reset_step *reset;
    bool pin_is_low, is_forced;
};

struct kl_loader_notes {
    uint8_t first, count;
    char text[KL_LOADER_NOTES][KL_LOADER_NOTE_MAX];
};

struct kl_loader {
    struct kl_loader_setup setup; /* the loader keeps setup.memory up to date */
    struct kl_identity identity;
    struct kl_loader_progress progress;
    struct kl_fault fault;
    const struct kl_bundle *bundle;
    const struct kl_chip *chip;
    kl_us now, deadline;
    struct kl_loader_walk walk;
    struct kl_loader_op op;
    struct kl_loader_reply reply;
    struct kl_loader_connect connect;
    struct kl_loader_identify identify;
    struct kl_loader_stub stub;
    struct kl_loader_rate rate;
    struct kl_loader_spi spi;
    struct kl_loader_stream stream;
    struct kl_loader_diff diff;
    struct kl_loader_aside aside;
    struct kl_loader_flash flash;
    struct kl_loader_read read;
    struct kl_loader_leave leave;
    struct kl_loader_notes notes;
    struct kl_loader_wire wire;
};

/* ---- what the board calls ---- */

void kl_loader_init(struct kl_loader *l, const struct kl_loader_setup *setup);
/* `bundle` is needed for FLASH and VERIFY and must outlive them; NULL otherwise. */
void kl_loader_start(struct kl_loader *l, enum kl_loader_task task, const struct kl_bundle *bundle,
                     kl_us now);
/* For READ, before it is started: the memory must outlive it. */
void kl_loader_read_into(struct kl_loader *l, const struct kl_loader_range *range);
/* Wipes what was written or read from the buffers. Between tasks, or after them. */
void kl_loader_wipe(struct kl_loader *l);
/* Text outside of frames (boot log, panics) goes to the console. After RUN is done, received bytes
   are no longer the loader's: feed them to the handover. */
void kl_loader_rx(struct kl_loader *l, const uint8_t *data, size_t size, kl_us now);
/* The oldest LINES or BAUD request is done (or refused by the adapter: ok = false). WRITE
   completions are not reported here. */
void kl_loader_io_done(struct kl_loader *l, bool ok, kl_us now);
void kl_loader_tick(struct kl_loader *l, kl_us now);
/* Pulls the next request; false if there is none now. */
/* After IDENTIFY with only_look: what the eFuses hold. */
void kl_loader_efuses(const struct kl_loader *l, struct kl_efuse_words *out);
bool kl_loader_next(struct kl_loader *l, struct kl_io *out);
kl_us kl_loader_deadline(const struct kl_loader *l);

enum kl_loader_status kl_loader_status(const struct kl_loader *l);
const struct kl_fault *kl_loader_fault(const struct kl_loader *l);
const struct kl_identity *kl_loader_identity(const struct kl_loader *l);
const struct kl_loader_progress *kl_loader_progress(const struct kl_loader *l);
/* What to hand to the next kl_loader_init in this place; valid once a task has ended. */
const struct kl_loader_memory *kl_loader_memory(const struct kl_loader *l);
/* One line for the log about what was just done ("stub running", "921600 baud"); false if none. */
bool kl_loader_note(struct kl_loader *l, char out[KL_TEXT_MAX]);

#endif
