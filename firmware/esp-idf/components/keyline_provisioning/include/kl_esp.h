/*
 * kl_esp.h: firmware/provisioning on ESP-IDF 5: NVS for the fields, the console (UART or
 * USB-Serial/JTAG, as chosen in menuconfig) for the conversation.
 */
#ifndef KL_ESP_H
#define KL_ESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kl_esp_config {
    unsigned fields;          /* a key must have so many; 0 = any number */
    const char *const *names; /* for the printout; NULL = Key1, Key2, …; must stay valid */
    unsigned name_count;
    uint32_t digest_fields; /* bit i: field i is printed as its digest */
};

/*
 * First thing in app_main(). Asks for a key until there is one (the board then restarts by itself),
 * prints what is stored, returns ESP_OK. Anything else: NVS or the console can't be used.
 *
 * A UART's driver is given back to the product. The driver of USB-Serial/JTAG stays installed,
 * because it may still hold what the host has not fetched.
 */
esp_err_t kl_esp_provision(const struct kl_esp_config *config);

/* Copies a stored field and its NUL to `out`; false if it is not there or does not fit. */
bool kl_esp_field(unsigned field, char *out, size_t size);

/* The way back: erases the key and restarts the board. Returns, with false, only if that failed. */
bool kl_esp_forget(void);

#ifdef __cplusplus
}
#endif

#endif
