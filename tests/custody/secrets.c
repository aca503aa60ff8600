/*
 * secrets.c: keyline with its dashboard on a terminal, over boards that print their keys in every
 * way. Afterwards no field but the label is found
 *
 *   output    in anything that was written, shown, sent or answered
 *   dialects  the same, with firmware of every kind: fresh, and over boards that hold a key
 * already, known to this CSV or not, and print it while keyline still tries to connect memory    in
 * what a core image of station or dashboard would hold, while keys are on their way and afterwards;
 * needs the right to look into a process (exit 77 without it)
 *   nvs, nvs_memory   output and memory, where the keys are written into the boards' NVS
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../e2e/e2e.h"
#include "keyline/vboard.h"
#include "needles.h"
#include "prng.h"

enum {
    ROWS = 64,
    BOARDS = 8,
    ENTRIES_MAX = 4000,
};

static struct bench bench;
static struct needles *needles;
static char foreign[256]; /* the fields of a key that is in no row */
static bool in_nvs;       /* --deliver nvs */

struct stream {
    int fd;
    char *text;
    size_t size;
};
static struct stream screen = {.fd = -1}, client = {.fd = -1};
static pid_t dashboard, station;

/* ---- keys ---- */

static unsigned draw(struct prng *p, unsigned below)
{
    return (unsigned)(prng_next(p) >> 33) % below;
}

/* In both cases, without rows of figures, which times and sizes could match by chance. */
static void draw_hex(struct prng *p, char *out, unsigned digits)
{
    unsigned figures = 0;

    for (unsigned i = 0; i < digits; i++) {
        char c = "0123456789abcdefABCDEF"[draw(p, 22)];
        figures = c <= '9' ? figures + 1 : 0;
        out[i] = figures > 4 ? 'e' : c;
    }
    out[digits] = '\0';
}

static void draw_text(struct prng *p, char *out, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        out[i] = "ghjkmnpqrstuvwxyzGHJKMNPQRSTUVWXYZ23456789-_+/"[draw(p, 46)];
    out[size] = '\0';
}

static void draw_fields(struct prng *p, const char *label, unsigned binary, char *out)
{
    char hex[33], a[9], b[5], c[5], d[5], e[13], uuid[64], text[25];

    draw_hex(p, hex, 32);
    draw_hex(p, a, 8);
    draw_hex(p, b, 4);
    draw_hex(p, c, 4);
    draw_hex(p, d, 4);
    draw_hex(p, e, 12);
    snprintf(uuid, sizeof uuid, "%s-%s-%s-%s-%s", a, b, c, d, e);
    draw_text(p, text, 24);
    needles_add(needles, label, hex, binary);
    needles_add(needles, label, uuid, binary);
    needles_add(needles, label, text, 8);
    sprintf(out, "%s,%s,%s,%s", label, hex, uuid, text);
}

static void make_keys(unsigned binary)
{
    struct prng p = {.state = 77};
    char all[ROWS * 160 + 160] = "", label[32], row[160];

    if (in_nvs)
        strcpy(all, "label,provision/key1:string,provision/key2:string,provision/key3:string,"
                    "provision/done:u8=1\n");
    needles = needles_new();
    for (unsigned r = 1; r <= ROWS; r++) {
        snprintf(label, sizeof label, "unit-%u", r);
        draw_fields(&p, label, binary, row);
        strcat(strcat(all, row), "\n");
    }
    draw_fields(&p, "stranger", binary, foreign);
    file_put(scratch_path(&bench.dir, "keys.csv"), all);
    bench.csv = file_read(scratch_path(&bench.dir, "keys.csv"), NULL);
}

/* As a fault list wants them: "provisioned=a|b|c|d". */
static const char *provisioned_with(const char *fields, char out[400])
{
    snprintf(out, 400, "provisioned=%.*s", (int)strcspn(fields, "\n"), fields);
    for (char *c = out; *c; c++)
        if (*c == ',')
            *c = '|';
    return out;
}

