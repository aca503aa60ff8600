/*
 * loader_private.h: what loader*.c share.
 *
 * A task is a plan: a list of steps, each of which starts one operation (a command, a change of the
 * lines or the rate, a wait) and judges its outcome. Plans are data, and name every step that a
 * step may jump to. The engine does one operation at a time, with its time-out and its repetitions,
 * and does not know its purpose.
 *
 *   loader.c           the public functions, the walk through plans, text and notes
 *   loader_engine.c    operations: requests, replies, time-outs, repetitions
 *   loader_connect.c   reset sequences and SYNC
 *   loader_identify.c  chip, MAC, revision, security, console
 *   loader_rate.c      a higher rate
 *   loader_setup.c     SPI attach, flash id, size
 *   loader_stub.c      watchdogs, flash supply, upload of the flasher stub
 *   loader_flash.c     erase, begin, blocks, end
 *   loader_diff.c      writing only what differs
 *   loader_parts.c     a run of sectors as a compressed stream
 *   loader_aside.c     MD5 asked for while a stream goes on
 *   loader_read.c      reading sectors
 *   loader_run.c       verify, and the reset into the program
 *   loader_peek.c      verify where the ROM has no MD5
 */
#ifndef KEYLINE_LOADER_PRIVATE_H
#define KEYLINE_LOADER_PRIVATE_H

#include "loader_state.h"

#include "console.h"
#include "reset.h"

enum { /* (2.1) */
    CMD_FLASH_BEGIN = 0x02,
    CMD_FLASH_DATA = 0x03,
    CMD_FLASH_END = 0x04,
    CMD_MEM_BEGIN = 0x05,
    CMD_MEM_END = 0x06,
    CMD_MEM_DATA = 0x07,
    CMD_SYNC = 0x08,
    CMD_WRITE_REG = 0x09,
    CMD_READ_REG = 0x0A,
    CMD_SPI_SET_PARAMS = 0x0B,
    CMD_SPI_ATTACH = 0x0D,
    CMD_READ_FLASH_SLOW = 0x0E,
    CMD_CHANGE_BAUDRATE = 0x0F,
    CMD_DEFL_BEGIN = 0x10,
    CMD_DEFL_DATA = 0x11,
    CMD_DEFL_END = 0x12,
    CMD_MD5 = 0x13,
    CMD_SECURITY_INFO = 0x14,
    CMD_ERASE_FLASH = 0xD0,
    CMD_READ_FLASH = 0xD2,
};

enum { /* error bytes of a ROM (1.4); a stub's codes stand in the status byte */
    ROM_BAD_MESSAGE = 0x05,
    ROM_BAD_CHECKSUM = 0x07,
    STUB_BAD_CHECKSUM = 0xC1,
};

enum {
    FIRST_BAUD = 115200,
    SECTOR = 0x1000,
    MAGIC_REG = 0x40001000,
    ESP32_WORD3 = 0x3FF5A00C,
    ESP32_WORD4 = 0x3FF5A010,
    ESP32_WORD5 = 0x3FF5A014,
};

#define COMMAND_TIME KL_SEC(3) /* also the floor of everything that scales (3.1) */

#define ALL_BITS UINT32_MAX /* a mask: the register is written as a whole */

enum ldr_move {
    MOVE_WAIT,   /* an operation is under way: its outcome is for this step to judge */
    MOVE_NEXT,   /* on to the next step */
    MOVE_AGAIN,  /* the same step once more */
    MOVE_JUMP,   /* ldr_go_to or ldr_call_plan chose the step */
    MOVE_DONE,   /* the plan is done */
    MOVE_FAILED, /* ldr_fail has ended the task */
};

enum {
    JUMPS_MAX = 6
};

struct kl_loader_step {
    /* Starts one operation (MOVE_WAIT), or moves on at once. NULL: the plan ends here. */
    enum ldr_move (*begin)(struct kl_loader *l);
    /* Judges the operation. NULL: anything but success ends the task. */
    enum ldr_move (*end)(struct kl_loader *l, enum kl_loader_outcome outcome);
    /* The steps to which either may jump. */
    const struct kl_loader_step *to[JUMPS_MAX];
};
#define PLAN_END                                                                                   \
    {                                                                                              \
        NULL, NULL,                                                                                \
        {                                                                                          \
            NULL                                                                                   \
        }                                                                                          \
    }

/* ldr_identify_plan goes on to ldr_stub_plan and that to ldr_setup_plan; each calls ldr_rate_plan.
   A rate or a stub that does not work comes back to ldr_identify_plan after a reset. */
extern const struct kl_loader_step ldr_connect_plan[], ldr_identify_plan[], ldr_stub_plan[],
    ldr_rate_plan[], ldr_setup_plan[], ldr_flash_plan[], ldr_diff_plan[], ldr_verify_plan[],
    ldr_read_plan[], ldr_run_plan[], ldr_peek_plan[], ldr_same_plan[];

