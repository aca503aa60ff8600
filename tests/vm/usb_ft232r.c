/* usb_ft232r.c: FTDI's FT232R, as the driver ftdi_sio of kernel 6.1 talks to it. */
#include "usb.h"

enum {
    RESET = 0,
    MODEM_CONTROL = 1,
    SET_RATE = 3,
    GET_MODEM_STATUS = 5,
    SET_LATENCY = 9,
    GET_LATENCY = 10,
};

static uint32_t rate_of(uint32_t divisor)
{
    static const uint8_t eighths[8] = {0, 4, 2, 1, 3, 5, 6, 7};
    if (divisor <= 1)
        return divisor == 0 ? 3000000 : 2000000;
    return 24000000 / ((divisor & 0x3fff) * 8 + eighths[divisor >> 14 & 7]);
}

static int control(struct adapter *a, const struct request *r, uint8_t *out)
{
    if (r->request == RESET)
        a->enabled = true;
    else if (r->request == MODEM_CONTROL)
        usb_set_lines(a, r->value & 0x100 ? r->value & 1 : a->dtr,
                      r->value & 0x200 ? (r->value & 2) != 0 : a->rts);
    else if (r->request == SET_RATE)
        usb_set_rate(a, rate_of(r->value | (uint32_t)r->index << 16));
    else if (r->request == GET_MODEM_STATUS)
        memcpy(out, "\x31\x60", 2);
    else if (r->request == SET_LATENCY)
        a->latency = (uint8_t)r->value;
    else if (r->request == GET_LATENCY)
        out[0] = a->latency;
    return r->size;
}

/* clang-format off */
static const uint8_t config[] = {
    USB_CONFIG(32, 1), USB_INTERFACE(0, 2, 0xff, 0, 0),
    USB_ENDPOINT(0x81, 2, 64), USB_ENDPOINT(0x02, 2, 64)};
/* clang-format on */

const struct model usb_ft232r = {
    .word = "ft232r",
    .vid = 0x0403,
    .pid = 0x6001,
    .release = 0x0600,
    .product = "FT232R USB UART",
    .config = config,
    .config_size = sizeof config,
    .data_endpoint = 1,
    .prefix = 2,
    .control = control,
};
