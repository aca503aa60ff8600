#ifndef STAND_IN_TASK_H
#define STAND_IN_TASK_H

#include "freertos/FreeRTOS.h"
#include "world.h"

static inline TickType_t xTaskGetTickCount(void)
{
    return world->now_ms / portTICK_PERIOD_MS;
}

static inline void vTaskDelay(TickType_t ticks)
{
    world_pass(ticks * portTICK_PERIOD_MS);
}

#endif
