/*
 * reset.c: how chips are reset into their loader and into their program, as data.
 * (docs/esp-serial-protocol.md 5.2; lines are asserted = 1 = pin at 0 V)
 */
#include "reset.h"

#define LINES(d, r)                                                                                \
    {                                                                                              \
        RESET_LINES, (d), (r), 0                                                                   \
    }
#define WAIT(ms)                                                                                   \
    {                                                                                              \
        RESET_WAIT, 0, 0, (ms)                                                                     \
    }
#define END                                                                                        \
    {                                                                                              \
        RESET_END, 0, 0, 0                                                                         \
    }

/* EN low through RTS, then the strap low through DTR in the same instant in which EN rises. */
static const struct kl_reset_step brief[] = {
    LINES(0, 0), LINES(1, 1), LINES(0, 1), WAIT(20), LINES(1, 0), WAIT(50), LINES(0, 0), END,
};
static const struct kl_reset_step tight[] = {
    LINES(0, 0), LINES(1, 1), LINES(0, 1), WAIT(100), LINES(1, 0), WAIT(50), LINES(0, 0), END,
};
static const struct kl_reset_step tight_long[] = {
    LINES(0, 0), LINES(1, 1), LINES(0, 1), WAIT(100), LINES(1, 0), WAIT(550), LINES(0, 0), END,
};
/* One line after the other: for adapters that can't move both at once. */
static const struct kl_reset_step classic[] = {
    LINES(0, 0), LINES(0, 1), WAIT(100), LINES(1, 1), LINES(1, 0), WAIT(50), LINES(0, 0), END,
};
static const struct kl_reset_step classic_long[] = {
    LINES(0, 0), LINES(0, 1), WAIT(100), LINES(1, 1), LINES(1, 0), WAIT(550), LINES(0, 0), END,
};
/* From boot-low to reset the lines must pass through both on, never through both off. */
static const struct kl_reset_step usb_jtag[] = {
    LINES(0, 0), WAIT(100), LINES(1, 0), WAIT(100), LINES(1, 1),
    LINES(0, 1), WAIT(100), LINES(0, 0), END,
};
/* Over the network both changes of a LINES leave in one segment (10.5). */
static const struct kl_reset_step rfc2217_brief[] = {
    LINES(0, 0), LINES(0, 1), WAIT(20), LINES(1, 0), WAIT(50), LINES(0, 0), END,
};
static const struct kl_reset_step rfc2217[] = {
    LINES(0, 0), LINES(0, 1), WAIT(100), LINES(1, 0), WAIT(50), LINES(0, 0), END,
};
static const struct kl_reset_step rfc2217_long[] = {
    LINES(0, 0), LINES(0, 1), WAIT(100), LINES(1, 0), WAIT(550), LINES(0, 0), END,
};
static const struct kl_reset_step none[] = {END};

static const struct {
    const char *name;
    const struct kl_reset_step *steps;
} strategies[KL_RESET_COUNT] = {
    [KL_RESET_AUTO] = {"auto", none},
    [KL_RESET_BRIEF] = {"brief", brief},
    [KL_RESET_TIGHT] = {"tight", tight},
    [KL_RESET_TIGHT_LONG] = {"tight, long", tight_long},
    [KL_RESET_CLASSIC] = {"classic", classic},
    [KL_RESET_CLASSIC_LONG] = {"classic, long", classic_long},
    [KL_RESET_USB_JTAG] = {"USB-Serial/JTAG", usb_jtag},
    [KL_RESET_RFC2217_BRIEF] = {"RFC 2217, brief", rfc2217_brief},
    [KL_RESET_RFC2217] = {"RFC 2217", rfc2217},
    [KL_RESET_RFC2217_LONG] = {"RFC 2217, long", rfc2217_long},
    [KL_RESET_NONE] = {"none", none},
};

const char *kl_reset_name(enum kl_reset_strategy s)
{
    KL_ASSERT((unsigned)s < KL_RESET_COUNT);
    return strategies[s].name;
}

const struct kl_reset_step *kl_reset_steps(enum kl_reset_strategy s)
{
    KL_ASSERT((unsigned)s < KL_RESET_COUNT);
    return strategies[s].steps;
}

/* Which sequences suit a link, in the order in which they are tried (5.3). */
static const enum kl_reset_strategy orders[][7] = {
    [KL_LINK_SERIAL] = {KL_RESET_BRIEF, KL_RESET_TIGHT, KL_RESET_TIGHT_LONG, KL_RESET_CLASSIC,
                        KL_RESET_CLASSIC_LONG, KL_RESET_USB_JTAG, KL_RESET_COUNT},
    [KL_LINK_USB_JTAG] = {KL_RESET_USB_JTAG, KL_RESET_COUNT},
    [KL_LINK_USB_OTG] = {KL_RESET_TIGHT, KL_RESET_USB_JTAG, KL_RESET_COUNT},
    [KL_LINK_RFC2217] = {KL_RESET_RFC2217_BRIEF, KL_RESET_RFC2217, KL_RESET_RFC2217_LONG,
                         KL_RESET_CLASSIC, KL_RESET_CLASSIC_LONG, KL_RESET_COUNT},
    [KL_LINK_RAW] = {KL_RESET_NONE, KL_RESET_COUNT},
};

enum kl_reset_strategy kl_reset_choose(enum kl_link_kind link, enum kl_reset_strategy first,
                                       unsigned attempt)
{
    const enum kl_reset_strategy *order = orders[link];
    unsigned count = 0, start = 0;

    while (order[count] != KL_RESET_COUNT) {
        if (order[count] == first)
            start = count;
        count++;
    }
    KL_ASSERT(count > 0);
    return order[(start + attempt) % count];
}

/* Into the program: releases the strap first, or the chip would return to its loader. */
static const struct kl_reset_step run_brief[] = {
    LINES(0, 0), LINES(0, 1), WAIT(20), LINES(0, 0), END,
};
static const struct kl_reset_step run_bridge[] = {
    LINES(0, 0), LINES(0, 1), WAIT(100), LINES(0, 0), END,
};
/* No wait afterwards: the program may speak from here on, and may say what matters only once. */
static const struct kl_reset_step run_native[] = {
    LINES(0, 0), LINES(0, 1), WAIT(200), LINES(0, 0), END,
};

const struct kl_reset_step *kl_reset_run_steps(enum kl_link_kind link, bool brief_works)
{
    switch (link) {
    case KL_LINK_RAW:
        return none;
    case KL_LINK_USB_JTAG:
    case KL_LINK_USB_OTG:
        return run_native;
    default:
        return brief_works ? run_brief : run_bridge;
    }
}

bool kl_reset_is_brief(enum kl_reset_strategy s)
{
    return s == KL_RESET_BRIEF || s == KL_RESET_RFC2217_BRIEF;
}
