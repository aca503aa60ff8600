/* fuzz_telnet.c: whatever a network port sends is read without harm, and what is data comes out the
   same again when it is escaped and read a second time. */
#include <stdlib.h>

#include "keyline/telnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kl_telnet first, again;
    kl_telnet_init(&first);
    kl_telnet_init(&again);
    for (size_t i = 0; i < size; i++) {
        uint8_t wire[2], sub[2 * KL_TELNET_SB_MAX + 6];
        switch (kl_telnet_byte(&first, data[i])) {
        case KL_TELNET_MORE:
            break;
        case KL_TELNET_DATA: {
            size_t n = kl_telnet_escape(wire, &first.byte, 1);
            for (size_t k = 0; k + 1 < n; k++)
                KL_ASSERT(kl_telnet_byte(&again, wire[k]) == KL_TELNET_MORE);
            KL_ASSERT(kl_telnet_byte(&again, wire[n - 1]) == KL_TELNET_DATA);
            KL_ASSERT(again.byte == first.byte);
            break;
        }
        case KL_TELNET_NEGOTIATE:
            KL_ASSERT(first.verb >= KL_TELNET_WILL && first.verb <= KL_TELNET_DONT);
            break;
        case KL_TELNET_SUB: {
            KL_ASSERT(first.sub_size > 0 && first.sub_size <= KL_TELNET_SB_MAX);
            size_t n = kl_telnet_com_port(sub, KL_COM_SET_BAUDRATE, first.sub, first.sub_size);
            KL_ASSERT(n <= sizeof sub);
            for (size_t k = 0; k + 1 < n; k++)
                KL_ASSERT(kl_telnet_byte(&again, sub[k]) == KL_TELNET_MORE);
            KL_ASSERT(kl_telnet_byte(&again, sub[n - 1]) == KL_TELNET_SUB);
            break;
        }
        }
    }
    return 0;
}
