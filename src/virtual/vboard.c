/*
 * vboard.c: a virtual board's time and modes: power, the reset circuit, and who hears the wire.
 *
 * Everything happens at the time of its event, not of the call: the same inputs at the same times
 * give the same outputs, however often the caller calls tick().
 */
#include "keyline/vboard.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vboard_inside.h"

enum {
    EN_RISE_US = 2000, /* RC on EN: the straps are sampled this long after it is let go (§5.1) */
    FLASH_DEFAULT = 0x400000,
    ROM_BAUD = 115200,
};

/* ---- life ---- */

void board_set_identity(struct kl_vboard *b)
{
    static const struct kl_mac shared = {{0x24, 0x6F, 0x28, 0x00, 0x00, 0x01}};

    b->mac = b->config.mac;
    if (fault_is(b, FAULT_ID_MAC_SHARED))
        b->mac = shared;
    regs_init(b);
}

static void preload(struct kl_vboard *b)
{
    char own[64];

    if (!fault_is(b, FAULT_ID_PROVISIONED))
        return;
    if (b->faults.provisioned[0]) {
        app_preload(b, b->faults.provisioned);
        return;
    }
    snprintf(own, sizeof own, "held-%02x%02x%02x,%016llx,%016llx", b->mac.b[3], b->mac.b[4],
             b->mac.b[5], (unsigned long long)board_random(b), (unsigned long long)board_random(b));
    app_preload(b, own);
}

struct kl_vboard *kl_vboard_create(const struct kl_vboard_config *config)
{
    struct kl_vboard *b = calloc(1, sizeof *b);
    char error[KL_TEXT_MAX];

    KL_ASSERT(b);
    b->config = *config;
    b->chip = kl_chip(config->chip);
    KL_ASSERT(b->chip);
    b->v = vchip(config->chip);
    b->flash_size = config->flash_size ? config->flash_size : FLASH_DEFAULT;
    b->flash = flash_make(b->flash_size);
    KL_ASSERT(b->flash);
    if (!config->revision)
        b->config.revision = b->v->revision;
    b->rng = config->seed * 0x9E3779B97F4A7C15u + get_u32(config->mac.b + 2);
    b->host_baud = ROM_BAUD;
    b->chip_baud = ROM_BAUD;
    b->rx.trouble = b->tx.trouble = UINT64_MAX;
    if (config->faults && !faults_parse(&b->faults, config->faults, &b->rng, error)) {
        kl_vboard_destroy(b);
        return NULL;
    }
    b->config.faults = NULL; /* the caller keeps the text */
    board_set_identity(b);
    fault_plan(b, &b->rx);
    fault_plan(b, &b->tx);
    preload(b);
    return b;
}

void kl_vboard_destroy(struct kl_vboard *b)
{
    if (!b)
        return;
    app_stop(b);
    loader_free(&b->loader);
    lane_free(&b->rx);
    lane_free(&b->tx);
    for (unsigned i = 0; i < b->seen_count; i++)
        free(b->seen[i]);
    free(b->seen);
    flash_free(b->flash, b->flash_size);
    free(b);
}

bool kl_vboard_fault(struct kl_vboard *b, const char *list, char error[KL_TEXT_MAX])
{
    stub_catch_up(b);
    if (!faults_parse(&b->faults, list, &b->rng, error))
        return false;
    board_set_identity(b);
    fault_plan(b, &b->rx);
    fault_plan(b, &b->tx);
    return true;
}

bool kl_vboard_fault_check(const char *list, char error[KL_TEXT_MAX])
{
    struct faults scratch = {.set = {false}};
    uint64_t rng = 0;

    return faults_parse(&scratch, list, &rng, error);
}

/* ---- talk of the chip ---- */

void board_complain(struct kl_vboard *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is set right above
    vsnprintf(b->complaint, sizeof b->complaint, format, args);
    va_end(args);
}

void board_set_baud(struct kl_vboard *b, uint32_t baud)
{
    if (baud == b->chip_baud)
        return;
    b->chip_baud = baud;
    fault_plan(b, &b->rx);
    fault_plan(b, &b->tx);
}

void board_send(struct kl_vboard *b, const uint8_t *data, size_t size, kl_us ready)
{
    uint8_t out[2];

    if (b->dead_wire_tx || fault_is(b, FAULT_ID_MUTE))
        return;
    while (size > 0 && !b->dead_wire_tx) {
        uint64_t clean = b->tx.trouble > b->tx.count ? b->tx.trouble - b->tx.count - 1 : UINT64_MAX;
        size_t n = clean < size ? (size_t)clean : size;
        if (n > 0) {
            b->tx.count += n;
            lane_put(b, &b->tx, data, n, ready, b->chip_baud);
        } else {
            n = 1;
            unsigned left = fault_byte(b, &b->tx, data[0], out);
            lane_put(b, &b->tx, out, left, ready, b->chip_baud);
        }
        data += n;
        size -= n;
    }
}

