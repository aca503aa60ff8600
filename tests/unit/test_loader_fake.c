/* kl_loader against a chip that is only a table of registers: what it asks, what it writes, and
   what it makes of the answers. (docs/esp-serial-protocol.md 1.6, 4) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/console.h"
#include "core/loader_state.h"

struct pair {
    uint32_t address, value;
};

struct fake {
    struct kl_loader l;
    kl_us now;
    struct pair reg[64];
    unsigned reg_count;
    struct pair written[256];
    unsigned written_count;
    uint8_t ops[1024];
    unsigned op_count;
    uint32_t baud_told;
    uint8_t attach[16], params[32];
    size_t attach_size;
    unsigned lines;
    /* how it behaves */
    unsigned sync_replies;
    uint32_t sync_value, last_sync_value;
    size_t status_size;
    bool security, short_security, no_read_reg, one_record, junk;
    uint8_t info[20];
    uint32_t flaky_address; /* reads differently flaky_times times */
    unsigned flaky_times;
    kl_us refuses_after; /* the adapter takes no rate, and says so after this time; 0 = it does */
    uint8_t last_op;
};

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t *find(struct fake *f, uint32_t address)
{
    for (unsigned i = 0; i < f->reg_count; i++)
        if (f->reg[i].address == address)
            return &f->reg[i].value;
    return NULL;
}

static void set(struct fake *f, uint32_t address, uint32_t value)
{
    uint32_t *known = find(f, address);

    if (!known) {
        assert_true(f->reg_count < 64);
        f->reg[f->reg_count].address = address;
        known = &f->reg[f->reg_count++].value;
    }
    *known = value;
}

static void set_bits(struct fake *f, const struct kl_bits *bits, uint32_t value)
{
    uint32_t *known = find(f, bits->reg);
    uint32_t before = known ? *known : 0;

    set(f, bits->reg, (before & ~(bits->mask << bits->shift)) | value << bits->shift);
}

static uint32_t read_reg(struct fake *f, uint32_t address)
{
    uint32_t *known = find(f, address);

    if (address == f->flaky_address && f->flaky_times > 0)
        return 0x100 + f->flaky_times--;
    return known ? *known : 0;
}

/* The flash answers RDID when the controller is started with it. */
static void write_reg(struct fake *f, const uint8_t *record)
{
    const struct kl_chip *c = f->l.identity.chip ? kl_chip(f->l.identity.chip) : NULL;
    uint32_t address = get32(record), value = get32(record + 4), mask = get32(record + 8);

    assert_true(f->written_count < 256);
    f->written[f->written_count++] = (struct pair){address, value};
    set(f, address, (read_reg(f, address) & ~mask) | (value & mask));
    if (c && address == c->spi.base && value == 1u << 18) {
        uint32_t w0 = c->id == KL_CHIP_ESP8266 ? 0x40 : c->spi.old_layout ? 0x80 : 0x58;
        uint32_t usr2 = c->spi.old_layout ? 0x24 : 0x20;
        set(f, address, 0);
        set(f, c->spi.base + w0,
            (read_reg(f, c->spi.base + usr2) & 0xFF) == 0x9F ? read_reg(f, 1) : 0);
    }
}

static void reply(struct fake *f, uint8_t op, uint32_t value, const uint8_t *result, size_t size,
                  uint8_t status, uint8_t error)
{
    static const uint8_t junk[] = "x\xDB\x01 junk \xFF\r\n";
    uint8_t packet[64] = {1, op, (uint8_t)(size + f->status_size)}, wire[140] = {0xC0};
    size_t used;

    put32(packet + 4, value);
    if (size > 0)
        memcpy(packet + 8, result, size);
    packet[8 + size] = status;
    packet[9 + size] = error;
    used = kl_slip_escape(wire, 1, sizeof wire - 1, packet, 8 + size + f->status_size);
    wire[used++] = 0xC0;
    if (f->junk)
        kl_loader_rx(&f->l, junk, sizeof junk - 1, f->now);
    for (size_t i = 0; i < used; i++)
        kl_loader_rx(&f->l, wire + i, 1, f->now);
}

static void refuse_as_unknown(struct fake *f)
{
    for (int i = 0; i < (f->last_op == 0x08 ? 8 : 1); i++)
        reply(f, f->last_op, 0x20120707, NULL, 0, 1, 5);
}

