/*
 * loader_read.c: reads sectors of the flash. It asks for a sector's MD5 first. It does not read a
 * blank sector, nor blank bytes at a sector's end: as soon as what is read and blank bytes together
 * have that MD5, they are the sector. A stub sends packets, each of which is
 * acknowledged; a ROM gives 64 bytes an answer. (docs/esp-serial-protocol.md 2.2)
 */
#include "loader_private.h"

#include <string.h>

enum {
    ASK,
    BEGIN,
    PIECE,
    CHECK,
};

enum {
    PACKET = 0x100,     /* of a stub: fits a frame as the decoder takes it */
    START_SIZE = 0x200, /* what a stub sends of a sector first: mostly all but blank bytes */
    ROM_PIECE = 64,
    TRIES = 3, /* of one sector */
};

void kl_loader_read_into(struct kl_loader *l, const struct kl_loader_range *range)
{
    KL_ASSERT(l->walk.status != KL_LOADER_BUSY && range->out && range->md5);
    KL_ASSERT(range->offset % SECTOR == 0 && range->size % SECTOR == 0 && range->size > 0);
    l->read = (struct kl_loader_read){.range = *range};
}

static uint32_t sector_at(const struct kl_loader *l)
{
    KL_ASSERT(l->read.at < l->read.range.size);
    return l->read.range.offset + l->read.at;
}

static enum ldr_move ask_sector(struct kl_loader *l)
{
    uint8_t payload[16] = {0};

    KL_ASSERT(l->read.range.out);
    if (l->read.at == l->read.range.size)
        return MOVE_DONE;
    if (!ldr_can_md5(l))
        return ldr_fail(l, KL_FAULT_PROTOCOL, "this chip's loader can't read flash");
    l->read.got = 0;
    ldr_put_u32(payload, sector_at(l));
    ldr_put_u32(payload + 4, SECTOR);
    ldr_command(l, &(struct ldr_command){.code = CMD_MD5,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .result = ldr_is_rom(l) ? 32 : 16});
    return MOVE_WAIT;
}

static enum ldr_move sector_asked(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (ldr_answer_is(l, ldr_blank_md5)) {
        memset(l->read.range.out + l->read.at, 0xFF, SECTOR);
        l->read.at += SECTOR;
        l->read.tries = 0;
        return MOVE_AGAIN;
    }
    memcpy(l->read.asked, l->reply.result, sizeof l->read.asked);
    return MOVE_NEXT;
}

/* How far a stub sends before the sector is compared. */
static uint32_t stub_end(const struct kl_loader *l)
{
    return l->read.got < START_SIZE ? START_SIZE : SECTOR;
}

static enum ldr_move begin_piece(struct kl_loader *l)
{
    uint8_t payload[16];

    if (ldr_is_rom(l))
        return MOVE_NEXT;
    l->read.end = stub_end(l);
    l->read.from = l->read.got;
    ldr_put_u32(payload, sector_at(l) + l->read.got);
    ldr_put_u32(payload + 4, l->read.end - l->read.got);
    ldr_put_u32(payload + 8, PACKET);
    ldr_put_u32(payload + 12, 1);
    /* Once only: a stub that hears the command twice sends twice. */
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_FLASH,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .tries = 1});
    return MOVE_WAIT;
}

static enum ldr_move ask_piece(struct kl_loader *l)
{
    uint8_t payload[8];

    KL_ASSERT(l->read.got <= SECTOR);
    if (!ldr_is_rom(l)) {
        ldr_await_packet(l, l->read.got > l->read.from, l->read.got - l->read.from);
        return MOVE_WAIT;
    }
    ldr_put_u32(payload, sector_at(l) + l->read.got);
    ldr_put_u32(payload + 4, ROM_PIECE);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_FLASH_SLOW,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .result = ROM_PIECE});
    return MOVE_WAIT;
}

static enum ldr_move piece_here(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const uint8_t *data = ldr_is_rom(l) ? l->reply.result : l->wire.slip.frame;
    uint32_t size = ldr_is_rom(l) ? ROM_PIECE : PACKET;

    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (!ldr_is_rom(l) && l->read.got == l->read.end) /* the stub ends with its own sum */
        return l->wire.slip.size == 16 ? MOVE_NEXT
                                       : ldr_fail(l, KL_FAULT_LINE_NOISE, "reading flash");
    if (!ldr_is_rom(l) && l->wire.slip.size != PACKET)
        return ldr_fail(l, KL_FAULT_LINE_NOISE, "reading flash");
    KL_ASSERT(l->read.got + size <= SECTOR);
    memcpy(l->read.range.out + l->read.at + l->read.got, data, size);
    l->read.got += size;
    return ldr_is_rom(l) ? MOVE_NEXT : MOVE_AGAIN;
}

static enum ldr_move check_sector(struct kl_loader *l)
{
    uint8_t md5[16], *sector = l->read.range.out + l->read.at;

    KL_ASSERT(l->read.got > 0 && l->read.got <= SECTOR);
    memset(sector + l->read.got, 0xFF, SECTOR - l->read.got);
    l->read.range.md5(sector, SECTOR, md5);
    memcpy(l->reply.result, l->read.asked, sizeof l->read.asked);
    if (ldr_answer_is(l, md5)) {
        l->read.at += SECTOR;
        l->read.tries = 0;
    } else if (l->read.got < SECTOR) {
        return ldr_go_to(l, &ldr_read_plan[BEGIN]);
    } else if (++l->read.tries == TRIES) {
        return ldr_fail(l, KL_FAULT_LINE_NOISE, "0x%x reads differently each time", sector_at(l));
    }
    return ldr_go_to(l, ldr_read_plan);
}

const struct kl_loader_step ldr_read_plan[] = {
    [ASK] = {ask_sector, sector_asked, {NULL}},
    [BEGIN] = {begin_piece, NULL, {NULL}},
    [PIECE] = {ask_piece, piece_here, {NULL}},
    [CHECK] = {check_sector, NULL, {ldr_read_plan, &ldr_read_plan[BEGIN]}},
    PLAN_END,
};
