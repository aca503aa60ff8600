#ifndef STAND_IN_ESP_SYSTEM_H
#define STAND_IN_ESP_SYSTEM_H

#include "esp_err.h"

static inline void esp_restart(void)
{
    world_restart();
}

#endif
