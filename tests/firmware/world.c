#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct world *world;

static size_t input_read;

__attribute__((constructor)) static void make_world(void)
{
    world = mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (world == MAP_FAILED)
        abort();
}

enum world_end world_start(void (*program)(void))
{
    int status;

    world->now_ms = 0;
    world->output_size = 0;
    world->output[0] = '\0';
    world->console_open = false;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        program();
        _exit(WORLD_TIME_UP);
    }
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) < WORLD_TIME_UP || WEXITSTATUS(status) > WORLD_POWER_LOST) {
        fprintf(stderr, "the program ended with status 0x%x\n", (unsigned)status);
        exit(1);
    }
    return (enum world_end)WEXITSTATUS(status);
}

void world_pass(uint32_t ms)
{
    world->now_ms += ms;
    if (world->now_ms >= world->end_ms)
        _exit(WORLD_TIME_UP);
}

void world_restart(void)
{
    _exit(WORLD_RESTARTED);
}

void world_print(const void *text, size_t size)
{
    if (size >= sizeof world->output - world->output_size)
        abort();
    memcpy(world->output + world->output_size, text, size);
    world->output_size += size;
    world->output[world->output_size] = '\0';
}

size_t world_waiting(void)
{
    size_t all = world->input ? strlen(world->input) : 0, here = all;

    if (world->now_ms < world->input_at_ms)
        return 0;
    if (world->input_step_ms)
        here = (world->now_ms - world->input_at_ms) / world->input_step_ms + 1;
    return (here < all ? here : all) - input_read;
}

int world_read(void)
{
    return world_waiting() ? (unsigned char)world->input[input_read++] : -1;
}

bool world_button_is_down(void)
{
    bool up = world->now_ms >= world->button_up_ms && world->now_ms < world->button_up_ms + 100;

    return !up && world->now_ms >= world->button_from_ms && world->now_ms < world->button_until_ms;
}

/* ---- storage: an operation takes place as a whole, or the power was gone before ---- */

static void operate(void)
{
    if (world->operations_left == 0)
        _exit(WORLD_POWER_LOST);
    if (world->operations_left > 0)
        world->operations_left--;
}

static struct world_item *find(const char *name)
{
    for (size_t i = 0; i < WORLD_ITEMS; i++)
        if (strcmp(world->item[i].name, name) == 0)
            return &world->item[i];
    return NULL;
}

const struct world_item *world_get(const char *name)
{
    return find(name);
}

bool world_put(const char *name, const void *value, size_t size)
{
    struct world_item *item = find(name);

    if (world->storage_is_broken)
        return false;
    if (!item)
        item = find("");
    if (!item || size > sizeof item->value || strlen(name) >= sizeof item->name)
        return false;
    operate();
    snprintf(item->name, sizeof item->name, "%s", name);
    memcpy(item->value, value, size);
    item->size = size;
    return true;
}

bool world_remove(const char *name)
{
    struct world_item *item = find(name);

    if (!item)
        return false;
    operate();
    memset(item, 0, sizeof *item);
    return true;
}

/* Item by item: a cut may leave some of them. */
bool world_clear(void)
{
    for (size_t i = 0; i < WORLD_ITEMS; i++)
        if (world->item[i].name[0])
            world_remove(world->item[i].name);
    return true;
}
