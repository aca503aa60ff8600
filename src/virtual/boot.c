/*
 * boot.c: what a board does and prints between reset and program (§6, §7): ROM banner, the
 * bootloader's look at partition table and app, and the well-known ways in which it ends.
 */
#include <string.h>

#include <md5.h>
#include <sha2.h>

#include "keyline/bundle_load.h"
#include "partitions.h"

enum {
    BOOT_US = 250000,  /* to the program's first line, when paced */
    AGAIN_US = 300000, /* until watchdog or bootloader reset a board that can't start */
};

static void first_lines(struct kl_vboard *b, enum reset_cause cause, const char *boot)
{
    static const uint8_t codes[][2] = {/* ESP32, newer (§6.1) */
                                       [CAUSE_POWER_ON] = {1, 1},
                                       [CAUSE_SOFTWARE] = {0xC, 0xC},
                                       [CAUSE_WATCHDOG] = {0x10, 7},
                                       [CAUSE_BROWNOUT] = {0xF, 0xF}};
    const char *const names[] = {[CAUSE_POWER_ON] = b->v->power_on,
                                 [CAUSE_SOFTWARE] = b->v->software,
                                 [CAUSE_WATCHDOG] = b->v->watchdog,
                                 [CAUSE_BROWNOUT] = b->v->brownout};

    if (b->chip->id == KL_CHIP_ESP8266)
        board_sayf(b, "%srst cause:%s, boot mode:%s\r\n\r\n", b->v->banner, names[cause], boot);
    else
        board_sayf(b, "%srst:0x%x (%s),boot:%s\r\n", b->v->banner,
                   codes[cause][b->chip->id != KL_CHIP_ESP32], names[cause], boot);
}

void boot_download_text(struct kl_vboard *b)
{
    first_lines(b, CAUSE_POWER_ON, b->v->download);
    board_say(b, b->v->waiting);
}

/* Lets the board reset again after a while: a boot loop. */
static void loop(struct kl_vboard *b, enum reset_cause cause)
{
    b->boot_ok = false;
    b->cause = cause;
    b->timer_at = b->now + AGAIN_US;
}

/* ---- images (§7.1) ---- */

enum image_state {
    IMAGE_GOOD,
    IMAGE_NO_MAGIC,
    IMAGE_CHECKSUM,
    IMAGE_HASH,
    IMAGE_SIGNATURE,
    IMAGE_OTHER_CHIP
};

struct image {
    enum image_state state;
    uint32_t entry, segments, has, wants; /* checksums */
};

static bool digest_is(const uint8_t *data, uint32_t size, const uint8_t *expected)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    kl_sha256(data, size, digest);
    return memcmp(digest, expected, sizeof digest) == 0;
}

static bool digest384_is(const uint8_t *data, uint32_t size, const uint8_t *expected)
{
    uint8_t digest[SHA384_DIGEST_LENGTH];
    SHA2_CTX sha;

    SHA384Init(&sha);
    SHA384Update(&sha, data, size);
    SHA384Final(digest, &sha);
    return memcmp(digest, expected, sizeof digest) == 0;
}

/* A build for Secure Boot V2 looks at its own signature when it first starts (§7.5): the digest in
   each block has to be that of all before the block's sector. */
static bool signature_fits(const uint8_t *p, uint32_t end, uint32_t room)
{
    uint32_t at = (end + SECTOR - 1) / SECTOR * SECTOR;

    for (uint32_t i = 0; i < 3 && at + SECTOR <= room; i++) {
        const uint8_t *block = p + at + i * 1216;
        if (block[0] != 0xE7 || (block[1] != 2 && block[1] != 3))
            break;
        if (block[1] == 3 && block[2] == 1 ? !digest384_is(p, at, block + 4)
                                           : !digest_is(p, at, block + 4))
            return false;
    }
    return true;
}

static struct image look_at(const struct kl_vboard *b, uint32_t offset, uint32_t room)
{
    const uint8_t *p = b->flash + offset;
    bool old = b->chip->id == KL_CHIP_ESP8266;
    uint32_t at = old ? 8 : 24;
    struct image image = {IMAGE_NO_MAGIC, 0, 0, 0xEF, 0};

