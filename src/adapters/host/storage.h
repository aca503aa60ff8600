/* storage.h: does the place where a file lies keep what we write there? */
#ifndef KEYLINE_ADAPTERS_STORAGE_H
#define KEYLINE_ADAPTERS_STORAGE_H

#include "keyline/base.h"

enum kl_storage_kind {
    KL_STORAGE_KEEPS,
    KL_STORAGE_SHARED,  /* a network file system: other machines may work there */
    KL_STORAGE_STRANGE, /* locks are not reliable: several may believe that they are alone */
    KL_STORAGE_FORGETS, /* files are gone after a restart or power loss */
    KL_STORAGE_LIES,    /* the disk says that data is durable when it is not */
};

struct kl_storage {
    enum kl_storage_kind kind;
    char text[KL_TEXT_MAX]; /* what it is: "memory (tmpfs): gone after a restart"; "" if it keeps */
};

/* Looks at the folder that holds this file, or will hold it. `probe`: also writes there, to see
   whether a sync takes as long as its disk needs. */
void kl_storage_look(const char *path, bool probe, struct kl_storage *out);
/* Somebody mounted the file itself here, as containers do it, so it has two homes. */
bool kl_storage_is_mounted_file(const char *path);

#endif
