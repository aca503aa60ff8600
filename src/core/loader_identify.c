/*
 * loader_identify.c: which chip this is, and whether plain images may be written to it.
 *
 * Replies carry no checksum, and the MAC decides who gets which key: the loader reads everything
 * until two rounds agree. (docs/esp-serial-protocol.md 2.2, 4.1, 4.2, 4.4, 4.5, 4.7)
 */
#include "loader_private.h"

#include <string.h>

enum {
    ROUNDS_MAX = 6,
    FLAG_SECURE_BOOT = 1u << 0,
    FLAG_SECURE_DOWNLOAD = 1u << 2,

    ESP32_DATE = 0x3FF6607C,
    ESP8266_MAC0 = 0x3FF00050,
    ESP8266_MAC1 = 0x3FF00054,
    ESP8266_MAC3 = 0x3FF0005C,
    S3_BLOCK1_WORD3 = 0x60007050,
    S3_BLOCK2_WORD4 = 0x6000706C,
};

enum {
    START,
    MAGIC,
    SECURITY,
    AGREE,
    CHOOSE_CHIP,
    CLOCK,
    CRYSTAL,
    RATE,
    REG,
    REGS_AGREE,
    JUDGE,
    CONSOLE,
    ON_TO_STUB,
};

/* ---- chip ---- */

static enum ldr_move start(struct kl_loader *l)
{
    KL_ASSERT(l->connect.connected);
    l->identify.round = 0;
    l->identify.rounds = 0;
    l->identify.reg_index = 0;
    l->identify.console = l->setup.link == KL_LINK_USB_JTAG  ? KL_CONSOLE_JTAG
                          : l->setup.link == KL_LINK_USB_OTG ? KL_CONSOLE_OTG
                                                             : KL_CONSOLE_UART;
    return MOVE_NEXT;
}

/* A chip's magic need not be read twice: noise does not turn 32 bits into another chip's by
   chance. */
static enum ldr_move ask_magic(struct kl_loader *l)
{
    const struct kl_loader_answers *before = &l->identify.answers[l->identify.round ^ 1];
    uint8_t payload[4];

    KL_ASSERT(l->identify.round < 2);
    if (l->identify.rounds > 0 && kl_chip_by_magic(before->magic)) {
        l->identify.answers[l->identify.round] =
            (struct kl_loader_answers){.has_magic = true, .magic = before->magic};
        return MOVE_NEXT;
    }
    ldr_put_u32(payload, MAGIC_REG);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_REG,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .optional = true});
    return MOVE_WAIT;
}

/* Secure download mode knows no READ_REG. */
static enum ldr_move got_magic(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    struct kl_loader_answers *a = &l->identify.answers[l->identify.round];

    KL_ASSERT(l->identify.round < 2);
    if (outcome == KL_OUT_SILENT || outcome == KL_OUT_IO)
        return ldr_fail_by(l, outcome);
    memset(a, 0, sizeof *a);
    a->has_magic = outcome == KL_OUT_OK;
    a->magic = a->has_magic ? l->reply.value : 0;
    return MOVE_NEXT;
}

/* The first two chips have no security info, and their magics are their own. */
static enum ldr_move ask_security(struct kl_loader *l)
{
    const struct kl_loader_answers *a = &l->identify.answers[l->identify.round];
    const struct kl_chip *chip = a->has_magic ? kl_chip_by_magic(a->magic) : NULL;

    KL_ASSERT(l->identify.round < 2);
    if (chip && !chip->has_security_info)
        return MOVE_NEXT;
    ldr_command(l, &(struct ldr_command){
                       .code = CMD_SECURITY_INFO, .result = 20, .shorter = 12, .optional = true});
    return MOVE_WAIT;
}

static enum ldr_move got_security(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    struct kl_loader_answers *a = &l->identify.answers[l->identify.round];
    const uint8_t *result = l->reply.result;

    if (outcome == KL_OUT_SILENT && !(a->has_magic && kl_chip_by_magic(a->magic)))
        return ldr_fail_by(l, outcome);
    if (outcome != KL_OUT_OK)
        return MOVE_NEXT;
    a->has_security = true;
    a->flags = ldr_get_u32(result);
    a->crypt_count = result[4];
    memcpy(a->purpose, result + 5, sizeof a->purpose);
    a->has_id = l->reply.size == 20;
    if (a->has_id)
        a->chip_id = ldr_get_u32(result + 12);
    return MOVE_NEXT;
}

