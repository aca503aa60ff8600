/* cli_keys_print.c: text, CSV and JSON for `keyline keys`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli_keys.h"
#include "keyline/cli.h"

void keys_time(int64_t wall, char out[32])
{
    time_t seconds = (time_t)(wall / 1000000);
    struct tm utc;

    out[0] = '\0';
    if (wall != 0 && gmtime_r(&seconds, &utc))
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

json_t *keys_json_text(const char *text)
{
    json_t *json = json_string(text);
    char shown[KL_TEXT_MAX * 2];

    if (json)
        return json;
    kl_copy(shown, sizeof shown, text);
    for (char *p = shown; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?'; /* not UTF-8 */
    return json_string(shown);
}

void keys_json_element(json_t *object, bool *first)
{
    fputs(*first ? "[\n" : ",\n", stdout);
    json_dumpf(object, stdout, JSON_COMPACT);
    json_decref(object);
    *first = false;
}

void keys_json_end(bool first)
{
    fputs(first ? "[]\n" : "\n]\n", stdout);
}

void keys_csv_field(const char *text, bool last)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, stdout);
    } else {
        putchar('"');
        for (const char *p = text; *p != '\0'; p++) {
            if (*p == '"')
                putchar('"');
            putchar(*p);
        }
        putchar('"');
    }
    putchar(last ? '\n' : ',');
}

void keys_print(const char *text, int width)
{
    int printed = 0;

    for (const char *p = text; *p != '\0'; p++, printed++)
        putchar((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    for (; printed < width; printed++)
        putchar(' ');
}

int keys_printed(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return KL_EXIT_OK;
    fprintf(stderr, "keyline: can't write the answer: %s\n", strerror(errno));
    return KL_EXIT_FAILED;
}
