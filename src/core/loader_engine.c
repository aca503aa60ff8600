/*
 * loader_engine.c: one operation at a time: a request and its reply, a change of the lines or the
 * rate, or a wait. Time-outs, repetitions and the matching of replies live here.
 * (docs/esp-serial-protocol.md 1, 3.1)
 */
#include "loader_private.h"

#include <string.h>

enum {
    HEADER = 8,
    DATA_HEADER = 16,
    REPLY_WIRE = 96, /* what a reply takes on the wire, escaped */
    FROM_CHIP = 1,   /* direction byte */
    WRITES_MAX = 8,
    TRIES = 3,
    PADDING = 0x55,
};

#define IO_TIME         KL_SEC(10)  /* a frozen adapter holds a call for 5 s before it fails */
#define HANG_TIME       KL_MS(2500) /* a refusal comes sooner */
#define UNKNOWN_TIME    KL_MS(200)  /* an unknown command may be answered eight times (1.6) */
#define GREET_TIME      KL_SEC(1) /* for a stub to greet, once the ROM has said that it starts it */
#define GREET_FAST_TIME KL_MS(300) /* the same at the ROM's rate: the stub may greet at another */
#define LATE_TIME       KL_MS(100) /* for the second answer to a command that was sent twice */
#define WORK_MAX        KL_SEC(240)

void ldr_put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

uint32_t ldr_get_u32(const uint8_t *in)
{
    return in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

kl_us ldr_link_allowance(const struct kl_loader *l)
{
    bool network = l->setup.link == KL_LINK_RFC2217 || l->setup.link == KL_LINK_RAW;
    kl_us floor = network ? KL_MS(200) : KL_MS(20);

    return floor + 2 * l->wire.round_trip;
}

/* Ten bits a byte, and half as much again for adapters that pause. */
static kl_us wire_time(const struct kl_loader *l, size_t bytes)
{
    KL_ASSERT(l->identity.baud > 0);
    return (kl_us)(bytes * 15u * 1000000u / l->identity.baud);
}

/* ---- sending ---- */

static void send(struct kl_loader *l)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_COMMAND && l->op.sent < l->op.tries);
    l->op.sent++;
    l->wire.pending = true;
    l->deadline = l->now + l->op.wait;
    kl_slip_reset(&l->wire.slip);
}

static uint8_t checksum(uint8_t seed, const uint8_t *data, size_t size)
{
    uint64_t all = 0, eight;

    for (; size >= sizeof eight; data += sizeof eight, size -= sizeof eight) {
        memcpy(&eight, data, sizeof eight);
        all ^= eight;
    }
    for (int i = 0; i < 8; i++)
        seed ^= (uint8_t)(all >> 8 * i);
    for (size_t i = 0; i < size; i++)
        seed ^= data[i];
    return seed;
}

static size_t put_block(uint8_t *tx, size_t used, const struct ldr_command *c, size_t padding)
{
    static const uint8_t erased = 0xFF;

    used = kl_slip_escape(tx, used, KL_LOADER_TX_MAX - 1, c->block, c->block_size);
    for (; padding > 0 && used > 0; padding--)
        used = kl_slip_escape(tx, used, KL_LOADER_TX_MAX - 1, &erased, 1);
    return used;
}

static size_t build(uint8_t *tx, const struct ldr_command *c)
{
    uint8_t head[HEADER + DATA_HEADER] = {0, c->code};
    size_t head_size = HEADER, size = c->payload_size, used = 2;
    size_t padding = c->padded_size > c->block_size ? c->padded_size - c->block_size : 0;

    if (c->block) {
        head_size += DATA_HEADER;
        size = DATA_HEADER + c->block_size + padding;
        head[4] = checksum(padding & 1 ? 0xEF ^ 0xFF : 0xEF, c->block, c->block_size);
        ldr_put_u32(head + HEADER, (uint32_t)(c->block_size + padding));
        ldr_put_u32(head + HEADER + 4, c->sequence);
    }
    KL_ASSERT(size <= UINT16_MAX);
    head[2] = (uint8_t)size;
    head[3] = (uint8_t)(size >> 8);
    tx[0] = tx[1] = 0xC0;
    used = kl_slip_escape(tx, used, KL_LOADER_TX_MAX - 1, head, head_size);
    if (c->block)
        used = put_block(tx, used, c, padding);
    else
        used = kl_slip_escape(tx, used, KL_LOADER_TX_MAX - 1, c->payload, c->payload_size);
    KL_ASSERT(used > 0);
    tx[used] = 0xC0;
    return used + 1;
}

