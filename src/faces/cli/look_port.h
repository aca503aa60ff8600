/* look_port.h: opens one port, looks at the chip behind it (keyline/look.h), starts its program
   again and closes the port. Blocks until that is done. */
#ifndef KEYLINE_FACES_CLI_LOOK_PORT_H
#define KEYLINE_FACES_CLI_LOOK_PORT_H

#include <uv.h>

#include "keyline/link.h"
#include "keyline/look.h"

struct look_port {
    /* the caller's: NULL for the eFuses. Else the flash: called each time the look is ready; it
       calls kl_look_read or kl_look_leave. */
    void (*ready)(struct look_port *s);
    void *ctx;
    /* the look's */
    uv_loop_t loop;
    uv_timer_t timer;
    struct kl_link *link;
    struct kl_look *look; /* its result stays until look_port_free */
    enum kl_link_kind kind;
    uint32_t request;
    bool started, closing;
    char error[KL_TEXT_MAX]; /* the port's */
};

/* `port`: a device, a USB place or a URL. False: see `error`. */
bool look_port(struct look_port *s, const char *port);
void look_port_free(struct look_port *s);
kl_us look_port_now(void);
/* The fault and what to do, on stderr. */
void look_port_complain(const char *command, const char *port, const struct kl_fault *fault);

#endif
