/* Fuzzes kl_bootlog_line with lines that are half real boot text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/bootlog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
    "ets Jul 29 2019 12:21:46",
    "ESP-ROM:esp32c3-api1-20210207",
    "rst:0xf (RTCWDT_BROWN_OUT_RESET)",
    ",boot:0x13 (SPI_FAST_FLASH_BOOT)",
    ",boot:0x3 (DOWNLOAD_BOOT(UART0))",
    " ets Jan  8 2013,rst cause:2, boot mode:(3,6)",
    "waiting for download",
    "invalid header: 0xffffffff",
    "flash read err, 1000",
    "Guru Meditation Error: Core  1 panic'ed (LoadProhibited)",
    "E (57) flash_parts: partition 3 invalid",
    "Brownout detector was triggered",
    "partition ",
    " exceeds flash chip size",
    "\n",
    "boot:0x",
};

static void check(const struct kl_bootlog *b, unsigned banners_before, bool started)
{
    if (b->banners != banners_before + started)
        abort();
    if ((unsigned)b->reason >= KL_FAULT_COUNT || (b->conclusive && b->reason == KL_FAULT_NONE))
        abort();
    if ((b->named && b->reason == KL_FAULT_NONE) || (started && !b->banner))
        abort();
    if (b->banners && (b->first_banner > b->last_banner))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_bootlog b;
    char line[1024];
    size_t used = 0;
    kl_us now = 0;

    kl_bootlog_reset(&b);
    for (size_t i = 0; i < size; i++) {
        const char *word = data[i] >= 0xf0 ? words[data[i] % 16] : NULL;
        size_t n = word ? strlen(word) : 1;
        if (data[i] != '\n' && (!word || *word != '\n') && used + n <= sizeof line) {
            memcpy(line + used, word ? word : (const char *)&data[i], n);
            used += n;
            continue;
        }
        unsigned before = b.banners;
        now += KL_MS(data[i ? i - 1 : 0] * 8);
        check(&b, before, kl_bootlog_line(&b, line, used, now));
        used = 0;
        if (i % 97 == 96)
            kl_bootlog_alive(&b);
    }
    return 0;
}