static void prepare(struct kl_loader *l, const struct ldr_command *c)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_NONE);
    KL_ASSERT(!c->block || c->block_size <= KL_BLOCK_MAX);
    l->op = (struct kl_loader_op){
        .kind = KL_LOADER_OP_COMMAND,
        .code = c->code,
        .result = c->result,
        .shorter = c->shorter,
        .tries = c->tries ? c->tries : TRIES,
        .judge = c->judge,
        .greets = c->greets,
        .optional = c->optional,
    };
    l->wire.damaged = 0;
    memset(&l->reply, 0, sizeof l->reply);
}

static kl_us time_for(const struct kl_loader *l, const struct ldr_command *c)
{
    kl_us work = c->work ? c->work : COMMAND_TIME;

    return (work < WORK_MAX ? work : WORK_MAX) + wire_time(l, l->op.tx_size + REPLY_WIRE) +
           ldr_link_allowance(l);
}

void ldr_command(struct kl_loader *l, const struct ldr_command *c)
{
    prepare(l, c);
    l->op.tx_size = build(l->wire.tx, c);
    l->op.wait = time_for(l, c);
    send(l);
}

void ldr_command_ahead(struct kl_loader *l, const struct ldr_command *c, bool is_out,
                       const struct ldr_command *next, size_t padding)
{
    prepare(l, c);
    l->op.tries = l->op.sent = 1;
    l->op.is_out = is_out;
    if (!is_out)
        kl_slip_reset(&l->wire.slip);
    l->op.tx_size = is_out ? 0 : build(l->wire.tx, c);
    if (next) {
        KL_ASSERT(!next->block && padding <= KL_BLOCK_MAX);
        memset(l->wire.tx + l->op.tx_size, PADDING, padding);
        l->op.tx_size += padding;
        size_t size = build(l->wire.tx + l->op.tx_size, next);
        l->wire.tx[l->op.tx_size] = PADDING; /* of two delimiters: they would be a frame */
        l->op.tx_size += size;
    }
    l->wire.pending = l->op.tx_size > 0;
    l->op.wait = time_for(l, c);
    l->deadline = l->now + l->op.wait;
}

void ldr_hurry(struct kl_loader *l, kl_us work)
{
    kl_us by = l->now + work + wire_time(l, l->op.tx_size + REPLY_WIRE) + ldr_link_allowance(l);

    if (l->op.kind == KL_LOADER_OP_COMMAND && !l->op.decided && by < l->deadline)
        l->deadline = by;
}

void ldr_tell(struct kl_loader *l, const struct ldr_command *c, size_t padding, kl_us gap)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_NONE);
    l->op = (struct kl_loader_op){.kind = KL_LOADER_OP_WAIT, .sent = 1};
    l->op.tx_size = build(l->wire.tx, c);
    KL_ASSERT(padding <= sizeof l->wire.tx - l->op.tx_size);
    memset(l->wire.tx + l->op.tx_size, PADDING, padding);
    l->op.tx_size += padding;
    l->wire.pending = true;
    l->deadline = l->now + gap;
}

void ldr_read_reg(struct kl_loader *l, uint32_t address)
{
    uint8_t payload[4];

    ldr_put_u32(payload, address);
    ldr_command(l, &(struct ldr_command){
                       .code = CMD_READ_REG, .payload = payload, .payload_size = sizeof payload});
}

void ldr_write_regs(struct kl_loader *l, const struct ldr_write *writes, unsigned count)
{
    uint8_t payload[WRITES_MAX * 16];
    kl_us delays = 0;

    KL_ASSERT(count <= WRITES_MAX);
    for (unsigned i = 0; i < count; i++) {
        ldr_put_u32(payload + 16 * i, writes[i].address);
        ldr_put_u32(payload + 16 * i + 4, writes[i].value);
        ldr_put_u32(payload + 16 * i + 8, writes[i].mask);
        ldr_put_u32(payload + 16 * i + 12, writes[i].delay_us);
        delays += writes[i].delay_us;
    }
    ldr_command(l, &(struct ldr_command){.code = CMD_WRITE_REG,
                                         .payload = payload,
                                         .payload_size = 16 * count,
                                         .work = COMMAND_TIME + delays});
}

void ldr_await_packet(struct kl_loader *l, bool acks, uint32_t count)
{
    uint8_t word[4];

    KL_ASSERT(l->op.kind == KL_LOADER_OP_NONE);
    l->op = (struct kl_loader_op){.kind = KL_LOADER_OP_PACKET, .code = CMD_READ_FLASH, .sent = 1};
    l->deadline = l->now + COMMAND_TIME + wire_time(l, KL_SLIP_FRAME_MAX) + ldr_link_allowance(l);
    if (!acks)
        return;
    ldr_put_u32(word, count);
    l->wire.tx[0] = l->wire.tx[1] = 0xC0;
    l->op.tx_size = kl_slip_escape(l->wire.tx, 2, KL_LOADER_TX_MAX - 1, word, sizeof word);
    l->wire.tx[l->op.tx_size++] = 0xC0;
    l->wire.pending = true;
}

