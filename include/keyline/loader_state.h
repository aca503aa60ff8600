/* loader_state.h: the inside of struct kl_loader, so that a board can embed it. Private to
 * loader*.c */
#ifndef KEYLINE_LOADER_STATE_H
#define KEYLINE_LOADER_STATE_H

struct kl_reset_step;

enum {
    KL_LOADER_NOTES = 4,
    KL_LOADER_NOTE_MAX = 96,
    KL_LOADER_REGS_MAX = 16,
};

enum kl_loader_op_kind {
    KL_LOADER_OP_NONE,
    KL_LOADER_OP_COMMAND, /* a request is out, its reply is due */
    KL_LOADER_OP_IO,      /* LINES or BAUD is out, its completion is due */
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
    bool judge;      /* refusals are not simply repeated: the step decides */
    bool greets;     /* OHAI is the answer, the reply is not */
    bool optional;   /* this loader may not know the command */
    bool decided;    /* the outcome stands, late duplicates are let through until the deadline */
    bool unknown;    /* answered as an unknown command; the line is let fall silent */
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

/* What the chip says of itself. */
struct kl_loader_answers {
    bool has_magic, has_security, has_id;
    uint8_t crypt_count;
    uint32_t magic, flags, chip_id;
};

struct kl_loader_reg {
    uint32_t address, value;
};

struct kl_loader_step;

struct kl_loader {
    struct kl_loader_setup setup;
    struct kl_identity identity;
    struct kl_loader_progress progress;
    struct kl_fault fault;
    const struct kl_bundle *bundle;
    const struct kl_chip *chip;
    enum kl_loader_task task;
    enum kl_loader_status status;
    enum kl_reset_strategy strategy;
    kl_us now, deadline;

    /* the walk through the plan */
    const struct kl_loader_step *step;
    const struct kl_loader_step *after_plan; /* where a sub-plan returns to */

    struct kl_loader_op op;
    struct kl_loader_reply reply;
    bool io_pending; /* op's request waits to be pulled */
    bool connected;
    uint32_t damaged; /* frames dropped since the command was first sent */
    kl_us round_trip; /* the slowest LINES so far: what the way to the adapter costs */

    /* connect */
    const struct kl_reset_step *reset;
    uint8_t attempt, sync_try, sync_replies;
    bool sync_looks_like_stub;
    bool saw_download, saw_program, saw_other;

    /* identify */
    bool otg, jtag; /* the console is native USB */
    bool regs_differ;
    uint8_t round, rounds;
    uint8_t reg_count, reg_index;
    struct kl_loader_answers answers[2]; /* of the last two rounds */
    struct kl_loader_reg reg[KL_LOADER_REGS_MAX];

    /* setup */
    const struct kl_stub *stub_image;
    bool stub_failed;  /* it did not start: the ROM alone from now on */
    uint8_t stub_part; /* 0 text, 1 data */
    uint8_t stub_restarts, stub_failures;
    uint8_t power_stage;
    uint8_t rate_proofs, rate_misses;
    bool spi_single; /* one register a packet */
    uint8_t spi_index, spi_polls;
    uint32_t baud_next; /* asked for, not yet proved */
    uint32_t baud_ceiling;
    uint32_t clock;
    uint32_t spi_usr, spi_usr2, flash_id_before;

    /* blocks: of the stub's upload or of a region */
    uint32_t sequence, sent_bytes, block_size, block_len;

    /* flash */
    unsigned region;
    uint32_t rom_block; /* the size that this ROM takes, 0 = not yet known to be smaller */
    uint32_t resume_at, erase_at, peek_at;
    uint32_t head_block, tail_at, tail_block; /* bytes a block up to tail_at, and from there on */
    bool packed;
    bool looks_blank;               /* the first sector of a region that is not there */
    const struct kl_bundle *proved; /* FLASH found all of it in place */
    bool doubtful;                  /* something was sent twice: MD5 has to tell */
    uint8_t block_tries, restarts, begin_tries, md5_tries;
    kl_us owed; /* stub: the work of the block before, which the next command waits for (3.1) */
    uint64_t done_before;

    /* run */
    bool pin_is_low, is_forced;

    /* text outside of frames */
    bool muted;     /* garbage while the rate changes */
    bool text_only; /* the loader is left: no more frames */
    uint8_t note_first, note_count;
    struct kl_slip slip;
    char note[KL_LOADER_NOTES][KL_LOADER_NOTE_MAX];

    uint8_t tx[KL_LOADER_TX_MAX];
};

#endif