static void serve(struct fake *f, const uint8_t *request, size_t size)
{
    uint8_t op = request[1];
    const uint8_t *data = request + 8;

    assert_int_equal(size, 8u + (request[2] | request[3] << 8));
    assert_true(f->op_count < sizeof f->ops);
    f->ops[f->op_count++] = op;
    switch (op) {
    case 0x08:
        for (unsigned i = 0; i < f->sync_replies; i++)
            reply(f, op, i + 1 == f->sync_replies ? f->last_sync_value : f->sync_value, NULL, 0, 0,
                  0);
        break;
    case 0x0A:
        if (f->no_read_reg)
            refuse_as_unknown(f);
        else
            reply(f, op, read_reg(f, get32(data)), NULL, 0, 0, 0x42);
        break;
    case 0x09:
        for (size_t at = 8; at < size && (at == 8 || !f->one_record); at += 16)
            write_reg(f, request + at);
        reply(f, op, 0, NULL, 0, 0, 0);
        break;
    case 0x14:
        if (f->security)
            reply(f, op, 0, f->info, f->short_security ? 12 : 20, 0, 0);
        else
            refuse_as_unknown(f);
        break;
    case 0x0D:
        f->attach_size = size - 8;
        memcpy(f->attach, data, size - 8);
        reply(f, op, 0, NULL, 0, 0, 0);
        break;
    case 0x0B:
        memcpy(f->params, data, size - 8);
        reply(f, op, 0, NULL, 0, 0, 0);
        break;
    case 0x0F:
        f->baud_told = get32(data);
        reply(f, op, 0, NULL, 0, 0, 0);
        break;
    default:
        reply(f, op, 0, NULL, 0, 0, 0);
    }
    f->last_op = op;
}

static void take_wire(struct fake *f, const uint8_t *wire, size_t size)
{
    static struct kl_slip s;

    kl_slip_reset(&s);
    for (size_t i = 0; i < size; i++)
        if (kl_slip_byte(&s, wire[i]) == KL_SLIP_FRAME) {
            uint8_t request[KL_SLIP_FRAME_MAX];
            memcpy(request, s.frame, s.size);
            serve(f, request, s.size);
        }
}

static enum kl_loader_status run(struct fake *f, enum kl_loader_task task)
{
    struct kl_io io;

    kl_loader_start(&f->l, task, NULL, f->now);
    for (int i = 0; kl_loader_status(&f->l) == KL_LOADER_BUSY; i++) {
        assert_true(i < 20000);
        if (!kl_loader_next(&f->l, &io)) {
            f->now = kl_loader_deadline(&f->l);
            kl_loader_tick(&f->l, f->now);
            continue;
        }
        f->lines += io.kind == KL_IO_LINES;
        if (io.kind != KL_IO_WRITE) {
            f->now += f->refuses_after;
            kl_loader_io_done(&f->l, f->refuses_after == 0, f->now);
            continue;
        }
        uint8_t wire[256];
        assert_true(io.size <= sizeof wire);
        memcpy(wire, io.data, io.size);
        take_wire(f, wire, io.size);
    }
    return kl_loader_status(&f->l);
}

/* A healthy chip of this kind behind this link. */
static struct fake *chip(enum kl_chip_id id, enum kl_link_kind link, uint32_t baud)
{
    static struct fake f;
    const struct kl_chip *c = kl_chip(id);
    static struct kl_console console;
    struct kl_loader_setup setup = {.console = &console, .link = link, .baud_max = baud};

    memset(&f, 0, sizeof f);
    kl_console_init(&console, NULL, NULL);
    kl_loader_init(&f.l, &setup);
    f.now = KL_SEC(1);
    f.sync_replies = 8;
    f.sync_value = f.last_sync_value = 0x20120707;
    f.status_size = c->rom_status_size;
    f.security = c->has_security_info;
    f.short_security = id == KL_CHIP_ESP32S2;
    put32(f.info + 12, c->image_chip_id < 0 ? 0 : (uint32_t)c->image_chip_id);
    set(&f, 0x40001000, c->magic[0]);
    set(&f, 1, 0x164020); /* the flash's answer to RDID */
    if (id == KL_CHIP_ESP8266) {
        set(&f, 0x3FF00050, 0x5A000000);
        set(&f, 0x3FF00054, 0x0000AABB);
    } else {
        set(&f, c->mac_reg, 0x28AABBCC);
        set(&f, c->mac_reg + 4, 0x246F);
    }
    return &f;
}

