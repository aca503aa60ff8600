/*
 * export.h: lists of provisioned keys as LoRaWAN networks, AWS and customers take them. One maker
 * for whoever has the keys: a CSV bench, or a pool that several stations share.
 *
 *     new -> row, row, … -> end -> text -> (kl_export_file_…) -> free
 *
 * Text with secrets is only in secret memory. Error texts name line and column, and never a value.
 * docs/exports.md is for people.
 */
#ifndef KEYLINE_EXPORT_H
#define KEYLINE_EXPORT_H

#include "keyline/key.h"

/* X(NAME, "its name for --as", "what a person does with it") */
#define KL_EXPORT_FORMS(X)                                                                         \
    X(TTS, "tts", "The Things Stack: a CSV to import")                                             \
    X(CHIRPSTACK, "chirpstack", "ChirpStack 4: JSON lines, two calls of its API in each")          \
    X(AWS_LORAWAN, "aws-lorawan", "AWS IoT Core for LoRaWAN: JSON lines, CreateWirelessDevice")    \
    X(AWS_THINGS, "aws-things", "AWS IoT: JSON lines, parameters of a bulk registration")          \
    X(THINGPARK, "thingpark", "ThingPark: a CSV to import")                                        \
    X(TEMPLATE, "template", "text of your own: --template FILE")

enum kl_export_form {
#define X(name, word, text) KL_EXPORT_##name,
    KL_EXPORT_FORMS(X)
#undef X
    KL_EXPORT_LIST,  /* who got what, as CSV */
    KL_EXPORT_LINES, /* the same as JSON lines */
};

enum {
    KL_EXPORT_NAMES_MAX = 64, /* fields that are mapped or set */
};

struct kl_export_options {
    enum kl_export_form form;
    bool secrets; /* false: a column that is secret is refused, or left out if `public` */
    bool public;
    const char *const *maps; /* "dev_eui=2", "dev_eui=DevEUI", "name=@mac" */
    unsigned map_count;
    const char *const *sets; /* "lorawan_version=MAC_V1_0_2" */
    unsigned set_count;
    const char *const *columns; /* the names in the list's header; the first is the label's */
    unsigned column_count;      /* 0 = it has no header */
    unsigned fields;            /* columns of the list; 0 = not known */
    const char *template;       /* the template's text; NULL = none */
    const char *pool;           /* its id, for templates; "" = none */
    int64_t now;                /* microseconds since 1970, for templates */
};

struct kl_export_row {
    const struct kl_key *key; /* may be NULL if kl_export_needs_keys says so */
    uint32_t line;            /* in its list; 0 = none */
    const char *label, *eui64, *station, *build, *how; /* "" = not known */
    struct kl_mac mac;
    int64_t provisioned; /* microseconds since 1970 */
    struct kl_fingerprint fingerprint;
};

struct kl_export;

/* Copies what it needs of the options. NULL and a sentence: usage, or a template that is wrong. */
struct kl_export *kl_export_new(const struct kl_export_options *o, char error[KL_TEXT_MAX]);
void kl_export_free(struct kl_export *e);
bool kl_export_needs_keys(const struct kl_export *e);
/* Whether its text holds secrets: never to be shown, only for a file of its owner's. */
bool kl_export_is_secret(const struct kl_export *e);
/* Whether it has the text of TR005 QR codes. */
bool kl_export_has_qr(const struct kl_export *e);

/* False and "line 7, column 3 (app_key): …" if a row can't be exported. Later rows may still be
   fed, for what is wrong with them. */
bool kl_export_row(struct kl_export *e, const struct kl_export_row *row, char error[KL_TEXT_MAX]);
/* After the last row. False and a sentence: two rows are one device, or there is no memory. */
bool kl_export_end(struct kl_export *e, char error[KL_TEXT_MAX]);
unsigned kl_export_count(const struct kl_export *e);
/* All of the text; valid until free. */
struct kl_span kl_export_text(const struct kl_export *e);

/* False if there is no such form. */
bool kl_export_form_named(const char *name, enum kl_export_form *out);
const char *kl_export_form_name(enum kl_export_form form);

/* ---- the file ---- */

/*
 * A new file that gets its name when it is complete and durable. Nothing is ever replaced, and a
 * link in its place is not followed. Where the file system can, it has no name at all until then,
 * so that a crash leaves nothing behind.
 */
struct kl_export_file {
    int fd;                                /* -1: none */
    char path[4096], temporary[4096 + 32]; /* "" = it has no name yet */
};

/* `secret`: mode 0600, else what the umask allows of 0644. False and a sentence. */
bool kl_export_file_write(struct kl_export_file *f, const char *path, bool secret, const void *data,
                          size_t size, char error[KL_TEXT_MAX]);
/* Gives it its name, durably. The file is closed in any case. */
bool kl_export_file_name(struct kl_export_file *f, char error[KL_TEXT_MAX]);
/* Instead: it was never there. */
void kl_export_file_drop(struct kl_export_file *f);

#endif
