#include "harmless.h"

#include <string.h>

/* Parts of ESP-IDF that log under their own name, and never what the program stores. */
static const char *const tags[] = {
    "app_init",  "boot",        "boot_comm",  "bootloader_random", "clk",
    "coexist",   "cpu_start",   "efuse",      "efuse_init",        "esp_core_dump_flash",
    "esp_image", "esp_psram",   "esp_system", "flash_encrypt",     "flash_parts",
    "heap_init", "intr_alloc",  "main_task",  "memory_layout",     "octal_psram",
    "phy",       "phy_init",    "pp",         "qio_mode",          "quad_psram",
    "rtc_clk",   "secure_boot", "sleep",      "sleep_gpio",        "spi_flash",
    "spiram",    "system_api",  "task_wdt",   "net80211",          "wifi_init",
};

/* Beginnings of lines that tell of a crash, or with which our own firmware refuses a line. */
static const char *const heads[] = {
    "***ERROR*** A stack overflow in task",
    "Backtrace: 0x",
    "Brownout detector was triggered",
    "ELF file SHA256: ",
    "Error: empty field",
    "Error: expected ",
    "Error: line holds bytes that are no text",
    "Error: line incomplete",
    "Error: line too long",
    "Error: storing failed",
    "Error: too many fields",
    "Fatal exception (",
    "Guru Meditation Error: Core",
    "MEPC    : 0x",
    "Rebooting...",
    "Soft WDT reset",
    "abort() was called at PC 0x",
    "assert failed: ",
    "epc1=0x",
};

static const char *const start_heads[] = {
    "1st boot",
    "2nd boot version",
    "Attempting to boot anyway",
    "Build:",
    "Calculated: ",
    "Expected: ",
    "SHA-256 comparison failed",
    "SPI Flash Size",
    "SPI Mode",
    "SPI Speed",
    "SPIWP:0x",
    "Saved PC:0x",
    "chksum 0x",
    "cksum 0x",
    "clk_drv:0x",
    "configsip:",
    "csum 0x",
    "csum err:0x",
    "entry 0x",
    "ets_main.c",
    "flash read err, ",
    "ho ",
    "invalid header: 0x",
    "jump to run user",
    "load 0x",
    "load:0x",
    "mode:DIO",
    "mode:DOUT",
    "mode:QIO",
    "mode:QOUT",
    "rf cal sector: ",
    "tail ",
    "user code done",
    "waiting for download",
};

static const char *const names[] = {
    "appeui",  "appkey", "app eui", "app key", "deveui",      "field",  "id",
    "joineui", "key",    "label",   "name",    "network key", "nwkkey", "password",
    "pin",     "secret", "serial",  "token",   "uuid",        "value",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static bool begins_with(const char *line, size_t size, const char *head)
{
    size_t length = strlen(head);

    KL_ASSERT(length > 0);
    return size >= length && memcmp(line, head, length) == 0;
}

static bool begins_with_one(const char *line, size_t size, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (begins_with(line, size, list[i]))
            return true;
    return false;
}

/* The size of a leading "I (1234) " or "I (12:00:01.123) "; 0 = there is none. */
static size_t log_head(const char *line, size_t size)
{
    size_t i = 3;

    if (size < 6 || !memchr("IWEDV", line[0], 5) || line[1] != ' ' || line[2] != '(')
        return 0;
    while (i < size && strspn((char[]){line[i], '\0'}, "0123456789:.") == 1)
        i++;
    return i > 3 && i + 1 < size && line[i] == ')' && line[i + 1] == ' ' ? i + 2 : 0;
}

static bool is_log_of_system(const char *line, size_t size)
{
    size_t at = log_head(line, size);

    for (size_t i = 0; at > 0 && i < COUNT(tags); i++) {
        size_t length = strlen(tags[i]);
        if (begins_with(line + at, size - at, tags[i]) && size - at > length &&
            line[at + length] == ':')
            return true;
    }
    return false;
}

bool kl_harmless(const char *line, size_t size)
{
    KL_ASSERT(line || size == 0);
    return is_log_of_system(line, size) || begins_with_one(line, size, heads, COUNT(heads));
}

bool kl_harmless_at_start(const char *line, size_t size)
{
    KL_ASSERT(line || size == 0);
    while (size > 0 && line[0] == ' ') {
        line++;
        size--;
    }
    return begins_with_one(line, size, start_heads, COUNT(start_heads));
}

static char lower(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
}

/* Ignores up to two digits at the name's end. */
bool kl_harmless_name(struct kl_span name)
{
    size_t size = name.size;

    KL_ASSERT(name.data || size == 0);
    for (int digits = 0; size > 0 && digits < 2; digits++)
        if (name.data[size - 1] >= '0' && name.data[size - 1] <= '9')
            size--;
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t n = 0;
        while (n < size && names[i][n] && lower(name.data[n]) == names[i][n])
            n++;
        if (n == size && n > 0 && !names[i][n])
            return true;
    }
    return false;
}
