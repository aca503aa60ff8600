/*
 * loader.c: the public functions, the walk through plans, and the text that stands between frames.
 */
#include "loader_private.h"

#include <stdarg.h>
#include <string.h>

static const struct kl_loader_step *const plans[] = {
    [KL_LOADER_CONNECT] = ldr_connect_plan, [KL_LOADER_IDENTIFY] = ldr_identify_plan,
    [KL_LOADER_FLASH] = ldr_flash_plan,     [KL_LOADER_VERIFY] = ldr_verify_plan,
    [KL_LOADER_READ] = ldr_read_plan,       [KL_LOADER_RUN] = ldr_run_plan,
    [KL_LOADER_SAME] = ldr_same_plan,
};

/* ---- the walk ---- */

static bool leads_to(const struct kl_loader_step *from, const struct kl_loader_step *to)
{
    for (int i = 0; i < JUMPS_MAX; i++)
        if (from->to[i] == to)
            return true;
    return false;
}

enum ldr_move ldr_go_to(struct kl_loader *l, const struct kl_loader_step *step)
{
    KL_ASSERT(step && step->begin);
    KL_ASSERT(leads_to(l->walk.step, step));
    l->walk.step = step;
    return MOVE_JUMP;
}

enum ldr_move ldr_call_plan(struct kl_loader *l, const struct kl_loader_step *plan,
                            const struct kl_loader_step *then)
{
    KL_ASSERT(!l->walk.after);
    KL_ASSERT(leads_to(l->walk.step, then));
    l->walk.after = then;
    return ldr_go_to(l, plan);
}

enum ldr_move ldr_start_over(struct kl_loader *l)
{
    KL_ASSERT(leads_to(l->walk.step, ldr_connect_plan));
    l->walk.after = ldr_identify_plan;
    l->walk.step = ldr_connect_plan;
    return MOVE_JUMP;
}

enum {
    PATIENCE_MAX = 3, /* after 2 << this many slow boards everything gets another chance */
    DEATHS_MAX = 2,   /* after this many dead stubs in a row only the ROM is used */
};

/* A board has passed: keeps what helps the next one in this place. */
static void remember_board(struct kl_loader *l)
{
    struct kl_loader_memory *m = &l->setup.memory;

    if (l->identity.stub)
        m->stub_deaths = 0;
    m->stub_rests = false;
    if (!m->rom_stays && !m->baud && !m->stub_deaths && !m->plain_verify) {
        m->patience = 0;
        return;
    }
    if (++m->uses < 2u << m->patience)
        return;
    *m = (struct kl_loader_memory){
        .reset = m->reset,
        .stub_returns = m->stub_returns,
        .patience = m->patience < PATIENCE_MAX ? (uint8_t)(m->patience + 1) : PATIENCE_MAX,
    };
}

void ldr_stub_died(struct kl_loader *l)
{
    KL_ASSERT(l->chip);
    l->stub.failed = true;
    l->setup.memory.stub_deaths++;
    ldr_note(l, "the stub fell silent: the ROM loader is used");
}

static void finish(struct kl_loader *l, enum kl_loader_status status)
{
    KL_ASSERT(status != KL_LOADER_BUSY);
    KL_ASSERT((status == KL_LOADER_FAILED) == (l->fault.reason != KL_FAULT_NONE));
    if (status == KL_LOADER_DONE && l->walk.task == KL_LOADER_IDENTIFY)
        ldr_remember_rate(l);
    if (status == KL_LOADER_DONE && l->walk.task == KL_LOADER_RUN)
        remember_board(l);
    l->walk.status = status;
    l->walk.step = NULL;
    l->walk.after = NULL;
    l->op.kind = KL_LOADER_OP_NONE;
    l->wire.pending = false;
    l->deadline = KL_NEVER;
}

static void end_plan(struct kl_loader *l)
{
    if (l->walk.after) {
        l->walk.step = l->walk.after;
        l->walk.after = NULL;
    } else {
        finish(l, KL_LOADER_DONE);
    }
}

static void follow(struct kl_loader *l, enum ldr_move move)
{
    KL_ASSERT((move == MOVE_WAIT) == (l->op.kind != KL_LOADER_OP_NONE));
    KL_ASSERT((move == MOVE_FAILED) == (l->walk.status == KL_LOADER_FAILED));
    if (move == MOVE_NEXT)
        l->walk.step++;
    else if (move == MOVE_DONE)
        end_plan(l);
}

