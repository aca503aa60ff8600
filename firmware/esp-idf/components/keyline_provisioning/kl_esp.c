#include "kl_esp.h"

#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "kl_esp_console.h"
#include "kl_esp_store.h"
#include "provisioning.h"

static struct kl_prov board;

static uint32_t now_ms(void)
{
    return xTaskGetTickCount() * portTICK_PERIOD_MS;
}

static void restart(void *ctx)
{
    (void)ctx;
    kl_esp_console_flush();
    esp_restart();
}

static void listen(void)
{
    uint8_t bytes[64];
    size_t size = kl_esp_console_read(bytes, sizeof bytes);

    for (size_t i = 0; i < size; i++)
        kl_prov_feed(&board, bytes[i], now_ms());
    kl_prov_tick(&board, now_ms());
}

esp_err_t kl_esp_provision(const struct kl_esp_config *config)
{
    struct kl_prov_config inner = {
        .print = kl_esp_console_print,
        .restart = restart,
        .fields = config->fields,
        .names = config->names,
        .name_count = config->name_count,
        .digest_fields = config->digest_fields,
        .sha256 = kl_prov_sha256,
    };
    esp_err_t result = kl_esp_store_open(&inner.store);

    if (result == ESP_OK)
        result = kl_esp_console_open();
    if (result != ESP_OK)
        return result;
    kl_prov_start(&board, &inner, now_ms());
    while (!kl_prov_is_done(&board))
        listen();
    kl_esp_console_close();
    return ESP_OK;
}

bool kl_esp_field(unsigned field, char *out, size_t size)
{
    return kl_prov_field(&board, field, out, size);
}

bool kl_esp_forget(void)
{
    if (!kl_prov_forget(&board))
        return false;
    esp_restart();
    return true;
}