/* A search that finds nothing proves nothing: each spelling of a key is found. */
static void check_search(void)
{
    char hex[64], line[512] = "";
    const char *field = strchr(strstr(bench.csv, "unit-1,"), ',') + 1;

    snprintf(hex, sizeof hex, "%.32s", field);
    for (unsigned i = 8; i < 24; i += 2)
        sprintf(line + strlen(line), "0x%.2s, ", hex + i);
    CHECK(needles_in_text(needles, line, strlen(line)), "not found: %s", line);
    for (line[0] = '\0', *line = '\0'; strlen(line) < 24;)
        sprintf(line + strlen(line), "%.2s:", hex + strlen(line) / 3 * 2);
    CHECK(needles_in_text(needles, line, strlen(line)), "not found: %s", line);
    CHECK(needles_in_text(needles, hex + 3, 8), "a part is not found");
    CHECK(!needles_in_text(needles, hex + 3, 7), "too little is found");
    CHECK(!needles_in_text(needles, "unit-1 24:6f:28:00:00:01", 24), "a label is found");
}

/* ---- processes ---- */

static bool read_proc(pid_t pid, const char *what, char *out, size_t size, size_t *got)
{
    char path[64];
    int fd;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return false;
    n = read(fd, out, size - 1);
    close(fd);
    *got = n > 0 ? (size_t)n : 0;
    out[*got] = '\0';
    return n > 0;
}

/* The session and the parent of a process. */
static bool kin_of(pid_t pid, int *parent, int *session)
{
    char text[1024];
    size_t size;

    return read_proc(pid, "stat", text, sizeof text, &size) && strrchr(text, ')') &&
           sscanf(strrchr(text, ')') + 1, " %*c %d %*d %d", parent, session) == 2;
}

/* The station leads a session of its own; what it works on tells it from others. */
static bool is_station(pid_t pid)
{
    char words[4096];
    int parent, session;
    size_t size;

    return pid != dashboard && kin_of(pid, &parent, &session) && session == pid &&
           read_proc(pid, "cmdline", words, sizeof words, &size) &&
           memmem(words, size, bench.dir.folder, strlen(bench.dir.folder)) &&
           memmem(words, size, "--log-dir", 9);
}

