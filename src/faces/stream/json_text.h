/*
 * json_text.h: text of unknown origin as a JSON string.
 */
#ifndef KEYLINE_JSON_TEXT_H
#define KEYLINE_JSON_TEXT_H

#include <jansson.h>

/* Bytes that are not UTF-8 become '?'. NULL only if memory is out. */
json_t *kl_json_text(const char *text);

#endif
