/*
 * A product that gets its keys from keyline: the first lines of app_main() are all it takes.
 *
 * The way back to an unprovisioned board: hold the button for five seconds while the product runs.
 */
#include <stdio.h>

#include "driver/gpio.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "kl_esp.h"
#include "sdkconfig.h"

enum {
    LOOK_MS = 50,
    HOLD_MS = 5000,
};

/* One name for each column of the CSV. The first field is a key's public label and is printed in
   the clear; the others are printed as digests only: bits 1 and 2. */
static const char *const names[] = {"uuid", "network key", "app key"};

static const struct kl_esp_config provisioning = {
    .fields = 3,
    .names = names,
    .name_count = 3,
    .digest_fields = 1u << 1 | 1u << 2,
};

static char network_key[64];

#if CONFIG_BUTTON_GPIO >= 0
static void watch_button(void)
{
    static unsigned held_ms;

    gpio_set_direction(CONFIG_BUTTON_GPIO, GPIO_MODE_INPUT);
    gpio_set_pull_mode(CONFIG_BUTTON_GPIO, GPIO_PULLUP_ONLY);
    held_ms = gpio_get_level(CONFIG_BUTTON_GPIO) ? 0 : held_ms + LOOK_MS;
    if (held_ms >= HOLD_MS) {
        held_ms = 0;
        kl_esp_forget();
    }
}
#else
static void watch_button(void)
{
}
#endif

void app_main(void)
{
    esp_err_t result = kl_esp_provision(&provisioning);

    if (result != ESP_OK) {
        printf("Error: no storage or no console (0x%x)\n", (unsigned)result);
        return;
    }
    if (!kl_esp_field(1, network_key, sizeof network_key))
        printf("The stored network key can't be read or is too long.\n");
    /* The product begins here. Its keys are never printed. */
    for (;;) {
        watch_button();
        vTaskDelay(pdMS_TO_TICKS(LOOK_MS));
    }
}
