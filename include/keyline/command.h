/*
 * command.h: what an operator can ask of a station: one table of names and one struct, from the key
 * pressed to the core. The dashboard, the wire, the events, the history and the docs use these
 * names.
 */
#ifndef KEYLINE_COMMAND_H
#define KEYLINE_COMMAND_H

#include "keyline/key.h"

/* X(NAME, "name", has a slot, "its argument's name on the wire", "what the operator did") */
/* clang-format off */
#define KL_COMMANDS(X) \
 X(RETRY,        "retry",        true,  "",       "tries the board again") \
 X(RETRY_FAILED, "retry_failed", false, "",       "tries all failed boards again") \
 X(SKIP,         "skip",         true,  "",       "puts the board aside") \
 X(ERASE,        "erase",        true,  "",       "erases the board and starts it again") \
 X(PAUSE,        "pause",        false, "",       "pauses the bench") \
 X(RESUME,       "resume",       false, "",       "lets the bench go on") \
 X(STOP,         "stop",         false, "",       "stops the station") \
 X(RELEASE,      "release",      false, "reason", "releases a key") \
 X(ADD_PORT,     "add_port",     false, "port",   "adds a network port") \
 X(REMOVE_PORT,  "remove_port",  true,  "",       "removes a network port") \
 X(BIND,         "bind",         true,  "label",  "binds a label to the board") \
 X(EXPORT,       "export",       false, "what",   "exports keys with their secrets") \
 X(ACCEPT,       "accept",       false, "question", "says that the list of keys is right")
/* clang-format on */

enum kl_command_kind {
#define X(name, word, slot, argument, did) KL_CMD_##name,
    KL_COMMANDS(X)
#undef X
    KL_CMD_COUNT
};

struct kl_command_info {
    const char *name;
    bool has_slot;
    const char *argument; /* "" = none */
    const char *did;      /* behind the operator's name: "pi erases the board …" */
};

struct kl_command {
    enum kl_command_kind kind;
    unsigned slot;                     /* where the kind has one */
    struct kl_fingerprint fingerprint; /* RELEASE: whose key */
    char argument[KL_TEXT_MAX];        /* RELEASE: the reason; ADD_PORT: the port's URL;
                                          BIND: the label, in full; EXPORT: which, and where
                                          to, for the history;
                                          ACCEPT: the question's id (store.h) */
    char operator_name[KL_NAME_MAX];   /* "pi (from 10.0.0.5)"; "" = not known */
};

struct kl_command_info kl_command_info(enum kl_command_kind kind);
/* False if no command has this name. */
bool kl_command_named(const char *name, enum kl_command_kind *out);

#endif
