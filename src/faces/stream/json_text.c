#include "json_text.h"

#include <stdlib.h>
#include <string.h>

json_t *kl_json_text(const char *text)
{
    json_t *string = json_string(text);
    char *plain;

    if (string || !(plain = strdup(text)))
        return string;
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    string = json_string(plain);
    free(plain);
    return string;
}
