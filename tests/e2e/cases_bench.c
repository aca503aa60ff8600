/* cases_bench.c: the station as a program: signals, keys that run out, hooks, logs, the socket. */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "e2e.h"
#include "faces/stream/wire.h"

static void make(struct bench *b, unsigned keys, unsigned boards, const char *const *options)
{
    bench_make(b);
    bench_keys(b, keys, 3);
    bench_images(b, KL_CHIP_ESP32);
    bench_boards(b, boards, options);
}

/* ---- signals ---- */

static void stopped_while_flashing(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 2, WORDS("--pace"));
    station_start(&b, &p, NULL);
    wait_for(&p, "flashing");
    kill(p.pid, SIGTERM);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    bench_check_custody(&b);
    forget(&p);
    station_run(&b, &p, WORDS("--once"));
    CHECK(p.status == 0 && bench_check_custody(&b) == 2, "exit status %d", p.status);
    forget(&p);
    bench_remove(&b);
}

static void stopped_twice(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 1, WORDS("--fault", "never_asks"));
    station_start(&b, &p, NULL);
    wait_for(&p, "booting");
    kill(p.pid, SIGINT);
    kill(p.pid, SIGTERM);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    forget(&p);
    bench_remove(&b);
}

static void hang_up_is_ignored(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 1, NULL);
    station_start(&b, &p, WORDS("--once"));
    wait_for(&p, "opened");
    kill(p.pid, SIGHUP);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    CHECK(bench_check_custody(&b) == 1, "not one mark");
    forget(&p);
    bench_remove(&b);
}

/* kill -9 right after the key's first byte may have left: the same board gets the same key. */
static void killed_while_sending(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 1, NULL);
    station_start(&b, &p, WORDS("--once"));
    wait_for(&p, "sending");
    kill(p.pid, SIGKILL);
    finish(&p);
    bench_check_custody(&b);
    forget(&p);
    station_run(&b, &p, WORDS("--once"));
    CHECK(p.status == 0, "exit status %d", p.status);
    CHECK(bench_check_custody(&b) == 1, "not one mark");
    forget(&p);
    bench_remove(&b);
}

/* keyline keys release dev-1; its exit status, and a word of what it says. */
static int release(struct bench *b, const char *word)
{
    struct process p;
    char csv[256];
    int status;

    snprintf(csv, sizeof csv, "%s", scratch_path(&b->dir, "keys.csv"));
    start(&p,
          WORDS(KEYLINE, "keys", "release", "dev-1", "--reason", "it burnt", "--csv-file", csv));
    status = finish(&p);
    CHECK(status != 0 || strstr(p.text[0], word), "%s", p.text[0]);
    CHECK(status == 0 || strstr(p.text[1], word), "%s", p.text[1]);
    forget(&p);
    return status;
}

/* A key that was sent and not proved is freed by an operator while the bench goes on; not while its
   board is there. */
static void released_while_running(void)
{
    struct bench b;
    struct process p, history;
    char csv[256], empty[80];

    make(&b, 1, 2, WORDS("--fault", "1:misses_line=1000"));
    bench_command(&b, "unplug 2");
    station_start(&b, &p, WORDS("--retries", "100"));
    wait_for(&p, "key dev-1 sending");
    CHECK(release(&b, "on the bench right now") == 4, "a key on its way was released");
    bench_command(&b, "unplug 1");
    snprintf(empty, sizeof empty, "%s  empty", strstr(b.url[1], "://") + 3);
    wait_for(&p, empty);
    CHECK(release(&b, "dev-1 is free again. It was reserved for") == 0, "not released");
    bench_command(&b, "plug 2");
    wait_for(&p, "PASS");
    CHECK(release(&b, "provisioned") == 3, "a provisioned key was released");
    CHECK(kill(p.pid, SIGTERM) == 0 && finish(&p) == 0, "exit status %d: %s", p.status, p.text[1]);
    forget(&p);
    CHECK(bench_check_custody(&b) == 1 && strncmp(bench_stored(&b, 2), "dev-1,", 6) == 0,
          "the second board has it");
    snprintf(csv, sizeof csv, "%s", scratch_path(&b.dir, "keys.csv"));
    start(&history, WORDS(KEYLINE, "keys", "history", "--csv-file", csv));
    finish(&history);
    CHECK(strstr(history.text[0], "it burnt"), "the reason is kept: %s", history.text[0]);
    forget(&history);
    bench_remove(&b);
}

