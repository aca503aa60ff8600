#ifndef STAND_IN_NVS_H
#define STAND_IN_NVS_H

#include <string.h>

#include "esp_err.h"

typedef uint32_t nvs_handle_t;
typedef enum { NVS_READONLY, NVS_READWRITE } nvs_open_mode_t;

static inline esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *out)
{
    *out = mode == NVS_READWRITE && strlen(name) <= 15;
    return *out ? ESP_OK : ESP_FAIL;
}

static inline esp_err_t nvs_commit(nvs_handle_t handle)
{
    return handle ? ESP_OK : ESP_FAIL;
}

static inline esp_err_t nvs_set_u8(nvs_handle_t handle, const char *key, uint8_t value)
{
    return handle && world_put(key, &value, 1) ? ESP_OK : ESP_FAIL;
}

static inline esp_err_t nvs_get_u8(nvs_handle_t handle, const char *key, uint8_t *out)
{
    const struct world_item *item = handle ? world_get(key) : NULL;

    if (!item || item->size != 1)
        return ESP_ERR_NVS_NOT_FOUND;
    *out = (uint8_t)item->value[0];
    return ESP_OK;
}

static inline esp_err_t nvs_set_str(nvs_handle_t handle, const char *key, const char *value)
{
    return handle && world_put(key, value, strlen(value) + 1) ? ESP_OK : ESP_FAIL;
}

static inline esp_err_t nvs_get_str(nvs_handle_t handle, const char *key, char *out, size_t *size)
{
    const struct world_item *item = handle ? world_get(key) : NULL;

    if (!item)
        return ESP_ERR_NVS_NOT_FOUND;
    if (item->size > *size)
        return ESP_ERR_NVS_INVALID_LENGTH;
    memcpy(out, item->value, item->size);
    *size = item->size;
    return ESP_OK;
}

static inline esp_err_t nvs_erase_all(nvs_handle_t handle)
{
    return handle && world_clear() ? ESP_OK : ESP_FAIL;
}

#endif
