#include "bootlog.h"

#include <string.h>

/* The two lines of one banner come within this time, even on a busy host. A second start comes
   later. */
#define BANNER_TIME KL_MS(500)

enum {
    BANNER_LINES = 2, /* lines that may stand between them ("Build:…", a garbled one) */
    LATE = 0,         /* never conclusive: names the reason only when the time is over */
};

struct pattern {
    const char *text; /* parts that follow each other, with '*' between them */
    enum kl_reason reason;
    uint8_t needed; /* sightings until it is conclusive, or LATE */
    bool per_start; /* several lines of one start count once */
};

/* docs/esp-serial-protocol.md 6.2, gravest first. The texts omit first letters where a stray byte
   often eats them. */
static const struct pattern patterns[] = {
    {"aiting for download", KL_FAULT_STILL_IN_LOADER, 1, false},
    {"ecure boot*failed", KL_FAULT_SECURE_BOOT, 1, false},
    {"ignature verification failed", KL_FAULT_SECURE_BOOT, 1, false},
    {"No flash encryption key", KL_FAULT_FLASH_ENCRYPTED, 1, false},
    {"FLASH_CRYPT_CNT", KL_FAULT_FLASH_ENCRYPTED, LATE, false},
    {"requires chip rev", KL_FAULT_CHIP_REVISION, 1, false},
    {"E (*chip revision", KL_FAULT_CHIP_REVISION, 1, false},
    {"E (*flash_parts: ", KL_FAULT_BAD_PARTITIONS, 1, false},
    {"partition*exceeds flash chip size", KL_FAULT_BAD_PARTITIONS, 1, false},
    {"smaller than the size in the binary image header", KL_FAULT_BAD_PARTITIONS, 1, false},
    {"MD5*partition table", KL_FAULT_BAD_PARTITIONS, 2, false},
    {"No bootable app partitions", KL_FAULT_BAD_APP, 1, false},
    {"mage hash failed", KL_FAULT_BAD_APP, 2, true},
    {"has invalid magic byte", KL_FAULT_BAD_APP, 2, true},
    {"Brownout detector was triggered", KL_FAULT_BROWNOUT, 2, true},
    {"flash read err,", KL_FAULT_FLASH_READ_ERR, 2, false},
    {"csum err", KL_FAULT_FLASH_READ_ERR, 2, false},
    {"Checksum failed", KL_FAULT_FLASH_READ_ERR, 2, false},
    {"ets_main.c", KL_FAULT_FLASH_READ_ERR, LATE, false},
    {"nvalid header: 0x", KL_FAULT_INVALID_HEADER, 2, false},
    {"uru Meditation Error", KL_FAULT_PANIC, 2, true},
    {"atal exception (", KL_FAULT_PANIC, 2, true},
    {"abort() was called", KL_FAULT_PANIC, 2, true},
    {"assert failed", KL_FAULT_PANIC, 2, true},
    {"Backtrace:", KL_FAULT_PANIC, 2, true},
    {"MEPC ", KL_FAULT_PANIC, 2, true},
    {NULL, KL_FAULT_BAD_STRAPS, LATE, false}, /* by the boot mode */
    {NULL, KL_FAULT_BOOT_LOOP, 1, false},     /* by counting starts */
};

enum {
    PATTERNS = sizeof patterns / sizeof patterns[0]
};

/* Where the line goes on behind the first `text`; NULL if `text` is not there. */
static const char *after(const char *line, const char *end, const char *text, size_t size)
{
    KL_ASSERT(line <= end);
    for (; (size_t)(end - line) >= size; line++)
        if (memcmp(line, text, size) == 0)
            return line + size;
    return NULL;
}

static const char *after_text(const char *line, const char *end, const char *text)
{
    return after(line, end, text, strlen(text));
}

static bool matches(const char *line, const char *end, const char *pattern)
{
    while (line && *pattern) {
        size_t part = 0;
        while (pattern[part] && pattern[part] != '*')
            part++;
        line = after(line, end, pattern, part);
        pattern += part + (pattern[part] == '*');
    }
    return line;
}