/* Steps at which FLASH's two plans enter each other. */
enum {
    LDR_FLASH_BEGIN = 5,
    LDR_FLASH_NEXT = 9,
    LDR_DIFF_CHECK = 9,
};
#define ldr_flash_begin (&ldr_flash_plan[LDR_FLASH_BEGIN]) /* writes resume_at … until */
#define ldr_flash_next  (&ldr_flash_plan[LDR_FLASH_NEXT])
#define ldr_diff_check  (&ldr_diff_plan[LDR_DIFF_CHECK])

/* ---- the walk (loader.c) ---- */

/* Both jump only to what the present step's `to` names. */
enum ldr_move ldr_go_to(struct kl_loader *l, const struct kl_loader_step *step);
/* Starts again from a reset, through IDENTIFY; a called plan does not return any more. */
enum ldr_move ldr_start_over(struct kl_loader *l);
/* Walks `plan`, then goes on at `then`. Not nested. */
enum ldr_move ldr_call_plan(struct kl_loader *l, const struct kl_loader_step *plan,
                            const struct kl_loader_step *then);
enum ldr_move ldr_fail(struct kl_loader *l, enum kl_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The fault that an outcome is by default. */
enum ldr_move ldr_fail_by(struct kl_loader *l, enum kl_loader_outcome outcome);
void ldr_note(struct kl_loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Called by the engine when the operation is over. */
void ldr_op_over(struct kl_loader *l, enum kl_loader_outcome outcome);
/* Takes a byte that stands outside of frames. */
void ldr_take_text(struct kl_loader *l, uint8_t byte);
void ldr_forget_text(struct kl_loader *l);

/* ---- the engine (loader_engine.c) ---- */

struct ldr_command {
    uint8_t code;
    const void *payload;
    size_t payload_size;
    const uint8_t *block; /* *_DATA: what follows the 16-byte header; ldr_command adds that */
    size_t block_size;
    size_t padded_size; /* if more than block_size, 0xFF fills the rest */
    uint32_t sequence;
    uint8_t result, shorter; /* as in struct kl_loader_op */
    uint8_t tries;           /* 0 = 3 */
    bool judge, greets, optional;
    kl_us work; /* what the chip may take, without the wire; 0 = COMMAND_TIME */
};

void ldr_command(struct kl_loader *l, const struct ldr_command *c);
/* Sends a command without waiting for its answer, and after it `padding` bytes that belong to no
   frame. After `gap` something else may be sent. The answer goes to ldr_take_aside. */
void ldr_tell(struct kl_loader *l, const struct ldr_command *c, size_t padding, kl_us gap);
/* Waits for the answer to `c`, which goes out now unless `is_out`; it goes out once only. Behind
   it, apart by `padding` bytes that belong to no frame, goes `next`: its answer comes after this
   one, and is to be waited for with `is_out`. NULL: nothing goes. */
void ldr_command_ahead(struct kl_loader *l, const struct ldr_command *c, bool is_out,
                       const struct ldr_command *next, size_t padding);
/* Waits for a frame that is no answer. If `acks`, first tells the stub that `count` bytes are here.
   The frame is in l->wire.slip when the operation is over. */
void ldr_await_packet(struct kl_loader *l, bool acks, uint32_t count);
/* From now on the chip needs at most `work` for the command under way. */
void ldr_hurry(struct kl_loader *l, kl_us work);
void ldr_read_reg(struct kl_loader *l, uint32_t address);

struct ldr_write {
    uint32_t address, value, mask, delay_us;
};
void ldr_write_regs(struct kl_loader *l, const struct ldr_write *writes, unsigned count);
void ldr_set_lines(struct kl_loader *l, bool dtr, bool rts);
void ldr_set_baud(struct kl_loader *l, uint32_t baud);
void ldr_wait_for(struct kl_loader *l, kl_us time);

void ldr_engine_rx(struct kl_loader *l, const uint8_t *data, size_t size);
void ldr_engine_tick(struct kl_loader *l);
void ldr_engine_io_done(struct kl_loader *l, bool ok);
bool ldr_engine_next(struct kl_loader *l, struct kl_io *out);
/* What the way to the adapter may add to any wait. */
kl_us ldr_link_allowance(const struct kl_loader *l);

void ldr_put_u32(uint8_t *out, uint32_t value);
uint32_t ldr_get_u32(const uint8_t *in);

/* A reply to SYNC came while nothing was asked; true if it was the last one due. */
bool ldr_took_last_sync_reply(struct kl_loader *l, const uint8_t *frame, size_t size);

/* ---- questions that several files ask ---- */

/* The value of a register that IDENTIFY read; 0 if it did not read that one. */
uint32_t ldr_reg_value(const struct kl_loader *l, uint32_t address);
bool ldr_is_rom(const struct kl_loader *l);
/* Megabytes of 10^6 bytes, as in the table of time-outs (3.1). */
kl_us ldr_time_per_mb(uint64_t bytes, unsigned seconds);
bool ldr_can_md5(const struct kl_loader *l);
/* SPI_FLASH_MD5 of l->flash.region from this byte on, and whether its answer is the image's. */
void ldr_ask_md5(struct kl_loader *l, uint32_t from);
bool ldr_is_right_md5(const struct kl_loader *l, uint32_t from);
void ldr_ask_md5_of(struct kl_loader *l, uint32_t from, uint32_t size);
/* The same, while another part may be summed up: see ldr_command_ahead. The `next_size` bytes
   behind it are asked for too; 0 = none. */
void ldr_ask_md5_ahead(struct kl_loader *l, uint32_t from, uint32_t size, bool is_out,
                       uint32_t next_size);
/* A ROM writes it in hex, a stub raw (2.2). */
bool ldr_answer_is(const struct kl_loader *l, const uint8_t md5[16]);
extern const uint8_t ldr_blank_md5[16]; /* of a sector of 0xFF */
const struct kl_image *ldr_image(const struct kl_loader *l, unsigned region);

/* ---- writing only what differs (loader_diff.c) ---- */

bool ldr_may_differ_in_parts(const struct kl_loader *l);
/* Writes all of the region, whatever was compared. */
enum ldr_move ldr_write_all(struct kl_loader *l);

/* ---- a run of sectors as a compressed stream (loader_parts.c) ---- */

/* The stream is to hold these bytes of the region, whole sectors or up to its end. False: plain
   blocks are shorter, or all there is. */
bool ldr_parts_begin(struct kl_loader *l, uint32_t from, uint32_t until);
uint32_t ldr_parts_size(const struct kl_loader *l);
/* The run's first block comes next. */
void ldr_parts_start(const struct kl_loader *l, struct kl_loader_stream *s);
/* The length of the next block, which travels while the stub works on the one before. */
uint32_t ldr_parts_len(const struct kl_loader *l, const struct kl_loader_stream *s);
/* A block of this length comes behind what `s` has sent. */
void ldr_parts_pass(const struct kl_loader *l, struct kl_loader_stream *s, uint32_t len);
/* A stretch of the stream, as ldr_parts_len divides it; it stays until the next call. */
const uint8_t *ldr_parts_block(struct kl_loader *l, uint32_t at, uint32_t size);
/* Where in the region the bytes end that are certainly known once `sent` bytes are in. */
uint32_t ldr_parts_raw(const struct kl_loader *l, uint32_t sent);

/* ---- questions amid a stream (loader_aside.c) ---- */

/* Something may have been written in a wrong place: all must be compared again. */
void ldr_forget_proofs(struct kl_loader *l);
/* A stream begins: finds its first quiet block. */
void ldr_plan_asides(struct kl_loader *l);
/* Finds the next quiet block of `s`. `s` is l's own stream, or a copy that counts blocks ahead. */
void ldr_find_quiet(const struct kl_loader *l, struct kl_loader_stream *s);
/* Was the block just taken a quiet one? Then the question is due. */
bool ldr_wants_aside(const struct kl_loader *l);
enum ldr_move ldr_ask_idle(struct kl_loader *l);
enum ldr_move ldr_ask_aside(struct kl_loader *l);
/* The engine hands over the question's answer. */
void ldr_take_aside(struct kl_loader *l, const uint8_t *data, size_t size);
/* May a question go out while another, or a stream, is under way? */
bool ldr_may_ask_amid(const struct kl_loader *l);
/* Bytes that take so long on the wire. */
uint32_t ldr_bytes_in(const struct kl_loader *l, kl_us time);
/* The answer did not come or was wrong: ask no more questions amid a stream. */
void ldr_aside_failed(struct kl_loader *l, const char *why);
/* How long a block may take while a question is out. */
kl_us ldr_aside_time(const struct kl_loader *l);
/* The rate to begin with, from what worked here before. */
uint32_t ldr_first_ceiling(const struct kl_loader_setup *setup);
/* Is there a higher rate to try with the loader that runs? */
bool ldr_wants_rate(const struct kl_loader *l);
/* The registers that have to be read before the rate is changed: n from 0, 0 = there is none. */
enum {
    CLOCK_REGS = 3
};
uint32_t ldr_clock_reg(const struct kl_loader *l, unsigned n);
uint32_t ldr_rate_to_try(const struct kl_loader *l);
/* IDENTIFY is done: remembers which rate, ROM and stub led there. */
void ldr_remember_rate(struct kl_loader *l);
/* The rate in use does not work: starts again from a reset, without it. */
enum ldr_move ldr_rate_failed(struct kl_loader *l);
/* A stub did not start, or fell silent: the next try uses the ROM loader alone. */
void ldr_stub_died(struct kl_loader *l);
/* The stub that could be loaded now; NULL = none. */
const struct kl_stub *ldr_stub_for(const struct kl_loader *l);
/* Asks one question whose answer is known: both directions have to work. */
void ldr_ask_magic(struct kl_loader *l, unsigned tries);
bool ldr_is_magic(const struct kl_loader *l, enum kl_loader_outcome outcome);
/* A line of text has come: did the ROM say that it is ready before the reset sequence is over? */
bool ldr_is_ready_early(const struct kl_loader *l);
/* The flash's size; an unknown one counts as the smallest that ROMs assume. */
uint32_t ldr_known_flash_size(const struct kl_loader *l);

#endif
