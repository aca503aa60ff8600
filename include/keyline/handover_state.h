/* handover_state.h: the inside of struct kl_handover, so that a board can embed it. Private to
   handover*.c */
#ifndef KEYLINE_HANDOVER_STATE_H
#define KEYLINE_HANDOVER_STATE_H

enum {
    KL_HO_RAW_MAX = 512, /* bytes of a line that are looked at; the rest is dropped */
    KL_HO_EVENTS = 40,   /* events that wait to be pulled */
};

struct kl_handover {
    struct kl_handover_setup setup;
    struct kl_bootlog boot;
    bool trouble_told;

    enum kl_handover_phase phase;
    kl_us deadline;
    bool open;  /* between listen and finish */
    bool heard; /* anything at all since listen */

    struct kl_key key; /* expected or sent */
    bool have_key;

    char line[KL_HO_RAW_MAX];
    size_t line_size;
    bool overlong;

    /* SENDING */
    uint8_t tx[KL_LINE_MAX + 1];
    size_t tx_size;
    bool due, sent; /* a piece is to be pulled; all of it was, once */
    size_t sent_bytes;
    kl_us sent_at;     /* its last piece */
    kl_us piece_at;    /* the next one is due then */
    kl_us again_at;    /* to be sent again then; KL_NEVER */
    unsigned again;    /* how often that was */
    unsigned prompts;  /* since it was sent */
    unsigned refusals; /* "Error: …" lines since the first time */

    /* CONFIRMING: it has restarted, what it reads back comes from its flash */
    bool restarted;

    /* a read-back under way */
    bool reading;
    kl_us read_by;                     /* silence until then ends it */
    unsigned got;                      /* values since "Provisioned" */
    uint8_t digest[KL_FIELDS_MAX][32]; /* of the last values, value i at i modulo their number */
    struct kl_fingerprint first;       /* of the first values */
    uint8_t first_label[32];           /* … and the digest of the first of them */
    char label[KL_LABEL_MAX + 1];      /* the first value, if it may be shown */
    uint32_t names[KL_FIELDS_MAX];     /* hashes of the names before values, for masking */
    unsigned name_count;

    struct kl_handover_event event[KL_HO_EVENTS];
    unsigned event_first, event_count;
};

#endif
