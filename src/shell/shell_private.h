/*
 * shell_private.h: the inside of struct kl_shell, shared by the files of this folder.
 *
 *   shell.c     the loop's wake: events in, actions out, one timer
 *   perform.c   doing the actions: links and store, and what they answer
 *   bench.c     which slot is where: places, network ports, what hotplug saw
 *   hotplug.c   looking for serial ports, on a worker
 *   ending.c    signals, and the way to the end
 */
#ifndef KEYLINE_SHELL_PRIVATE_H
#define KEYLINE_SHELL_PRIVATE_H

#include "keyline/link.h"
#include "keyline/shell.h"

enum {
    LISTENERS_MAX = 12,
    HOTPLUG_PORTS_MAX = 128,
};

/* The open port of a slot; lives from KL_AC_OPEN until its link says closed. */
struct open_port {
    struct kl_shell *sh;
    unsigned slot;
    uint32_t generation, request;
    struct kl_link *link;
    bool closing;
    struct open_port *next;
};

/* One event that waits to be fed. */
struct item {
    struct kl_event event;
    size_t bytes_at;               /* RX: where its bytes begin in the queue's */
    struct kl_pool_memory *memory; /* KEYS: the pool's from now on */
};

struct event_queue {
    struct item *item;
    size_t count, capacity;
    uint8_t *bytes; /* in secret memory: boards read their keys back */
    size_t bytes_count, bytes_capacity;
};

enum place_kind {
    PLACE_TOPOLOGY,
    PLACE_PATH,
    PLACE_NETWORK,
    PLACE_GONE, /* a removed network port; another may take its slot */
};

struct place {
    enum place_kind kind;
    char name[KL_NAME_MAX];
    char target[KL_PORT_MAX]; /* topology, device path or URL */
    char path[KL_PORT_MAX];   /* the device that we open */
    bool plugged, removing;
    bool denied;     /* we have no right to open it */
    bool busy;       /* opening it failed: another program holds it … */
    bool seen_held;  /* … and was seen to */
    unsigned opened; /* how often we asked to open it */
    int named;       /* PATH: which of hotplug.paths; else -1 */
    uint64_t node;   /* tells one appearance of a device node from the next */
};

/* What a look at the serial ports found. */
struct seen_port {
    struct kl_port_info info;
    int named; /* which of hotplug.paths asked for it; -1: the list had it */
    uint64_t node;
    bool denied; /* this user has no right to open it */
};

/* A busy port, while the worker looks whether it is still held. */
struct watched_port {
    unsigned slot, opened; /* the place's, when the look began */
    char path[KL_PORT_MAX];
    bool held;
};

struct hotplug {
    uv_timer_t timer;
    uv_work_t work;
    bool working, stopped;
    uint64_t signature; /* how the devices looked when we last listed them */
    kl_us listed_at, changed_at;
    bool look_again; /* a port was not ready yet */
    const struct kl_port_rules *rules;
    char (*paths)[KL_PORT_MAX]; /* named device files: hotplug looks for them even if no list has
                                   them */
    unsigned path_count;
    struct seen_port *seen; /* the worker's until `working` is false */
    int count;              /* -1: nothing new */
    kl_us watched_at;       /* when we last looked after a busy port */
    unsigned watched_slot;
    struct watched_port watched; /* path "": none; the worker's until `working` is false */
};

enum phase {
    PHASE_RUNNING,
    PHASE_CLOSING,    /* links and store */
    PHASE_LAST_WORDS, /* the faces say theirs */
    PHASE_OVER,
};

struct kl_shell {
    uv_loop_t *loop;
    struct kl_shell_options options;
    struct kl_station *station;
    struct kl_store *store;
    bool store_closed;

    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t timer;
    uv_signal_t interrupt, terminate;
    unsigned signals; /* how many signals asked for the end */
    kl_us hurry_at;   /* when the second signal came */
    uv_timer_t end_timer;
    bool pumping, is_changed; /* is_changed: something has changed since we told the faces */
    kl_us now;
    int64_t wall;
    struct event_queue queue[2];
    unsigned filling; /* which of the two takes new events */
    struct kl_pool_memory *memory;

    struct place place[KL_SLOTS_MAX];
    unsigned place_count;
    struct open_port *open_port[KL_SLOTS_MAX];
    struct open_port *open_ports; /* all, also those that are closing */
    struct hotplug hotplug;
    bool too_many_said;

    struct {
        const struct kl_listener *listener;
        void *ctx;
    } listeners[LISTENERS_MAX];
    unsigned listener_count;

    char trouble[KL_TEXT_MAX];         /* of the store; "" = none */
    uint64_t troubles;                 /* times that it, or the question, changed */
    struct kl_store_question question; /* of the store, to a person */
    enum phase phase;
    int exit_status;
    kl_us ending_at;
};

/* shell.c */
/* A new event at the end of the queue, zeroed but for kind and slot. */
struct item *push_event(struct kl_shell *sh, enum kl_event_kind kind, unsigned slot);
void push_bytes(struct kl_shell *sh, struct item *item, const uint8_t *data, size_t size);
/* Feeds what waits, now, because the key that an event points to is gone soon. Never from inside an
   action. */
void feed_now(struct kl_shell *sh);
/* Feeds what waits, does what the core asks, arms the timer. Never from inside an action. */
void pump(struct kl_shell *sh);
void tell(struct kl_shell *sh, const struct kl_note *note);

/* perform.c */
void perform(struct kl_shell *sh, const struct kl_action *action);
void start_store(struct kl_shell *sh);
void close_open_ports(struct kl_shell *sh);

/* bench.c */
void add_known_places(struct kl_shell *sh);
void bench_saw(struct kl_shell *sh, const struct seen_port *seen, unsigned count);
void place_opened(struct kl_shell *sh, unsigned slot, enum kl_open_result result);
/* The next busy port after slot `after` that nobody of us is opening. */
bool bench_busy_port(const struct kl_shell *sh, unsigned after, struct watched_port *out);
void bench_saw_holder(struct kl_shell *sh, const struct watched_port *seen);
/* Finds a removed network port that is closed by now: its slot is free for another. */
bool take_removed_place(struct kl_shell *sh, unsigned *slot);
/* False and a reason if it can't. */
bool add_port(struct kl_shell *sh, const char *target, char error[KL_TEXT_MAX]);
bool remove_port(struct kl_shell *sh, unsigned slot, char error[KL_TEXT_MAX]);

/* hotplug.c */
void start_hotplug(struct kl_shell *sh);
void stop_hotplug(struct kl_shell *sh);

/* ending.c */
void catch_signals(struct kl_shell *sh);
void begin_ending(struct kl_shell *sh, int exit_status);
void close_handles(struct kl_shell *sh);

#endif
