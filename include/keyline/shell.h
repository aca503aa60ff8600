/*
 * shell.h: one libuv loop around the core: it feeds the station's events, does its actions, and
 * tells the faces what happened.
 *
 * Everything here runs on the loop's thread. Faces only listen and command; none can slow a board.
 */
#ifndef KEYLINE_SHELL_H
#define KEYLINE_SHELL_H

#include <uv.h>

#include "keyline/ports.h"
#include "keyline/store.h"

struct kl_shell;

/* A place on the bench that is known beforehand. */
struct kl_shell_place {
    char name[KL_NAME_MAX];   /* "" = made from the target */
    char target[KL_PORT_MAX]; /* "1-1.4.2", "/dev/ttyUSB0", "rfc2217://host:port" */
};

/* What an opened store told of its keys, loaded into a pool: of a million that takes a while. */
struct kl_loaded_keys {
    struct kl_pool pool;
    struct kl_pool_memory *memory; /* the pool's; NULL = nothing was loaded */
};

struct kl_shell_options {
    struct kl_station_config station;
    struct kl_store *store;        /* opened, not started; the shell closes it */
    struct kl_loaded_keys *loaded; /* of this store; the shell takes the memory. NULL = none */
    const struct kl_shell_place *places;
    unsigned place_count;
    bool hotplug;               /* serial ports become slots as they appear */
    struct kl_port_rules rules; /* which of them */
};

/* A note, with where and when it was made. Its pointers are valid during the call only. */
struct kl_noted {
    int64_t wall;          /* microseconds since 1970 */
    const char *slot_name; /* "" for the bench */
    const char *port;      /* path or URL; "" if none */
    const struct kl_note *note;
};

struct kl_listener {
    void (*note)(void *ctx, const struct kl_noted *noted);
    void (*changed)(void *ctx); /* the snapshot may differ: kl_shell_look */
    /* All links are closed and everything is durable; last words. */
    void (*ending)(void *ctx, int exit_status);
    /* True while last words are still on their way out. */
    bool (*busy)(void *ctx);
};

/* NULL if memory is out. */
struct kl_shell *kl_shell_create(uv_loop_t *loop, const struct kl_shell_options *options);
/* Listeners hear in the order in which they came. At most 12. Any member may be NULL. */
void kl_shell_listen(struct kl_shell *sh, const struct kl_listener *listener, void *ctx);
/* Runs the bench until it rests or is stopped; returns the exit status. */
int kl_shell_run(struct kl_shell *sh);
/* False if a worker still hangs in a blocked port: then the program can only _exit. */
bool kl_shell_destroy(struct kl_shell *sh);

uv_loop_t *kl_shell_loop(struct kl_shell *sh);
void kl_shell_look(struct kl_shell *sh, struct kl_snapshot *out);
unsigned kl_shell_in_doubt(struct kl_shell *sh, struct kl_in_doubt *out, unsigned capacity);

/* Does what an operator asks for; false and why it can't be done. RELEASE makes a reserved key free
   again, durably, some time after this. Network ports come and go by command, serial ones as they
   are plugged. */
bool kl_shell_command(struct kl_shell *sh, const struct kl_command *command,
                      char error[KL_TEXT_MAX]);
/* A note about the bench from a face (a hook failed, an events file is full). */
void kl_shell_note(struct kl_shell *sh, const char *text);

/* For kl_pool_load: room for `keys` keys. NULL if memory is out. */
struct kl_pool_memory *kl_pool_memory_alloc(const struct kl_pool_size *size);
void kl_pool_memory_free(struct kl_pool_memory *m);

/* Once, at the start of main's path: no core image, files for the owner only, broken pipes and
   hang-ups are no reason to die, enough worker threads. */
void kl_process_harden(void);

#endif
