/*
 * flash.c: the SPI flash chip: erase sets bits, programming only clears them, both take their time.
 *
 * Times are a W25Q32JV's typical ones; reading is what loaders reach through their own code (§3.3).
 */
#include <string.h>

#include "vboard_inside.h"

enum {
    BLOCK = 0x10000,
    PAGE = 0x100,
    ERASE_SECTOR_US = 45000,
    ERASE_BLOCK_US = 150000,
    PROGRAM_PAGE_US = 400,
    STUB_READ_US_PER_KIB = 1000,
    ROM_READ_US_PER_KIB = 1600,
};

/* The chip works by itself; whoever needs it next waits for it. */
void flash_wait(struct kl_vboard *b)
{
    if (b->flash_ready > b->work)
        b->work = b->flash_ready;
}

static void flash_busy(struct kl_vboard *b, kl_us time)
{
    flash_wait(b);
    if (b->config.paced)
        b->flash_ready = b->work + time;
}

/* Erases the sectors that [address, address + size) touches. Starts the last one and returns. */
void flash_erase(struct kl_vboard *b, uint32_t address, uint32_t size)
{
    uint64_t at = address & ~(uint64_t)(SECTOR - 1);
    uint64_t end = ((uint64_t)address + size + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);

    while (at < end) {
        bool block = at % BLOCK == 0 && end - at >= BLOCK;
        uint32_t step = block ? BLOCK : SECTOR;
        flash_busy(b, block ? ERASE_BLOCK_US : ERASE_SECTOR_US);
        if (at + step <= b->flash_size)
            memset(b->flash + at, 0xFF, step);
        at += step;
    }
}

/* False if the cells do not hold the data afterwards. */
bool flash_program(struct kl_vboard *b, uint32_t address, const uint8_t *data, size_t size)
{
    uint64_t bad = fault_is(b, FAULT_ID_BAD_CELL) ? fault_figure(b, FAULT_ID_BAD_CELL) : UINT64_MAX;
    bool holds = true;

    for (size_t done = 0; done < size;) {
        size_t page = PAGE - (address + done) % PAGE;
        if (page > size - done)
            page = size - done;
        flash_busy(b, PROGRAM_PAGE_US);
        for (size_t i = done; i < done + page; i++) {
            uint64_t at = (uint64_t)address + i;
            if (at >= b->flash_size)
                continue;
            if (at != bad)
                b->flash[at] &= data[i];
            holds &= b->flash[at] == data[i];
        }
        done += page;
    }
    if (b->mode != BOARD_APP && size > 0 && fault_is(b, FAULT_ID_FLASH_ENCRYPTED)) {
        b->bricked = true;
        board_complain(b, "plain bytes written at 0x%x under flash encryption", (unsigned)address);
    }
    return holds;
}

void flash_read_time(struct kl_vboard *b, size_t size, bool rom)
{
    flash_wait(b);
    if (b->config.paced)
        b->work +=
            (kl_us)((uint64_t)size * (rom ? ROM_READ_US_PER_KIB : STUB_READ_US_PER_KIB) / 1024u);
}

/* RDID: Winbond, capacity as a power of two (§4.6). */
uint32_t flash_id(const struct kl_vboard *b)
{
    uint32_t capacity = 0;

    if (fault_is(b, FAULT_ID_NO_FLASH))
        return 0xFFFFFF;
    while ((uint64_t)1 << (capacity + 1) <= b->flash_size)
        capacity++;
    if (capacity >= 0x1A) /* past 32 MB the code jumps (§4.6) */
        capacity += 6;
    return 0xEF | 0x40 << 8 | capacity << 16;
}
