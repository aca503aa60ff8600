#ifndef STAND_IN_GPIO_H
#define STAND_IN_GPIO_H

#include "esp_err.h"

typedef int gpio_num_t;
typedef enum { GPIO_MODE_INPUT = 1 } gpio_mode_t;
typedef enum { GPIO_PULLUP_ONLY } gpio_pull_mode_t;

static inline esp_err_t gpio_set_direction(gpio_num_t pin, gpio_mode_t mode)
{
    (void)pin, (void)mode;
    return ESP_OK;
}

static inline esp_err_t gpio_set_pull_mode(gpio_num_t pin, gpio_pull_mode_t pull)
{
    (void)pin, (void)pull;
    return ESP_OK;
}

static inline int gpio_get_level(gpio_num_t pin)
{
    (void)pin;
    return !world_button_is_down();
}

#endif