void board_say(struct kl_vboard *b, const char *text)
{
    board_send(b, (const uint8_t *)text, strlen(text), b->work > b->now ? b->work : b->now);
}

void board_sayf(struct kl_vboard *b, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is set right above
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    board_say(b, text);
}

/* ---- modes ---- */

void board_enter(struct kl_vboard *b, enum mode mode)
{
    b->mode = mode;
    b->timer_at = KL_NEVER;
    b->rx.run = 0;
}

static bool en_low(const struct kl_vboard *b)
{
    return b->rts && !b->dtr;
}

static bool io0_low(const struct kl_vboard *b)
{
    return b->dtr && !b->rts;
}

/* Ends whatever ran; bytes that had not left the UART are lost. */
static void halt(struct kl_vboard *b)
{
    stub_catch_up(b);
    if (b->mode == BOARD_OFF)
        return;
    app_stop(b);
    lane_drop_from(b, &b->tx, b->now);
    b->work = b->now;
    b->flash_ready = b->now;
    b->loader.next.waiting = false;
}

static void start(struct kl_vboard *b, enum reset_cause cause)
{
    b->start_count++;
    regs_reset(b);
    b->work = b->now;
    board_set_baud(b, (uint32_t)((uint64_t)ROM_BAUD * b->v->crystal_mhz / b->v->rom_assumes_mhz));
    if (b->io0_latched) {
        board_enter(b, BOARD_ROM);
        loader_start(b);
        boot_download_text(b);
    } else {
        board_enter(b, BOARD_BOOT);
        boot_start(b, cause);
    }
}

/* EN has risen: the straps are sampled. */
static void sample(struct kl_vboard *b)
{
    b->io0_latched = b->config.native_usb ? b->usb_wants_loader : io0_low(b);
    b->usb_wants_loader = false;
    if (b->io0_latched && fault_takes(b, FAULT_ID_NO_AUTO_RESET))
        b->io0_latched = false;
    else if (!b->io0_latched && fault_takes(b, FAULT_ID_BOOT_HELD))
        b->io0_latched = true;
    start(b, CAUSE_POWER_ON);
}

void board_reset(struct kl_vboard *b, enum reset_cause cause)
{
    halt(b);
    if (cause == CAUSE_BROWNOUT)
        b->io0_latched = io0_low(b);
    start(b, cause);
}

static void power_off(struct kl_vboard *b)
{
    halt(b);
    board_enter(b, BOARD_OFF);
    lane_drop_from(b, &b->tx, INT64_MIN);
    lane_drop_from(b, &b->rx, INT64_MIN);
    b->rx.free_at = b->tx.free_at = b->now;
    b->dead_wire_rx = b->dead_wire_tx = false;
}

void board_lose_power(struct kl_vboard *b)
{
    power_off(b);
    b->unplugged = true;
}

static void hold_or_rise(struct kl_vboard *b)
{
    if (en_low(b)) {
        board_enter(b, BOARD_HELD);
    } else {
        board_enter(b, BOARD_RISING);
        b->timer_at = b->now + EN_RISE_US;
    }
}

/* ---- time ---- */

static kl_us earlier(kl_us a, kl_us b)
{
    return a < b ? a : b;
}

static kl_us next_event(struct kl_vboard *b)
{
    kl_us at = b->timer_at;

    if (b->mode == BOARD_OFF)
        return KL_NEVER;
    at = earlier(at, rx_next(b));
    if (b->mode == BOARD_ROM || b->mode == BOARD_STUB)
        at = earlier(at, loader_next(b));
    return at;
}

static void timer(struct kl_vboard *b)
{
    b->timer_at = KL_NEVER;
    if (b->mode == BOARD_RISING)
        sample(b);
    else if (b->mode == BOARD_BOOT && b->boot_ok)
        app_start(b);
    else if (b->mode == BOARD_BOOT)
        board_reset(b, b->cause);
    else if (b->mode == BOARD_APP)
        app_tick(b);
}

static void advance(struct kl_vboard *b, kl_us now)
{
    for (;;) {
        kl_us at = next_event(b);
        if (at > now)
            break;
        if (at > b->now)
            b->now = at;
        if (b->timer_at <= b->now)
            timer(b);
        else if ((b->mode == BOARD_ROM || b->mode == BOARD_STUB) && loader_next(b) <= b->now)
            loader_idle(b);
        else
            rx_run(b, b->now, true);
        if (b->dying) {
            b->dying = false;
            board_lose_power(b);
        }
    }
    if (now > b->now)
        b->now = now;
    if (b->loader.late_by <= b->now)
        stub_catch_up(b);
}

