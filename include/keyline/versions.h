/* versions.h: what this program was built from, and the libraries that it runs with. */
#ifndef KEYLINE_VERSIONS_H
#define KEYLINE_VERSIONS_H

/* The commit, with "-dirty" if the sources were changed since; "unknown" outside of a clone. */
const char *kl_commit(void);

struct kl_library_version {
    const char *name, *version;
};
/* The libraries below the faces, a NULL name at the end; valid for ever. */
const struct kl_library_version *kl_library_versions(void);

#endif