static void identify(struct fake *f)
{
    assert_int_equal(run(f, KL_LOADER_CONNECT), KL_LOADER_DONE);
    if (run(f, KL_LOADER_IDENTIFY) != KL_LOADER_DONE)
        print_message("%s: %s\n", kl_fault_info(kl_loader_fault(&f->l)->reason).name,
                      kl_loader_fault(&f->l)->detail);
    assert_int_equal(kl_loader_status(&f->l), KL_LOADER_DONE);
}

static enum kl_reason fails(struct fake *f)
{
    assert_int_equal(run(f, KL_LOADER_CONNECT), KL_LOADER_DONE);
    assert_int_equal(run(f, KL_LOADER_IDENTIFY), KL_LOADER_FAILED);
    return kl_loader_fault(&f->l)->reason;
}

static bool asked(const struct fake *f, uint8_t op)
{
    return memchr(f->ops, op, f->op_count) != NULL;
}

static bool wrote(const struct fake *f, const struct pair *writes, unsigned count)
{
    for (unsigned i = 0; i + count <= f->written_count; i++)
        if (memcmp(f->written + i, writes, count * sizeof *writes) == 0)
            return true;
    return false;
}

/* ---- */

static void any_number_of_sync_replies_will_do(void **state)
{
    static const unsigned counts[] = {1, 7, 8, 12, 16};

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);
        f->sync_replies = counts[i];
        identify(f);
        assert_false(kl_loader_identity(&f->l)->stub);
    }
}

static void a_running_stub_is_told_from_a_rom(void **state)
{
    static const struct {
        uint32_t value, last;
        size_t status_size;
        bool stub;
    } rows[] = {
        {0x20120707, 0x20120707, 4, false},
        {0, 0, 2, true},
        {0, 0x20120707, 2, false}, /* one is enough */
        {0, 0, 4, false},          /* no stub has four status bytes */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_RAW, 115200);
        f->sync_value = rows[i].value;
        f->last_sync_value = rows[i].last;
        f->status_size = rows[i].status_size;
        identify(f);
        assert_int_equal(kl_loader_identity(&f->l)->stub, rows[i].stub);
    }
}

static void junk_between_frames_does_no_harm(void **state)
{
    (void)state;
    for (int id = 1; id < KL_CHIP_COUNT; id++) {
        struct fake *f = chip((enum kl_chip_id)id, KL_LINK_SERIAL, 921600);
        f->junk = true;
        identify(f);
        assert_int_equal(kl_loader_identity(&f->l)->chip, id);
        assert_int_equal(kl_loader_identity(&f->l)->flash_size, 4 << 20);
    }
}

static void the_first_chips_are_not_asked_what_they_do_not_know(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    identify(f);
    assert_false(asked(f, 0x14));
    f = chip(KL_CHIP_ESP8266, KL_LINK_SERIAL, 921600);
    identify(f);
    assert_false(asked(f, 0x14) || asked(f, 0x0B) || asked(f, 0x0D) || asked(f, 0x0F));
}

static void chips_without_registers_or_names_are_refused(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32S2, KL_LINK_SERIAL, 115200);

    (void)state;
    f->no_read_reg = true; /* and no security info: an S2 in secure download mode */
    f->security = false;
    assert_int_equal(fails(f), KL_FAULT_SECURE_DOWNLOAD);
    f = chip(KL_CHIP_ESP32C6, KL_LINK_SERIAL, 115200);
    f->no_read_reg = true;
    assert_int_equal(fails(f), KL_FAULT_SECURE_DOWNLOAD);
    assert_int_equal(kl_loader_identity(&f->l)->chip, KL_CHIP_ESP32C6);
    f = chip(KL_CHIP_ESP32C6, KL_LINK_SERIAL, 115200);
    f->info[12] = 25;
    assert_int_equal(fails(f), KL_FAULT_UNKNOWN_CHIP);
    f = chip(KL_CHIP_ESP32C6, KL_LINK_SERIAL, 115200);
    f->info[0] = 4; /* the flag alone */
    assert_int_equal(fails(f), KL_FAULT_SECURE_DOWNLOAD);
    f = chip(KL_CHIP_ESP32C6, KL_LINK_SERIAL, 115200);
    f->info[4] = 7; /* an odd number of bits */
    assert_int_equal(fails(f), KL_FAULT_FLASH_ENCRYPTED);
    f = chip(KL_CHIP_ESP32C6, KL_LINK_SERIAL, 115200);
    f->info[4] = 3; /* an even one: off again */
    identify(f);
}

