/* The sketch, as the Arduino builder compiles it. */
#include <Arduino.h>

#include "../../firmware/arduino/provisioned_board/provisioned_board.ino"

extern "C" void program(void);

void program(void)
{
    setup();
    for (;;)
        loop();
}
