/*
 * telnet.h: Telnet and the COM-PORT-OPTION (RFC 854, RFC 2217) as a pure codec, for our client and
 * for the virtual boards' server alike (docs/esp-serial-protocol.md 10).
 */
#ifndef KEYLINE_TELNET_H
#define KEYLINE_TELNET_H

#include "keyline/base.h"

enum { /* option numbers and commands */
    KL_TELNET_BINARY = 0,
    KL_TELNET_ECHO = 1,
    KL_TELNET_SGA = 3,
    KL_TELNET_COM_PORT = 44,
    KL_TELNET_DONT = 254,
    KL_TELNET_DO = 253,
    KL_TELNET_WONT = 252,
    KL_TELNET_WILL = 251,
    KL_TELNET_SB_MAX = 64,   /* longest subnegotiation kept; the rest is dropped */
    KL_TELNET_SB_END = 4096, /* at this length it was no subnegotiation: data follows again */
};

enum kl_com_port { /* client's command; the server's answer is + 100 */
    KL_COM_SIGNATURE = 0,
    KL_COM_SET_BAUDRATE = 1,
    KL_COM_SET_DATASIZE = 2,
    KL_COM_SET_PARITY = 3,
    KL_COM_SET_STOPSIZE = 4,
    KL_COM_SET_CONTROL = 5,
    KL_COM_NOTIFY_LINESTATE = 6,
    KL_COM_NOTIFY_MODEMSTATE = 7,
    KL_COM_FLOW_SUSPEND = 8,
    KL_COM_FLOW_RESUME = 9,
    KL_COM_LINESTATE_MASK = 10,
    KL_COM_MODEMSTATE_MASK = 11,
    KL_COM_PURGE = 12,
    KL_COM_SERVER = 100,
};

enum kl_telnet_kind {
    KL_TELNET_MORE,      /* nothing yet */
    KL_TELNET_DATA,      /* `byte` is data */
    KL_TELNET_NEGOTIATE, /* `verb` (WILL, WONT, DO, DONT) and `option` */
    KL_TELNET_SUB,       /* sub[0 … sub_size): option, then its bytes, unescaped */
};

struct kl_telnet {
    uint8_t state;
    uint8_t byte, verb, option;
    uint8_t sub[KL_TELNET_SB_MAX];
    size_t sub_size, sub_seen; /* bytes kept, and all of it */
};

void kl_telnet_init(struct kl_telnet *t);
/* Never loses data to malformed input; unknown commands are skipped. */
enum kl_telnet_kind kl_telnet_byte(struct kl_telnet *t, uint8_t byte);
/* Doubles IAC. Returns the length written, at most 2 * size. */
size_t kl_telnet_escape(uint8_t *out, const uint8_t *data, size_t size);
size_t kl_telnet_negotiate(uint8_t out[3], uint8_t verb, uint8_t option);
/* IAC SB 44 command value… IAC SE. Returns the length, at most 2 * size + 6. */
size_t kl_telnet_com_port(uint8_t *out, uint8_t command, const uint8_t *value, size_t size);

#endif