static void locks_are_read_from_every_chips_eFuses(void **state)
{
    (void)state;
    for (int id = KL_CHIP_ESP32; id < KL_CHIP_COUNT; id++) {
        const struct kl_chip *c = kl_chip((enum kl_chip_id)id);
        struct fake *f = chip(c->id, KL_LINK_SERIAL, 115200);
        set_bits(f, &c->crypt_count, 1);
        assert_int_equal(fails(f), KL_FAULT_FLASH_ENCRYPTED);
        f = chip(c->id, KL_LINK_SERIAL, 115200);
        set_bits(f, &c->secure_boot, 1);
        assert_int_equal(fails(f), KL_FAULT_SECURE_BOOT);
    }
    /* Bit 5 is secure boot V2 from revision 3.0 on, and means nothing before. */
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);
    set(f, 0x3FF5A018, 1 << 5);
    identify(f);
    set(f, 0x3FF5A00C, 1 << 15);
    set(f, 0x3FF5A014, 1 << 20);
    set(f, 0x3FF6607C, 1u << 31);
    assert_int_equal(fails(f), KL_FAULT_SECURE_BOOT);
}

static void macs_are_read_and_checked(void **state)
{
    static const struct {
        uint32_t m0, m1, m3;
        const char *mac;
    } rows[] = {
        {0x5A000000, 0x0000AABB, 0, "18:fe:34:aa:bb:5a"},
        {0x5A000000, 0x0001AABB, 0, "ac:d0:74:aa:bb:5a"},
        {0x5A000000, 0x0000AABB, 0x00600194, "60:01:94:aa:bb:5a"},
        {0x5A000000, 0x0002AABB, 0, NULL},
    };
    char text[18];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fake *f = chip(KL_CHIP_ESP8266, KL_LINK_SERIAL, 115200);
        set(f, 0x3FF00050, rows[i].m0);
        set(f, 0x3FF00054, rows[i].m1);
        set(f, 0x3FF0005C, rows[i].m3);
        if (!rows[i].mac) {
            assert_int_equal(fails(f), KL_FAULT_BAD_MAC);
            continue;
        }
        identify(f);
        kl_mac_format(&kl_loader_identity(&f->l)->mac, text);
        assert_string_equal(text, rows[i].mac);
    }
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);
    set(f, 0x3FF5A008, 0x256F); /* a multicast address */
    assert_int_equal(fails(f), KL_FAULT_BAD_MAC);
    f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);
    set(f, 0x3FF5A004, UINT32_MAX);
    set(f, 0x3FF5A008, UINT32_MAX);
    assert_int_equal(fails(f), KL_FAULT_BAD_MAC);
}

static void what_reads_differently_is_read_again(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    f->flaky_address = 0x3FF5A004; /* the MAC decides who gets which key */
    f->flaky_times = 1;
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->mac.b[5], 0xCC);
    f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);
    f->flaky_address = 0x3FF5A004;
    f->flaky_times = 1000;
    assert_int_equal(fails(f), KL_FAULT_LINE_NOISE);
    f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);
    f->flaky_address = 0x40001000;
    f->flaky_times = 1;
    identify(f);
}

static void revisions_have_their_oddities(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    set(f, 0x3FF5A00C, 1u << 15 | 1u << 2 | 1u << 9); /* first bit, package 9 */
    set(f, 0x3FF5A014, 1u << 24);
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->revision, 101);
    assert_int_equal(kl_loader_identity(&f->l)->package, 9);
    set(f, 0x3FF6607C, 1u << 31);
    set(f, 0x3FF5A014, 1u << 20 | 1u << 24);
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->revision, 301);
    /* An early S3 says 1.0 or so; its block versions say 0.0. */
    f = chip(KL_CHIP_ESP32S3, KL_LINK_SERIAL, 115200);
    set(f, 0x60007058, 1u << 24);
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->revision, 100);
    set(f, 0x60007050, 1u << 24);
    set(f, 0x6000706C, 1);
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->revision, 0);
}

