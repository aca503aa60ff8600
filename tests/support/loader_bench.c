/* loader_bench.c: see loader_bench.h. */
#include "loader_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <md5.h>
#include <zlib.h>

#include "keyline/bundle_load.h"

enum {
    MD5_COMMAND = 0x13
};

/* ---- bundles ---- */

static void md5_of(const void *data, size_t size, uint8_t out[16])
{
    MD5_CTX md5;

    MD5Init(&md5);
    MD5Update(&md5, data, size);
    MD5Final(out, &md5);
}

static void pack_parts(struct kl_image *image)
{
    uint32_t sectors = (image->raw_size + KL_HEAD - 1) / KL_HEAD;
    uint32_t *at = calloc(sectors + 1, sizeof *at);
    size_t room = image->raw_size + sectors * 32 + 64;
    uint8_t *parts = malloc(room);
    z_stream z = {.next_out = parts, .avail_out = (uInt)room};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    for (uint32_t n = 0; n < sectors; n++) {
        uint32_t left = image->raw_size - n * KL_HEAD;
        z.next_in = (Bytef *)(uintptr_t)(image->raw + n * KL_HEAD);
        z.avail_in = left < KL_HEAD ? left : KL_HEAD;
        assert_int_equal(deflate(&z, Z_FULL_FLUSH), Z_OK);
        at[n + 1] = (uint32_t)z.total_out;
    }
    deflateEnd(&z);
    image->parts = parts;
    image->part_at = at;
}

static struct kl_image make_image(const uint8_t *data, uint32_t size)
{
    struct kl_image image = {.raw_size = (size + 3) / 4 * 4};
    uint8_t *raw = malloc(image.raw_size + 1);
    uLongf room = compressBound(image.raw_size);
    uint8_t *packed = malloc(room);

    memset(raw, 0xFF, image.raw_size);
    memcpy(raw, data, size);
    assert_int_equal(compress2(packed, &room, raw, image.raw_size, 9), Z_OK);
    image.raw = raw;
    image.packed = packed;
    image.packed_size = (uint32_t)room;

    uint32_t entries = image.packed_size / KL_PACK_STEP + 2;
    uint32_t *at = calloc(entries, sizeof *at);
    z_stream z = {0};
    uint8_t *out = malloc(image.raw_size + 1);
    assert_int_equal(inflateInit(&z), Z_OK);
    z.next_out = out;
    z.avail_out = image.raw_size + 1;
    z.next_in = packed;
    for (uint32_t n = 0; n + 1 < entries; n++) {
        uint32_t left = image.packed_size - n * KL_PACK_STEP;
        at[n] = (uint32_t)z.total_out;
        z.avail_in = left < KL_PACK_STEP ? left : KL_PACK_STEP;
        inflate(&z, Z_SYNC_FLUSH);
    }
    at[entries - 1] = image.raw_size;
    inflateEnd(&z);
    free(out);
    image.inflated_at = at;
    pack_parts(&image);

    md5_of(raw, image.raw_size, image.md5);
    md5_of(raw, image.raw_size < KL_HEAD ? image.raw_size : KL_HEAD, image.head_md5);
    return image;
}

void lb_bundle_add(struct kl_bundle *b, const char *name, uint32_t offset, const uint8_t *data,
                   uint32_t size)
{
    struct kl_region *r = &b->region[b->region_count++];
    struct kl_image image = make_image(data, size);

    b->md5 = md5_of;
    kl_copy(r->name, sizeof r->name, name);
    r->offset = offset;
    for (int i = 0; i < KL_FLASH_SIZES; i++)
        r->image[i] = image;
    if (offset + image.raw_size > b->flash_end)
        b->flash_end = offset + image.raw_size;
}

/* Text-like contents that shrink to about a half, with runs of zeros and of noise. */
static void fill(uint8_t *data, uint32_t size, uint32_t seed)
{
    for (uint32_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t stretch = i / 4096 % 4;
        data[i] = stretch == 0   ? (uint8_t)(seed >> 24)
                  : stretch == 1 ? 0
                                 : (uint8_t)("\xC0\xDB keyline"[(seed >> 24) % 10]);
    }
}

