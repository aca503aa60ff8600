#ifndef STAND_IN_USB_SERIAL_JTAG_H
#define STAND_IN_USB_SERIAL_JTAG_H

#include "driver/stream.h"

typedef struct {
    uint32_t tx_buffer_size;
    uint32_t rx_buffer_size;
} usb_serial_jtag_driver_config_t;

static inline esp_err_t usb_serial_jtag_driver_install(usb_serial_jtag_driver_config_t *config)
{
    return stream_open(config->rx_buffer_size);
}

static inline int usb_serial_jtag_read_bytes(void *out, uint32_t size, TickType_t ticks)
{
    return stream_read(out, size, ticks);
}

static inline int usb_serial_jtag_write_bytes(const void *data, size_t size, TickType_t ticks)
{
    (void)ticks;
    return stream_write(data, size);
}

#endif
