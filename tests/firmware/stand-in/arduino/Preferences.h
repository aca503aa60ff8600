/* What the sketch uses of the Preferences library for ESP32. */
#ifndef STAND_IN_PREFERENCES_H
#define STAND_IN_PREFERENCES_H

#include <Arduino.h>

class Preferences
{
    bool open = false;

  public:
    bool begin(const char *name, bool readOnly = false, const char *partition = NULL)
    {
        (void)partition;
        open = name && strlen(name) <= 15 && !readOnly && !world->storage_is_rubbish;
        return open;
    }
    bool clear()
    {
        return open && world_clear();
    }
    bool remove(const char *key)
    {
        return open && world_remove(key);
    }
    bool isKey(const char *key)
    {
        return open && world_get(key) != NULL;
    }
    size_t putUChar(const char *key, uint8_t value)
    {
        return open && world_put(key, &value, 1);
    }
    uint8_t getUChar(const char *key, uint8_t otherwise = 0)
    {
        const struct world_item *item = open ? world_get(key) : NULL;
        return item && item->size == 1 ? (uint8_t)item->value[0] : otherwise;
    }
    bool getBool(const char *key, bool otherwise = false)
    {
        return getUChar(key, otherwise) == 1;
    }
    size_t putString(const char *key, const char *value)
    {
        return open && world_put(key, value, strlen(value) + 1) ? strlen(value) : 0;
    }
    /* The real one counts the NUL too. */
    size_t getString(const char *key, char *value, size_t size)
    {
        const struct world_item *item = open ? world_get(key) : NULL;
        if (!item || item->size > size)
            return 0;
        memcpy(value, item->value, item->size);
        return item->size;
    }
};

#endif