static void start_io(struct kl_loader *l, const struct kl_io *io)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_NONE);
    l->op = (struct kl_loader_op){.kind = KL_LOADER_OP_IO, .io = *io, .began = l->now};
    l->wire.pending = true;
    l->deadline = l->now + IO_TIME;
}

void ldr_set_lines(struct kl_loader *l, bool dtr, bool rts)
{
    start_io(l, &(struct kl_io){.kind = KL_IO_LINES, .dtr = dtr, .rts = rts});
}

void ldr_set_baud(struct kl_loader *l, uint32_t baud)
{
    start_io(l, &(struct kl_io){.kind = KL_IO_BAUD, .baud = baud});
}

void ldr_wait_for(struct kl_loader *l, kl_us time)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_NONE);
    l->op = (struct kl_loader_op){.kind = KL_LOADER_OP_WAIT};
    l->deadline = l->now + time;
}

bool ldr_engine_next(struct kl_loader *l, struct kl_io *out)
{
    if (!l->wire.pending)
        return false;
    l->wire.pending = false;
    /* A repeated frame begins with one more delimiter. If the frame before lost its end on the way,
       the first delimiter only ends that one. */
    size_t spare = l->op.sent > 1 ? 0 : 1;
    *out = l->op.kind == KL_LOADER_OP_IO ? l->op.io
                                         : (struct kl_io){.kind = KL_IO_WRITE,
                                                          .data = l->wire.tx + spare,
                                                          .size = l->op.tx_size - spare,
                                                          .secret = l->wire.secret};
    return true;
}

/* ---- hearing back ---- */

static void over(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->op.kind != KL_LOADER_OP_NONE);
    l->op.kind = KL_LOADER_OP_NONE;
    l->wire.unsent = l->wire.pending;
    l->wire.pending = false;
    ldr_op_over(l, outcome);
}

/* A chip may answer a repeated command twice, and answers to two commands of one kind look alike.
   So the engine waits for the late answer before anything else is asked. */
static void decide(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_COMMAND && !l->op.decided);
    if (l->op.sent < 2) {
        over(l, outcome);
        return;
    }
    l->op.decided = true;
    l->op.outcome = (uint8_t)outcome;
    l->deadline = l->now + LATE_TIME + ldr_link_allowance(l);
}

static void send_again(struct kl_loader *l, enum kl_loader_outcome otherwise)
{
    KL_ASSERT(l->op.sent > 0);
    if (l->op.sent < l->op.tries)
        send(l);
    else
        over(l, otherwise);
}

static void adapter_hangs(struct kl_loader *l)
{
    KL_ASSERT(l->op.kind == KL_LOADER_OP_IO);
    l->op.kind = KL_LOADER_OP_NONE;
    l->wire.pending = false;
    ldr_fail(l, KL_FAULT_LINK_STUCK, "%s", l->op.io.kind == KL_IO_BAUD ? "rate" : "modem lines");
}

void ldr_engine_tick(struct kl_loader *l)
{
    switch ((enum kl_loader_op_kind)l->op.kind) {
    case KL_LOADER_OP_NONE:
        break;
    case KL_LOADER_OP_PACKET:
        over(l, KL_OUT_SILENT);
        break;
    case KL_LOADER_OP_WAIT:
        over(l, KL_OUT_OK);
        break;
    case KL_LOADER_OP_IO:
        adapter_hangs(l);
        break;
    case KL_LOADER_OP_COMMAND:
        if (l->op.decided) {
            over(l, (enum kl_loader_outcome)l->op.outcome);
        } else if (l->op.unknown) {
            l->op.unknown = false;
            send_again(l, KL_OUT_UNKNOWN);
        } else {
            send_again(l, KL_OUT_SILENT);
        }
        break;
    }
}

void ldr_engine_io_done(struct kl_loader *l, bool ok)
{
    if (l->op.kind != KL_LOADER_OP_IO || l->wire.pending)
        return; /* it answers an operation that was given up */
    if (l->op.io.kind == KL_IO_LINES && l->now - l->op.began > l->wire.round_trip)
        l->wire.round_trip = l->now - l->op.began < KL_SEC(1) ? l->now - l->op.began : KL_SEC(1);
    if (!ok && l->now - l->op.began >= HANG_TIME)
        adapter_hangs(l);
    else
        over(l, ok ? KL_OUT_OK : KL_OUT_IO);
}

