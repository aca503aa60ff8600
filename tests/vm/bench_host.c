/* bench_host.c: what the kernel and a host's other programs make of the adapters. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

enum {
    NODES_WAIT_S = 300,
    LATENCY_USUAL = 16,
    LATENCY_LOWEST = 1,
};

/* ---- device nodes ---- */

static bool is_node(const char *name)
{
    return strncmp(name, "ttyUSB", 6) == 0 || strncmp(name, "ttyACM", 6) == 0;
}

/* How many there are, and one of them. */
static unsigned nodes(char first[64])
{
    DIR *dir = opendir("/dev");
    unsigned n = 0;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (is_node(e->d_name) && n++ == 0)
            snprintf(first, 64, "/dev/%.50s", e->d_name);
    if (dir != NULL)
        closedir(dir);
    return n;
}

bool bench_wait_for_nodes(struct bench *b, unsigned count)
{
    char first[64];
    kl_us since = adapter_now();
    while (nodes(first) != count) {
        if (adapter_now() - since > KL_SEC(NODES_WAIT_S))
            return false;
        bench_plug_due(b, adapter_now());
        bench_turn(b);
    }
    return true;
}

/* Opening needs the bench to answer meanwhile. */
bool bench_hold_first(struct bench *b)
{
    int told[2];
    char byte, path[64];
    if (nodes(path) == 0 || pipe2(told, O_CLOEXEC | O_NONBLOCK) != 0)
        return false;
    printf("bench: another program holds %s\n", path);
    fflush(stdout);
    b->holder = fork();
    if (b->holder == 0) {
        while (open(path, O_RDWR | O_NOCTTY | O_NONBLOCK) < 0)
            poll(NULL, 0, 20); /* a node can't be opened at once */
        if (write(told[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    kl_us since = adapter_now();
    while (read(told[0], &byte, 1) != 1) {
        if (adapter_now() - since > KL_SEC(NODES_WAIT_S))
            return false;
        bench_turn(b);
    }
    close(told[0]);
    close(told[1]);
    return true;
}

void bench_let_go(struct bench *b)
{
    if (b->holder <= 0 || (!bench_has_said(b, "\"reason\"", b->want.held_until) && !b->ended))
        return;
    printf("bench: lets it go\n");
    kill(b->holder, SIGKILL);
    b->holder = 0;
}

/* As udev does, only later: until then nodes belong to root alone. */
void bench_give_rights(const struct bench *b)
{
    char path[300];
    if (b->want.rights_after == NULL ||
        !bench_has_said(b, "\"event\":\"result\"", b->want.rights_after))
        return;
    DIR *dir = opendir("/dev");
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "/dev/%s", e->d_name);
        if (is_node(e->d_name) && chmod(path, 0666) != 0)
            perror(path);
    }
    if (dir != NULL)
        closedir(dir);
}

/* ---- numbers and timers ---- */

int bench_number_at(unsigned socket)
{
    char path[80], place[PLACE_TEXT];
    int number = -1;
    adapter_place(socket, place);
    snprintf(path, sizeof path, "/sys/bus/usb/devices/%s:1.0", place);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, "ttyUSB", 6) == 0)
            number = atoi(e->d_name + 6);
    if (dir != NULL)
        closedir(dir);
    return number;
}

/* What the driver says of it, ms; 0 = it has none. */
static unsigned latency_at(int number)
{
    char path[80], text[16] = "";
    snprintf(path, sizeof path, "/sys/bus/usb-serial/devices/ttyUSB%d/latency_timer", number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    return (unsigned)atoi(text);
}

void bench_look_at_host(struct bench *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        struct board *board = &b->board[i];
        int number = board->adapter != NULL ? bench_number_at(board->socket) : -1;
        if (number < 0)
            continue;
        int *before = &b->number[board->socket];
        b->numbers_moved += *before >= 0 && *before != number;
        *before = number;
        board->low |= adapter_latency(board->adapter) == LATENCY_LOWEST &&
                      latency_at(number) == LATENCY_LOWEST;
    }
}

/* After the program's end. */
static void check_latency(struct bench *b, const struct board *board)
{
    unsigned said = latency_at(bench_number_at(board->socket));
    if (adapter_latency(board->adapter) == 0)
        return;
    if (!board->low)
        bench_complain(b, "the latency timer was never at its lowest", board->serial);
    if (said != LATENCY_USUAL || adapter_latency(board->adapter) != LATENCY_USUAL)
        bench_complain(b, "the latency timer was not put back", board->serial);
}

void bench_check_host(struct bench *b)
{
    if (b->numbers_moved > 0)
        printf("bench: a socket's ttyUSB number was another %u times\n", b->numbers_moved);
    if (b->numbers_moved < b->want.moved)
        bench_complain(b, "too few numbers moved", "");
    for (unsigned i = 0; i < b->count && b->want.latency; i++)
        if (b->board[i].adapter != NULL)
            check_latency(b, &b->board[i]);
}
