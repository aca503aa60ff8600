/*
 * loader.c: the public functions, the walk through plans, and the text that stands between frames.
 */
#include "loader_private.h"

#include <stdarg.h>
#include <string.h>

static const struct kl_loader_step *const plans[] = {
    [KL_LOADER_CONNECT] = ldr_connect_plan, [KL_LOADER_IDENTIFY] = ldr_identify_plan,
    [KL_LOADER_FLASH] = ldr_flash_plan,     [KL_LOADER_VERIFY] = ldr_verify_plan,
    [KL_LOADER_RUN] = ldr_run_plan,
};

/* ---- the walk ---- */

enum ldr_move ldr_go_to(struct kl_loader *l, const struct kl_loader_step *step)
{
    l->step = step;
    return MOVE_JUMP;
}

enum ldr_move ldr_call_plan(struct kl_loader *l, const struct kl_loader_step *plan,
                            const struct kl_loader_step *then)
{
    KL_ASSERT(l->after_plan == NULL);
    l->after_plan = then;
    return ldr_go_to(l, plan);
}

static void finish(struct kl_loader *l, enum kl_loader_status status)
{
    l->status = status;
    l->step = NULL;
    l->after_plan = NULL;
    l->op.kind = KL_LOADER_OP_NONE;
    l->io_pending = false;
    l->deadline = KL_NEVER;
}

/* Walks on until an operation is under way or the task is over. */
static void walk(struct kl_loader *l)
{
    enum {
        STEPS_MAX = 2048 /* a full bundle of regions that are all skipped stays far below */
    };

    for (int steps = 0; l->status == KL_LOADER_BUSY && l->op.kind == KL_LOADER_OP_NONE; steps++) {
        KL_ASSERT(steps < STEPS_MAX);
        if (l->step->begin) {
            const struct kl_loader_step *step = l->step;
            if (!step->begin(l) && l->step == step && l->status == KL_LOADER_BUSY)
                l->step++;
        } else if (l->after_plan) {
            l->step = l->after_plan;
            l->after_plan = NULL;
        } else {
            finish(l, KL_LOADER_DONE);
        }
    }
    KL_ASSERT(l->status != KL_LOADER_BUSY || l->deadline != KL_NEVER);
}

void ldr_op_over(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    enum ldr_move move;

    if (l->step->end)
        move = l->step->end(l, outcome);
    else
        move = outcome == KL_OUT_OK ? MOVE_NEXT : ldr_fail_by(l, outcome);
    if (move == MOVE_NEXT)
        l->step++;
    walk(l);
}

enum ldr_move ldr_fail(struct kl_loader *l, enum kl_reason reason, const char *format, ...)
{
    char text[KL_TEXT_MAX];
    va_list args;

    va_start(args, format);
    kl_vformat(text, sizeof text, format, args);
    va_end(args);
    l->fault.reason = reason;
    kl_copy(l->fault.detail, sizeof l->fault.detail, text);
    finish(l, KL_LOADER_FAILED);
    return MOVE_STOP;
}

static const char *command_name(uint8_t code)
{
    static const char *const names[] = {
        [CMD_FLASH_BEGIN] = "FLASH_BEGIN",
        [CMD_FLASH_DATA] = "FLASH_DATA",
        [CMD_FLASH_END] = "FLASH_END",
        [CMD_MEM_BEGIN] = "MEM_BEGIN",
        [CMD_MEM_END] = "MEM_END",
        [CMD_MEM_DATA] = "MEM_DATA",
        [CMD_SYNC] = "SYNC",
        [CMD_WRITE_REG] = "WRITE_REG",
        [CMD_READ_REG] = "READ_REG",
        [CMD_SPI_SET_PARAMS] = "SPI_SET_PARAMS",
        [CMD_SPI_ATTACH] = "SPI_ATTACH",
        [CMD_CHANGE_BAUDRATE] = "CHANGE_BAUDRATE",
        [CMD_DEFL_BEGIN] = "FLASH_DEFL_BEGIN",
        [CMD_DEFL_DATA] = "FLASH_DEFL_DATA",
        [CMD_DEFL_END] = "FLASH_DEFL_END",
        [CMD_MD5] = "SPI_FLASH_MD5",
        [CMD_SECURITY_INFO] = "GET_SECURITY_INFO",
    };

    if (code == CMD_ERASE_FLASH)
        return "ERASE_FLASH";
    return code < sizeof names / sizeof names[0] && names[code] ? names[code] : "command";
}

enum ldr_move ldr_fail_by(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const char *name = command_name(l->op.code);

    switch (outcome) {
    case KL_OUT_REFUSED:
        l->fault.chip_error = l->reply.error;
        return ldr_fail(l, KL_FAULT_REFUSED, "%s: error 0x%04x", name, l->reply.error);
    case KL_OUT_UNKNOWN:
        return ldr_fail(l, KL_FAULT_PROTOCOL, "%s is not known to this loader", name);
    case KL_OUT_IO:
        return ldr_fail(l, KL_FAULT_ADAPTER_SETTING, "%s", name);
    default:
        if (l->damaged > 0)
            return ldr_fail(l, KL_FAULT_LINE_NOISE, "%s: %u damaged answers", name, l->damaged);
        return ldr_fail(l, KL_FAULT_TIMEOUT, "%s: no answer", name);
    }
}

/* ---- text outside of frames ---- */