/* Walks on until an operation is under way or the task is over. */
static void walk(struct kl_loader *l)
{
    enum {
        STEPS_MAX = 2048 /* a full bundle whose regions are all skipped stays far below */
    };

    for (int steps = 0; l->walk.status == KL_LOADER_BUSY && l->op.kind == KL_LOADER_OP_NONE;
         steps++) {
        KL_ASSERT(steps < STEPS_MAX);
        if (l->walk.step->begin)
            follow(l, l->walk.step->begin(l));
        else
            end_plan(l);
    }
    KL_ASSERT(l->walk.status != KL_LOADER_BUSY || l->deadline != KL_NEVER);
}

void ldr_op_over(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    enum ldr_move move;

    KL_ASSERT(l->walk.status == KL_LOADER_BUSY && l->op.kind == KL_LOADER_OP_NONE);
    if (l->walk.step->end)
        move = l->walk.step->end(l, outcome);
    else
        move = outcome == KL_OUT_OK ? MOVE_NEXT : ldr_fail_by(l, outcome);
    follow(l, move);
    walk(l);
}

enum ldr_move ldr_fail(struct kl_loader *l, enum kl_reason reason, const char *format, ...)
{
    char text[KL_TEXT_MAX];
    va_list args;

    KL_ASSERT(reason != KL_FAULT_NONE);
    KL_ASSERT(l->walk.status == KL_LOADER_BUSY);
    va_start(args, format);
    kl_vformat(text, sizeof text, format, args);
    va_end(args);
    l->fault.reason = reason;
    kl_copy(l->fault.detail, sizeof l->fault.detail, text);
    finish(l, KL_LOADER_FAILED);
    return MOVE_FAILED;
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
        [CMD_READ_FLASH_SLOW] = "READ_FLASH_SLOW",
        [CMD_CHANGE_BAUDRATE] = "CHANGE_BAUDRATE",
        [CMD_DEFL_BEGIN] = "FLASH_DEFL_BEGIN",
        [CMD_DEFL_DATA] = "FLASH_DEFL_DATA",
        [CMD_DEFL_END] = "FLASH_DEFL_END",
        [CMD_MD5] = "SPI_FLASH_MD5",
        [CMD_SECURITY_INFO] = "GET_SECURITY_INFO",
    };

    if (code == CMD_ERASE_FLASH)
        return "ERASE_FLASH";
    if (code == CMD_READ_FLASH)
        return "READ_FLASH";
    return code < sizeof names / sizeof names[0] && names[code] ? names[code] : "command";
}

enum ldr_move ldr_fail_by(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const char *name = command_name(l->op.code);

    KL_ASSERT(outcome != KL_OUT_OK);
    switch (outcome) {
    case KL_OUT_REFUSED:
        l->fault.chip_error = l->reply.error;
        return ldr_fail(l, KL_FAULT_REFUSED, "%s: error 0x%04x", name, l->reply.error);
    case KL_OUT_UNKNOWN:
        return ldr_fail(l, KL_FAULT_PROTOCOL, "%s is not known to this loader", name);
    case KL_OUT_IO:
        return ldr_fail(l, KL_FAULT_ADAPTER_SETTING, "%s", name);
    default:
        if (l->wire.damaged > 0)
            return ldr_fail(l, KL_FAULT_LINE_NOISE, "%s: %u damaged answers", name,
                            l->wire.damaged);
        if (l->identity.stub) {
            l->setup.memory.stub_rests = true;
            ldr_stub_died(l);
        }
        return ldr_fail(l, KL_FAULT_TIMEOUT, "%s: no answer", name);
    }
}

/* ---- text outside of frames ---- */

void ldr_note(struct kl_loader *l, const char *format, ...)
{
    unsigned at = (l->notes.first + l->notes.count) % KL_LOADER_NOTES;
    va_list args;

    if (l->notes.count == KL_LOADER_NOTES)
        l->notes.first = (uint8_t)((l->notes.first + 1) % KL_LOADER_NOTES); /* the oldest goes */
    else
        l->notes.count++;
    va_start(args, format);
    kl_vformat(l->notes.text[at], KL_LOADER_NOTE_MAX, format, args);
    va_end(args);
}