/* ---- keys ---- */

static void append_rows(struct bench *b, const char *rows)
{
    FILE *file = fopen(scratch_path(&b->dir, "keys.csv"), "a");

    CHECK(file && fputs(rows, file) >= 0 && fclose(file) == 0, "%s", strerror(errno));
}

static void rows_added(void)
{
    static const char added[] =
        "dev-new,00aa11bb22cc33dd44ee55ff66007711,99aa11bb22cc33dd44ee55ff\n";
    struct bench b;
    struct process p;
    char *whole;

    make(&b, 1, 2, NULL);
    station_start(&b, &p, WORDS("--count", "2"));
    wait_for(&p, "no free key");
    bench_wait_for_marks(&b, 1);
    append_rows(&b, added);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    whole = malloc(strlen(b.csv) + sizeof added);
    strcat(strcpy(whole, b.csv), added);
    free(b.csv);
    b.csv = whole;
    CHECK(bench_check_custody(&b) == 2, "not two marks");
    forget(&p);
    bench_remove(&b);
}

/* ---- hooks and logs ---- */

static void on_result(void)
{
    struct bench b;
    struct process p;
    char command[512];
    char *told;
    json_t *o;

    make(&b, 5, 1, NULL);
    snprintf(command, sizeof command, "cat > %s", scratch_path(&b.dir, "told.json"));
    station_run(&b, &p, WORDS("--once", "--on-result", command));
    CHECK(p.status == 0, "exit status %d", p.status);
    told = file_read(scratch_path(&b.dir, "told.json"), NULL);
    CHECK(told, "the command was not run");
    bench_check_secret(&b, "the result", told);
    o = json_loads(told, 0, NULL);
    CHECK(o && strcmp(json_string_value(json_object_get(o, "event")), "result") == 0, "%s", told);
    CHECK(strcmp(json_string_value(json_object_get(o, "mac")), b.mac[1]) == 0, "%s", told);
    json_decref(o);
    free(told);
    forget(&p);
    bench_remove(&b);
}

static void on_result_fails(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 1, NULL);
    station_run(&b, &p,
                WORDS("--once", "--on-result", "echo the printer is out of paper >&2; exit 3"));
    CHECK(p.status == 0, "exit status %d", p.status);
    CHECK(strstr(p.text[0], "status 3: the printer is out of paper"), "%s", p.text[0]);
    CHECK(bench_events(&b, "station", NULL) >= 1, "the failure is not among the events");
    forget(&p);
    bench_remove(&b);
}

/* After the retries, before the board is given up; the board is tried once more. */
static void power_hook(void)
{
    struct bench b;
    struct process p;
    char command[512];
    char *told;

    make(&b, 5, 1, WORDS("--fault", "mute"));
    snprintf(command, sizeof command, "cat >> %s", scratch_path(&b.dir, "told.json"));
    station_run(&b, &p, WORDS("--once", "--retries", "0", "--power-hook", command));
    CHECK(p.status == 1, "exit status %d", p.status);
    told = file_read(scratch_path(&b.dir, "told.json"), NULL);
    CHECK(told && strstr(told, "\"event\":\"power\""), "the command was not run: %s",
          told ? told : "");
    CHECK(strchr(told, '\n') == told + strlen(told) - 1, "it was run twice: %s", told);
    CHECK(bench_events(&b, "result", NULL) == 1, "one board has one result");
    CHECK(bench_events(&b, "power", NULL) == 1, "the event");
    free(told);
    forget(&p);
    bench_remove(&b);
}