    if (offset >= b->flash_size)
        return image;
    if (room > b->flash_size - offset)
        room = b->flash_size - offset;
    if (room < 64 || p[0] != 0xE9 || p[1] == 0 || p[1] > 16)
        return image;
    image.entry = get_u32(p + 4);
    image.segments = p[1];
    image.state = IMAGE_CHECKSUM;
    for (unsigned i = 0; i < image.segments; i++) {
        uint32_t size = room - at >= 8 ? get_u32(p + at + 4) : UINT32_MAX;
        if (size > room - at - 8)
            return image;
        for (uint32_t k = 0; k < size; k++)
            image.has ^= p[at + 8 + k];
        at += 8 + size;
    }
    at |= 15;
    if (at >= room)
        return image;
    image.wants = p[at++];
    if (image.has != image.wants)
        return image;
    image.state = IMAGE_GOOD;
    if (old)
        return image;
    if ((p[12] | p[13] << 8) != b->chip->image_chip_id)
        image.state = IMAGE_OTHER_CHIP;
    else if (p[23] == 1 && at + 32 <= room && !digest_is(p, at, p + at))
        image.state = IMAGE_HASH;
    else if (!signature_fits(p, p[23] == 1 ? at + 32 : at, room))
        image.state = IMAGE_SIGNATURE;
    return image;
}

static void load_lines(struct kl_vboard *b, uint32_t offset)
{
    const uint8_t *p = b->flash + offset;
    uint32_t at = 24;

    if (b->chip->id == KL_CHIP_ESP32)
        board_say(b, "configsip: 0, SPIWP:0xee\r\n"
                     "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00\r\n");
    else
        board_say(b, "SPIWP:0xee\r\n");
    board_say(b, p[2] == 2 ? "mode:DIO, clock div:2\r\n" : "mode:QIO, clock div:2\r\n");
    for (unsigned i = 0; i < p[1]; i++) {
        uint32_t size = get_u32(p + at + 4);
        board_sayf(b, "load:0x%08x,len:%s%u\r\n", (unsigned)get_u32(p + at),
                   b->chip->id == KL_CHIP_ESP32 ? "" : "0x", (unsigned)size);
        at += 8 + size;
    }
    board_sayf(b, "entry 0x%08x\r\n", (unsigned)get_u32(p + 4));
}

/* ---- the bootloader's own checks ---- */

static bool sizes_fit(struct kl_vboard *b, uint32_t bootloader)
{
    uint32_t named = kl_chip_flash_size_bytes(b->chip, b->flash[bootloader + 3]);

    if (named <= b->flash_size)
        return true;
    board_sayf(b,
               "E (28) spi_flash: Detected size(%uk) smaller than the size in the binary image "
               "header(%uk). Probe failed.\r\n",
               (unsigned)(b->flash_size / 1024), (unsigned)(named / 1024));
    return false;
}

static bool table_good(struct kl_vboard *b)
{
    struct partition p;

    switch (partitions_check(b, &p)) {
    case PARTITIONS_GOOD:
        return true;
    case PARTITIONS_NONE:
        board_sayf(b, "E (33) flash_parts: partition 0 invalid magic number 0x%x\r\n",
                   (unsigned)(b->flash[partitions_table_at(b)] |
                              b->flash[partitions_table_at(b) + 1] << 8));
        break;
    case PARTITIONS_MD5:
        board_say(b, "E (33) flash_parts: MD5 of partition table does not match\r\n");
        break;
    case PARTITIONS_TOO_BIG:
        board_sayf(b,
                   "E (33) flash_parts: partition %u invalid - offset 0x%x size 0x%x exceeds "
                   "flash chip size 0x%x\r\n",
                   p.index, (unsigned)p.offset, (unsigned)p.size, (unsigned)b->flash_size);
        break;
    }
    board_say(b, "E (41) boot: Failed to verify partition table\r\n"
                 "E (46) boot: load partition table error!\r\n");
    return false;
}

static void say_what_is_wrong(struct kl_vboard *b, const struct partition *app,
                              const struct image *image)
{
    switch (image->state) {
    case IMAGE_GOOD:
        return;
    case IMAGE_NO_MAGIC:
        board_sayf(b,
                   "E (52) esp_image: image at 0x%x has invalid magic byte (nothing flashed "
                   "here?)\r\n",
                   (unsigned)app->offset);
        break;
    case IMAGE_CHECKSUM:
        board_sayf(b, "E (82) esp_image: Checksum failed. Calculated 0x%x read 0x%x\r\n",
                   (unsigned)image->has, (unsigned)image->wants);
        break;
    case IMAGE_HASH:
        board_say(b, "E (82) esp_image: Image hash failed - image is corrupt\r\n");
        break;
    case IMAGE_SIGNATURE:
        board_say(b, "E (82) secure_boot_v2: image digest does not match its signature\r\n");
        break;
    case IMAGE_OTHER_CHIP:
        board_sayf(b, "E (52) boot_comm: mismatch chip ID, expected %d, found %u\r\n",
                   b->chip->image_chip_id, (unsigned)b->flash[app->offset + 12]);
        break;
    }
    if (app->subtype >= 0x10 && app->subtype <= 0x1F)
        board_sayf(b, "E (88) boot: OTA app partition slot %u is not bootable\r\n",
                   app->subtype & 15u);
    else
        board_say(b, "E (88) boot: Factory app partition is not bootable\r\n");
}

