/* vb.h: drives a virtual board from a test: its clock, its lines, loader frames, and images that it
   can boot. Knows nothing of keyline's own loader. */
#ifndef KEYLINE_TEST_VB_H
#define KEYLINE_TEST_VB_H

#include "keyline/vboard.h"

struct vb {
    struct kl_vboard *board;
    enum kl_chip_id chip;
    kl_us now;
    char text[16384]; /* everything outside of frames since vb_clear */
    size_t text_size;
    uint8_t frame[8192]; /* the last frame */
    size_t frame_size;
    unsigned frames;
    bool open, escape;
};

void vb_open(struct vb *v, const struct kl_vboard_config *config); /* created and powered */
void vb_close(struct vb *v);
void vb_clear(struct vb *v);
void vb_wait(struct vb *v,
             kl_us time); /* passes time event by event; collects what the board says */
void vb_send(struct vb *v, const char *text);
void vb_into_loader(struct vb *v); /* both lines at once */
void vb_into_program(struct vb *v);
/* Sends one request and waits for its answer: status << 8 | error, or -1 if none came. */
int vb_command(struct vb *v, uint8_t op, const void *data, size_t size, uint32_t checksum,
               size_t status_size);
int vb_sync(struct vb *v);
/* Writes to flash through the ROM loader, which must be synchronised. */
void vb_flash(struct vb *v, uint32_t offset, const uint8_t *data, uint32_t size);
/* Bootloader, partition table (nvs 0x9000, factory 0x10000) and app for the chip. */
void vb_flash_firmware(struct vb *v, enum kl_chip_id chip);
/* A small image that a chip takes as its own. Returns its size. */
size_t vb_image(enum kl_chip_id chip, uint8_t *out, size_t room, uint32_t body, uint8_t fill);
size_t vb_partitions(uint8_t out[3072], uint32_t app_size);

#endif
