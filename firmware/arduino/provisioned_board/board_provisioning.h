/*
 * board_provisioning.h: firmware/provisioning on Arduino: Preferences (NVS) for the fields, Serial
 * for the conversation. Copy this file and board_provisioning.cpp into your sketch.
 */
#ifndef BOARD_PROVISIONING_H
#define BOARD_PROVISIONING_H

#include <Arduino.h>

/* First thing in setup(). Starts Serial, asks for a key until there is one (the board then restarts
   by itself), prints what is stored, returns. A key must have `count` fields. `names` must stay
   valid. Field i is printed as its digest if bit i of `digests` is set. */
void provision(const char *const *names, unsigned count, uint32_t digests);

/* Copies a stored field and its NUL to `out`; false if it is not there or does not fit. */
bool provisionedField(unsigned field, char *out, size_t size);

/* The way back: erases the key and restarts the board. Returns, with false, only if that failed. */
bool unprovision();

/* Often, in loop(): calls unprovision() once the button (to ground) has been held for so long. */
void unprovisionWhenHeld(uint8_t pin, uint32_t milliseconds);

#endif