/* Does the line begin with the pattern, but for a stray byte? Lines of bootloader and ESP-IDF may
   hold it later: they begin with a level and a time. */
static bool is_near_begin(const char *line, const char *end, const char *pattern)
{
    size_t part = strcspn(pattern, "*");
    KL_ASSERT(part > 0);
    const char *found = after(line, end, pattern, part);

    if (end - line > 3 && memchr("IWED", line[0], 4) && line[1] == ' ' && line[2] == '(')
        return true;
    return found && found - (ptrdiff_t)part - line <= 2;
}

/* ---- what was wrong ---- */

static unsigned rank(enum kl_reason reason)
{
    KL_ASSERT(reason < KL_FAULT_COUNT);
    unsigned i = 0;

    while (i < PATTERNS && patterns[i].reason != reason)
        i++;
    return i;
}

static void sight(struct kl_bootlog *b, const struct pattern *p)
{
    KL_ASSERT(p >= patterns && p < patterns + PATTERNS);
    if (p->reason != b->reason) {
        if (rank(p->reason) > rank(b->reason))
            return;
        b->reason = p->reason;
        b->times = 0;
        b->conclusive = false;
        b->named = true;
    } else if (p->per_start && b->times > 0 && b->at == b->banners) {
        return;
    }
    b->times++;
    b->at = b->banners;
    b->conclusive |= p->needed != LATE && b->times >= p->needed;
}

static void sight_reason(struct kl_bootlog *b, enum kl_reason reason)
{
    KL_ASSERT(rank(reason) < PATTERNS);
    sight(b, &patterns[rank(reason)]);
}

static void look_for_faults(struct kl_bootlog *b, const char *line, size_t size)
{
    for (unsigned i = 0; i < PATTERNS; i++) {
        if (patterns[i].text && matches(line, line + size, patterns[i].text)) {
            sight(b, &patterns[i]);
            b->known = is_near_begin(line, line + size, patterns[i].text);
            b->waiting_for_download |= patterns[i].reason == KL_FAULT_STILL_IN_LOADER;
            return;
        }
    }
}

/* ---- banners (6.1) ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "Jun  8 2016" */
static bool is_date(const char *s, const char *end)
{
    if (end - s < 11 || s[3] != ' ' || s[6] != ' ')
        return false;
    for (int i = 7; i < 11; i++)
        if (!is_digit(s[i]))
            return false;
    return s[0] >= 'A' && s[0] <= 'Z' && is_digit(s[5]);
}

/* After a reset in the middle of a line the banner stands behind what was printed so far. */
static bool is_head(const char *line, const char *end)
{
    const char *date = line;

    while ((date = after_text(date, end, "ets ")))
        if (is_date(date, end))
            return true;
    return after_text(line, end, "ESP-ROM:esp");
}

static bool read_number(const char *s, const char *end, unsigned base, unsigned *value)
{
    const char *first = s;

    KL_ASSERT(s <= end && (base == 10 || base == 16));
    for (*value = 0; s < end; s++) {
        unsigned digit = is_digit(*s)                           ? (unsigned)(*s - '0')
                         : base == 16 && *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a' + 10)
                                                                : base;
        if (digit >= base)
            break;
        *value = *value * base + digit;
    }
    return s > first;
}

static enum kl_boot_mode mode_of_name(const char *name, const char *end)
{
    KL_ASSERT(name && name <= end);
    if (after_text(name, end, "DOWNLOAD") || after_text(name, end, "UART_BOOT"))
        return KL_BOOT_DOWNLOAD;
    if (after_text(name, end, "SPI_FAST_FLASH_BOOT"))
        return KL_BOOT_FLASH;
    return KL_BOOT_OTHER;
}

struct reset_line {
    bool found;
    unsigned reason;
    enum kl_boot_mode mode;
};