/* Finds the status behind the result; false if the frame can't be a whole reply (1.3). */
static bool read_reply(struct kl_loader *l, const uint8_t *data, size_t size)
{
    struct kl_loader_reply *r = &l->reply;
    size_t result = l->op.result;

    if (l->op.shorter && size < result + 2)
        result = l->op.shorter;
    bool has_result = size >= result + 2;
    const uint8_t *status = has_result ? data + result : data;
    if (size < 2 || result > sizeof r->result || (!has_result && status[0] == 0))
        return false;
    /* Beside a good status the error byte is an earlier command's. */
    r->error = (uint16_t)(status[0] == 0 ? 0 : status[0] << 8 | status[1]);
    r->size = has_result ? (uint8_t)result : 0;
    r->status_size = (uint8_t)(size - r->size);
    memcpy(r->result, data, r->size);
    return true;
}

/* The refusal may be of the damaged first frame, and this good answer of the second. */
static void take_late_reply(struct kl_loader *l, const uint8_t *frame, size_t size)
{
    struct kl_loader_reply refusal = l->reply;

    KL_ASSERT(l->op.decided);
    if (l->op.outcome != KL_OUT_REFUSED)
        return;
    l->reply.value = ldr_get_u32(frame + 4);
    if (read_reply(l, frame + HEADER, size - HEADER) && l->reply.error == 0)
        l->op.outcome = KL_OUT_OK;
    else
        l->reply = refusal;
}

static void take_reply(struct kl_loader *l, const uint8_t *frame, size_t size)
{
    KL_ASSERT(!l->op.decided);
    l->reply.value = ldr_get_u32(frame + 4);
    if (!read_reply(l, frame + HEADER, size - HEADER)) {
        l->wire.damaged++;
        return;
    }
    if (l->reply.error == 0 && l->op.greets) {
        kl_us time = l->identity.baud > FIRST_BAUD ? GREET_FAST_TIME : GREET_TIME;
        l->deadline = l->now + time + ldr_link_allowance(l);
        return;
    }
    if (l->reply.error == 0)
        decide(l, KL_OUT_OK);
    else if (l->op.judge || l->op.sent >= l->op.tries)
        decide(l, KL_OUT_REFUSED);
    else
        send(l);
}

static void take_frame(struct kl_loader *l, const uint8_t *frame, size_t size)
{
    bool waiting = l->op.kind == KL_LOADER_OP_COMMAND && (!l->wire.pending || l->op.is_out);

    if (l->op.kind == KL_LOADER_OP_PACKET) {
        if (!l->wire.pending)
            over(l, KL_OUT_OK);
        return;
    }
    if (size == 4 && memcmp(frame, "OHAI", 4) == 0) {
        if (waiting && l->op.greets && !l->op.decided)
            over(l, KL_OUT_OK);
        return;
    }
    if (size < HEADER || frame[0] != FROM_CHIP ||
        size != (size_t)HEADER + (frame[2] | (size_t)frame[3] << 8)) {
        l->wire.damaged++;
        return;
    }
    if (frame[1] == CMD_MD5 && l->aside.out) {
        ldr_take_aside(l, frame + HEADER, size - HEADER);
        return;
    }
    if (frame[1] == CMD_SYNC && l->op.kind == KL_LOADER_OP_WAIT &&
        ldr_took_last_sync_reply(l, frame, size)) {
        over(l, KL_OUT_OK);
        return;
    }
    if (!waiting)
        return;
    if (l->op.decided) {
        if (frame[1] == l->op.code)
            take_late_reply(l, frame, size);
    } else if (frame[1] == l->op.code) {
        take_reply(l, frame, size);
    } else if (size >= HEADER + 2 && frame[HEADER] != 0 && frame[HEADER + 1] == ROM_BAD_MESSAGE &&
               l->op.optional && !l->op.unknown) {
        /* A ROM answers an unknown command with the header of the command before it (1.6). */
        l->op.unknown = true;
        l->deadline = l->now + UNKNOWN_TIME + ldr_link_allowance(l);
    }
}

void ldr_engine_rx(struct kl_loader *l, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && l->walk.status == KL_LOADER_BUSY; i++) {
        if (l->wire.hears == KL_HEARS_TEXT) {
            ldr_take_text(l, data[i]);
            continue;
        }
        switch (kl_slip_byte(&l->wire.slip, data[i])) {
        case KL_SLIP_MORE:
            break;
        case KL_SLIP_TEXT:
            ldr_take_text(l, data[i]);
            if (data[i] == '\n' && l->walk.status == KL_LOADER_BUSY && ldr_is_ready_early(l))
                over(l, KL_OUT_OK);
            break;
        case KL_SLIP_BAD:
            l->wire.damaged++;
            break;
        case KL_SLIP_FRAME:
            take_frame(l, l->wire.slip.frame, l->wire.slip.size);
            break;
        }
    }
}
