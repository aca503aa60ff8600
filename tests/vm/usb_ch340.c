/* usb_ch340.c: WCH's CH340, as the driver ch341 of kernel 6.1 talks to it. */
#include "usb.h"

enum {
    READ_VERSION = 0x5f,
    READ_REGISTER = 0x95,
    WRITE_REGISTER = 0x9a,
    SERIAL_INIT = 0xa1,
    MODEM_CONTROL = 0xa4,
    MODEM_STATUS = 0x0706,
    DIVISOR = 0x1312,
};

/* Divisor and prescaler as the driver's ch341_get_divisor makes them. */
static void take_divisor(struct adapter *a, uint16_t index)
{
    unsigned ps = index & 3, fact = index >> 2 & 1, div = 0x100u - (index >> 8);
    usb_set_rate(a, 48000000u / ((1u << (12 - 3 * ps - fact)) * div));
}

static int control(struct adapter *a, const struct request *r, uint8_t *out)
{
    if (r->request == READ_VERSION)
        out[0] = 0x31;
    else if (r->request == READ_REGISTER && r->value == MODEM_STATUS)
        out[0] = 0x9f; /* inverted */
    else if (r->request == MODEM_CONTROL)
        usb_set_lines(a, (~r->value & 0x20) != 0, (~r->value & 0x40) != 0);
    else if (r->request == SERIAL_INIT)
        a->enabled = true;
    else if (r->request == WRITE_REGISTER && r->value == DIVISOR)
        take_divisor(a, r->index);
    return r->size;
}

/* clang-format off */
static const uint8_t config[] = {
    USB_CONFIG(39, 1), USB_INTERFACE(0, 3, 0xff, 1, 2),
    USB_ENDPOINT(0x82, 2, 32), USB_ENDPOINT(0x02, 2, 32), USB_ENDPOINT(0x81, 3, 8)};
/* clang-format on */

const struct model usb_ch340 = {
    .word = "ch340",
    .vid = 0x1a86,
    .pid = 0x7523,
    .release = 0x0264,
    .device_class = 0xff,
    .product = "USB Serial",
    .config = config,
    .config_size = sizeof config,
    .data_endpoint = 2,
    .control = control,
};
