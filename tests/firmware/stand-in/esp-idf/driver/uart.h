#ifndef STAND_IN_UART_H
#define STAND_IN_UART_H

#include "driver/stream.h"

typedef int uart_port_t;
typedef void *QueueHandle_t;

static inline esp_err_t uart_driver_install(uart_port_t port, int rx_size, int tx_size,
                                            int queue_size, QueueHandle_t *queue, int flags)
{
    (void)port, (void)tx_size, (void)queue_size, (void)queue, (void)flags;
    return stream_open((uint32_t)rx_size);
}

static inline int uart_read_bytes(uart_port_t port, void *out, uint32_t size, TickType_t ticks)
{
    (void)port;
    return stream_read(out, size, ticks);
}

static inline int uart_write_bytes(uart_port_t port, const void *data, size_t size)
{
    (void)port;
    return stream_write(data, size);
}

static inline esp_err_t uart_wait_tx_done(uart_port_t port, TickType_t ticks)
{
    (void)port, (void)ticks;
    return world->console_open ? ESP_OK : ESP_FAIL;
}

static inline esp_err_t uart_driver_delete(uart_port_t port)
{
    (void)port;
    world->console_open = false;
    return ESP_OK;
}

#endif