static void each_process(void (*f)(pid_t pid))
{
    DIR *all = opendir("/proc");
    struct dirent *e;

    CHECK(all, "/proc");
    while ((e = readdir(all)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            f((pid_t)atoi(e->d_name));
    closedir(all);
}

static void find_station(pid_t pid)
{
    if (is_station(pid))
        station = pid;
}

static void check_arguments(pid_t pid)
{
    static const char *const files[] = {"cmdline", "environ"};
    static char text[1 << 16];
    size_t size;

    for (unsigned i = 0; i < 2; i++)
        if (read_proc(pid, files[i], text, sizeof text, &size)) {
            const char *found = needles_in_text(needles, text, size);
            CHECK(!found, "/proc/%d/%s holds a field of %s", (int)pid, files[i], found);
        }
}

/* Of the station, the dashboard and the hooks that run just now. */
static void check_relative(pid_t pid)
{
    int parent, session;

    if (kin_of(pid, &parent, &session) && (session == station || session == dashboard))
        check_arguments(pid);
}

/* ---- the station with its dashboard ---- */

static void become_dashboard(const char *terminal, const char *const *words)
{
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    fd = open(terminal, O_RDWR);
    ioctl(fd, TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        dup2(fd, i);
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    execv(words[0], (char *const *)(size_t)words);
    _exit(127);
}

static void start_on_terminal(const char *const *words)
{
    struct winsize size = {.ws_row = 60, .ws_col = 200};
    char name[64];

    screen.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(screen.fd >= 0 && grantpt(screen.fd) == 0 && unlockpt(screen.fd) == 0 &&
              ptsname_r(screen.fd, name, sizeof name) == 0,
          "no pseudo-terminal: %s", strerror(errno));
    ioctl(screen.fd, TIOCSWINSZ, &size);
    dashboard = fork();
    CHECK(dashboard >= 0, "fork: %s", strerror(errno));
    if (dashboard == 0)
        become_dashboard(name, words);
}

static void start_keyline(void)
{
    const char *words[256] = {KEYLINE, "--settle=0", "--retries=1", "--prompt-timeout=12",
                              /* so that the patterns see all lines; they name what is so anyway */
                              "--prompt=^Provisioning$", "--ack=^Provisioned$"};
    static char csv[256], firmware[256], events[256], logs[256], hook[512];
    unsigned n = 6;

    snprintf(csv, sizeof csv, "%s", scratch_path(&bench.dir, "keys.csv"));
    snprintf(firmware, sizeof firmware, "%s", scratch_path(&bench.dir, "firmware.bin"));
    snprintf(events, sizeof events, "%s", scratch_path(&bench.dir, "events.json"));
    snprintf(logs, sizeof logs, "%s", scratch_path(&bench.dir, "logs"));
    snprintf(hook, sizeof hook,
             "cat >>%s/hook; cat /proc/self/environ /proc/self/cmdline >>%s/hook; "
             "cat /nowhere",
             bench.dir.folder, bench.dir.folder);
    const char *const options[] = {"--csv-file", csv,  "--firmware",  firmware, "--events", events,
                                   "--log-dir",  logs, "--on-result", hook};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        words[n++] = options[i];
    if (in_nvs)
        words[n++] = "--deliver=nvs";
    for (unsigned i = 1; i <= bench.count; i++) {
        words[n++] = "--port";
        words[n++] = bench.url[i];
    }
    words[n] = NULL;
    start_on_terminal(words);
}

static bool connect_client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s",
             scratch_path(&bench.dir, "keys.csv.socket"));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        client.fd = fd;
    else
        close(fd);
    return client.fd >= 0;
}

static void take(struct stream *s)
{
    char chunk[65536];
    ssize_t n = read(s->fd, chunk, sizeof chunk);

    if (n <= 0) {
        close(s->fd);
        s->fd = -1;
        return;
    }
    s->text = realloc(s->text, s->size + (size_t)n + 1);
    memcpy(s->text + s->size, chunk, (size_t)n);
    s->size += (size_t)n;
    s->text[s->size] = '\0';
}

/* Takes what terminal and socket get in that time. */
static void listen_ms(int ms)
{
    struct timespec t;
    double until, now;

    for (until = 0;;) {
        struct pollfd fds[2] = {{.fd = screen.fd, .events = POLLIN},
                                {.fd = client.fd, .events = POLLIN}};
        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
        until = until == 0 ? now + ms : until;
        if (now >= until)
            return;
        poll(fds, 2, (int)(until - now) + 1);
        if (fds[0].revents)
            take(&screen);
        if (fds[1].revents)
            take(&client);
    }
}

static void press(const char *keys)
{
    if (screen.fd >= 0 && write(screen.fd, keys, strlen(keys)) < 0)
        CHECK(false, "the terminal: %s", strerror(errno));
    listen_ms(150);
}

static bool on_screen(const char *text)
{
    return screen.text && strstr(screen.text, text);
}

/* In NVS it is the second board that spells its key, and the first one's log that is open. */
static bool is_masked(void)
{
    bool shown = in_nvs || on_screen("[masked]");

    return shown && client.text && strstr(client.text, "[masked]");
}

static void wait_for_station(void)
{
    for (int i = 0; i < PATIENCE_S * 10 && (station == 0 || !connect_client()); i++) {
        listen_ms(100);
        each_process(find_station);
    }
    CHECK(station && client.fd >= 0, "no station: %s", screen.text ? screen.text : "");
}

/* ---- what the events say ---- */

static char *events_now(void)
{
    char *text = file_read(scratch_path(&bench.dir, "events.json"), NULL);

    return text ? text : calloc(1, 1);
}

static unsigned count_of(const char *events, const char *what)
{
    unsigned n = 0;

    for (const char *at = events; (at = strstr(at, what)); at++)
        n++;
    return n;
}

/* The number of boards that have just entered that state and not left it. */
static bool some_in(const char *events, const char *state)
{
    char entered[64], left[64];

    snprintf(entered, sizeof entered, "\"state\":\"%s\"", state);
    snprintf(left, sizeof left, "\"before\":\"%s\"", state);
    return count_of(events, entered) > count_of(events, left);
}

static unsigned results(void)
{
    char *events = events_now();
    unsigned n = count_of(events, "\"event\":\"result\"");

    free(events);
    return n;
}

/* ---- what was written ---- */

static void check_clean(const char *what, const char *text, size_t size)
{
    const char *found = needles_in_text(needles, text, size);

    CHECK(!found, "%s holds a field of %s", what, found);
}

static void check_file(const char *path)
{
    size_t size;
    char *text = file_read(path, &size);

    CHECK(text, "%s", path);
    check_clean(path, text, size);
    free(text);
}

/* All but the CSV, and what stands for the boards. Returns how many files there were. */
static unsigned check_folder(const char *folder)
{
    DIR *all = opendir(folder);
    struct dirent *e;
    char path[512];
    struct stat st;
    unsigned n = 0;

    CHECK(all, "%s", folder);
    while ((e = readdir(all))) {
        bool own = strcmp(e->d_name, "keys.csv") == 0 || strcmp(e->d_name, "keys.csv.marking") == 0;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || own || strcmp(e->d_name, "state") == 0 || stat(path, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            n += check_folder(path);
        else if (S_ISREG(st.st_mode) && ++n)
            check_file(path);
    }
    closedir(all);
    return n;
}

/* Without what moves the cursor and colours the text. */
static void check_screen(void)
{
    char *plain = malloc(screen.size + 1);
    size_t n = 0;

    check_clean("the screen", screen.text, screen.size);
    for (size_t i = 0; i < screen.size; i++) {
        if (screen.text[i] == 0x1b && i + 1 < screen.size && screen.text[i + 1] == '[')
            for (i += 2; i < screen.size && ((uint8_t)screen.text[i] < 0x40);)
                i++;
        else
            plain[n++] = screen.text[i];
    }
    check_clean("the screen's text", plain, n);
    free(plain);
}

static void check_commands(void)
{
    static const char *const commands[][3] = {
        {"status"},           {"list"},  {"list", "--json"}, {"history"}, {"history", "--json"},
        {"history", "--csv"}, {"export"}};
    struct process p;
    char csv[256];

    snprintf(csv, sizeof csv, "%s", scratch_path(&bench.dir, "keys.csv"));
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        start(&p, WORDS(KEYLINE, "keys", commands[i][0], "--csv-file", csv,
                        in_nvs ? "--csv-header" : commands[i][1], in_nvs ? commands[i][1] : NULL));
        finish(&p);
        CHECK(p.status == 0 && p.size[0] > 0, "keys %s", commands[i][0]);
        CHECK(strstr(p.text[0], "unit-") || i == 0, "keys %s: %s", commands[i][0], p.text[0]);
        check_clean(commands[i][0], p.text[0], p.size[0]);
        check_clean(commands[i][0], p.text[1], p.size[1]);
        forget(&p);
    }
}

/* ---- the end ---- */

static void stop(void)
{
    int status;

    kill(station, SIGTERM);
    for (int i = 0; i < PATIENCE_S * 20 && waitpid(dashboard, &status, WNOHANG) == 0; i++) {
        listen_ms(50);
        if (i == 100)
            kill(station, SIGTERM);
        if (on_screen("press any key"))
            press("q");
    }
    for (int i = 0; i < PATIENCE_S * 20 && kill(station, 0) == 0 && is_station(station); i++)
        listen_ms(50);
    CHECK(!is_station(station), "the station does not end");
}

static void clean_up(void)
{
    if (station > 0 && is_station(station))
        kill(station, SIGKILL);
    if (dashboard > 0)
        kill(dashboard, SIGKILL);
}

/* ---- the two tests ---- */

static void make_bench(unsigned binary)
{
    atexit(clean_up);
    bench_make(&bench);
    make_keys(binary);
    check_search();
    bench_images(&bench, KL_CHIP_ESP32);
}

static void start_all(unsigned boards, const char *const *faults)
{
    bench_boards(&bench, boards, faults);
    start_keyline();
    wait_for_station();
}

static const char *row_number(unsigned row)
{
    const char *text = bench.csv;

    row += in_nvs; /* the header */
    while (--row > 0)
        text = strchr(text, '\n') + 1;
    return text;
}

/* Watches all that the station writes and shows until `boards` have had their turn, and ends it. */
static void watch(unsigned boards)
{
    static const char *const keys[] = {"1", "\r",   "\033", "K",  "\033",
                                       "l", "\033", "2",    "\r", "\033"};

    for (int i = 0; i < PATIENCE_S * 20 && results() < boards; i++) {
        press(keys[i % 10]);
        each_process(check_relative);
        check_folder(bench.dir.folder);
    }
    CHECK(results() >= boards, "%u of %u boards have had their turn", results(), boards);
    press("1");
    press("\r");
    listen_ms(3000);
    for (int i = 0; i < PATIENCE_S && !is_masked(); i++) /* a board spells its key when it starts */
        listen_ms(1000);
    CHECK(check_folder(bench.dir.folder) >= 5 + boards, "files are missing");
    check_commands();
    stop();
    check_folder(bench.dir.folder);
    check_screen();
    check_clean("the socket", client.text, client.size);
    CHECK(in_nvs || is_masked(),
          "nothing was masked"); /* in NVS, a board may never spell its key */
    printf("%u results, %zu bytes of screen, %zu of the socket\n", results(), screen.size,
           client.size);
}

static void output(void)
{
    char row[400], stranger[400], six[410], seven[410];

    make_bench(4);
    snprintf(six, sizeof six, "6:%s", provisioned_with(row_number(ROWS), row));
    snprintf(seven, sizeof seven, "7:%s", provisioned_with(foreign, stranger));
    start_all(BOARDS, WORDS("--fault", "1:leaks,spells", "--fault", "2:misses_line=1,spells",
                            "--fault", "3:chatty,spells", "--fault", "4:leaks,no_readback",
                            "--fault", "5:reads_wrong=9", "--fault", six, "--fault", seven,
                            "--fault", "8:leaks,refuses"));
    watch(BOARDS);
}

/* All firmware but the silent one; returns how many. */
static unsigned all_firmware(char *list, size_t size)
{
    const char *name;
    unsigned n = 0;

    list[0] = '\0';
    for (unsigned i = 0; (name = kl_vboard_firmware(i)) != NULL; i++)
        if (strcmp(name, "silent") != 0) {
            size_t used = strlen(list);
            snprintf(list + used, size - used, "%s%s", n++ ? "," : "", name);
        }
    return n;
}

/* The second half of the boards holds keys already, of this CSV and of none in turn, and its
   program starts where the loader should. */
static void dialects(void)
{
    static char faults[ROWS][440];
    const char *words[2 * ROWS + 4] = {"--firmware"};
    char list[512], fields[400];
    unsigned kinds = all_firmware(list, sizeof list), n = 2;

    make_bench(6);
    CHECK(2 * kinds <= ROWS, "more rows are needed");
    words[1] = list;
    for (unsigned i = kinds + 1; i <= 2 * kinds; i++) {
        const char *key = i % 2 ? row_number(i) : foreign;
        snprintf(faults[i - 1], sizeof faults[0], "%u:no_auto_reset=3,%s", i,
                 provisioned_with(key, fields));
        words[n++] = "--fault";
        words[n++] = faults[i - 1];
    }
    start_all(2 * kinds, words);
    watch(2 * kinds);
    CHECK(strstr(client.text, "holds_unknown_key"), "no board showed a key that is in no row");
}

/* What was seen in memory, by what some board was at just then. */
enum moment {
    SENDING,
    CONFIRMING,
    NEITHER,
    MOMENTS,
};
static struct seen {
    unsigned looks, left_out;
} seen[MOMENTS];
static bool now_at[MOMENTS];
static unsigned kept;

static void look_into(pid_t pid)
{
    struct memory_look look;

    needles_in_memory(needles, pid, &look);
    if (look.error == EACCES || look.error == EPERM) {
        fprintf(stderr, "SKIPPED: this user may not look into a process\n");
        exit(77);
    }
    for (int i = 0; i < MOMENTS; i++) {
        seen[i].looks += now_at[i];
        seen[i].left_out += now_at[i] ? look.left_out : 0;
    }
    kept += look.kept;
    if (look.kept > 0)
        fprintf(stderr, "process %d, %s: %u parts of keys: %s\n", (int)pid,
                now_at[SENDING]      ? "sending"
                : now_at[CONFIRMING] ? "confirming"
                                     : "no key on its way",
                look.kept, look.where);
}

static void look_into_dashboard(pid_t pid)
{
    int parent, session;

    if (kin_of(pid, &parent, &session) && session == dashboard)
        look_into(pid);
}

static void look_at_all(void)
{
    char *events;

    kill(station, SIGSTOP);
    events = events_now();
    now_at[SENDING] = some_in(events, "sending");
    now_at[CONFIRMING] = some_in(events, "confirming");
    now_at[NEITHER] = !now_at[SENDING] && !now_at[CONFIRMING];
    free(events);
    look_into(station);
    kill(station, SIGCONT);
    each_process(look_into_dashboard);
}

/* The firmware finds its key in its NVS and prints it in many ways: it is asked nothing. */
static void nvs_output(void)
{
    char row[400], stranger[400], six[440], seven[440];

    in_nvs = true;
    make_bench(4);
    /* The second one reads the key that was written, and spells it. */
    snprintf(six, sizeof six, "6:spells,%s", provisioned_with(row_number(ROWS), row));
    snprintf(seven, sizeof seven, "7:spells,%s", provisioned_with(foreign, stranger));
    start_all(BOARDS,
              WORDS("--firmware", "keyline,original,keyline,backwards,keyline,keyline,keyline,json",
                    "--fault", "1:spells", "--fault", "2:spells", "--fault", "3:chatty,spells",
                    "--fault", "4:md5_wrong=1,spells", "--fault", "5:write_fails=1,spells",
                    "--fault", six, "--fault", seven, "--fault", "8:chatter,spells"));
    watch(BOARDS);
    CHECK(strstr(client.text, "holds_unknown_key"), "no board held a key that is in no row");
}

static bool key_is_on_its_way(void)
{
    char *events = events_now();
    bool some = some_in(events, "sending") || some_in(events, "confirming");

    free(events);
    return some;
}

/* The loader takes a key within a moment: whoever looked at random would hardly meet it. */
static void look_until(unsigned boards)
{
    look_at_all();
    for (int i = 0; i < PATIENCE_S * 200 && results() < boards; i++) {
        if (!in_nvs || key_is_on_its_way())
            look_at_all();
        listen_ms(in_nvs ? 2 : 100);
    }
    look_at_all();
    listen_ms(1000);
    look_at_all();
    for (int i = 0; i < MOMENTS; i++) {
        printf("%u looks: %u parts of keys that no core image holds\n", seen[i].looks,
               seen[i].left_out);
        CHECK(seen[i].looks > 0, "nobody looked at that moment");
    }
    CHECK(seen[SENDING].left_out > 0, "no key was in memory while it was sent: what was searched?");
    CHECK(kept == 0, "a core image would hold parts of keys");
    stop();
}

/* Boards that answer late: the key is on its way for long enough. */
static void nvs_memory(void)
{
    char stranger[400], eight[440];

    in_nvs = true;
    make_bench(6);
    snprintf(eight, sizeof eight, "8:%s", provisioned_with(foreign, stranger));
    start_all(8, WORDS("--firmware", "keyline,original,silent,backwards", "--fault",
                       "1:slow=80,spells", "--fault", "2:slow=100", "--fault", "5:slow=80",
                       "--fault", "3:slow=60,write_fails=1", "--fault", eight));
    look_until(8);
}

static void memory(void)
{
    char row[400], stranger[400], seven[440], eight[440];

    make_bench(6);
    snprintf(seven, sizeof seven, "7:no_auto_reset=3,%s", provisioned_with(row_number(ROWS), row));
    snprintf(eight, sizeof eight, "8:no_auto_reset=3,%s", provisioned_with(foreign, stranger));
    start_all(8, WORDS("--firmware", "keyline,keyline,keyline,keyline,backwards,echo,bare,json",
                       "--fault", "1:misses_line=1", "--fault", "2:misses_line=2,leaks", "--fault",
                       "3:slow_boot=4000,spells", "--fault", "4:spells", "--fault", seven,
                       "--fault", eight));
    look_until(8);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2, "usage: secrets output|dialects|memory|nvs|nvs_memory");
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[1], "memory") == 0)
        memory();
    else if (strcmp(argv[1], "dialects") == 0)
        dialects();
    else if (strcmp(argv[1], "nvs") == 0)
        nvs_output();
    else if (strcmp(argv[1], "nvs_memory") == 0)
        nvs_memory();
    else
        output();
    bench_remove(&bench);
    needles_free(needles);
    return 0;
}