static bool same_answers(const struct kl_loader_answers *a, const struct kl_loader_answers *b)
{
    return a->has_magic == b->has_magic && a->magic == b->magic &&
           a->has_security == b->has_security && a->has_id == b->has_id && a->flags == b->flags &&
           a->chip_id == b->chip_id && a->crypt_count == b->crypt_count;
}

/* For the first two chips the magic says all. */
static bool has_said_all(const struct kl_loader_answers *a)
{
    const struct kl_chip *chip = a->has_magic ? kl_chip_by_magic(a->magic) : NULL;

    return chip && !chip->has_security_info;
}

/* Asks until the last two rounds agree. */
static enum ldr_move agree(struct kl_loader *l)
{
    struct kl_loader_answers *last = &l->identify.answers[l->identify.round];
    struct kl_loader_answers *other = &l->identify.answers[l->identify.round ^ 1];

    KL_ASSERT(l->identify.rounds < ROUNDS_MAX);
    l->identify.rounds++;
    l->identify.round ^= 1;
    if (has_said_all(last))
        *other = *last;
    else if (l->identify.rounds < 2)
        return ldr_go_to(l, &ldr_identify_plan[MAGIC]);
    if (same_answers(last, other))
        return MOVE_NEXT;
    if (l->identify.rounds >= ROUNDS_MAX)
        return ldr_fail(l, KL_FAULT_LINE_NOISE, "the chip's type reads differently each time");
    return ldr_go_to(l, &ldr_identify_plan[MAGIC]);
}

static const struct kl_chip *chip_of(const struct kl_loader_answers *a)
{
    if (a->has_security)
        return a->has_id ? kl_chip_by_image_id((int)(a->chip_id & 0xFFFF))
                         : kl_chip(KL_CHIP_ESP32S2);
    /* A chip with neither registers nor security info is an S2 in secure download mode (4.1). */
    return a->has_magic ? kl_chip_by_magic(a->magic) : kl_chip(KL_CHIP_ESP32S2);
}

static void add_reg(struct kl_loader *l, uint32_t address)
{
    for (unsigned i = 0; i < l->identify.reg_count; i++)
        if (l->identify.reg[i].address == address)
            return;
    KL_ASSERT(l->identify.reg_count < KL_LOADER_REGS_MAX);
    if (address != 0)
        l->identify.reg[l->identify.reg_count++] = (struct kl_loader_reg){.address = address};
}

static void list_regs(struct kl_loader *l)
{
    static const uint32_t esp8266[] = {ESP8266_MAC0, ESP8266_MAC1, ESP8266_MAC3, 0};
    static const uint32_t esp32[] = {ESP32_WORD3, ESP32_WORD5, ESP32_DATE, 0};
    static const uint32_t s3[] = {S3_BLOCK2_WORD4, 0};
    const struct kl_chip *c = l->chip;
    const uint32_t *more = c->id == KL_CHIP_ESP8266   ? esp8266
                           : c->id == KL_CHIP_ESP32   ? esp32
                           : c->id == KL_CHIP_ESP32S3 ? s3
                                                      : NULL;

    KL_ASSERT(c);
    l->identify.reg_count = 0;
    for (unsigned i = 0; i < CLOCK_REGS; i++)
        add_reg(l, ldr_clock_reg(l, i));
    l->identify.clock_count = l->identify.reg_count;
    if (c->id != KL_CHIP_ESP8266) {
        add_reg(l, c->mac_reg);
        add_reg(l, c->mac_reg + 4);
    }
    add_reg(l, c->major.low.reg);
    add_reg(l, c->minor.low.reg);
    add_reg(l, c->major.high.reg);
    add_reg(l, c->minor.high.reg);
    add_reg(l, c->package.reg);
    add_reg(l, c->crypt_count.reg);
    add_reg(l, c->secure_boot.reg);
    for (; more && *more; more++)
        add_reg(l, *more);
    if (l->setup.only_look) {
        uint32_t efuse[KL_EFUSE_WORDS_MAX];
        unsigned count = kl_efuse_addresses(c, efuse);
        for (unsigned i = 0; i < count; i++)
            add_reg(l, efuse[i]);
    }
}

