/* doctor_private.h: what the doctor's checks share. */
#ifndef KEYLINE_ADAPTERS_DOCTOR_PRIVATE_H
#define KEYLINE_ADAPTERS_DOCTOR_PRIVATE_H

#include "keyline/doctor.h"

enum {
    DOCTOR_PORTS_MAX = 256
};

struct doctor {
    const struct kl_doctor *asked;
    struct kl_port_info ports[DOCTOR_PORTS_MAX];
    int port_count; /* -1: keyline can't list the ports */
    unsigned troubles;
};

/* `advice` may be "". The caller builds texts with kl_format where they need it. */
void doctor_tell(struct doctor *d, const char *check, enum kl_verdict verdict, const char *text,
                 const char *advice);
/* Reads up to size - 1 bytes of a file below the root; false if it can't. */
bool doctor_read(const struct doctor *d, const char *path, char *out, size_t size);
bool doctor_exists(const struct doctor *d, const char *path);

void doctor_kernel_log(struct doctor *d); /* doctor_kernel.c */
void doctor_power(struct doctor *d);
void doctor_drivers(struct doctor *d);
void doctor_disk(struct doctor *d);  /* doctor_disk.c */
void doctor_ports(struct doctor *d); /* doctor_ports.c */
void doctor_groups(struct doctor *d);
void doctor_programs(struct doctor *d);
void doctor_latency(struct doctor *d);

#endif
