/*
 * loader_peek.c: verifying without MD5, which the ESP8266's ROM does not have. Reading all of the
 * flash through registers would take many minutes, so the first word of every sector stands for it.
 * The ROM itself compares each block that it writes, but does not notice a wrong place.
 * (docs/esp-serial-protocol.md 4.6)
 */
#include "loader_private.h"

#include <string.h>

enum {
    START,
    PREPARE,
    ADDRESS,
    GO,
    LOOK,
};

enum {
    READ = 0x03,
    REG_CMD = 0x60000200,
    REG_ADDR = 0x60000204,
    REG_USR = 0x6000021C,
    REG_USR1 = 0x60000220,
    REG_USR2 = 0x60000224,
    REG_W0 = 0x60000240,
    SPI_START = 1 << 18,
};

static enum ldr_move start_peek(struct kl_loader *l)
{
    KL_ASSERT(ldr_is_rom(l));
    KL_ASSERT(l->chip->id == KL_CHIP_ESP8266);
    l->flash.region = 0;
    l->flash.peek_at = 0;
    l->spi.index = 0;
    ldr_note(l, "no MD5 in this ROM: one word of each sector is compared");
    return MOVE_NEXT;
}

static enum ldr_move prepare(struct kl_loader *l)
{
    const struct ldr_write writes[3] = {
        {REG_USR, 1u << 31 | 1u << 30 | 1u << 28, ALL_BITS, 0},
        {REG_USR1, 23u << 26 | 31u << 8, ALL_BITS, 0},
        {REG_USR2, 7u << 28 | READ, ALL_BITS, 0},
    };

    KL_ASSERT(l->spi.index < 3);
    ldr_write_regs(l, writes + l->spi.index, 1);
    return MOVE_WAIT;
}

static enum ldr_move prepared(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    return ++l->spi.index < 3 ? MOVE_AGAIN : MOVE_NEXT;
}

static const struct kl_image *next_image(struct kl_loader *l)
{
    KL_ASSERT(l->flash.peek_at % SECTOR == 0);
    for (; l->flash.region < l->bundle->region_count; l->flash.region++, l->flash.peek_at = 0) {
        const struct kl_image *i =
            kl_bundle_image(l->bundle, l->flash.region, ldr_known_flash_size(l));
        if (l->flash.peek_at < i->raw_size)
            return i;
    }
    return NULL;
}

static enum ldr_move write_address(struct kl_loader *l)
{
    if (!next_image(l)) {
        return MOVE_DONE;
    }
    l->progress.region = l->flash.region;
    uint32_t address = l->bundle->region[l->flash.region].offset + l->flash.peek_at;
    ldr_write_regs(l, &(struct ldr_write){REG_ADDR, address << 8, ALL_BITS, 0}, 1);
    return MOVE_WAIT;
}

static enum ldr_move go(struct kl_loader *l)
{
    KL_ASSERT(l->flash.region < l->bundle->region_count);
    ldr_write_regs(l, &(struct ldr_write){REG_CMD, SPI_START, ALL_BITS, 0}, 1);
    return MOVE_WAIT;
}

static enum ldr_move look(struct kl_loader *l)
{
    KL_ASSERT(l->flash.region < l->bundle->region_count);
    ldr_read_reg(l, REG_W0);
    return MOVE_WAIT;
}

static enum ldr_move looked(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const struct kl_region *r = &l->bundle->region[l->flash.region];

    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (l->reply.value == ldr_get_u32(next_image(l)->raw + l->flash.peek_at)) {
        l->flash.peek_at += SECTOR;
        l->flash.md5_tries = 0;
        return ldr_go_to(l, &ldr_peek_plan[ADDRESS]);
    }
    if (++l->flash.md5_tries == 2)
        return ldr_fail(l, KL_FAULT_VERIFY_FAILED, "%s at 0x%x", r->name,
                        r->offset + l->flash.peek_at);
    l->spi.index = 0; /* the question may have been damaged too */
    return ldr_go_to(l, &ldr_peek_plan[PREPARE]);
}

const struct kl_loader_step ldr_peek_plan[] = {
    [START] = {start_peek, NULL, {NULL}},
    [PREPARE] = {prepare, prepared, {NULL}},
    [ADDRESS] = {write_address, NULL, {NULL}},
    [GO] = {go, NULL, {NULL}},
    [LOOK] = {look, looked, {&ldr_peek_plan[ADDRESS], &ldr_peek_plan[PREPARE]}},
    PLAN_END,
};
