/*
 * replay.c: plays every file of the folders named through one fuzz target, and then mutations of
 * them drawn from a fixed seed: the same with any compiler, every time.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    INPUT_MAX = 65536,
    MUTATIONS = 3000,
    BLIND = 2000
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;

static uint32_t draw(uint32_t below)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15u); /* splitmix64 */

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) % below);
}

/* A copy of exactly its size, so that a sanitizer sees a read past its end. */
static void play(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static size_t mutate(uint8_t *data, size_t size)
{
    static const uint8_t nasty[] = {0, 1, '\n', '\r', ',', '"', 0x7f, 0x80, 0xc0, 0xdb, 0xfa, 0xff};

    for (uint32_t n = 1 + draw(8); n > 0 && size > 0; n--) {
        uint32_t at = draw((uint32_t)size);
        switch (draw(5)) {
        case 0:
            data[at] ^= (uint8_t)(1u << draw(8));
            break;
        case 1:
            data[at] = nasty[draw(sizeof nasty)];
            break;
        case 2:
            memmove(data + at, data + at + 1, size - at - 1);
            size--;
            break;
        case 3:
            if (size < INPUT_MAX) {
                memmove(data + at + 1, data + at, size - at);
                data[at] = (uint8_t)draw(256);
                size++;
            }
            break;
        default:
            size = at;
        }
    }
    return size;
}

static unsigned play_file(const char *path)
{
    static uint8_t kept[INPUT_MAX], data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file)
        return 0;
    size = fread(kept, 1, sizeof kept, file);
    fclose(file);
    state = size; /* folders are read in any order: a file's mutations must not depend on it */
    play(kept, size);
    for (int i = 0; i < MUTATIONS; i++) {
        memcpy(data, kept, size);
        play(data, mutate(data, size));
    }
    return 1;
}

int main(int argc, char **argv)
{
    static uint8_t blind[512];
    unsigned files = 0;

    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        struct dirent *entry;
        char path[4096];
        while (folder && (entry = readdir(folder))) {
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            files += play_file(path);
        }
        if (folder)
            closedir(folder);
    }
    state = BLIND;
    for (int i = 0; i < BLIND; i++) {
        size_t size = draw(sizeof blind);
        for (size_t n = 0; n < size; n++)
            blind[n] = (uint8_t)draw(256);
        play(blind, size);
    }
    printf("%u kept inputs with %d mutations each, %d blind ones\n", files, MUTATIONS, BLIND);
    return 0;
}
