/* storage.h: does the place where a file lies keep what is written there? */
#ifndef KEYLINE_ADAPTERS_STORAGE_H
#define KEYLINE_ADAPTERS_STORAGE_H

#include "keyline/base.h"

enum kl_storage_kind {
    KL_STORAGE_KEEPS,
    KL_STORAGE_SHARED,  /* a network file system: other machines may work there */
    KL_STORAGE_STRANGE, /* locks can't be relied on: several can believe that they are alone */
    KL_STORAGE_FORGETS, /* gone after a restart or power loss */
    KL_STORAGE_LIES,    /* says that something is durable, and it is not */
};

struct kl_storage {
    enum kl_storage_kind kind;
    char text[KL_TEXT_MAX]; /* what it is: "memory (tmpfs): gone after a restart"; "" if it keeps */
};

/* Of the folder that holds this file, or will. `probe`: also write there, to see whether a sync
   takes as long as its disk needs. */
void kl_storage_look(const char *path, bool probe, struct kl_storage *out);
/* The file itself was mounted here, as containers do it, so that it has two homes. */
bool kl_storage_is_mounted_file(const char *path);

#endif
