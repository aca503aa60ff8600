/* prng.h: numbers that look random and are the same for the same seed (SplitMix64). */
#ifndef KEYLINE_TESTS_PRNG_H
#define KEYLINE_TESTS_PRNG_H

#include <stdint.h>

struct prng {
    uint64_t state;
};

static inline uint64_t prng_next(struct prng *p)
{
    uint64_t z = (p->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 … n - 1 */
static inline uint32_t prng_below(struct prng *p, uint32_t n)
{
    return (uint32_t)(prng_next(p) >> 32) % n;
}

#endif
