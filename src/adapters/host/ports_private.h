/* ports_private.h: the parts of ports.c that tests look at one by one. */
#ifndef KEYLINE_ADAPTERS_PORTS_PRIVATE_H
#define KEYLINE_ADAPTERS_PORTS_PRIVATE_H

#include "keyline/ports.h"

/* kl_ports_list with another root than "/sys". */
int kl_ports_list_at(const char *sysfs, struct kl_port_info *out, int capacity,
                     const struct kl_port_rules *rules);
/* What sysfs has on one tty; false if it is no port. `interface` is the USB one's number. */
bool kl_ports_read_sysfs(const char *sysfs, const char *tty, struct kl_port_info *out,
                         int *interface);
/* Sets usable, why and link. */
void kl_ports_judge(struct kl_port_info *port, int interface, const struct kl_port_rules *rules);
/* By place in the tree, numbers by value, ports that are not USB last; then by path. */
int kl_ports_compare(const struct kl_port_info *a, const struct kl_port_info *b);

#endif
