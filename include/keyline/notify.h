/*
 * notify.h: tells a service manager: ready, how the bench stands, still alive, stopping.
 *
 * One datagram each to the socket in $NOTIFY_SOCKET; nobody has to be there.
 */
#ifndef KEYLINE_NOTIFY_H
#define KEYLINE_NOTIFY_H

#include "keyline/shell.h"

struct kl_notify;
/* NULL if no service manager asked. Removes its variables from the environment: they are not meant
   for hooks. */
struct kl_notify *kl_notify_create(struct kl_shell *sh);
/* Before the loop's last run, and after it; NULL is fine. */
void kl_notify_close(struct kl_notify *n);
void kl_notify_free(struct kl_notify *n);

/* "14 slots, 812 keys left, 3 FAIL" */
void kl_notify_status(const struct kl_snapshot *s, char out[KL_TEXT_MAX]);

#endif
