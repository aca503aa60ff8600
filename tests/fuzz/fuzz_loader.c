/*
 * fuzz_loader.c: an arbitrary chip, an arbitrary adapter and arbitrary moments. Whatever they do,
 * the loader sleeps only with a deadline, comes to an end in bounded time, names a reason when it
 * fails, and never sends what would throw a ROM out of its loader or brick a locked chip.
 */
#include <stdlib.h>
#include <string.h>

#include "core/console.h"
#include "core/loader_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static uint8_t take(struct input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

struct run {
    struct kl_console console;
    struct kl_loader loader;
    kl_us now;
    uint8_t last[24]; /* the beginning of the last request, unescaped */
    bool moved;
    uint8_t chip;
};

static uint8_t raw[8192], packed[5000], stub_code[7000];
static const uint32_t inflated_at[] = {0, 1500, 3100, 4700, 6300, 8192};
static const struct kl_stub stub = {
    .entry = 4, .text = {stub_code, sizeof stub_code}, .data = {stub_code, 100}, .text_start = 64};

static void check_request(const struct run *r)
{
    const struct kl_loader *l = &r->loader;
    bool rom = !kl_loader_identity(l)->stub;
    uint8_t code = r->last[1];

    KL_ASSERT(r->last[0] == 0);
    if (code == 0x04 || code == 0x12) /* FLASH_END, FLASH_DEFL_END: a ROM would leave its loader */
        KL_ASSERT(!rom && r->last[8] == 1);
    if (code >= 0xD0)
        KL_ASSERT(!rom);
    if (code == 0x02 || code == 0x10) {
        enum kl_chip_id chip = kl_loader_identity(l)->chip;
        bool newer = chip != KL_CHIP_ESP8266 && chip != KL_CHIP_ESP32;
        KL_ASSERT(r->last[2] == (rom && newer ? 20 : 16));
        KL_ASSERT((r->last[20] | (r->last[21] & 0x0F)) == 0); /* whole sectors */
    }
    if (code == 0x02 || code == 0x03 || code == 0x10 || code == 0x11)
        KL_ASSERT(!kl_loader_identity(l)->flash_encrypted && !kl_loader_identity(l)->secure_boot &&
                  !kl_loader_identity(l)->secure_download);
}

static void see_request(struct run *r, const struct kl_io *io)
{
    size_t n = 0;

    KL_ASSERT(io->size >= 10 && io->data[0] == 0xC0 && io->data[io->size - 1] == 0xC0);
    memset(r->last, 0, sizeof r->last);
    for (size_t i = 1; i + 1 < io->size && n < sizeof r->last; i++) {
        if (io->data[i] == 0xC0)
            continue; /* the spare delimiter of a repetition */
        if (io->data[i] == 0xDB)
            r->last[n++] = io->data[++i] == 0xDC ? 0xC0 : 0xDB;
        else
            r->last[n++] = io->data[i];
    }
    check_request(r);
}

static void pull(struct run *r)
{
    char text[KL_TEXT_MAX];
    struct kl_io io;

    while (kl_loader_next(&r->loader, &io)) {
        if (io.kind == KL_IO_WRITE)
            see_request(r, &io);
        else
            r->moved = true;
    }
    while (kl_loader_note(&r->loader, text))
        KL_ASSERT(memchr(text, '\0', sizeof text));
    while (kl_console_next(&r->console, text))
        KL_ASSERT(memchr(text, '\0', sizeof text));
    bool busy = kl_loader_status(&r->loader) == KL_LOADER_BUSY;
    KL_ASSERT(busy == (kl_loader_deadline(&r->loader) != KL_NEVER));
    KL_ASSERT(!busy || kl_loader_deadline(&r->loader) <= r->now + KL_SEC(400));
    if (kl_loader_status(&r->loader) == KL_LOADER_FAILED)
        KL_ASSERT(kl_loader_fault(&r->loader)->reason != KL_FAULT_NONE);
}

static void send(struct run *r, const uint8_t *packet, size_t size)
{
    uint8_t wire[200] = {0xC0};
    size_t used = kl_slip_escape(wire, 1, sizeof wire - 1, packet, size);

    wire[used++] = 0xC0;
    kl_loader_rx(&r->loader, wire, used, r->now);
    pull(r);
}

/* Registers answer alike each time, or nothing would ever come past the first checks: a chip that
   is known, a MAC, a flash id, and no security bits. Sometimes they do not. */
static uint32_t value_of(const struct run *r, uint8_t mood)
{
    static const uint32_t magics[] = {0x00F01D83, 0xFFF0C101, 0x000007C6, 0x00000009};
    uint32_t address = r->last[8] | (uint32_t)r->last[9] << 8 | (uint32_t)r->last[10] << 16 |
                       (uint32_t)r->last[11] << 24;
    uint8_t low = (uint8_t)address;

    if (mood > 0xF8)
        return mood * 0x01010101u;
    if (r->last[1] == 0x08)
        return r->chip & 0x10 ? 0 : 0x20120707;
    if (address == 0x40001000)
        return magics[r->chip % 4];
    return low == 0x34 || low == 0x38 || low == 0x30 || low == 0x18 || low == 0 ? 0 : 0x164020;
}

