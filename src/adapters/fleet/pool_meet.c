/* pool_meet.c: see pool_meet.h. */
#include "pool_meet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/store/store_kind.h"

enum {
    LOCK_WAIT_MS = 100, /* another station may be saying its last words */
    LOCK_TRIES = 80,
};

enum kl_store_open_result kl_pool_lock(const char *folder, int *lock, char error[KL_TEXT_MAX])
{
    char path[PATH_MAX], list[PATH_MAX], holder[KL_TEXT_MAX];

    if ((size_t)snprintf(list, sizeof list, "%s/keys.list", folder) >= sizeof list ||
        (size_t)snprintf(path, sizeof path, "%s/fleet.lock", folder) >= sizeof path ||
        (*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(folder), strerror(errno));
        return KL_STORE_BROKEN;
    }
    for (unsigned i = 0; flock(*lock, LOCK_EX | LOCK_NB) != 0; i++) {
        kl_csv_store_holder(list, holder);
        if (holder[0] != '\0' || i == LOCK_TRIES) {
            kl_format(error, KL_TEXT_MAX, "another station works with this pool here: %s",
                      holder[0] ? holder : "it is ending");
            return KL_STORE_HELD;
        }
        usleep(LOCK_WAIT_MS * 1000);
    }
    return KL_STORE_OPENED;
}

/* It may answer later, without anybody having changed anything here. */
static bool is_silent(const struct kl_fdb_why *why, enum kl_fleet_result result)
{
    switch (why->cause) {
    case KL_FDB_CAUSE_UNREACHABLE:
    case KL_FDB_CAUSE_SLOW:
    case KL_FDB_CAUSE_WARNED:
    case KL_FDB_CAUSE_READ_ONLY:
    case KL_FDB_CAUSE_FULL:
    case KL_FDB_CAUSE_BUSY:
        return result != KL_FLEET_OK;
    default:
        return false;
    }
}

enum kl_store_open_result kl_pool_meet(struct kl_fleet_hand *h, char error[KL_TEXT_MAX])
{
    struct kl_fleet_call hello = {.op = KL_FLEET_HELLO};
    struct kl_fleet_answer a;

    if (h->kept.pool[0] != '\0' && h->kept.fields > 0)
        return KL_STORE_OPENED;
    kl_fleet_hand_do(h, &hello, &a);
    if (a.result == KL_FLEET_OK && h->kept.fields > 0)
        return KL_STORE_OPENED;
    if (is_silent(&h->why, a.result)) {
        kl_format(error, KL_TEXT_MAX, "the first start needs the database of the pool %.60s: %s",
                  h->service, h->why.text);
        return KL_STORE_AWAY;
    }
    if (a.result == KL_FLEET_REFUSED && h->why.cause == KL_FDB_CAUSE_RIGHTS)
        kl_format(error, KL_TEXT_MAX, "the pool %.60s: %s (keyline pool station): %s", h->service,
                  kl_fleet_refusal_text(KL_FLEET_NO_UNKNOWN), h->why.text);
    else
        kl_format(error, KL_TEXT_MAX, "the pool %.60s: %s", h->service,
                  a.result == KL_FLEET_OK ? "it has no keys yet: its owner has to import some"
                                          : h->why.text);
    return KL_STORE_BROKEN;
}

enum kl_store_open_result kl_pool_open_hand(struct kl_fleet_hand *h, struct kl_keyring **keyring,
                                            const char *folder, const char *service,
                                            const struct kl_fleet_calls *calls,
                                            char error[KL_TEXT_MAX])
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/station.key", folder) >= sizeof path) {
        kl_copy(error, KL_TEXT_MAX, "the state folder's path is too long");
        return KL_STORE_BROKEN;
    }
    if (access(path, F_OK) != 0) {
        kl_format(
            error, KL_TEXT_MAX,
            "this machine is no station of the pool %.60s yet: keyline pool join --pool %.60s",
            service, service);
        return KL_STORE_BROKEN;
    }
    if (!(*keyring = kl_keyring_open(path, error)) ||
        !kl_fleet_hand_open(h, folder, service, calls, *keyring, error))
        return KL_STORE_BROKEN;
    return KL_STORE_OPENED;
}
