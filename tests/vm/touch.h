/* touch.h: keyline's own opening and closing of ports, and nothing else. */
#ifndef KEYLINE_TESTS_VM_TOUCH_H
#define KEYLINE_TESTS_VM_TOUCH_H

/* Every port that keyline would use, so many times; an exit status. */
int touch_ports(unsigned times);

#endif