static void log_folder(void)
{
    struct bench b;
    struct process p;
    char folder[256], name[64], *log;
    unsigned n = 0;

    make(&b, 5, 1, WORDS("--fault", "leaks"));
    snprintf(folder, sizeof folder, "%s", scratch_path(&b.dir, "logs"));
    station_run(&b, &p, WORDS("--once", "--log-dir", folder));
    CHECK(p.status == 0, "exit status %d", p.status);
    n = (unsigned)snprintf(name, sizeof name, "logs/");
    for (const char *c = b.mac[1]; *c; c++)
        if (*c != ':')
            name[n++] = *c;
    memcpy(name + n, ".log", 5);
    log = file_read(scratch_path(&b.dir, name), NULL);
    CHECK(log, "no %s", name);
    bench_check_secret(&b, "the log", log);
    CHECK(strstr(log, "connecting") && strstr(log, "Provisioned") && strstr(log, "PASS"), "%s",
          log);
    free(log);
    forget(&p);
    bench_remove(&b);
}

/* A full disk for the events must not stop the bench. */
static void events_to_a_full_disk(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 1, NULL);
    station_run(&b, &p, WORDS("--once", "--events", "/dev/full"));
    CHECK(p.status == 0, "exit status %d", p.status);
    CHECK(strstr(p.text[0], "events file can't be written"), "%s", p.text[0]);
    CHECK(bench_check_custody(&b) == 1, "not one mark");
    forget(&p);
    bench_remove(&b);
}