/* A plausible answer to the last request; what it says comes from the input. */
static void answer(struct run *r, struct input *in, bool good)
{
    uint8_t packet[64] = {1, r->last[1]};
    size_t result = r->last[1] == 0x13   ? (kl_loader_identity(&r->loader)->stub ? 16 : 32)
                    : r->last[1] == 0x14 ? (take(in) & 1 ? 20 : 12)
                                         : 0;
    size_t status = kl_loader_identity(&r->loader)->stub ? 2 : 4;

    uint32_t value = value_of(r, take(in));
    memcpy(packet + 4, &value, sizeof value);
    for (size_t i = 0; good && i < result; i++)
        packet[8 + i] = i == 12 ? (uint8_t)(take(in) % 24) : (uint8_t)(take(in) > 0xF8);
    if (!good) {
        packet[8] = take(in) | 1;
        packet[9] = take(in);
        result = 0;
    }
    packet[2] = (uint8_t)(result + status);
    send(r, packet, 8 + result + status);
}

static void step(struct run *r, struct input *in)
{
    static const uint8_t ohai[] = {'O', 'H', 'A', 'I'};
    uint8_t what = take(in), bytes[32];

    r->now += (kl_us)(what >> 4) * 500;
    switch (what & 15) {
    default:
        answer(r, in, true);
        break;
    case 1:
        answer(r, in, false);
        break;
    case 2:
        if (kl_loader_deadline(&r->loader) > r->now)
            r->now = kl_loader_deadline(&r->loader);
        kl_loader_tick(&r->loader, r->now);
        pull(r);
        break;
    case 3:
        kl_loader_io_done(&r->loader, what >> 4 != 15, r->now);
        pull(r);
        break;
    case 4:
        send(r, ohai, sizeof ohai);
        break;
    case 5:
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = take(in);
        kl_loader_rx(&r->loader, bytes, sizeof bytes, r->now);
        pull(r);
        break;
    case 6: { /* an unknown command, the ROM's way */
        uint8_t packet[12] = {1, take(in), 4, 0, 0, 0, 0, 0, 1, 5, 0, 0};
        send(r, packet, sizeof packet);
        break;
    }
    }
}

/* Then the far end falls silent, but the adapter works: everything has to end. */
static void run_out(struct run *r)
{
    for (int i = 0; kl_loader_status(&r->loader) == KL_LOADER_BUSY; i++) {
        KL_ASSERT(i < 5000);
        if (r->moved) {
            r->moved = false;
            kl_loader_io_done(&r->loader, true, r->now);
        } else {
            r->now = kl_loader_deadline(&r->loader);
            kl_loader_tick(&r->loader, r->now);
        }
        pull(r);
    }
}

static void prepare(struct kl_bundle *b, enum kl_chip_id chip, bool erase)
{
    b->chip = chip;
    b->rev_max = 0xFFFF;
    b->erase_all = erase;
    b->region_count = 2;
    b->flash_end = 0x20000;
    for (unsigned i = 0; i < 2; i++) {
        b->region[i].offset = 0x10000 * i;
        for (unsigned n = 0; n < KL_FLASH_SIZES; n++)
            b->region[i].image[n] = (struct kl_image){.raw = raw,
                                                      .raw_size = sizeof raw,
                                                      .packed = packed,
                                                      .packed_size = sizeof packed,
                                                      .inflated_at = inflated_at};
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run r;
    static struct kl_bundle bundle;
    struct kl_stubs stubs = {.p4_rev1 = &stub};
    struct input in = {data, size};
    uint8_t how = take(&in);
    struct kl_loader_setup setup = {
        .console = &r.console,
        .link = (enum kl_link_kind)(how % 5),
        .stubs = how & 0x20 ? &stubs : NULL,
        .baud_max = how & 0x40 ? 2000000 : 115200,
        .connect_attempts = 2,
    };

    for (int i = 1; i < KL_CHIP_COUNT; i++)
        stubs.chip[i] = &stub;
    r = (struct run){.now = KL_SEC(1), .chip = take(&in)};
    kl_console_init(&r.console, NULL, NULL);
    kl_loader_init(&r.loader, &setup);
    for (int task = KL_LOADER_CONNECT; task <= KL_LOADER_RUN; task++) {
        prepare(&bundle, kl_loader_identity(&r.loader)->chip, how & 0x80);
        kl_loader_start(&r.loader, (enum kl_loader_task)task, &bundle, r.now);
        pull(&r);
        while (in.size > 0 && kl_loader_status(&r.loader) == KL_LOADER_BUSY)
            step(&r, &in);
        run_out(&r);
        if (kl_loader_status(&r.loader) == KL_LOADER_FAILED)
            break;
    }
    return 0;
}
