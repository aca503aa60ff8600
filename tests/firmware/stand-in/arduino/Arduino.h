/* What the sketch uses of the Arduino core for ESP32. */
#ifndef STAND_IN_ARDUINO_H
#define STAND_IN_ARDUINO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

#define HIGH         0x1
#define LOW          0x0
#define INPUT_PULLUP 0x05

/* unsigned long on the board, which has 32 bits there */
static inline uint32_t millis()
{
    return world->now_ms;
}

static inline void delay(uint32_t ms)
{
    world_pass(ms);
}

static inline void pinMode(uint8_t, uint8_t)
{
}

static inline int digitalRead(uint8_t)
{
    return world_button_is_down() ? LOW : HIGH;
}

class HardwareSerial
{
  public:
    void begin(unsigned long baud)
    {
        world->console_open = baud == 115200;
    }
    size_t setRxBufferSize(size_t size)
    {
        return world->console_open ? 0 : size; /* only before begin() */
    }
    size_t setTxBufferSize(size_t size)
    {
        return world->console_open ? 0 : size;
    }
    /* At another rate than 115200 baud the station neither hears nor is heard. */
    int available()
    {
        return world->console_open ? (int)world_waiting() : 0;
    }
    int read()
    {
        return world->console_open ? world_read() : -1;
    }
    size_t write(const uint8_t *data, size_t size)
    {
        if (world->console_open)
            world_print(data, size);
        return size;
    }
    size_t println(const char *text)
    {
        return write((const uint8_t *)text, strlen(text)) + write((const uint8_t *)"\r\n", 2);
    }
    void flush()
    {
    }
};

class EspClass
{
  public:
    void restart()
    {
        world_restart();
    }
};

static HardwareSerial Serial __attribute__((unused));
static EspClass ESP __attribute__((unused));

#endif