static void events_to_standard_output(void)
{
    struct bench b;
    struct process p;

    make(&b, 5, 1, NULL);
    station_run(&b, &p, WORDS("--once", "--events", "-"));
    CHECK(p.status == 0, "exit status %d", p.status);
    for (char *save = NULL, *line = strtok_r(p.text[0], "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL);
        CHECK(o, "not JSON: %s", line);
        json_decref(o);
    }
    CHECK(strstr(p.text[1], "PASS"), "people read nothing: %s", p.text[1]);
    forget(&p);
    bench_remove(&b);
}

/* ---- the socket ---- */

static struct kl_snapshot snap;
static struct kl_wire_message message;

static int open_socket(struct bench *b)
{
    struct stat st;
    int fd = kl_wire_connect(scratch_path(&b->dir, "keys.csv"));

    CHECK(fd >= 0, "no station to talk to");
    CHECK(stat(scratch_path(&b->dir, "keys.csv.socket"), &st) == 0 && (st.st_mode & 077) == 0,
          "others may use the socket");
    memset(&snap, 0, sizeof snap);
    return fd;
}

/* Reads messages until one of this kind; false at the end of the connection. */
static bool next_message(int fd, enum kl_wire_kind kind)
{
    static char line[KL_WIRE_LINE_MAX];
    size_t size = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    for (;;) {
        CHECK(poll(&wait, 1, PATIENCE_S * 1000) == 1, "the station says nothing");
        if (read(fd, line + size, 1) != 1)
            return false;
        if (line[size++] != '\n')
            continue;
        CHECK(kl_wire_decode(line, size - 1, &snap, &message), "%.*s", (int)size, line);
        size = 0;
        if (message.kind == kind)
            return true;
    }
}

static void send_text(int fd, char *text)
{
    CHECK(text && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", strerror(errno));
    free(text);
}

static void send_command(int fd, enum kl_command_kind kind, const char *argument)
{
    struct kl_command command = {.kind = kind};

    kl_copy(command.argument, sizeof command.argument, argument);
    send_text(fd, kl_wire_command(&command));
}

static void socket_commands(void)
{
    struct bench b;
    struct process p;
    int fd;

    make(&b, 5, 1, WORDS("--fault", "never_asks"));
    station_start(&b, &p, WORDS("--prompt-timeout", "0.5", "--retries", "0"));
    wait_for(&p, "FAIL");
    fd = open_socket(&b);
    CHECK(next_message(fd, KL_WIRE_HELLO) && message.u.hello.protocol == KL_WIRE_PROTOCOL, "hello");
    CHECK(next_message(fd, KL_WIRE_SNAPSHOT), "snapshot");
    CHECK(snap.slot_count == 1 && snap.slot[0].state == KL_ST_FAILED &&
              snap.slot[0].fault.reason == KL_FAULT_NEVER_ASKED,
          "state %s", kl_state_name(snap.slot[0].state));
    CHECK(next_message(fd, KL_WIRE_LOG), "no log so far");
    send_text(fd, strdup("nonsense\n"));
    CHECK(next_message(fd, KL_WIRE_REFUSED), "nonsense was taken");
    /* A dashboard of an older keyline is told so, and its commands do nothing. */
    send_text(fd, strdup("{\"hello\":{\"protocol\":1}}\n"));
    CHECK(next_message(fd, KL_WIRE_REFUSED), "an old dashboard was not told");
    CHECK(strstr(message.u.text, "speaks protocol 1, the station"), "%s", message.u.text);
    send_command(fd, KL_CMD_STOP, "");
    CHECK(next_message(fd, KL_WIRE_REFUSED), "an old dashboard stopped the station");
    send_text(fd, kl_wire_client_hello("test"));
    send_command(fd, KL_CMD_RETRY, "");
    wait_for(&p, "FAIL");
    while (snap.failed < 2)
        CHECK(next_message(fd, KL_WIRE_SNAPSHOT), "no news");
    send_command(fd, KL_CMD_PAUSE, "");
    while (!snap.paused)
        CHECK(next_message(fd, KL_WIRE_SNAPSHOT), "no news");
    send_command(fd, KL_CMD_STOP, "");
    CHECK(next_message(fd, KL_WIRE_BYE) && message.u.bye.exit == 0, "no farewell");
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    CHECK(access(scratch_path(&b.dir, "keys.csv.socket"), F_OK) != 0, "the socket is left behind");
    close(fd);
    forget(&p);
    bench_remove(&b);
}

/* The last board is done, and the station ends at once: who watches still sees that board. */
static void watchers_see_the_end(void)
{
    struct bench b;
    struct process p;
    char *now, all[1024];
    int fd;

    make(&b, 1, 2, NULL);
    station_start(&b, &p, WORDS("--count", "2"));
    wait_for(&p, "no free key is left");
    bench_wait_for_marks(&b, 1);
    fd = open_socket(&b);
    CHECK(next_message(fd, KL_WIRE_SNAPSHOT) && snap.done == 1, "%u done", snap.done);
    now = file_read(scratch_path(&b.dir, "keys.csv"), NULL);
    snprintf(all, sizeof all, "%snew-1,0123456789,9876543210\n", now);
    free(now);
    file_put(scratch_path(&b.dir, "keys.csv"), all);
    CHECK(next_message(fd, KL_WIRE_BYE), "no farewell");
    CHECK(snap.done == 2 && snap.keys.free == 0, "%u done, %u keys free", snap.done,
          snap.keys.free);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    close(fd);
    forget(&p);
    bench_remove(&b);
}

static unsigned open_files(pid_t pid)
{
    struct dirent *e;
    unsigned n = 0;
    char path[64];
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    d = opendir(path);
    CHECK(d, "%s: %s", path, strerror(errno));
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* A socket that takes connections and never says a word; its port. */
static int silent_server(unsigned *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, size) == 0 && listen(fd, 64) == 0 &&
              getsockname(fd, (struct sockaddr *)&a, &size) == 0,
          "%s", strerror(errno));
    *port = ntohs(a.sin_port);
    return fd;
}

/* Added and removed in any state of being opened, again and again. */
static void ports_come_and_go(void)
{
    enum {
        PORTS = 20,
        ROUNDS = 15,
        SLACK = 5 /* what the store and the board that stays may open or close meanwhile */
    };
    static const char *const schemes[] = {"rfc2217", "socket"};
    static const long pauses_ms[] = {0, 5, 40, 150};
    unsigned port[PORTS], before, waited;
    int fd, server[PORTS];
    struct process p;
    struct bench b;

    make(&b, 5, 1, NULL);
    station_start(&b, &p, NULL);
    wait_for(&p, "PASS");
    fd = open_socket(&b);
    send_text(fd, kl_wire_client_hello("test"));
    for (unsigned i = 0; i < PORTS; i++)
        server[i] = silent_server(&port[i]);
    before = open_files(p.pid) + SLACK;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct timespec pause = {.tv_nsec = pauses_ms[round % 4] * 1000000};
        struct kl_command remove = {.kind = KL_CMD_REMOVE_PORT};
        char target[64];

        for (unsigned i = 0; i < PORTS; i++) {
            snprintf(target, sizeof target, "%s://127.0.0.1:%u", schemes[(round + i) % 2],
                     (round + i) % 3 == 0 ? i + 1 : port[i]); /* nobody listens on the first ones */
            send_command(fd, KL_CMD_ADD_PORT, target);
        }
        nanosleep(&pause, NULL);
        for (remove.slot = 1; remove.slot < KL_SLOTS_MAX; remove.slot++)
            send_text(fd, kl_wire_command(&remove));
    }
    for (waited = 0; open_files(p.pid) > before && waited < PATIENCE_S * 20; waited++) {
        struct kl_command remove = {.kind = KL_CMD_REMOVE_PORT};

        for (remove.slot = 1; remove.slot < KL_SLOTS_MAX; remove.slot++)
            send_text(fd, kl_wire_command(&remove));
        usleep(50000);
    }
    CHECK(open_files(p.pid) <= before, "%u files are open, %u were", open_files(p.pid),
          before - SLACK);
    send_command(fd, KL_CMD_STOP, "");
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    for (unsigned i = 0; i < PORTS; i++)
        close(server[i]);
    close(fd);
    forget(&p);
    bench_remove(&b);
}