static void in_package_flash_is_attached_by_its_pins(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    identify(f);
    assert_int_equal(f->attach_size, 8);
    assert_int_equal(get32(f->attach), 0);
    set(f, 0x3FF5A014, 6 | 17 << 5 | 8 << 10 | 16 << 15);
    set(f, 0x3FF5A00C, 11 << 4);
    identify(f);
    assert_int_equal(get32(f->attach), 11 << 24 | 16 << 18 | 8 << 12 | 17 << 6 | 6);
    assert_int_equal(get32(f->attach + 4), 0);
}

static void roms_are_told_rates_that_suit_their_clock(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 921600);

    (void)state;
    identify(f); /* no calibration at all: the true rate */
    assert_int_equal(f->baud_told, 921600);
    set(f, 0x3FF5A010, 40);                      /* 40 · 15625 / 40 Hz a count */
    set(f, 0x3FF5F06C, (40400000 / 15625) << 7); /* measured 1 % fast */
    identify(f);
    assert_in_range(f->baud_told, 930000, 931000);

    f = chip(KL_CHIP_ESP32C2, KL_LINK_SERIAL, 460800);
    set(f, 0x60000014, 26000000 / 115200);
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->crystal_mhz, 26);
    assert_int_equal(f->baud_told, 460800u * 40 / 26);
    set(f, 0x60000014, 40000000 / 115200);
    identify(f);
    assert_int_equal(f->baud_told, 460800);

    f = chip(KL_CHIP_ESP32C5, KL_LINK_SERIAL, 460800);
    set(f, 0x60000014, 48000000 / 115200);
    set(f, 0x60096110, 40u << 24);
    identify(f);
    assert_int_equal(f->baud_told, 460800u * 40 / 48);
    assert_int_equal(kl_loader_identity(&f->l)->baud, 460800); /* the host takes the true one */
}

static void watchdogs_are_stopped_over_native_usb(void **state)
{
    static const struct pair c3[] = {
        {0x600080A8, 0x50D83AA1}, {0x60008090, 0},        {0x600080A8, 0},
        {0x600080B0, 0x8F1D312A}, {0x600080AC, 1u << 31}, {0x600080B0, 0},
    };
    struct fake *f = chip(KL_CHIP_ESP32C3, KL_LINK_USB_JTAG, 921600);

    (void)state;
    identify(f);
    assert_true(wrote(f, c3, 6));
    assert_false(asked(f, 0x0F)); /* the rate means nothing there */
    /* Behind a network only the ROM knows: its variable moved with revision 1.1. */
    f = chip(KL_CHIP_ESP32C3, KL_LINK_RFC2217, 921600);
    set(f, 0x3FCDF07C, 3);
    identify(f);
    assert_true(wrote(f, c3, 6));
    f = chip(KL_CHIP_ESP32C3, KL_LINK_RFC2217, 921600);
    set(f, 0x60008858, 1u << 24); /* 1.1 */
    set(f, 0x60008850, 1u << 18);
    set(f, 0x3FCDF07C, 3);
    identify(f);
    assert_false(wrote(f, c3, 1));
    assert_true(asked(f, 0x0F));
}

static void a_p4_gets_power_on_its_flash(void **state)
{
    static const struct pair first = {0x5011010C, 1}, clear = {0x501153FC, 0};
    struct fake *f = chip(KL_CHIP_ESP32P4, KL_LINK_SERIAL, 115200);

    (void)state;
    set(f, 0x5012D04C, 3 << 4); /* 3.0 */
    identify(f);
    assert_false(wrote(f, &first, 1));
    set(f, 0x5012D04C, 3 << 4 | 1);
    identify(f);
    assert_true(wrote(f, &first, 1));
    assert_int_equal(read_reg(f, 0x501153FC), 3);
    assert_int_equal(read_reg(f, 0x501151BC) >> 27 & 1, 0);
    f = chip(KL_CHIP_ESP32P4, KL_LINK_SERIAL, 115200);
    set(f, 0x5012D04C, 3 << 4 | 2);
    set(f, 0x5012D034, 1 << 16);
    set(f, 0x501153FC, 7);
    identify(f);
    assert_false(wrote(f, &first, 1));
    assert_true(wrote(f, &clear, 1));
    assert_int_equal(read_reg(f, 0x501153FC), 4);
}