struct kl_bundle *lb_bundle(enum kl_chip_id chip, uint32_t app_size)
{
    struct kl_bundle *b = calloc(1, sizeof *b);
    uint8_t *data = malloc(app_size + 32768);
    uint32_t at = kl_chip(chip)->bootloader_offset;

    b->chip = chip;
    b->rev_max = 0xFFFF;
    fill(data, 16001, 1);
    lb_bundle_add(b, "bootloader", at, data, 16001);
    fill(data, 3072, 2);
    lb_bundle_add(b, "partition table", 0x8000, data, 3072);
    fill(data, app_size, 3);
    lb_bundle_add(b, "firmware", 0x10000, data, app_size);
    free(data);
    return b;
}

struct kl_bundle *lb_bundle_another(const struct kl_bundle *bundle)
{
    struct kl_bundle *b = calloc(1, sizeof *b);

    b->chip = bundle->chip;
    b->rev_max = 0xFFFF;
    for (unsigned r = 0; r < bundle->region_count; r++) {
        const struct kl_image *i = &bundle->region[r].image[0];
        uint8_t *data = malloc(i->raw_size);
        for (uint32_t n = 0; n < i->raw_size; n++)
            data[n] = (uint8_t)(i->raw[n] ^ 0x55);
        lb_bundle_add(b, bundle->region[r].name, bundle->region[r].offset, data, i->raw_size);
        free(data);
    }
    return b;
}

struct kl_bundle *lb_bundle_previous(const struct kl_bundle *bundle, unsigned percent,
                                     bool together)
{
    struct kl_bundle *b = calloc(1, sizeof *b);

    b->chip = bundle->chip;
    b->rev_max = 0xFFFF;
    for (unsigned r = 0; r < bundle->region_count; r++) {
        const struct kl_image *i = &bundle->region[r].image[0];
        uint8_t *data = malloc(i->raw_size);
        memcpy(data, i->raw, i->raw_size);
        uint32_t sectors = i->raw_size / 4096, changed = sectors * percent / 100;
        for (uint32_t n = 0; r == 2 && n < changed; n++) {
            uint32_t at = together ? sectors / 3 + n : n * sectors / changed;
            for (uint32_t k = 0; k < 4096; k += 100)
                data[at * 4096 + k] ^= 0x5A;
        }
        data[32] ^= r == 2; /* the descriptor */
        lb_bundle_add(b, bundle->region[r].name, bundle->region[r].offset, data, i->raw_size);
        free(data);
    }
    return b;
}

void lb_bundle_free(struct kl_bundle *b)
{
    for (unsigned r = 0; r < b->region_count; r++) {
        free((void *)(uintptr_t)b->region[r].image[0].raw);
        free((void *)(uintptr_t)b->region[r].image[0].packed);
        free((void *)(uintptr_t)b->region[r].image[0].inflated_at);
        free((void *)(uintptr_t)b->region[r].image[0].parts);
        free((void *)(uintptr_t)b->region[r].image[0].part_at);
    }
    free(b);
}

bool lb_flash_is_right(const struct lb *b, const struct kl_bundle *bundle)
{
    uint32_t size;
    const uint8_t *flash = kl_vboard_flash(b->board, &size);

    for (unsigned r = 0; r < bundle->region_count; r++) {
        const struct kl_image *i = &bundle->region[r].image[0];
        if (memcmp(flash + bundle->region[r].offset, i->raw, i->raw_size) != 0)
            return false;
    }
    return true;
}

const struct kl_stubs *lb_stubs(void)
{
    static uint8_t text[0x2400], data[0xD4];
    static struct kl_stub stub = {.entry = 0x400A902C,
                                  .text = {text, sizeof text},
                                  .data = {data, sizeof data},
                                  .text_start = 0x400A8000,
                                  .data_start = 0x3FFDED6C};
    static struct kl_stubs stubs;

    fill(text, sizeof text, 7);
    for (int i = 1; i < KL_CHIP_COUNT; i++)
        stubs.chip[i] = &stub;
    stubs.p4_rev1 = &stub;
    return &stubs;
}

/* ---- the two sides ---- */