/* "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", perhaps without its first bytes */
static struct reset_line read_reset(const char *line, const char *end)
{
    struct reset_line r = {false, 0, KL_BOOT_UNKNOWN};
    const char *rst = after_text(line, end, "rst:0x");
    const char *boot = after_text(line, end, ",boot:0x");
    unsigned value;

    bool named = boot && read_number(boot, end, 16, &value) && after_text(boot, end, "(");
    if (rst && read_number(rst, end, 16, &r.reason) && (named || rst == line + strlen("rst:0x")))
        r.found = true;
    if (named) {
        r.found = true;
        r.mode = mode_of_name(after_text(boot, end, "("), end);
    }
    return r;
}

/* "ets Jan  8 2013,rst cause:2, boot mode:(3,7)" */
static struct reset_line read_esp8266_reset(const char *line, const char *end)
{
    struct reset_line r = {false, 0, KL_BOOT_UNKNOWN};
    const char *cause = after_text(line, end, "rst cause:");
    const char *mode = after_text(line, end, "boot mode:(");
    unsigned strap;

    if (!cause || !mode || !read_number(mode, end, 10, &strap))
        return r;
    r.found = read_number(cause, end, 10, &r.reason);
    r.mode = strap == 1 ? KL_BOOT_DOWNLOAD : strap == 3 ? KL_BOOT_FLASH : KL_BOOT_OTHER;
    return r;
}

static void note_start(struct kl_bootlog *b, kl_us now)
{
    KL_ASSERT(b->last_banner <= now);
    if (b->banners++ == 0)
        b->first_banner = now;
    b->last_banner = now;
    b->mode = KL_BOOT_UNKNOWN;
    b->waiting_for_download = false;
    b->reset_reason = 0;
    b->app_lines = 0;
    memmove(&b->starts[0], &b->starts[1], (KL_STARTS - 1) * sizeof b->starts[0]);
    b->starts[KL_STARTS - 1] = now;
    if (b->starts[0] == KL_NEVER || now - b->starts[0] > KL_LOOP_TIME)
        return;
    if (b->reason == KL_FAULT_NONE)
        sight_reason(b, KL_FAULT_BOOT_LOOP);
    b->conclusive = true;
}

static bool take_banner(struct kl_bootlog *b, const char *line, size_t size, kl_us now,
                        bool *is_new)
{
    const char *end = line + size;
    bool head = is_head(line, end);
    struct reset_line reset = read_reset(line, end);
    bool old_chip = !reset.found;

    KL_ASSERT(!b->head_open || b->banners > 0);
    if (old_chip)
        reset = read_esp8266_reset(line, end);
    if (!head && !reset.found)
        return false;
    bool second = !head && b->head_open && now - b->last_banner <= BANNER_TIME &&
                  b->app_lines <= BANNER_LINES;
    *is_new = !second;
    if (!second)
        note_start(b, now);
    b->head_open = head && !reset.found;
    if (!reset.found)
        return true;
    b->reset_reason = (uint8_t)reset.reason;
    b->mode = reset.mode;
    if (!old_chip && reset.reason == 15)
        sight_reason(b, KL_FAULT_BROWNOUT);
    if (b->mode == KL_BOOT_OTHER)
        sight_reason(b, KL_FAULT_BAD_STRAPS);
    return true;
}

/* ---- */

void kl_bootlog_alive(struct kl_bootlog *b)
{
    for (int i = 0; i < KL_STARTS; i++)
        b->starts[i] = KL_NEVER;
    b->reason = KL_FAULT_NONE;
    b->conclusive = false;
    b->times = 0;
}

void kl_bootlog_reset(struct kl_bootlog *b)
{
    memset(b, 0, sizeof *b);
    kl_bootlog_alive(b);
}

bool kl_bootlog_line(struct kl_bootlog *b, const char *line, size_t size, kl_us now)
{
    bool is_new = false;

    KL_ASSERT(b && (line || size == 0));
    b->named = b->known = false;
    b->banner = take_banner(b, line, size, now, &is_new);
    if (b->banner)
        return is_new;
    if (size > 0)
        b->app_lines++;
    look_for_faults(b, line, size);
    return false;
}
