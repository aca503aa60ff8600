/* usb_cp2102n.c: Silicon Labs' CP2102N, as the driver cp210x of kernel 6.1 talks to it. */
#include "usb.h"

enum {
    IFC_ENABLE = 0x00,
    GET_LINE_CTL = 0x04,
    SET_MHS = 0x07,
    GET_MDMSTS = 0x08,
    SET_BAUDRATE = 0x1e,
    VENDOR = 0xff,
    GET_PARTNUM = 0x370b,
    GET_FW_VER = 0x0010,
    READ_CONFIG = 0x000e,
};

static int control(struct adapter *a, const struct request *r, uint8_t *out)
{
    if (r->request == IFC_ENABLE)
        a->enabled = r->value != 0;
    else if (r->request == SET_BAUDRATE && r->size >= 4)
        usb_set_rate(a, usb_le32(r->data));
    else if (r->request == SET_MHS)
        usb_set_lines(a, r->value & 0x100 ? r->value & 1 : a->dtr,
                      r->value & 0x200 ? (r->value & 2) != 0 : a->rts);
    else if (r->request == GET_MDMSTS)
        out[0] = (uint8_t)(a->dtr | a->rts << 1 | 0x30); /* CTS and DSR are on */
    else if (r->request == GET_LINE_CTL)
        out[1] = 8;
    else if (r->request == VENDOR && r->value == GET_PARTNUM)
        out[0] = 0x20; /* CP2102N, QFN28 */
    else if (r->request == VENDOR && r->value == GET_FW_VER)
        memcpy(out, "\x01\x00\x08", 3);
    else if (r->request == VENDOR && r->value == READ_CONFIG)
        return STALLED; /* no GPIO chip is wanted */
    return r->size;
}

/* clang-format off */
static const uint8_t config[] = {
    USB_CONFIG(32, 1), USB_INTERFACE(0, 2, 0xff, 0, 0),
    USB_ENDPOINT(0x81, 2, 64), USB_ENDPOINT(0x02, 2, 64)};
/* clang-format on */

const struct model usb_cp2102n = {
    .word = "cp2102n",
    .vid = 0x10c4,
    .pid = 0xea60,
    .release = 0x0100,
    .product = "CP2102N USB to UART Bridge Controller",
    .config = config,
    .config_size = sizeof config,
    .data_endpoint = 1,
    .control = control,
};