void lb_open(struct lb *b, const struct lb_options *o)
{
    struct kl_vboard_config config = {
        .chip = o->chip,
        .mac = {{0x24, 0x6F, 0x28, 0xAA, 0xBB, (uint8_t)o->chip}},
        .faults = o->faults ? o->faults : "",
        .flash_size = o->flash_size,
        .revision = o->revision,
        .seed = 1,
        .paced = o->paced,
        .usb_latency = o->paced ? KL_MS(1) : 0,
        .native_usb = o->link == KL_LINK_USB_JTAG || o->link == KL_LINK_USB_OTG,
    };
    struct kl_loader_setup setup = {
        .console = &b->console,
        .link = o->link,
        .stubs = !o->stub   ? NULL
                 : o->stubs ? o->stubs
                            : lb_stubs(),
        .baud_max = o->baud ? o->baud : 115200,
    };

    if (o->chip == KL_CHIP_ESP8266)
        config.mac = (struct kl_mac){{0x18, 0xFE, 0x34, 0xAA, 0xBB, 0x01}};
    memset(b, 0, sizeof *b);
    b->now = KL_SEC(1);
    b->baud = 115200;
    b->network = o->link == KL_LINK_RFC2217;
    b->board = kl_vboard_create(&config);
    assert_non_null(b->board);
    kl_vboard_power(b->board, true, b->now);
    kl_vboard_baud(b->board, 115200, b->now);
    kl_console_init(&b->console, NULL, NULL);
    kl_loader_init(&b->loader, &setup);
}

void lb_close(struct lb *b)
{
    kl_vboard_destroy(b->board);
}

static void move_lines(struct lb *b, bool dtr, bool rts)
{
    if (b->network && dtr != b->dtr) /* one after the other */
        kl_vboard_lines(b->board, dtr, b->rts, b->now);
    kl_vboard_lines(b->board, dtr, rts, b->now);
    b->dtr = dtr;
    b->rts = rts;
}

static bool is_garbled(const struct lb *b)
{
    return b->garbled_above && b->baud > b->garbled_above;
}

static void hold(struct lb *b, const struct kl_io *io)
{
    assert_true(b->held_size + io->size <= sizeof b->held);
    memcpy(b->held + b->held_size, io->data, io->size);
    if (b->held_size == 0)
        b->held_until = (b->now / b->lump + 1) * b->lump;
    b->held_size += io->size;
}

static bool deliver_held(struct lb *b)
{
    size_t size = b->held_size;

    if (size == 0 || b->held_until > b->now)
        return false;
    b->held_size = 0;
    kl_vboard_rx(b->board, b->held, size, b->now);
    return true;
}

static bool perform(struct lb *b, const struct kl_io *io)
{
    switch (io->kind) {
    case KL_IO_WRITE:
        b->sent += io->size;
        if (b->profile)
            wp_written(b->profile, io->size, b->baud, b->now);
        if (b->lump > 0)
            hold(b, io);
        else if (!is_garbled(b))
            kl_vboard_rx(b->board, io->data, io->size, b->now);
        return true;
    case KL_IO_LINES:
        if (!b->lines_refused)
            move_lines(b, io->dtr, io->rts);
        return !b->lines_refused;
    case KL_IO_BAUD:
        if (b->baud_refused || (b->baud_limit && io->baud > b->baud_limit))
            return false;
        kl_vboard_baud(b->board, io->baud, b->now);
        b->baud = io->baud;
        return true;
    }
    return false;
}

static void pull(struct lb *b)
{
    struct kl_io io;
    char note[KL_TEXT_MAX];

    while (kl_loader_next(&b->loader, &io)) {
        if (io.kind == KL_IO_WRITE) {
            perform(b, &io);
            continue;
        }
        assert_true(b->pending_count < 8);
        b->due[b->pending_count] = b->io_dead ? KL_NEVER : b->now + b->io_delay;
        b->pending[b->pending_count++] = io;
    }
    while (kl_loader_note(&b->loader, note))
        if (strlen(b->notes) + strlen(note) + 2 < sizeof b->notes) {
            strcat(b->notes, note);
            strcat(b->notes, "\n");
        }
    while (kl_console_next(&b->console, note))
        if (b->text_size + strlen(note) + 2 < sizeof b->text)
            b->text_size += (size_t)sprintf(b->text + b->text_size, "%s\n", note);
}