void ldr_note(struct kl_loader *l, const char *format, ...)
{
    unsigned at = (l->note_first + l->note_count) % KL_LOADER_NOTES;
    va_list args;

    if (l->note_count == KL_LOADER_NOTES)
        l->note_first = (uint8_t)((l->note_first + 1) % KL_LOADER_NOTES); /* the oldest goes */
    else
        l->note_count++;
    va_start(args, format);
    kl_vformat(l->note[at], KL_LOADER_NOTE_MAX, format, args);
    va_end(args);
}

static void end_line(struct kl_loader *l)
{
    size_t size = l->line_size;

    l->line_size = 0;
    if (size > 0 && l->line[size - 1] == '\r')
        size--;
    if (kl_bootlog_line(&l->bootlog, l->line, size, l->now) && l->connected)
        ldr_fail(l, KL_FAULT_BOARD_CHANGED, "the chip restarted by itself");
}

void ldr_take_text(struct kl_loader *l, uint8_t byte)
{
    if (l->muted)
        return;
    if (l->text_size == KL_LOADER_TEXT_MAX) {
        /* Nobody takes it: what is newest tells most. */
        l->text_size = KL_LOADER_TEXT_MAX / 2;
        memmove(l->text, l->text + KL_LOADER_TEXT_MAX / 2, KL_LOADER_TEXT_MAX / 2);
    }
    l->text[l->text_size++] = (char)byte;
    if (byte != '\n' && l->line_size < KL_LOADER_LINE_MAX)
        l->line[l->line_size++] = (char)byte;
    if (byte == '\n')
        end_line(l);
}

void ldr_forget_text(struct kl_loader *l)
{
    kl_bootlog_reset(&l->bootlog);
    l->line_size = 0;
}

/* ---- public ---- */

void kl_loader_init(struct kl_loader *l, const struct kl_loader_setup *setup)
{
    memset(l, 0, offsetof(struct kl_loader, tx));
    l->setup = *setup;
    if (l->setup.connect_attempts == 0)
        l->setup.connect_attempts = 7;
    l->baud_ceiling = l->setup.baud_max;
    l->identity.baud = FIRST_BAUD;
    l->deadline = KL_NEVER;
    l->status = KL_LOADER_DONE;
    kl_slip_reset(&l->slip);
    kl_bootlog_reset(&l->bootlog);
}

void kl_loader_start(struct kl_loader *l, enum kl_loader_task task, const struct kl_bundle *bundle,
                     kl_us now)
{
    KL_ASSERT(task > KL_LOADER_IDLE && task <= KL_LOADER_RUN);
    KL_ASSERT(l->status != KL_LOADER_BUSY);
    KL_ASSERT(task == KL_LOADER_CONNECT || l->connected);
    KL_ASSERT(bundle || (task != KL_LOADER_FLASH && task != KL_LOADER_VERIFY));
    l->now = now;
    l->task = task;
    l->bundle = bundle;
    l->fault = (struct kl_fault){0};
    if (task != KL_LOADER_VERIFY) /* only the task right behind FLASH may build on it */
        l->proved = NULL;
    l->status = KL_LOADER_BUSY;
    l->step = plans[task];
    l->after_plan = NULL;
    walk(l);
}

void kl_loader_rx(struct kl_loader *l, const uint8_t *data, size_t size, kl_us now)
{
    if (l->status != KL_LOADER_BUSY)
        return;
    l->now = now;
    ldr_engine_rx(l, data, size);
}

void kl_loader_io_done(struct kl_loader *l, bool ok, kl_us now)
{
    if (l->status != KL_LOADER_BUSY)
        return;
    l->now = now;
    ldr_engine_io_done(l, ok);
}

void kl_loader_tick(struct kl_loader *l, kl_us now)
{
    if (l->status != KL_LOADER_BUSY || now < l->deadline)
        return;
    l->now = now;
    ldr_engine_tick(l);
}

bool kl_loader_next(struct kl_loader *l, struct kl_io *out)
{
    return l->status == KL_LOADER_BUSY && ldr_engine_next(l, out);
}

kl_us kl_loader_deadline(const struct kl_loader *l)
{
    KL_ASSERT((l->status == KL_LOADER_BUSY) == (l->deadline != KL_NEVER));
    return l->deadline;
}

enum kl_loader_status kl_loader_status(const struct kl_loader *l)
{
    return l->status;
}

const struct kl_fault *kl_loader_fault(const struct kl_loader *l)
{
    return &l->fault;
}

const struct kl_identity *kl_loader_identity(const struct kl_loader *l)
{
    return &l->identity;
}

const struct kl_loader_progress *kl_loader_progress(const struct kl_loader *l)
{
    return &l->progress;
}

enum kl_reset_strategy kl_loader_strategy(const struct kl_loader *l)
{
    return l->strategy;
}

size_t kl_loader_text(struct kl_loader *l, char *out, size_t size)
{
    size_t n = l->text_size < size ? l->text_size : size;

    memcpy(out, l->text, n);
    memmove(l->text, l->text + n, l->text_size - n);
    l->text_size = (uint16_t)(l->text_size - n);
    return n;
}

bool kl_loader_note(struct kl_loader *l, char out[KL_TEXT_MAX])
{
    if (l->note_count == 0)
        return false;
    kl_copy(out, KL_TEXT_MAX, l->note[l->note_first]);
    l->note_first = (uint8_t)((l->note_first + 1) % KL_LOADER_NOTES);
    l->note_count--;
    return true;
}
