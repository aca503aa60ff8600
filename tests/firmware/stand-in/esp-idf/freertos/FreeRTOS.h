#ifndef STAND_IN_FREERTOS_H
#define STAND_IN_FREERTOS_H

#include <stdint.h>

typedef uint32_t TickType_t;

#define portTICK_PERIOD_MS ((TickType_t)10)
#define pdMS_TO_TICKS(ms)  ((TickType_t)(ms) / portTICK_PERIOD_MS)

#endif
