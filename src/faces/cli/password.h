/* password.h: asks a person for a password, or reads it from a file. */
#ifndef KEYLINE_FACES_PASSWORD_H
#define KEYLINE_FACES_PASSWORD_H

#include "keyline/minisign.h"

struct password {
    char text[KL_SIGN_PASSWORD_MAX];
};

/* In secret memory; NULL and a sentence if there is none. `file` NULL asks at the terminal, `twice`
   lets a new one be typed again. */
struct password *password_get(const char *file, const char *prompt, bool twice,
                              char error[KL_TEXT_MAX]);
void password_free(struct password *p);

#endif
