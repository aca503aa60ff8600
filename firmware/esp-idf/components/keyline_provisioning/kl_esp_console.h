/* kl_esp_console.h: the console as a stream of bytes. */
#ifndef KL_ESP_CONSOLE_H
#define KL_ESP_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

esp_err_t kl_esp_console_open(void);
/* Waits for bytes for at most 20 ms; returns how many came. */
size_t kl_esp_console_read(uint8_t *out, size_t size);
void kl_esp_console_print(void *ctx, const char *text, size_t size);
/* Returns when what was printed has left the board, or can't. */
void kl_esp_console_flush(void);
/* Gives the console back to the product, as far as nothing is lost by it. */
void kl_esp_console_close(void);

#endif
