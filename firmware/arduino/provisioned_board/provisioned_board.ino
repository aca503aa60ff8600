/*
 * A product that gets its keys from keyline: the first lines of setup() are all it takes.
 *
 * The way back to an unprovisioned board: hold the button for five seconds while the product runs.
 */
#include "board_provisioning.h"

#if CONFIG_IDF_TARGET_ESP32C3
static const uint8_t button = 9; /* BOOT */
#else
static const uint8_t button = 0;
#endif

/* One name for each column of the CSV. The first field is a key's public label and is printed in the
   clear; the others are printed as digests only: bits 1 and 2. */
static const char *const names[] = {"uuid", "network key", "app key"};
static const uint32_t digests = 1u << 1 | 1u << 2;

static char network_key[64];

void setup()
{
    provision(names, 3, digests);
    if (!provisionedField(1, network_key, sizeof network_key)) {
        Serial.println("The stored network key can't be read or is too long.");
        return;
    }
    /* The product begins here. Its keys are never printed. */
}

void loop()
{
    unprovisionWhenHeld(button, 5000);
    delay(10);
}