static bool listen(struct lb *b)
{
    uint8_t bytes[700];
    size_t n = kl_vboard_tx(b->board, bytes, sizeof bytes, b->now);

    if (n == 0)
        return false;
    b->received += n;
    for (size_t i = 0; i < n && is_garbled(b); i++)
        bytes[i] = (uint8_t)(bytes[i] * 5 + 0x31);
    kl_loader_rx(&b->loader, bytes, n, b->now);
    pull(b);
    return true;
}

static bool complete(struct lb *b)
{
    if (b->pending_count == 0 || b->due[0] > b->now)
        return false;
    bool ok = perform(b, &b->pending[0]);
    b->pending_count--;
    memmove(b->pending, b->pending + 1, b->pending_count * sizeof b->pending[0]);
    memmove(b->due, b->due + 1, b->pending_count * sizeof b->due[0]);
    kl_loader_io_done(&b->loader, ok, b->now);
    pull(b);
    return true;
}

static kl_us earlier(kl_us a, kl_us b)
{
    return a < b ? a : b;
}

enum kl_loader_status lb_run(struct lb *b, enum kl_loader_task task, const struct kl_bundle *bundle)
{
    kl_us limit = b->now + KL_SEC(3600);

    b->pending_count = 0;
    kl_loader_start(&b->loader, task, bundle, b->now);
    pull(b);
    while (kl_loader_status(&b->loader) == KL_LOADER_BUSY) {
        if (b->prompt)
            kl_vboard_catch_up(b->board);
        if (deliver_held(b) || complete(b) || listen(b))
            continue;
        if (b->give_up_at && b->now >= b->give_up_at)
            break;
        kl_us next = earlier(kl_loader_deadline(&b->loader), kl_vboard_deadline(b->board));
        if (b->give_up_at)
            next = earlier(next, b->give_up_at);
        if (b->pending_count > 0)
            next = earlier(next, b->due[0]);
        if (b->held_size > 0)
            next = earlier(next, b->held_until);
        assert_true(next < limit);
        if (b->profile)
            wp_passes(b->profile, &b->loader, kl_vboard_answers_at(b->board), b->now, next);
        if (next > b->now)
            b->now = next;
        kl_vboard_tick(b->board, b->now);
        kl_loader_tick(&b->loader, b->now);
        pull(b);
    }
    return kl_loader_status(&b->loader);
}

void lb_into_loader(struct lb *b)
{
    move_lines(b, false, true);
    lb_listen(b, KL_MS(100));
    kl_vboard_lines(b->board, true, false, b->now);
    lb_listen(b, KL_MS(50));
    move_lines(b, false, false);
}

void lb_listen(struct lb *b, kl_us time)
{
    kl_us end = b->now + time;

    for (;;) {
        size_t room = sizeof b->text - 1 - b->text_size;
        b->text_size += kl_vboard_tx(b->board, (uint8_t *)b->text + b->text_size, room, b->now);
        b->text[b->text_size] = '\0';
        kl_us next = kl_vboard_deadline(b->board);
        if (next > end || room == 0)
            break;
        if (next > b->now)
            b->now = next;
        kl_vboard_tick(b->board, b->now);
    }
    b->now = end;
}

enum kl_reason lb_whole(struct lb *b, const struct kl_bundle *bundle)
{
    for (int task = KL_LOADER_CONNECT; task <= KL_LOADER_RUN; task++)
        if (lb_run(b, (enum kl_loader_task)task, bundle) != KL_LOADER_DONE)
            return kl_loader_fault(&b->loader)->reason;
    return KL_FAULT_NONE;
}

/* ---- the handover ---- */

static void build_key(struct kl_key *key)
{
    static const char *const text[] = {"bench-0000000", "0123456789abcdef", "fedcba9876543210"};
    struct kl_span field[3];

    for (int i = 0; i < 3; i++)
        field[i] = (struct kl_span){(const uint8_t *)text[i], strlen(text[i])};
    assert_true(kl_key_build(key, field, 3, kl_sha256));
}

/* Takes all news; true once the key is proved. `asked`: since when the board asks. */
static bool take_news(struct lb *b, struct kl_delivery *d, kl_us *asked)
{
    struct kl_delivery_news news;
    bool proved = false;

    while (kl_delivery_news(d, &news)) {
        assert_true(news.kind < KL_DELIVERY_DIFFERS);
        if (news.kind == KL_DELIVERY_WANTED && *asked == KL_NEVER)
            *asked = b->now;
        proved |= news.kind == KL_DELIVERY_PROVED;
    }
    return proved;
}

