/*
 * bootlog.h: understands what chips print while they start (docs/esp-serial-protocol.md 6).
 */
#ifndef KEYLINE_BOOTLOG_H
#define KEYLINE_BOOTLOG_H

#include "keyline/fault.h"

enum kl_boot_mode {
    KL_BOOT_UNKNOWN,
    KL_BOOT_FLASH,    /* normal start */
    KL_BOOT_DOWNLOAD, /* in the serial loader */
    KL_BOOT_OTHER,    /* strapped to something else */
};

enum {
    KL_STARTS = 4 /* this many starts within KL_LOOP_TIME are a loop: one by our reset, three by the
                     board itself */
};
#define KL_LOOP_TIME KL_SEC(10)

struct kl_bootlog {
    unsigned banners; /* ROM banners seen ("ets …", "ESP-ROM:…", "rst:0x…"): each is a reset */
    kl_us first_banner, last_banner;
    enum kl_boot_mode mode; /* of the last one */
    bool waiting_for_download;
    uint8_t reset_reason;  /* rst:0x.. of the last one */
    uint32_t app_lines;    /* other lines since the last banner */
    enum kl_reason reason; /* the gravest thing seen since the last reset(), or KL_FAULT_NONE */
    bool conclusive;       /* waiting longer will not change `reason` */
    /* of the last line */
    bool named;  /* the line named `reason` */
    bool known;  /* the line is one of those that tell of a fault */
    bool banner; /* the line belongs to a start-up banner */
    /* kl_bootlog_line's own */
    bool head_open;          /* the banner's second line is still due */
    unsigned times, at;      /* how often `reason` was seen; in which start the last time */
    kl_us starts[KL_STARTS]; /* of the last starts, oldest first; KL_NEVER = none */
};

void kl_bootlog_reset(struct kl_bootlog *b);
/* The program runs and speaks, so what the boot text named did no harm. Banners stay counted. */
void kl_bootlog_alive(struct kl_bootlog *b);
/* Feeds one line (raw, without its newline). True if it is the first line of a new start: the chip
   was reset, and another board may stand in its place. */
bool kl_bootlog_line(struct kl_bootlog *b, const char *line, size_t size, kl_us now);

#endif