void ldr_take_text(struct kl_loader *l, uint8_t byte)
{
    struct kl_said line;

    if (l->wire.hears == KL_HEARS_FRAMES)
        return;
    kl_console_take(l->setup.console, &byte, 1, l->now, &line);
    if (line.restart && l->connect.connected)
        ldr_fail(l, KL_FAULT_BOARD_CHANGED, "the chip restarted by itself");
}

void ldr_forget_text(struct kl_loader *l)
{
    kl_console_restart(l->setup.console);
    kl_console_drop_line(l->setup.console);
}

/* ---- public ---- */

void kl_loader_init(struct kl_loader *l, const struct kl_loader_setup *setup)
{
    KL_ASSERT(setup->console && setup->baud_max >= FIRST_BAUD);
    memset(l, 0, offsetof(struct kl_loader, wire.tx));
    l->setup = *setup;
    l->stub.failed = l->setup.memory.stub_rests || l->setup.memory.stub_deaths >= DEATHS_MAX;
    if (l->setup.connect_attempts == 0)
        l->setup.connect_attempts = 7;
    l->rate.ceiling = ldr_first_ceiling(&l->setup);
    l->identity.baud = FIRST_BAUD;
    l->deadline = KL_NEVER;
    l->walk.status = KL_LOADER_DONE;
    kl_slip_reset(&l->wire.slip);
}

void kl_loader_start(struct kl_loader *l, enum kl_loader_task task, const struct kl_bundle *bundle,
                     kl_us now)
{
    KL_ASSERT(task > KL_LOADER_IDLE && task <= KL_LOADER_SAME);
    KL_ASSERT(l->walk.status != KL_LOADER_BUSY);
    KL_ASSERT(task == KL_LOADER_CONNECT || l->connect.connected);
    KL_ASSERT(bundle || (task != KL_LOADER_FLASH && task != KL_LOADER_VERIFY));
    l->now = now;
    l->walk.task = task;
    l->bundle = bundle;
    l->fault = (struct kl_fault){0};
    if (task != KL_LOADER_VERIFY) /* only a VERIFY right after FLASH may use its proofs */
        l->flash.proved_for = NULL;
    l->walk.status = KL_LOADER_BUSY;
    l->walk.step = plans[task];
    l->walk.after = NULL;
    walk(l);
}

void kl_loader_rx(struct kl_loader *l, const uint8_t *data, size_t size, kl_us now)
{
    if (l->walk.status != KL_LOADER_BUSY)
        return;
    l->now = now;
    ldr_engine_rx(l, data, size);
}

void kl_loader_io_done(struct kl_loader *l, bool ok, kl_us now)
{
    if (l->walk.status != KL_LOADER_BUSY)
        return;
    l->now = now;
    ldr_engine_io_done(l, ok);
}

void kl_loader_tick(struct kl_loader *l, kl_us now)
{
    if (l->walk.status != KL_LOADER_BUSY || now < l->deadline)
        return;
    l->now = now;
    ldr_engine_tick(l);
}

void kl_loader_wipe(struct kl_loader *l)
{
    kl_wipe(l->wire.tx, sizeof l->wire.tx);
    kl_wipe(l->wire.slip.frame, sizeof l->wire.slip.frame);
    kl_wipe(&l->reply, sizeof l->reply);
}

bool kl_loader_next(struct kl_loader *l, struct kl_io *out)
{
    return l->walk.status == KL_LOADER_BUSY && ldr_engine_next(l, out);
}

kl_us kl_loader_deadline(const struct kl_loader *l)
{
    KL_ASSERT((l->walk.status == KL_LOADER_BUSY) == (l->deadline != KL_NEVER));
    return l->deadline;
}

enum kl_loader_status kl_loader_status(const struct kl_loader *l)
{
    return l->walk.status;
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

const struct kl_loader_memory *kl_loader_memory(const struct kl_loader *l)
{
    return &l->setup.memory;
}

bool kl_loader_note(struct kl_loader *l, char out[KL_TEXT_MAX])
{
    if (l->notes.count == 0)
        return false;
    kl_copy(out, KL_TEXT_MAX, l->notes.text[l->notes.first]);
    l->notes.first = (uint8_t)((l->notes.first + 1) % KL_LOADER_NOTES);
    l->notes.count--;
    return true;
}