static bool give_bytes(struct lb *b, struct kl_delivery *d, kl_us *asked)
{
    uint8_t bytes[700];
    size_t n = kl_vboard_tx(b->board, bytes, sizeof bytes, b->now);

    for (size_t at = 0; at < n;) {
        at += kl_delivery_rx(d, bytes + at, n - at, b->now);
        if (take_news(b, d, asked))
            return true;
    }
    return false;
}

kl_us lb_hand_over(struct lb *b, kl_us store)
{
    static const struct kl_key none;
    struct kl_station_config config = {.prompt_timeout = KL_SEC(30),
                                       .ack_timeout = KL_SEC(20),
                                       .confirm = KL_CONFIRM_READBACK,
                                       .sha256 = kl_sha256};
    struct kl_delivery d = {.state = KL_DELIVERY_RESTS};
    struct kl_key key;
    kl_us began = b->now, asked = KL_NEVER;
    struct kl_io io;

    build_key(&key);
    kl_delivery_begin(&d, &config, &b->console, 3, &none, b->now);
    while (!give_bytes(b, &d, &asked)) {
        kl_us sends =
            d.state == KL_DELIVERY_LISTENS && asked != KL_NEVER ? asked + store : KL_NEVER;
        kl_us next = earlier(kl_vboard_deadline(b->board), kl_delivery_deadline(&d));
        next = earlier(next, sends);
        assert_true(next < began + KL_SEC(60));
        if (next > b->now)
            b->now = next;
        kl_vboard_tick(b->board, b->now);
        kl_delivery_tick(&d, b->now);
        if (sends <= b->now && kl_delivery_is_wanted(&d))
            kl_delivery_send(&d, &key, b->now);
        while (kl_delivery_next(&d, &io))
            kl_vboard_rx(b->board, io.data, io.size, b->now);
        if (take_news(b, &d, &asked))
            break;
    }
    kl_delivery_end(&d);
    return b->now - began;
}

kl_us lb_firmware_time(struct lb *b)
{
    static const char line[] = "bench-0000000,0123456789abcdef,fedcba9876543210\n";
    kl_us began = b->now;
    bool sent = false;

    b->text_size = 0;
    while (!sent || !strstr(b->text, "fedcba9876543210")) {
        kl_us next = kl_vboard_deadline(b->board);
        assert_true(next < began + KL_SEC(60));
        assert_true(b->text_size < sizeof b->text - 1); /* it says other things */
        lb_listen(b, next > b->now ? next - b->now : 0);
        if (!sent && strstr(b->text, "Provisioning")) {
            kl_vboard_rx(b->board, (const uint8_t *)line, sizeof line - 1, b->now);
            sent = true;
        }
    }
    return b->now - began;
}

struct lb_cycle lb_cycle(const struct lb_options *o, const struct kl_bundle *bundle)
{
    static struct wire_profile profile;
    struct lb_cycle c = {.all = 0};
    uint64_t packed = 0;
    struct lb b;

    for (unsigned r = 0; r < bundle->region_count; r++)
        packed += kl_bundle_image(bundle, r, 4u << 20)->packed_size;
    c.wire = (kl_us)(packed * 10000000u / o->baud);
    memset(&profile, 0, sizeof profile);
    lb_open(&b, o);
    b.profile = &profile;
    assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
    for (int t = KL_LOADER_CONNECT; t <= KL_LOADER_RUN; t++) {
        struct wp_row r = wp_sum(&profile, (enum kl_loader_task)t, WP_CAUSES);
        c.all += r.wire + r.board + r.answer + r.pause;
        c.chip += r.board - wp_sum(&profile, (enum kl_loader_task)t, MD5_COMMAND).board;
    }
    c.firmware = lb_firmware_time(&b);
    lb_close(&b);
    lb_open(&b, o);
    assert_int_equal(lb_whole(&b, bundle), KL_FAULT_NONE);
    c.all += lb_hand_over(&b, KL_MS(5));
    lb_close(&b);
    c.limit = c.wire + c.chip + c.firmware;
    return c;
}
