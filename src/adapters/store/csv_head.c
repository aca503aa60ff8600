#include "csv_head.h"

#include <string.h>

static bool begins(struct kl_span v, const char *text)
{
    return v.size >= strlen(text) && memcmp(v.data, text, strlen(text)) == 0;
}

static bool is_error_page(struct kl_span v)
{
    static const char *const errors[] = {
        "Not Found",    "Forbidden",        "Unauthorized",          "Gone",
        "Bad Request",  "Bad Gateway",      "Internal Server Error", "Service Unavailable",
        "Gateway Time", "Too Many Requests"};
    size_t at = 3;

    if (v.size < 8 || (v.data[0] != '4' && v.data[0] != '5') || v.data[1] < '0' ||
        v.data[1] > '9' || v.data[2] < '0' || v.data[2] > '9')
        return false;
    while (at < v.size && (v.data[at] == ':' || v.data[at] == ' '))
        at++;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (begins((struct kl_span){v.data + at, v.size - at}, errors[i]))
            return true;
    return false;
}

static bool begins_as(struct kl_span v, const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        if (i >= v.size || (v.data[i] | 0x20) != (text[i] | 0x20))
            return false;
    return true;
}

void kl_csv_head_look(struct kl_span v, struct kl_csv_head *out)
{
    static const char *const other_files[] = {
        "PK\x03\x04",  "\xd0\xcf\x11\xe0",    "%PDF-",   "\x1f\x8b", "SQLite format 3", "{\\rtf",
        "-----BEGIN ", "age-encryption.org/", "\x89PNG", "Salted__"};
    static const char *const pages[] = {"<!doctype", "<html",  "<head", "<?xml",
                                        "<body",     "<table", "<!--",  "<error",
                                        "{\"",       "[{\"",   "[[\"",  "version https://git-lfs"};

    *out = (struct kl_csv_head){false, false, false};
    if (begins(v, "\xef\xbb\xbf")) {
        out->bom = true;
        v = (struct kl_span){v.data + 3, v.size - 3};
    }
    for (size_t i = 0; i < sizeof other_files / sizeof other_files[0]; i++)
        out->binary |= begins(v, other_files[i]);
    while (v.size > 0 && memchr(" \t\r\n", v.data[0], 4))
        v = (struct kl_span){v.data + 1, v.size - 1};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        out->markup |= begins_as(v, pages[i]);
    out->markup |= is_error_page(v);
}