static enum ldr_move choose_chip(struct kl_loader *l)
{
    const struct kl_loader_answers *a = &l->identify.answers[0];

    KL_ASSERT(same_answers(&l->identify.answers[0], &l->identify.answers[1]));
    l->identify.rounds = 0;
    l->chip = chip_of(a);
    if (!l->chip) {
        return ldr_fail(l, KL_FAULT_UNKNOWN_CHIP, "chip id %d, magic 0x%08x",
                        a->has_id ? (int)a->chip_id : -1, a->magic);
    }
    l->identity.chip = l->chip->id;
    l->identity.secure_download = !a->has_magic || (a->flags & FLAG_SECURE_DOWNLOAD) != 0;
    if (l->identity.secure_download && l->setup.only_look)
        return MOVE_DONE; /* the chip tells no more */
    if (l->identity.secure_download) {
        return ldr_fail(l, KL_FAULT_SECURE_DOWNLOAD, "%s", l->chip->name);
    }
    list_regs(l);
    return MOVE_NEXT;
}

/* ---- registers ---- */

/* Was the rate raised while the ROM still talks? Then every answer is one more proof of the
   rate. */
static bool is_raised(const struct kl_loader *l)
{
    return l->identity.baud > FIRST_BAUD;
}

static void ask_one_reg(struct kl_loader *l)
{
    uint8_t payload[4];

    KL_ASSERT(l->identify.reg_index < l->identify.reg_count);
    ldr_put_u32(payload, l->identify.reg[l->identify.reg_index].address);
    ldr_command(l, &(struct ldr_command){.code = CMD_READ_REG,
                                         .payload = payload,
                                         .payload_size = sizeof payload,
                                         .work = is_raised(l) ? KL_MS(300) : COMMAND_TIME});
}

/* Reads what the new rate depends on, once, at the first rate. The new rate proves whether that was
   read well. */
static enum ldr_move ask_clock(struct kl_loader *l)
{
    KL_ASSERT(l->identity.baud == FIRST_BAUD);
    if (l->identify.reg_index == l->identify.clock_count)
        return MOVE_NEXT;
    ask_one_reg(l);
    return MOVE_WAIT;
}

static enum ldr_move ask_reg(struct kl_loader *l)
{
    KL_ASSERT(l->identify.reg_count > 0 && l->identify.reg_index <= l->identify.reg_count);
    if (l->identify.reg_index == l->identify.reg_count)
        return MOVE_NEXT;
    ask_one_reg(l);
    return MOVE_WAIT;
}

static enum ldr_move got_reg(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    struct kl_loader_reg *r = &l->identify.reg[l->identify.reg_index];

    KL_ASSERT(l->identify.reg_index < l->identify.reg_count);
    if (outcome == KL_OUT_SILENT && is_raised(l))
        return ldr_rate_failed(l);
    if (outcome != KL_OUT_OK)
        return ldr_fail_by(l, outcome);
    if (r->value != l->reply.value)
        l->identify.regs_differ = true;
    r->value = l->reply.value;
    l->identify.reg_index++;
    return MOVE_AGAIN;
}

static enum ldr_move regs_agree(struct kl_loader *l)
{
    bool same = l->identify.rounds > 0 && !l->identify.regs_differ;

    KL_ASSERT(l->identify.reg_index == l->identify.reg_count);
    l->identify.rounds++;
    l->identify.reg_index = l->identify.clock_count;
    l->identify.regs_differ = false;
    if (same)
        return MOVE_NEXT;
    if (l->identify.rounds >= ROUNDS_MAX)
        return ldr_fail(l, KL_FAULT_LINE_NOISE, "the chip's registers read differently each time");
    return ldr_go_to(l, &ldr_identify_plan[REG]);
}

uint32_t ldr_reg_value(const struct kl_loader *l, uint32_t address)
{
    for (unsigned i = 0; i < l->identify.reg_count; i++)
        if (l->identify.reg[i].address == address)
            return l->identify.reg[i].value;
    return 0;
}