struct kl_vboard *board_settled(const struct kl_vboard *b)
{
    struct kl_vboard *board = (struct kl_vboard *)(uintptr_t)b;

    stub_catch_up(board);
    return board;
}

/* ---- the contract ---- */

void kl_vboard_power(struct kl_vboard *b, bool on, kl_us now)
{
    advance(b, now);
    stub_catch_up(b);
    if (on == (b->mode != BOARD_OFF))
        return;
    if (on) {
        b->unplugged = false;
        hold_or_rise(b);
    } else {
        rx_run(b, b->now, false);
        power_off(b);
    }
}

void kl_vboard_lines(struct kl_vboard *b, bool dtr, bool rts, kl_us now)
{
    advance(b, now);
    stub_catch_up(b);
    rx_run(b, b->now, false);
    b->dtr = dtr;
    b->rts = rts;
    if (io0_low(b))
        b->usb_wants_loader = true;
    else if (!dtr && !rts && b->mode != BOARD_HELD)
        b->usb_wants_loader = false;
    if (b->mode == BOARD_OFF || en_low(b) == (b->mode == BOARD_HELD))
        return;
    if (en_low(b))
        halt(b);
    hold_or_rise(b);
}

void kl_vboard_baud(struct kl_vboard *b, uint32_t baud, kl_us now)
{
    advance(b, now);
    tx_settle(b);
    b->host_baud = baud ? baud : 1;
}

void kl_vboard_rx(struct kl_vboard *b, const uint8_t *data, size_t size, kl_us now)
{
    advance(b, now);
    if (b->mode == BOARD_OFF)
        return;
    b->loader.deaf_bytes = 0;
    lane_put(b, &b->rx, data, size, b->now, b->host_baud);
    advance(b, now);
}

size_t kl_vboard_tx(struct kl_vboard *b, uint8_t *out, size_t size, kl_us now)
{
    advance(b, now);
    return tx_take(b, out, size);
}

void kl_vboard_tick(struct kl_vboard *b, kl_us now)
{
    advance(b, now);
}

kl_us kl_vboard_deadline(const struct kl_vboard *b)
{
    /* casts const away: finding the next run only fills a cache */
    struct kl_vboard *board = (struct kl_vboard *)(uintptr_t)b;

    kl_us late = b->loader.late.waiting ? b->loader.late_by : KL_NEVER;

    return earlier(late, earlier(next_event(board), tx_next(b)));
}

bool kl_vboard_catch_up(struct kl_vboard *b)
{
    bool is_behind = b->loader.late.waiting;

    stub_catch_up(b);
    return is_behind;
}

bool kl_vboard_is_behind(const struct kl_vboard *b)
{
    return b->loader.late.waiting;
}

bool kl_vboard_unplugged(const struct kl_vboard *b)
{
    return b->unplugged;
}

const uint8_t *kl_vboard_flash(const struct kl_vboard *b, uint32_t *size)
{
    *size = b->flash_size;
    return board_settled(b)->flash;
}

bool kl_vboard_put_flash(struct kl_vboard *b, uint32_t offset, const uint8_t *data, size_t size)
{
    if (offset > b->flash_size || size > b->flash_size - offset)
        return false;
    stub_catch_up(b);
    memcpy(b->flash + offset, data, size);
    return true;
}

struct kl_mac kl_vboard_mac(const struct kl_vboard *b)
{
    return b->mac;
}

const char *kl_vboard_stored(const struct kl_vboard *b)
{
    return b->stored;
}

bool kl_vboard_refresh(struct kl_vboard *b)
{
    char before[sizeof b->stored];

    stub_catch_up(b);
    if (b->seen_steps == b->flash_steps)
        return false;
    b->seen_steps = b->flash_steps;
    memcpy(before, b->stored, sizeof before);
    app_refresh_stored(b);
    return strcmp(before, b->stored) != 0;
}

unsigned kl_vboard_start_count(const struct kl_vboard *b)
{
    return b->start_count;
}

unsigned kl_vboard_store_count(const struct kl_vboard *b)
{
    return b->store_count;
}

unsigned kl_vboard_lines_seen(const struct kl_vboard *b)
{
    return b->seen_count;
}

const char *kl_vboard_line_seen(const struct kl_vboard *b, unsigned i)
{
    KL_ASSERT(i < b->seen_count);
    return b->seen[i];
}

const char *kl_vboard_complaint(const struct kl_vboard *b)
{
    return board_settled(b)->complaint;
}
