/*
 * kl_esp_store.c: the fields as strings "key1" … in the namespace "provision" of the default NVS
 * partition, and their number as "count".
 */
#include "kl_esp_store.h"

#include <stdio.h>

#include "nvs.h"
#include "nvs_flash.h"

static nvs_handle_t nvs;

static void item_name(unsigned field, char out[8])
{
    snprintf(out, 8, "key%u", field % 1000u + 1);
}

static unsigned count(void *ctx)
{
    uint8_t stored = 0;

    (void)ctx;
    return nvs_get_u8(nvs, "count", &stored) == ESP_OK ? stored : 0;
}

static bool set_count(void *ctx, unsigned value)
{
    (void)ctx;
    return nvs_set_u8(nvs, "count", (uint8_t)value) == ESP_OK && nvs_commit(nvs) == ESP_OK;
}

/* `text` ends with a NUL at text[size]. */
static bool write_field(void *ctx, unsigned field, const char *text, size_t size)
{
    char name[8];

    (void)ctx;
    (void)size;
    item_name(field, name);
    return nvs_set_str(nvs, name, text) == ESP_OK && nvs_commit(nvs) == ESP_OK;
}

static bool read_field(void *ctx, unsigned field, char *out, size_t size)
{
    char name[8];

    (void)ctx;
    item_name(field, name);
    return nvs_get_str(nvs, name, out, &size) == ESP_OK;
}

static bool erase(void *ctx)
{
    (void)ctx;
    return nvs_erase_all(nvs) == ESP_OK && nvs_commit(nvs) == ESP_OK;
}

/* A partition that has never been NVS, or is of a newer kind, holds nothing that could be read. */
static esp_err_t start_nvs(void)
{
    esp_err_t result = nvs_flash_init();

    if (result == ESP_ERR_NVS_NO_FREE_PAGES || result == ESP_ERR_NVS_NEW_VERSION_FOUND) {
        result = nvs_flash_erase();
        if (result == ESP_OK)
            result = nvs_flash_init();
    }
    return result;
}

esp_err_t kl_esp_store_open(struct kl_prov_store *store)
{
    esp_err_t result = start_nvs();

    if (result != ESP_OK)
        return result;
    *store = (struct kl_prov_store){
        .count = count,
        .set_count = set_count,
        .write = write_field,
        .read = read_field,
        .erase = erase,
    };
    return nvs_open("provision", NVS_READWRITE, &nvs);
}