static uint32_t bits(const struct kl_loader *l, const struct kl_bits *b)
{
    return b->reg ? ldr_reg_value(l, b->reg) >> b->shift & b->mask : 0;
}

static uint32_t split_bits(const struct kl_loader *l, const struct kl_split_bits *b)
{
    return bits(l, &b->low) | bits(l, &b->high) << b->high_shift;
}

/* (4.4) 0 if the estimate makes no sense: the rate is not the one that SYNC found. */
static uint8_t estimate_crystal(struct kl_loader *l)
{
    uint32_t divider = ldr_reg_value(l, l->chip->uart_clkdiv_reg) & 0xFFFFF;
    uint64_t khz = (uint64_t)l->identity.baud * divider / 1000;
    uint8_t mhz;

    if (l->chip->crystal_mhz)
        return l->chip->crystal_mhz;
    if (l->chip->id == KL_CHIP_ESP8266)
        khz /= 2;
    mhz = khz > 45000 ? 48 : khz > 33000 ? 40 : 26;
    return khz >= (mhz - 3u) * 1000 && khz <= (mhz + 3u) * 1000 ? mhz : 0;
}

static enum ldr_move judge_crystal(struct kl_loader *l)
{
    KL_ASSERT(l->identify.reg_index == l->identify.clock_count);
    l->identity.crystal_mhz = estimate_crystal(l);
    l->identify.regs_differ = false;
    return MOVE_NEXT;
}

static enum ldr_move raise_rate(struct kl_loader *l)
{
    KL_ASSERT(l->identity.baud == FIRST_BAUD);
    return ldr_is_rom(l) ? ldr_call_plan(l, ldr_rate_plan, &ldr_identify_plan[REG]) : MOVE_NEXT;
}

static struct kl_mac esp8266_mac(const struct kl_loader *l)
{
    uint32_t m0 = ldr_reg_value(l, ESP8266_MAC0), m1 = ldr_reg_value(l, ESP8266_MAC1);
    uint32_t m3 = ldr_reg_value(l, ESP8266_MAC3);
    struct kl_mac mac = {{0x18, 0xFE, 0x34, (uint8_t)(m1 >> 8), (uint8_t)m1, (uint8_t)(m0 >> 24)}};

    if (m3 != 0) {
        mac.b[0] = (uint8_t)(m3 >> 16);
        mac.b[1] = (uint8_t)(m3 >> 8);
        mac.b[2] = (uint8_t)m3;
    } else if ((m1 >> 16 & 0xFF) == 1) {
        mac.b[0] = 0xAC;
        mac.b[1] = 0xD0;
        mac.b[2] = 0x74;
    } else if ((m1 >> 16 & 0xFF) != 0) {
        memset(&mac, 0, sizeof mac);
    }
    return mac;
}

static struct kl_mac read_mac(const struct kl_loader *l)
{
    uint32_t low = ldr_reg_value(l, l->chip->mac_reg),
             high = ldr_reg_value(l, l->chip->mac_reg + 4);

    KL_ASSERT(l->chip);
    if (l->chip->id == KL_CHIP_ESP8266)
        return esp8266_mac(l);
    return (struct kl_mac){{(uint8_t)(high >> 8), (uint8_t)high, (uint8_t)(low >> 24),
                            (uint8_t)(low >> 16), (uint8_t)(low >> 8), (uint8_t)low}};
}

/* The EUI-64: the MAC with two more bytes in its middle. */
static struct kl_eui64 read_eui64(const struct kl_loader *l, const struct kl_mac *mac)
{
    uint32_t high = ldr_reg_value(l, l->chip->mac_reg + 4);
    struct kl_eui64 eui = {{0}};

    KL_ASSERT(l->chip && kl_mac_equal(mac, &l->identity.mac));
    if (l->chip->id != KL_CHIP_ESP32C5 && l->chip->id != KL_CHIP_ESP32C6 &&
        l->chip->id != KL_CHIP_ESP32H2)
        return eui;
    memcpy(eui.b, mac->b, 3);
    eui.b[3] = (uint8_t)(high >> 24);
    eui.b[4] = (uint8_t)(high >> 16);
    memcpy(eui.b + 5, mac->b + 3, 3);
    return eui;
}

