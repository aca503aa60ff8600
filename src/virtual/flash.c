/*
 * flash.c: the SPI flash chip: erase sets bits, programming only clears them, both take their time.
 *
 * Times are a W25Q32JV's typical ones. Reads take what loaders reach with their own code (§3.3).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <threads.h>
#include <unistd.h>

#include "vboard_inside.h"

enum {
    BLOCK = 0x10000,
    PAGE = 0x100,
    ERASE_SECTOR_US = 45000,
    ERASE_BLOCK_US = 150000,
    PROGRAM_PAGE_US = 400,
    BLANK = 0x100000, /* the shared file's size; a smaller flash gets memory of its own */
};

/* ---- memory ---- */

/* All boards share blank flash: one file of FF, mapped copy-on-write for each. So 64 boards cost
   only the memory for what was written to them. */
static int blank_fd = -1;
static once_flag blank_once = ONCE_FLAG_INIT;

static void make_blank(void)
{
    blank_fd = memfd_create("keyline-blank-flash", MFD_CLOEXEC);
    if (blank_fd < 0)
        return;
    void *all = MAP_FAILED;
    if (ftruncate(blank_fd, BLANK) == 0)
        all = mmap(NULL, BLANK, PROT_READ | PROT_WRITE, MAP_SHARED, blank_fd, 0);
    if (all == MAP_FAILED) {
        close(blank_fd);
        blank_fd = -1;
        return;
    }
    memset(all, 0xFF, BLANK);
    munmap(all, BLANK);
}

static bool is_mapped(uint32_t size)
{
    return size >= BLANK && size % BLANK == 0;
}

uint8_t *flash_make(uint32_t size)
{
    if (!is_mapped(size)) {
        uint8_t *own = malloc(size);
        return own ? memset(own, 0xFF, size) : NULL;
    }
    call_once(&blank_once, make_blank);
    uint8_t *flash = mmap(NULL, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (flash == MAP_FAILED)
        return NULL;
    for (uint32_t at = 0; at < size; at += BLANK)
        if (blank_fd < 0 ||
            mmap(flash + at, BLANK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE,
                 blank_fd, 0) == MAP_FAILED)
            memset(flash + at, 0xFF, BLANK);
    return flash;
}

void flash_free(uint8_t *flash, uint32_t size)
{
    if (flash && is_mapped(size))
        munmap(flash, size);
    else
        free(flash);
}

bool flash_blank(const struct kl_vboard *b, uint64_t at, uint64_t size)
{
    if (at >= b->flash_size)
        return true;
    if (size > b->flash_size - at)
        size = b->flash_size - at;
    const uint8_t *p = b->flash + at;
    return size == 0 || (p[0] == 0xFF && memcmp(p, p + 1, (size_t)size - 1) == 0);
}

/* ---- contents and time ---- */

/* The flash chip works by itself; the board's next use of it waits until it is done. */
void flash_wait(struct kl_vboard *b)
{
    if (b->flash_ready > b->work)
        b->work = b->flash_ready;
}

static void flash_busy(struct kl_vboard *b, kl_us time)
{
    flash_wait(b);
    if (!b->config.paced)
        return;
    b->flash_ready = b->work + time;
    b->flash_worked += time;
}

/* How many of a step's bytes are still changed. All, unless the power fails: then half of them in
   that step, and none in those after it. The board dies once the event is handled. */
static size_t power_for(struct kl_vboard *b, size_t bytes)
{
    if (b->dying)
        return 0;
    b->flash_steps++;
    b->dying = fault_is(b, FAULT_ID_DIES_WRITING) &&
               fault_figure(b, FAULT_ID_DIES_WRITING) == b->flash_steps;
    return b->dying ? bytes / 2 : bytes;
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
        if (at + step <= b->flash_size && !flash_blank(b, at, step))
            memset(b->flash + at, 0xFF, power_for(b, step));
        at += step;
    }
}

static bool is_inside(const struct kl_vboard *b, uint64_t at, size_t size)
{
    return at <= b->flash_size && size <= b->flash_size - at;
}

/* A word at a time. */
static bool clear_bits(uint8_t *cells, const uint8_t *data, size_t size)
{
    uint64_t cell, word, missing = 0;

    for (; size >= sizeof word; cells += sizeof word, data += sizeof word, size -= sizeof word) {
        memcpy(&cell, cells, sizeof cell);
        memcpy(&word, data, sizeof word);
        missing |= word & ~cell;
        cell &= word;
        memcpy(cells, &cell, sizeof cell);
    }
    for (; size > 0; cells++, data++, size--) {
        missing |= (uint64_t)(*data & ~*cells);
        *cells &= *data;
    }
    return missing == 0;
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
        size_t end = done + power_for(b, page);
        if (end == done + page && bad == UINT64_MAX &&
            is_inside(b, (uint64_t)address + done, page)) {
            holds &= clear_bits(b->flash + address + done, data + done, page);
            done += page;
            continue;
        }
        for (size_t i = done; i < done + page; i++) {
            uint64_t at = (uint64_t)address + i;
            if (at >= b->flash_size || i >= end)
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

void flash_read_time(struct kl_vboard *b, size_t size, enum flash_reader reader)
{
    static const uint16_t us_per_kib[] = {
        [READ_PLAINLY] = 250, [READ_FOR_MD5] = 1000, [READ_FOR_ROM_MD5] = 1600};

    flash_wait(b);
    if (b->config.paced)
        b->work += (kl_us)((uint64_t)size * us_per_kib[reader] / 1024u);
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

kl_us kl_vboard_flash_worked(const struct kl_vboard *b)
{
    return board_settled(b)->flash_worked;
}
