/* usb_jtag.c: an ESP's own USB-Serial/JTAG, as the driver cdc_acm of kernel 6.1 talks to it. */
#include "usb.h"

enum {
    SET_LINE_CODING = 0x20,
    GET_LINE_CODING = 0x21,
    SET_LINES = 0x22,
    RESET_MS = 5,
};

/* No transistors here: DTR alone asks for the loader, both off take that back, RTS alone
   resets, both do nothing; a reset takes it off the bus (docs/esp-serial-protocol.md 5.3). */
static void take_lines(struct adapter *a, bool dtr, bool rts)
{
    bool was_reset = a->rts && !a->dtr;
    a->dtr = dtr;
    a->rts = rts;
    if (!rts)
        a->download = dtr;
    if (!rts || dtr || was_reset)
        return;
    kl_us now = adapter_now();
    phase_reset(&a->watch);
    kl_vboard_lines(a->board, false, true, now);
    a->release_at = now + KL_MS(RESET_MS);
}

static void tick(struct adapter *a, kl_us now)
{
    if (a->release_at == 0 || now < a->release_at)
        return;
    a->release_at = 0;
    a->left = true;
    kl_vboard_lines(a->board, a->download, false, now);
}

static int control(struct adapter *a, const struct request *r, uint8_t *out)
{
    if (r->request == SET_LINE_CODING && r->size >= 7) {
        memcpy(a->line_coding, r->data, 7);
        usb_set_rate(a, usb_le32(r->data));
    } else if (r->request == GET_LINE_CODING) {
        memcpy(out, a->line_coding, 7);
    } else if (r->request == SET_LINES) {
        a->enabled = true;
        take_lines(a, r->value & 1, (r->value & 2) != 0);
    } else if ((r->type & 0x80) == 0) {
        return STALLED; /* break */
    }
    return r->size;
}

/* clang-format off */
static const uint8_t config[] = {
    USB_CONFIG(75, 2), 8, 11, 0, 2, 2, 2, 0, 0, USB_INTERFACE(0, 1, 2, 2, 0),
    5, 0x24, 0, 0x10, 1, 5, 0x24, 1, 0, 1, 4, 0x24, 2, 2, 5, 0x24, 6, 0, 1,
    USB_ENDPOINT(0x83, 3, 64), USB_INTERFACE(1, 2, 10, 0, 0),
    USB_ENDPOINT(0x01, 2, 64), USB_ENDPOINT(0x81, 2, 64)};
/* clang-format on */

const struct model usb_jtag = {
    .word = "jtag",
    .vid = 0x303a,
    .pid = 0x1001,
    .release = 0x0101,
    .device_class = 0xef,
    .product = "USB JTAG/serial debug unit",
    .config = config,
    .config_size = sizeof config,
    .data_endpoint = 1,
    .is_chip = true,
    .control = control,
    .tick = tick,
};