static uint16_t read_revision(const struct kl_loader *l)
{
    static const uint8_t esp32_major[8] = {0, 1, 0, 2, 0, 0, 0, 3};
    const struct kl_chip *c = l->chip;
    uint32_t major = split_bits(l, &c->major), minor = split_bits(l, &c->minor);

    if (c->id == KL_CHIP_ESP32)
        major = esp32_major[(ldr_reg_value(l, ESP32_WORD3) >> 15 & 1) |
                            (ldr_reg_value(l, ESP32_WORD5) >> 20 & 1) << 1 |
                            (ldr_reg_value(l, ESP32_DATE) >> 31) << 2];
    /* Early S3 carry a wrong version; their block versions show it. */
    if (c->id == KL_CHIP_ESP32S3 && bits(l, &c->minor.low) == 0 &&
        (ldr_reg_value(l, S3_BLOCK2_WORD4) & 3) == 1 &&
        (ldr_reg_value(l, S3_BLOCK1_WORD3) >> 24 & 7) == 1)
        return 0;
    return (uint16_t)(major * 100 + minor);
}

static uint8_t read_package(const struct kl_loader *l)
{
    uint32_t package = bits(l, &l->chip->package);

    if (l->chip->id == KL_CHIP_ESP32)
        package |= (ldr_reg_value(l, ESP32_WORD3) >> 2 & 1) << 3;
    return (uint8_t)package;
}

void kl_loader_efuses(const struct kl_loader *l, struct kl_efuse_words *out)
{
    const struct kl_loader_answers *a = &l->identify.answers[0];
    uint32_t efuse[KL_EFUSE_WORDS_MAX];
    unsigned count = l->chip ? kl_efuse_addresses(l->chip, efuse) : 0;

    KL_ASSERT(l->setup.only_look);
    *out = (struct kl_efuse_words){
        .info = a->has_security, .info_flags = a->flags, .info_crypt_count = a->crypt_count};
    memcpy(out->info_purpose, a->purpose, sizeof out->info_purpose);
    out->block0 = count > 0 && !l->identity.secure_download;
    for (unsigned i = 0; out->block0 && i < count; i++)
        out->word[i] = ldr_reg_value(l, efuse[i]);
}

static bool odd_bits(uint32_t value)
{
    bool odd = false;

    for (; value; value &= value - 1)
        odd = !odd;
    return odd;
}

static void read_security(struct kl_loader *l)
{
    const struct kl_loader_answers *a = &l->identify.answers[0];
    uint32_t boot = bits(l, &l->chip->secure_boot);

    /* Bit 1 is secure boot V2 from revision 3.0 on, and means nothing before. */
    if (l->chip->id == KL_CHIP_ESP32 && l->identity.revision < 300)
        boot &= 1;
    l->identity.secure_boot = boot != 0 || (a->flags & FLAG_SECURE_BOOT) != 0;
    l->identity.flash_encrypted =
        odd_bits(bits(l, &l->chip->crypt_count)) || odd_bits(a->crypt_count);
}

static enum ldr_move judge(struct kl_loader *l)
{
    struct kl_identity *id = &l->identity;
    struct kl_mac before = id->mac;
    char text[18];

    KL_ASSERT(l->chip && !l->identify.regs_differ);
    id->mac = read_mac(l);
    id->eui64 = read_eui64(l, &id->mac);
    id->revision = read_revision(l);
    id->package = read_package(l);
    read_security(l);
    if (l->setup.only_look)
        return MOVE_DONE;
    kl_mac_format(&id->mac, text);
    if ((id->mac.b[0] & 1) != 0 || !kl_mac_is_set(&id->mac))
        return ldr_fail(l, KL_FAULT_BAD_MAC, "%s", text);
    if (kl_mac_is_set(&before) && !kl_mac_equal(&before, &id->mac))
        return ldr_fail(l, KL_FAULT_BOARD_CHANGED, "now %s", text);
    if (l->setup.take_secured && (id->flash_encrypted || id->secure_boot))
        return MOVE_DONE;
    if (id->flash_encrypted)
        return ldr_fail(l, KL_FAULT_FLASH_ENCRYPTED, "%s", text);
    if (id->secure_boot)
        return ldr_fail(l, KL_FAULT_SECURE_BOOT, "%s", text);
    return MOVE_NEXT;
}

