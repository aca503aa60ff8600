/* store_kind.h: what every kind of store can do; store.h says what each of these means. */
#ifndef KEYLINE_ADAPTERS_STORE_KIND_H
#define KEYLINE_ADAPTERS_STORE_KIND_H

#include "keyline/store.h"

struct kl_store_kind {
    const struct kl_store_content *(*content)(const struct kl_store *s);
    void (*start)(struct kl_store *s, uv_loop_t *loop, const struct kl_store_events *events,
                  void *ctx);
    void (*submit)(struct kl_store *s, const struct kl_action *request);
    bool (*answer)(struct kl_store *s, const char *id); /* NULL: this kind never asks */
    void (*close)(struct kl_store *s, void (*closed)(void *ctx), void *ctx);
    void (*free)(struct kl_store *s);
    bool (*has_record)(const struct kl_store *s);
    bool (*keys)(struct kl_store *s, bool (*each)(void *ctx, const struct kl_ledger_key *key),
                 void *ctx, char error[KL_TEXT_MAX]);
    bool (*history)(struct kl_store *s, const char *mac, const char *label,
                    bool (*each)(void *ctx, const struct kl_ledger_entry *entry), void *ctx,
                    char error[KL_TEXT_MAX]);
    bool (*audit)(struct kl_store *s, void (*each)(void *ctx, const struct kl_audit_finding *f),
                  void *ctx, char error[KL_TEXT_MAX]);
    bool (*release)(struct kl_store *s, const struct kl_ledger_key *key, const char *reason,
                    char error[KL_TEXT_MAX]);
    bool (*note)(struct kl_store *s, const char *what, const char *text, char error[KL_TEXT_MAX]);
    bool (*pool)(struct kl_store *s, char id[33], char error[KL_TEXT_MAX]);
    enum kl_store_read (*read_key)(struct kl_store *s, const struct kl_ledger_key *key,
                                   struct kl_key *out, struct kl_key_text *text, uint32_t *line,
                                   char error[KL_TEXT_MAX]);
    bool (*header)(struct kl_store *s, void (*each)(void *ctx, const char *name), void *ctx,
                   char error[KL_TEXT_MAX]);
    /* NULL: no shared pool */
    void (*fleet)(const struct kl_store *s, struct kl_fleet_view *out);
    void (*bench)(struct kl_store *s, uint32_t per_hour, const char *json);
};

/* The first member of every kind's own struct. */
struct kl_store {
    const struct kl_store_kind *kind;
};

/* A CSV with a ledger beside it: store_open.c. */
enum kl_store_open_result kl_csv_store_open(const struct kl_store_options *options,
                                            struct kl_store **out, char error[KL_TEXT_MAX]);
void kl_csv_store_holder(const char *csv, char text[KL_TEXT_MAX]);

#endif