/* The first good program, in the order in which the bootloader tries them. */
static bool find_app(struct kl_vboard *b)
{
    struct partition app[PARTITIONS_APPS_MAX];
    unsigned count = partitions_to_try(b, app);

    for (unsigned i = 0; i < count; i++) {
        struct image image = look_at(b, app[i].offset, app[i].size);
        if (image.state == IMAGE_GOOD) {
            b->boot_offset = app[i].offset;
            return true;
        }
        say_what_is_wrong(b, &app[i], &image);
    }
    board_say(b, "E (94) boot: No bootable app partitions in the partition table\r\n");
    return false;
}

/* ---- the ROM ---- */

static bool rom_loads(struct kl_vboard *b)
{
    uint32_t at = b->chip->bootloader_offset;
    struct image image = look_at(b, at, b->flash_size);

    if (fault_is(b, FAULT_ID_NO_FLASH) || fault_takes(b, FAULT_ID_FLASH_READ_ERR)) {
        board_say(b, "flash read err, 1000\r\nets_main.c 371 \r\n");
        return false;
    }
    if (b->bricked || image.state == IMAGE_NO_MAGIC) {
        for (int i = 0; i < 4; i++)
            board_sayf(b, "invalid header: 0x%08x\r\n", (unsigned)get_u32(b->flash + at));
        return false;
    }
    if (image.state == IMAGE_SIGNATURE) {
        board_say(b, "secure boot verification failed\r\nets_main.c 371 \r\n");
        return false;
    }
    if (image.state != IMAGE_GOOD) {
        board_sayf(b, "csum err:0x%02x!=0x%02x\r\nets_main.c 371 \r\n", (unsigned)image.has,
                   (unsigned)image.wants);
        return false;
    }
    return true;
}

static bool esp8266_loads(struct kl_vboard *b)
{
    struct image image = look_at(b, 0, b->flash_size);

    if (image.state == IMAGE_GOOD) {
        board_sayf(b, "load 0x%08x, len %u, room 16 \r\ntail 8\r\nchksum 0x%02x\r\n",
                   (unsigned)get_u32(b->flash + 8), (unsigned)get_u32(b->flash + 12),
                   (unsigned)image.wants);
        return true;
    }
    board_say(b, "ets_main.c \r\n");
    return false;
}

static void start_program(struct kl_vboard *b)
{
    if (fault_is(b, FAULT_ID_ENCRYPTS_ITSELF) && !fault_is(b, FAULT_ID_FLASH_ENCRYPTED)) {
        b->faults.set[FAULT_ID_FLASH_ENCRYPTED] = true;
        regs_init(b);
    }
    b->boot_ok = true;
    b->timer_at = b->now + (b->config.paced ? BOOT_US : 0);
    if (fault_is(b, FAULT_ID_SLOW_BOOT))
        b->timer_at += KL_MS((kl_us)fault_figure(b, FAULT_ID_SLOW_BOOT));
}

void boot_start(struct kl_vboard *b, enum reset_cause cause)
{
    bool strapped = fault_takes(b, FAULT_ID_STRAPPED);

    first_lines(b, cause, strapped ? "0x2b (SDIO_REI_FEO_V1_BOOT)" : b->v->flash_boot);
    if (strapped) {
        board_enter(b, BOARD_DEAD);
        return;
    }
    if (b->chip->id == KL_CHIP_ESP8266) {
        if (esp8266_loads(b))
            start_program(b);
        else
            loop(b, CAUSE_WATCHDOG);
        return;
    }
    if (!rom_loads(b)) {
        loop(b, CAUSE_WATCHDOG);
        return;
    }
    load_lines(b, b->chip->bootloader_offset);
    if (sizes_fit(b, b->chip->bootloader_offset) && table_good(b) && find_app(b))
        start_program(b);
    else
        loop(b, CAUSE_SOFTWARE);
}

uint32_t kl_vboard_started(const struct kl_vboard *b)
{
    return b->boot_offset;
}
