#include "kl_esp_console.h"

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "sdkconfig.h"

enum {
    RX_SIZE = 512, /* a line of 256 bytes may arrive while the board prints */
    READ_MS = 20,
};

#if defined(CONFIG_ESP_CONSOLE_USB_SERIAL_JTAG)

#include "driver/usb_serial_jtag.h"

enum {
    TX_SIZE = 2048 /* holds a printout until the host opens the port and fetches it */
};

esp_err_t kl_esp_console_open(void)
{
    usb_serial_jtag_driver_config_t config = {.tx_buffer_size = TX_SIZE, .rx_buffer_size = RX_SIZE};

    return usb_serial_jtag_driver_install(&config);
}

size_t kl_esp_console_read(uint8_t *out, size_t size)
{
    int n = usb_serial_jtag_read_bytes(out, (uint32_t)size, pdMS_TO_TICKS(READ_MS));

    return n > 0 ? (size_t)n : 0;
}

/* Without a host the buffer fills up; then text is lost rather than the product held up. */
void kl_esp_console_print(void *ctx, const char *text, size_t size)
{
    (void)ctx;
    if (size > 0)
        usb_serial_jtag_write_bytes(text, size, pdMS_TO_TICKS(READ_MS));
}

/* Not every ESP-IDF 5 can tell when the host has fetched it all; a host that listens needs a few
   milliseconds. */
void kl_esp_console_flush(void)
{
    vTaskDelay(pdMS_TO_TICKS(100));
}

void kl_esp_console_close(void)
{
}

#elif defined(CONFIG_ESP_CONSOLE_UART)

#include "driver/uart.h"

#define PORT CONFIG_ESP_CONSOLE_UART_NUM

/* The console's rate and pins are set already. */
esp_err_t kl_esp_console_open(void)
{
    return uart_driver_install(PORT, RX_SIZE, 0, 0, NULL, 0);
}

size_t kl_esp_console_read(uint8_t *out, size_t size)
{
    int n = uart_read_bytes(PORT, out, (uint32_t)size, pdMS_TO_TICKS(READ_MS));

    return n > 0 ? (size_t)n : 0;
}

void kl_esp_console_print(void *ctx, const char *text, size_t size)
{
    (void)ctx;
    uart_write_bytes(PORT, text, size);
}

void kl_esp_console_flush(void)
{
    uart_wait_tx_done(PORT, pdMS_TO_TICKS(1000));
}

void kl_esp_console_close(void)
{
    kl_esp_console_flush();
    uart_driver_delete(PORT);
}

#else
#error "keyline talks over the console: choose UART or USB-Serial/JTAG in menuconfig"
#endif
