/* regular.h: opens files and nothing else. */
#ifndef KEYLINE_ADAPTERS_REGULAR_H
#define KEYLINE_ADAPTERS_REGULAR_H

#include <stdio.h>

/* Opens a regular file to read it, close-on-exec. -1 if it can't, or if the path is a pipe, device,
   socket or folder, on which a reader might wait for ever. Then *trouble says why, in static text
   or strerror's. */
int kl_open_regular(const char *path, const char **trouble);
/* The same as a stream; NULL if it can't. */
FILE *kl_fopen_regular(const char *path, const char **trouble);

#endif
