/*
 * provisioning.h: the board's half of the handover, ready to copy into a product.
 *
 * Portable C99: no heap, no operating system, no globals. The product gives it a way to write text,
 * a small store, and a way to restart; it feeds received bytes and the time. The protocol is
 * specified in docs/firmware.md.
 *
 *     Provisioning          every 500 ms, until a line comes
 *     <- f1,f2,f3\n         1 to 32 fields, at most 255 bytes, complete within a second
 *     Error: <what>         the line was no good; the board stays without key and goes on asking
 *     Provisioned           stored; the board restarts
 *     Provisioned           after every start of a provisioned board, and then each field:
 *     Key1: f1              in the clear, or
 *     Key2: sha256:<hex>    as a digest, which the station can compare just as well
 */
#ifndef KL_PROVISIONING_H
#define KL_PROVISIONING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    KL_PROV_FIELDS_MAX = 32,
    KL_PROV_LINE_MAX = 255,
    KL_PROV_ANNOUNCE_MS = 500,
    KL_PROV_LINE_MS = 1000, /* from a line's first byte to its newline */
};

/*
 * Where the fields live. Each call is durable when it returns true. set_count makes a board
 * provisioned. kl_prov calls it last, and first when a key goes, so a power cut at any moment
 * leaves nothing or all.
 */
struct kl_prov_store {
    void *ctx;
    /* How many fields are stored; 0 = the board is not provisioned. */
    unsigned (*count)(void *ctx);
    bool (*set_count)(void *ctx, unsigned count);
    bool (*write)(void *ctx, unsigned field, const char *text, size_t size);
    /* Puts the field and a NUL into `out`; false if it is missing or longer than size - 1. */
    bool (*read)(void *ctx, unsigned field, char *out, size_t size);
    /* Removes every field, for kl_prov_forget. NULL = they stay, unused, until overwritten. */
    bool (*erase)(void *ctx);
};

struct kl_prov_config {
    struct kl_prov_store store;
    void *ctx;
    void (*print)(void *ctx, const char *text, size_t size); /* to the console, as it is */
    void (*restart)(void *ctx); /* lets the text get out first; may return: then start again */
    unsigned fields;            /* a line must have exactly so many; 0 = any number */
    /* Of the fields in the printout, 1 to 48 characters without a colon. Fields past name_count are
       called Key1, Key2, … by their place. */
    const char *const *names;
    unsigned name_count;
    /* Field i is printed as its digest if bit i is set; needs sha256. */
    uint32_t digest_fields;
    void (*sha256)(const void *data, size_t size, uint8_t out[32]);
};

enum kl_prov_state {
    KL_PROV_ANNOUNCING,
    KL_PROV_PROVISIONED,
};

struct kl_prov {
    struct kl_prov_config config;
    enum kl_prov_state state;
    uint32_t announced_ms, line_ms;
    uint16_t size; /* bytes of the line so far */
    bool in_line;
    bool dropping; /* drops what is left of a line that it gave up */
    char line[KL_PROV_LINE_MAX + 1];
};

/* At every start of the firmware. Prints the stored fields, or the first announcement. */
void kl_prov_start(struct kl_prov *p, const struct kl_prov_config *config, uint32_t now_ms);
/* One received byte. Never blocks; stores and restarts when a good line is complete. */
void kl_prov_feed(struct kl_prov *p, uint8_t byte, uint32_t now_ms);
/* Often: announces, and gives up a line that does not end. The clock may wrap around. */
void kl_prov_tick(struct kl_prov *p, uint32_t now_ms);
/* True once the product may do its own work. */
bool kl_prov_is_done(const struct kl_prov *p);
/* One stored field for the product's use: false if there is none. */
bool kl_prov_field(const struct kl_prov *p, unsigned field, char *out, size_t size);
/* The way back: the key goes, the board announces again. If this fails, the board may or may not
   hold its key: try again. The fields are erased, as far as the store can. */
bool kl_prov_forget(struct kl_prov *p);

/* A small SHA-256 (FIPS 180-4) for products that have none of their own; its own file, so that it
   is dropped where it is not used. */
void kl_prov_sha256(const void *data, size_t size, uint8_t out[32]);

#ifdef __cplusplus
}
#endif

#endif