/* Whoever comes to a bench on which nothing happens is told which key is in doubt, and the others
   are when it no longer is. */
static void doubts_on_a_quiet_bench(void)
{
    struct bench b;
    struct process p;
    int fd;

    make(&b, 5, 1, WORDS("--fault", "ack_lost=1"));
    station_start(&b, &p, WORDS("--ack-timeout", "0.5", "--retries", "0"));
    wait_for(&p, "FAIL");
    fd = open_socket(&b);
    CHECK(next_message(fd, KL_WIRE_IN_DOUBT) && message.u.in_doubt.count == 1, "%u keys in doubt",
          message.u.in_doubt.count);
    CHECK(strcmp(message.u.in_doubt.item[0].label, "dev-1") == 0, "%s in doubt",
          message.u.in_doubt.item[0].label);
    send_command(fd, KL_CMD_RETRY, "");
    wait_for(&p, "PASS");
    while (message.u.in_doubt.count > 0)
        CHECK(next_message(fd, KL_WIRE_IN_DOUBT), "the doubt stays");
    send_command(fd, KL_CMD_STOP, "");
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    close(fd);
    forget(&p);
    bench_remove(&b);
}

/* Who did what stands in the events and in the history, with the login. */
static void operators_are_recorded(void)
{
    struct bench b;
    struct process p;
    const char *events;
    char command[512], line[512], history[4096] = "";
    FILE *out;
    int fd;

    make(&b, 5, 1, WORDS("--fault", "never_asks"));
    events = scratch_path(&b.dir, "events.json");
    station_start(&b, &p, WORDS("--prompt-timeout", "0.5", "--retries", "0", "--events", events));
    wait_for(&p, "FAIL");
    fd = open_socket(&b);
    send_text(fd, kl_wire_client_hello("pi (from 10.0.0.5)"));
    send_command(fd, KL_CMD_ERASE, "");
    send_command(fd, KL_CMD_PAUSE, "");
    wait_for(&p, "pi (from 10.0.0.5) erases the board");
    wait_for(&p, "pi (from 10.0.0.5) pauses the bench");
    kill(p.pid, SIGTERM);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    close(fd);
    snprintf(command, sizeof command, "%s keys history --csv-file %s; cat %s", KEYLINE,
             scratch_path(&b.dir, "keys.csv"), scratch_path(&b.dir, "events.json"));
    CHECK((out = popen(command, "r")) != NULL, "%s", strerror(errno));
    while (fgets(line, sizeof line, out) && strlen(history) + sizeof line < sizeof history)
        if (strstr(line, "pi (from"))
            memcpy(history + strlen(history), line, strlen(line) + 1);
    pclose(out);
    CHECK(strstr(history, "erase") && strstr(history, "by pi (from 10.0.0.5), slot "), "%s",
          history);
    CHECK(strstr(history, "pause"), "%s", history);
    CHECK(strstr(history, "\"command\":\"erase\",\"operator\":\"pi (from 10.0.0.5)\""), "%s",
          history);
    forget(&p);
    bench_remove(&b);
}

