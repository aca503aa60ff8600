/*
 * wire.h: what a station and its dashboards say to each other over the Unix socket: one JSON object
 * per line, both directions. docs/events.md describes it for people.
 *
 * Nothing secret crosses it: a snapshot holds none.
 */
#ifndef KEYLINE_WIRE_H
#define KEYLINE_WIRE_H

#include "keyline/station.h"
#include "stats.h"

enum {
    KL_WIRE_PROTOCOL = 2,          /* in protocol 1 dashboards said no hello */
    KL_WIRE_LINE_MAX = 256 * 1024, /* longer lines are an error of the other side */
    KL_WIRE_IN_DOUBT_MAX = 64,
    KL_WIRE_BENCH = KL_SLOTS_MAX, /* "slot" of lines about the whole bench */
};

/* What does not change while the station runs. */
struct kl_wire_hello {
    unsigned protocol;
    char version[24]; /* keyline's */
    char csv[KL_PORT_MAX], firmware[KL_NAME_MAX], project[32], project_version[32], chip[24];
    char station[KL_NAME_MAX];
    char digest[65];                   /* of the images, hex */
    int64_t since;                     /* wall clock, microseconds since 1970 */
    kl_us prompt_timeout, ack_timeout; /* 0 = no board is asked anything */
    kl_us expect_timeout;
    char settings[8192]; /* what it was started with: lines of "option=value" */
};

enum kl_wire_kind {
    KL_WIRE_NOTHING,  /* a later version's message: ignore it */
    KL_WIRE_HELLO,    /* first */
    KL_WIRE_SNAPSHOT, /* `snap` was brought up to date; the first one after a hello is complete */
    KL_WIRE_LOG,      /* one line of a slot's log; slot KL_WIRE_BENCH: of the bench's events */
    KL_WIRE_LOG_GAP,  /* lines were left out because this client read too slowly */
    KL_WIRE_IN_DOUBT, /* all keys in doubt */
    KL_WIRE_REFUSED,  /* a command was not taken: text */
    KL_WIRE_BUILD,    /* whether the images on disk are other ones now */
    KL_WIRE_STATS,    /* what became of the boards, slot by slot */
    KL_WIRE_BYE,      /* the station ends: its exit status, and a summary */
};

struct kl_wire_message {
    enum kl_wire_kind kind;
    union {
        struct kl_wire_hello hello;
        struct {
            unsigned slot;
            char text[KL_TEXT_MAX * 2];
        } log;
        struct {
            unsigned slot;
            uint64_t lines;
        } gap;
        struct {
            unsigned count;
            struct kl_in_doubt item[KL_WIRE_IN_DOUBT_MAX];
        } in_doubt;
        char text[KL_TEXT_MAX];
        bool stale; /* BUILD */
        struct kl_stats_view stats;
        struct {
            int exit;
            char text[KL_TEXT_MAX];
        } bye;
    } u;
};

/* ---- the dashboard's side ---- */

/* Reads one line (without its newline). A snapshot line changes `snap`, which the caller keeps and
   zeroes at each new connection. False if the line is no message: then close the connection. */
bool kl_wire_decode(const char *line, size_t size, struct kl_snapshot *snap,
                    struct kl_wire_message *out);

/* Lines to send, newline included; free() them. NULL if memory is out. The first line of a
   dashboard says which protocol it speaks and who sits there. */
char *kl_wire_client_hello(const char *operator_name);
char *kl_wire_command(const struct kl_command *command);
/* Whether a dashboard can't work with the station that said this; `text` says why. */
bool kl_wire_is_foreign(const struct kl_wire_hello *hello, char text[KL_TEXT_MAX]);

/* ---- the station's side ---- */

struct kl_wire_request {
    bool is_hello;
    unsigned protocol;         /* of a hello */
    struct kl_command command; /* of a hello only operator_name */
};

/* Reads a dashboard's line; false and a reason for `refused` if it can't be carried out. */
bool kl_wire_decode_request(const char *line, size_t size, struct kl_wire_request *out,
                            char error[KL_TEXT_MAX]);

/* Lines to send, newline included; free() them. NULL if memory is out. */
char *kl_wire_hello(const struct kl_wire_hello *hello);
/* Tells only what differs from `before`; everything if `before` is NULL. NULL also if nothing
   differs. */
char *kl_wire_snapshot(const struct kl_snapshot *now, const struct kl_snapshot *before);
char *kl_wire_log(unsigned slot, const char *text);
char *kl_wire_log_gap(unsigned slot, uint64_t lines);
char *kl_wire_in_doubt(const struct kl_in_doubt *item, unsigned count);
char *kl_wire_refused(const char *text);
char *kl_wire_build(bool stale);
char *kl_wire_stats(const struct kl_stats_view *stats);
char *kl_wire_bye(int exit_status, const char *text);

/* Whether the name is a socket's ("/run/keyline/bench.socket") and not a CSV's. */
bool kl_wire_is_socket(const char *name);
/* Place `i` where the station of this CSV may listen, the best first: beside the ledger; then a
   place for a folder that can't hold a socket. For a socket's name the only place is that name.
   False past the last; "" for a place that can't be used. */
bool kl_wire_socket_path(const char *csv, unsigned i, char *out, size_t size);
/* "pi (from 10.0.0.5)": the login that this process belongs to. */
void kl_wire_operator(char out[KL_NAME_MAX]);
/* Connects to the station that works on this CSV (blocking, a local socket) and says hello; -1 if
   there is none. Connects only to a station of the same user, unless `csv` names a socket; root may
   connect to any. */
int kl_wire_connect(const char *csv);

#endif
