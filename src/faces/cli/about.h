/* about.h: what keyline tells of itself: --version and --list-faults. */
#ifndef KEYLINE_ABOUT_H
#define KEYLINE_ABOUT_H

#include <stdbool.h>

/* Version, commit, libraries, and which flasher stubs --stub would find. An exit status. */
int about_version(const char *stub, bool json);
/* Every fault: for reading on a terminal, else as the rows of docs/faults.md. `color` is the index
   in "auto|always|never". An exit status. */
int about_faults(int color, bool json);

#endif