static void ports_by_command(void)
{
    struct bench b;
    struct process p;
    int fd;

    make(&b, 5, 2, NULL);
    b.count = 1;
    station_start(&b, &p, NULL);
    b.count = 2;
    wait_for(&p, "PASS");
    fd = open_socket(&b);
    send_command(fd, KL_CMD_ADD_PORT, "/dev/null");
    CHECK(next_message(fd, KL_WIRE_REFUSED), "a file was taken for a network port");
    send_command(fd, KL_CMD_ADD_PORT, b.url[2]);
    wait_for(&p, "PASS");
    send_text(fd, kl_wire_command(&(struct kl_command){.kind = KL_CMD_REMOVE_PORT, .slot = 1}));
    wait_for(&p, "empty");
    send_command(fd, KL_CMD_ADD_PORT, b.url[2]);
    wait_for(&p, "PASS");
    kill(p.pid, SIGTERM);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    CHECK(bench_check_custody(&b) == 2, "not two marks");
    close(fd);
    forget(&p);
    bench_remove(&b);
}

/* Watchers that never read, eight boards: nobody waits for them. */
static void stalled_watchers(void)
{
    struct bench b;
    struct process p;
    int fd[4];

    make(&b, 60, 8, WORDS("--replace", "0.05", "--fault", "chatty", "--faults-stay"));
    station_start(&b, &p, WORDS("--count", "40"));
    wait_for(&p, "connecting");
    for (unsigned i = 0; i < 4; i++)
        fd[i] = open_socket(&b);
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    CHECK(bench_check_custody(&b) == 40, "not forty marks");
    for (unsigned i = 0; i < 4; i++)
        close(fd[i]);
    forget(&p);
    bench_remove(&b);
}

/* ---- demo ---- */

static void demo(void)
{
    struct process p;

    start(&p, WORDS(KEYLINE, "demo"));
    CHECK(finish(&p) == 0, "exit status %d", p.status);
    CHECK(strstr(p.text[0], "8 done"), "%s", p.text[0]);
    forget(&p);
}

const struct e2e_case cases_bench[] = {
    {"stopped_while_flashing", stopped_while_flashing},
    {"stopped_twice", stopped_twice},
    {"hang_up_is_ignored", hang_up_is_ignored},
    {"killed_while_sending", killed_while_sending},
    {"released_while_running", released_while_running},
    {"rows_added", rows_added},
    {"on_result", on_result},
    {"on_result_fails", on_result_fails},
    {"power_hook", power_hook},
    {"log_folder", log_folder},
    {"events_to_a_full_disk", events_to_a_full_disk},
    {"events_to_standard_output", events_to_standard_output},
    {"socket_commands", socket_commands},
    {"watchers_see_the_end", watchers_see_the_end},
    {"ports_come_and_go", ports_come_and_go},
    {"doubts_on_a_quiet_bench", doubts_on_a_quiet_bench},
    {"operators_are_recorded", operators_are_recorded},
    {"ports_by_command", ports_by_command},
    {"stalled_watchers", stalled_watchers},
    {"demo", demo},
    {NULL, NULL},
};
