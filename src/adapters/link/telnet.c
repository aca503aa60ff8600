/* telnet.c: see keyline/telnet.h. */
#include "keyline/telnet.h"

#include <string.h>

enum {
    SE = 240,
    SB = 250,
    IAC = 255,
};

enum state {
    IN_DATA,
    IN_COMMAND, /* after IAC */
    IN_OPTION,  /* after IAC WILL, WONT, DO or DONT */
    IN_SUB,
    IN_SUB_COMMAND, /* after IAC within a subnegotiation */
};

void kl_telnet_init(struct kl_telnet *t)
{
    *t = (struct kl_telnet){.state = IN_DATA};
}

static void keep(struct kl_telnet *t, uint8_t byte)
{
    if (t->sub_size < sizeof t->sub)
        t->sub[t->sub_size++] = byte;
    if (++t->sub_seen >= KL_TELNET_SB_END)
        t->state = IN_DATA; /* its end never comes */
}

static enum kl_telnet_kind command(struct kl_telnet *t, uint8_t byte)
{
    t->state = IN_DATA;
    switch (byte) {
    case IAC:
        t->byte = IAC;
        return KL_TELNET_DATA;
    case SB:
        t->sub_size = t->sub_seen = 0;
        t->state = IN_SUB;
        return KL_TELNET_MORE;
    case KL_TELNET_WILL:
    case KL_TELNET_WONT:
    case KL_TELNET_DO:
    case KL_TELNET_DONT:
        t->verb = byte;
        t->state = IN_OPTION;
        return KL_TELNET_MORE;
    default: /* NOP, AYT, a stray SE …: two bytes, nothing to do */
        return KL_TELNET_MORE;
    }
}

static enum kl_telnet_kind sub_command(struct kl_telnet *t, uint8_t byte)
{
    if (byte == IAC) {
        t->state = IN_SUB;
        keep(t, IAC);
        return KL_TELNET_MORE;
    }
    if (byte == SE) {
        t->state = IN_DATA;
        return t->sub_size > 0 ? KL_TELNET_SUB : KL_TELNET_MORE;
    }
    /* The peer never ended the subnegotiation: what follows is a command again. */
    return command(t, byte);
}

enum kl_telnet_kind kl_telnet_byte(struct kl_telnet *t, uint8_t byte)
{
    KL_ASSERT(t->state <= IN_SUB_COMMAND);
    switch ((enum state)t->state) {
    case IN_DATA:
        if (byte == IAC) {
            t->state = IN_COMMAND;
            return KL_TELNET_MORE;
        }
        t->byte = byte;
        return KL_TELNET_DATA;
    case IN_COMMAND:
        return command(t, byte);
    case IN_OPTION:
        t->option = byte;
        t->state = IN_DATA;
        return KL_TELNET_NEGOTIATE;
    case IN_SUB:
        if (byte == IAC)
            t->state = IN_SUB_COMMAND;
        else
            keep(t, byte);
        return KL_TELNET_MORE;
    case IN_SUB_COMMAND:
        return sub_command(t, byte);
    }
    return KL_TELNET_MORE; /* not reached */
}

size_t kl_telnet_escape(uint8_t *out, const uint8_t *data, size_t size)
{
    size_t n = 0;

    while (size > 0) {
        const uint8_t *iac = memchr(data, IAC, size);
        size_t run = iac ? (size_t)(iac - data) + 1 : size;
        memcpy(out + n, data, run);
        n += run;
        if (iac)
            out[n++] = IAC;
        data += run;
        size -= run;
    }
    return n;
}

size_t kl_telnet_negotiate(uint8_t out[3], uint8_t verb, uint8_t option)
{
    KL_ASSERT(verb >= KL_TELNET_WILL && verb <= KL_TELNET_DONT);
    out[0] = IAC;
    out[1] = verb;
    out[2] = option;
    return 3;
}

size_t kl_telnet_com_port(uint8_t *out, uint8_t command, const uint8_t *value, size_t size)
{
    KL_ASSERT(command != IAC);
    out[0] = IAC;
    out[1] = SB;
    out[2] = KL_TELNET_COM_PORT;
    out[3] = command;
    size_t n = 4 + kl_telnet_escape(out + 4, value, size);
    out[n++] = IAC;
    out[n++] = SE;
    return n;
}
