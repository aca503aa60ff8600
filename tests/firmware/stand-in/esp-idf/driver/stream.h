/* What the drivers of UART and USB-Serial/JTAG have in common. */
#ifndef STAND_IN_STREAM_H
#define STAND_IN_STREAM_H

#include "esp_err.h"
#include "freertos/FreeRTOS.h"

static inline esp_err_t stream_open(uint32_t rx_size)
{
    if (world->console_open || rx_size < 256)
        return ESP_ERR_INVALID_STATE;
    world->console_open = true;
    return ESP_OK;
}

static inline int stream_read(void *out, uint32_t size, TickType_t ticks)
{
    uint8_t *bytes = out;
    uint32_t n = 0;

    if (!world->console_open)
        return -1;
    if (world_waiting() < size)
        world_pass(ticks * portTICK_PERIOD_MS);
    while (n < size && world_waiting())
        bytes[n++] = (uint8_t)world_read();
    return (int)n;
}

static inline int stream_write(const void *data, size_t size)
{
    if (!world->console_open)
        return -1;
    world_print(data, size);
    return (int)size;
}

#endif