static void usb_otg_is_left_by_the_watchdog(void **state)
{
    static const struct pair bite[] = {
        {0x600080B0, 0x50D83AA1}, {0x6000809C, 2000}, {0x60008098, 0xD0000102}, {0x600080B0, 0}};
    struct fake *f = chip(KL_CHIP_ESP32S3, KL_LINK_USB_OTG, 921600);

    (void)state;
    set(f, 0x60004038, 0); /* the boot pin was low: the strap would stay */
    identify(f);
    f->lines = 0;
    assert_int_equal(run(f, KL_LOADER_RUN), KL_LOADER_DONE);
    assert_true(wrote(f, bite, 4));
    assert_int_equal(f->lines, 0);
    /* It was forced in by software: that is undone, and the lines do it. */
    f = chip(KL_CHIP_ESP32S3, KL_LINK_USB_OTG, 921600);
    set(f, 0x6000812C, 1);
    identify(f);
    f->lines = 0;
    assert_int_equal(run(f, KL_LOADER_RUN), KL_LOADER_DONE);
    assert_false(wrote(f, bite, 4));
    assert_int_equal(read_reg(f, 0x6000812C), 0);
    assert_true(f->lines > 0);
}

static void unknown_flash_is_not_guessed_large(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    set(f, 1, 0x4440EF);
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->flash_size, 0);
    assert_int_equal(get32(f->params + 4), 2 << 20);
    set(f, 1, 0x00471F); /* Adesto counts in the second byte */
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->flash_size, 4 << 20);
    set(f, 1, 0x1A20C2); /* a ROM addresses 16 MB */
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->flash_size, 64 << 20);
    assert_int_equal(get32(f->params + 4), 16 << 20);
    set(f, 1, 0xFFFF3F);
    assert_int_equal(fails(f), KL_FAULT_NO_FLASH);
}

static void a_loader_that_takes_one_record_still_shows_its_flash(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    f->one_record = true;
    identify(f);
    assert_int_equal(kl_loader_identity(&f->l)->flash_id, 0x164020);
}

/* A refusal comes at once; after seconds of silence it is a driver's last word about an adapter
   that hangs, and another rate would not help. */
static void an_adapter_that_hangs_is_told_from_one_that_refuses(void **state)
{
    struct fake *f = chip(KL_CHIP_ESP32, KL_LINK_SERIAL, 115200);

    (void)state;
    f->refuses_after = KL_MS(500);
    assert_int_equal(run(f, KL_LOADER_CONNECT), KL_LOADER_FAILED);
    assert_int_equal(kl_loader_fault(&f->l)->reason, KL_FAULT_ADAPTER_SETTING);
    f->refuses_after = KL_SEC(3);
    assert_int_equal(run(f, KL_LOADER_CONNECT), KL_LOADER_FAILED);
    assert_int_equal(kl_loader_fault(&f->l)->reason, KL_FAULT_LINK_STUCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_that_hangs_is_told_from_one_that_refuses),
        cmocka_unit_test(any_number_of_sync_replies_will_do),
        cmocka_unit_test(a_running_stub_is_told_from_a_rom),
        cmocka_unit_test(junk_between_frames_does_no_harm),
        cmocka_unit_test(the_first_chips_are_not_asked_what_they_do_not_know),
        cmocka_unit_test(chips_without_registers_or_names_are_refused),
        cmocka_unit_test(locks_are_read_from_every_chips_eFuses),
        cmocka_unit_test(macs_are_read_and_checked),
        cmocka_unit_test(what_reads_differently_is_read_again),
        cmocka_unit_test(revisions_have_their_oddities),
        cmocka_unit_test(in_package_flash_is_attached_by_its_pins),
        cmocka_unit_test(roms_are_told_rates_that_suit_their_clock),
        cmocka_unit_test(watchdogs_are_stopped_over_native_usb),
        cmocka_unit_test(a_p4_gets_power_on_its_flash),
        cmocka_unit_test(usb_otg_is_left_by_the_watchdog),
        cmocka_unit_test(unknown_flash_is_not_guessed_large),
        cmocka_unit_test(a_loader_that_takes_one_record_still_shows_its_flash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
