/*
 * json_text.h: text of unknown origin as a JSON string.
 */
#ifndef KEYLINE_JSON_TEXT_H
#define KEYLINE_JSON_TEXT_H

#include <jansson.h>

/* Bytes that are not UTF-8 become '?'. Never NULL but for lack of memory. */
json_t *kl_json_text(const char *text);

#endif
