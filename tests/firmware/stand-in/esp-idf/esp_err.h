#ifndef STAND_IN_ESP_ERR_H
#define STAND_IN_ESP_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "world.h"

typedef int esp_err_t;

#define ESP_OK                            0
#define ESP_FAIL                          -1
#define ESP_ERR_INVALID_STATE             0x103
#define ESP_ERR_NVS_NOT_FOUND             0x1102
#define ESP_ERR_NVS_INVALID_LENGTH        0x110c
#define ESP_ERR_NVS_NO_FREE_PAGES         0x110d
#define ESP_ERR_NVS_NEW_VERSION_FOUND     0x1110

#endif