/* ---- the console: native USB has its own rules (4.5) ---- */

/* USB ids tell about a local port; over a network the ROM has to tell. */
static bool is_far(const struct kl_loader *l)
{
    return l->setup.link == KL_LINK_RFC2217 || l->setup.link == KL_LINK_RAW;
}

static enum ldr_move ask_console(struct kl_loader *l)
{
    const struct kl_chip *c = l->chip;
    bool later = c->console.later && l->identity.revision >= c->console.later;

    KL_ASSERT(kl_mac_is_set(&l->identity.mac));
    if (!is_far(l) || !c->console.reg || l->identity.stub)
        return MOVE_NEXT;
    ldr_read_reg(l, later ? c->console.later_reg : c->console.reg);
    return MOVE_WAIT;
}

static enum ldr_move got_console(struct kl_loader *l, enum kl_loader_outcome outcome)
{
    const struct kl_chip *c = l->chip;
    bool later = c->console.later && l->identity.revision >= c->console.later;
    uint8_t console = (uint8_t)l->reply.value;

    KL_ASSERT(is_far(l));
    if (outcome != KL_OUT_OK)
        return MOVE_NEXT; /* most likely it is a UART */
    if (c->console.otg && console == c->console.otg)
        l->identify.console = KL_CONSOLE_OTG;
    else if (console != 0 && console == (later ? c->console.later_jtag : c->console.jtag))
        l->identify.console = KL_CONSOLE_JTAG;
    return MOVE_NEXT;
}

static enum ldr_move on_to_stub(struct kl_loader *l)
{
    KL_ASSERT(!l->identity.flash_encrypted && !l->identity.secure_boot);
    return ldr_go_to(l, ldr_stub_plan);
}

const struct kl_loader_step ldr_identify_plan[] = {
    [START] = {start, NULL, {NULL}},
    [MAGIC] = {ask_magic, got_magic, {NULL}},
    [SECURITY] = {ask_security, got_security, {NULL}},
    [AGREE] = {agree, NULL, {&ldr_identify_plan[MAGIC]}},
    [CHOOSE_CHIP] = {choose_chip, NULL, {NULL}},
    [CLOCK] = {ask_clock, got_reg, {NULL}},
    [CRYSTAL] = {judge_crystal, NULL, {NULL}},
    [RATE] = {raise_rate, NULL, {ldr_rate_plan, &ldr_identify_plan[REG]}},
    [REG] = {ask_reg, got_reg, {ldr_connect_plan}},
    [REGS_AGREE] = {regs_agree, NULL, {&ldr_identify_plan[REG]}},
    [JUDGE] = {judge, NULL, {NULL}},
    [CONSOLE] = {ask_console, got_console, {NULL}},
    [ON_TO_STUB] = {on_to_stub, NULL, {ldr_stub_plan}},
    PLAN_END,
};

/* ---- is it still the same? ---- */

enum {
    SAME_START,
    SAME_REG,
    SAME_JUDGE
};

/* The ESP8266 has no locks. */
static enum ldr_move start_same(struct kl_loader *l)
{
    KL_ASSERT(l->chip && l->chip->id != KL_CHIP_ESP8266);
    l->identify.reg_count = 0;
    l->identify.reg_index = 0;
    add_reg(l, l->chip->mac_reg);
    add_reg(l, l->chip->mac_reg + 4);
    return MOVE_NEXT;
}

static enum ldr_move judge_same(struct kl_loader *l)
{
    struct kl_mac now = read_mac(l);
    char text[18];

    KL_ASSERT(kl_mac_is_set(&l->identity.mac));
    if (kl_mac_equal(&now, &l->identity.mac))
        return MOVE_DONE;
    kl_mac_format(&now, text);
    return ldr_fail(l, KL_FAULT_BOARD_CHANGED, "now %s", text);
}

const struct kl_loader_step ldr_same_plan[] = {
    [SAME_START] = {start_same, NULL, {NULL}},
    [SAME_REG] = {ask_reg, got_reg, {NULL}},
    [SAME_JUDGE] = {judge_same, NULL, {NULL}},
    PLAN_END,
};
