/* fuzz_slip.c: whatever is on the wire is read without harm, and what is escaped comes out again.
 */
#include <stdlib.h>
#include <string.h>

#include "core/slip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_anything(const uint8_t *data, size_t size)
{
    struct kl_slip s;

    kl_slip_reset(&s);
    for (size_t i = 0; i < size; i++)
        if (kl_slip_byte(&s, data[i]) == KL_SLIP_FRAME)
            KL_ASSERT(s.size > 0 && s.size <= KL_SLIP_FRAME_MAX);
}

static void read_back(const uint8_t *data, size_t size)
{
    uint8_t wire[2 * KL_SLIP_FRAME_MAX + 2] = {0xC0};
    struct kl_slip s;
    size_t used;

    size = size < KL_SLIP_FRAME_MAX ? size : KL_SLIP_FRAME_MAX;
    if (size == 0)
        return;
    used = kl_slip_escape(wire, 1, sizeof wire - 1, data, size);
    KL_ASSERT(used > size && used < sizeof wire);
    wire[used] = 0xC0;
    kl_slip_reset(&s);
    for (size_t i = 0; i < used; i++)
        KL_ASSERT(kl_slip_byte(&s, wire[i]) == KL_SLIP_MORE);
    KL_ASSERT(kl_slip_byte(&s, wire[used]) == KL_SLIP_FRAME);
    KL_ASSERT(s.size == size && memcmp(s.frame, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_anything(data, size);
    read_back(data, size);
    return 0;
}
