/* cases_input.c: bad input of every kind: a clear message, the documented exit status, nothing
 * lost. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "e2e.h"

/* Starts the station and expects this status and this word in its complaint. */
static void expect(struct bench *b, const char *const *options, int status, const char *word)
{
    struct process p;

    station_run(b, &p, options);
    CHECK(p.status == status, "exit status %d instead of %d: %s", p.status, status, p.text[1]);
    CHECK(strstr(p.text[1], word), "the complaint does not name \"%s\": %s", word, p.text[1]);
    forget(&p);
}

static void good_bench(struct bench *b)
{
    bench_make(b);
    bench_keys(b, 5, 3);
    bench_images(b, KL_CHIP_ESP32);
    bench_boards(b, 1, NULL);
}

static void untouched(struct bench *b)
{
    char *now = file_read(scratch_path(&b->dir, "keys.csv"), NULL);

    CHECK(now && strcmp(now, b->csv) == 0, "the CSV was changed");
    CHECK(bench_stored(b, 1)[0] == '\0', "the board was given a key");
    free(now);
    bench_remove(b);
}

static void usage(void)
{
    struct bench b;

    good_bench(&b);
    expect(&b, WORDS("--ones"), 2, "--once");
    expect(&b, WORDS("--port", "COM3"), 2, "COM3");
    expect(&b, WORDS("--baud", "fast"), 2, "--baud");
    expect(&b, WORDS("--baud"), 2, "needs a value");
    expect(&b, WORDS("--chip", "esp33"), 2, "esp33");
    expect(&b, WORDS("--confirm", "maybe"), 2, "readback|ack");
    expect(&b, WORDS("--once=yes"), 2, "takes no value");
    expect(&b, WORDS("nonsense"), 2, "nonsense");
    expect(&b, WORDS("--events", "/nowhere/events"), 2, "/nowhere/events");
    untouched(&b);
}

static void no_csv(void)
{
    struct bench b;

    good_bench(&b);
    expect(&b, WORDS("--csv-file", "/nowhere/keys.csv"), 3, "/nowhere/keys.csv");
    untouched(&b);
}

/* Everything that is wrong is told at once, and nothing is touched. */
static void all_at_once(void)
{
    static const char *const words[] = {
        "COM3", "10c4", "/nowhere/keys.csv", "/nowhere/fw.bin", "esp33", "try: keyline --help"};
    struct bench b;

    good_bench(&b);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        expect(&b,
               WORDS("--port", "COM3", "--usb-id", "10c4", "--csv-file", "/nowhere/keys.csv",
                     "--firmware", "/nowhere/fw.bin", "--chip", "esp33"),
               2, words[i]);
    expect(&b, WORDS("--csv-file", "/nowhere/keys.csv", "--firmware", "/nowhere/fw.bin"), 3,
           "/nowhere/keys.csv");
    expect(&b, WORDS("--csv-file", "/nowhere/keys.csv", "--firmware", "/nowhere/fw.bin"), 3,
           "try: keyline check");
    untouched(&b);
}

static void bad_csv(void)
{
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"dev-1,\"aa,bb\ndev-2,cc,dd\n", "1"}, /* an open quote */
        {"dev-1,aa,bb\ndev-1,cc,dd\n", "2"},   /* one label, two keys */
        {"id,dev_eui,app_key\ndev-1,aa,bb\n", "line 1: a header"},
        {"dev-1,1.12E+15,bb\ndev-2,aa,bb\n", "--accept scientific"},
    };
    struct bench b;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        good_bench(&b);
        file_put(scratch_path(&b.dir, "keys.csv"), bad[i].text);
        free(b.csv);
        b.csv = file_read(scratch_path(&b.dir, "keys.csv"), NULL);
        expect(&b, WORDS("--once"), 3, bad[i].word);
        untouched(&b);
    }
}

static void no_firmware(void)
{
    struct bench b;

    good_bench(&b);
    remove(scratch_path(&b.dir, "firmware.bin"));
    expect(&b, WORDS("--once"), 3, "firmware.bin");
    untouched(&b);
}

static void cut(struct bench *b, const char *name, size_t size)
{
    CHECK(truncate(scratch_path(&b->dir, name), (off_t)size) == 0, "%s", strerror(errno));
}

static void truncated_images(void)
{
    static const struct {
        const char *name;
        size_t size;
    } cuts[] = {{"firmware.bin", 5000}, {"bootloader.bin", 1000}, {"partitions.bin", 80}};
    struct bench b;

    for (size_t i = 0; i < 3; i++) {
        good_bench(&b);
        cut(&b, cuts[i].name, cuts[i].size);
        expect(&b, WORDS("--once"), 3, cuts[i].name);
        untouched(&b);
        good_bench(&b);
        cut(&b, cuts[i].name, 0);
        expect(&b, WORDS("--once"), 3, cuts[i].name);
        untouched(&b);
    }
}

/* The images are for an S3, the board is an ESP32: found on the board, before anything is written.
 */
static void another_chip(void)
{
    struct bench b;
    struct process p;
    struct outcome o;

    good_bench(&b);
    bench_images(&b, KL_CHIP_ESP32S3);
    station_run(&b, &p, WORDS("--once"));
    bench_outcome(&b, 1, &o);
    CHECK(p.status == 1 && strcmp(o.reason, "wrong_chip") == 0, "exit status %d, reason %s",
          p.status, o.reason);
    forget(&p);
    expect(&b, WORDS("--once", "--chip", "esp32"), 3, "ESP32-S3");
    untouched(&b);
}

/* Partitions for 4 MB, a board with 1 MB. */
static void flash_too_small(void)
{
    struct bench b;
    struct process p;
    struct outcome o;

    bench_make(&b);
    bench_keys(&b, 5, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 1, WORDS("--flash-size", "1"));
    station_run(&b, &p, WORDS("--once"));
    bench_outcome(&b, 1, &o);
    CHECK(p.status == 1 && strcmp(o.reason, "flash_too_small") == 0, "exit status %d, reason %s",
          p.status, o.reason);
    forget(&p);
    untouched(&b);
}

/* A port number that nobody listens on, because we hold it. */
static void refused_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct bench b;
    struct process p;
    char url[64];

    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &size) == 0,
          "%s", strerror(errno));
    snprintf(url, sizeof url, "rfc2217://127.0.0.1:%u", ntohs(address.sin_port));
    good_bench(&b);
    station_run(&b, &p, WORDS("--once", "--port", url));
    CHECK(p.status == 1, "exit status %d", p.status);
    CHECK(strstr(p.text[0], "1 done, 1 failed"), "%s", p.text[0]);
    CHECK(bench_check_custody(&b) == 1, "the other board was not served");
    close(fd);
    forget(&p);
    bench_remove(&b);
}

/* Through a mount of the CSV's folder elsewhere; where this user may not mount, it is left out. */
static void second_by_mount(struct bench *b)
{
    static const char script[] =
        "mkdir \"$1.bind\" && trap 'rmdir \"$1.bind\"' EXIT && unshare -m true || exit 77\n"
        "unshare -m sh -c 'mount --bind \"$1\" \"$1.bind\" || exit 77\n"
        "\"$0\" --headless --once --port rfc2217://127.0.0.1:9 --csv-file \"$1.bind/keys.csv\" "
        "--firmware \"$1/firmware.bin\"' \"$0\" \"$1\"";
    struct process p;

    start(&p, WORDS("/bin/sh", "-c", script, KEYLINE, b->dir.folder));
    finish(&p);
    if (p.status == 77)
        printf("left out: mounting a folder at another place\n");
    else
        CHECK(p.status == 4 && strstr(p.text[1], "another station works on"), "%d: %s", p.status,
              p.text[1]);
    forget(&p);
}

/* While the first one works (it waits for a board that never asks), a second one starts. */
static void second_station(void)
{
    struct bench b;
    struct process first;
    char holder[64], link[256], folder[256];

    bench_make(&b);
    bench_keys(&b, 5, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 1, WORDS("--fault", "never_asks"));
    station_start(&b, &first, NULL);
    wait_for(&first, "connecting");
    snprintf(holder, sizeof holder, "pid %d, user ", (int)first.pid);
    expect(&b, WORDS("--once"), 4, holder);
    snprintf(link, sizeof link, "%s", scratch_path(&b.dir, "link.csv"));
    CHECK(symlink("keys.csv", link) == 0, "%s", strerror(errno));
    expect(&b, WORDS("--once", "--csv-file", link), 4, holder);
    snprintf(folder, sizeof folder, "%s", scratch_path(&b.dir, "elsewhere"));
    CHECK(symlink(".", folder) == 0, "%s", strerror(errno));
    strcat(folder, "/keys.csv");
    expect(&b, WORDS("--once", "--csv-file", folder), 4, holder);
    second_by_mount(&b);
    kill(first.pid, SIGKILL);
    finish(&first);
    forget(&first);
    /* a crash leaves no lock behind */
    expect(&b, WORDS("--once", "--csv-file", link, "--prompt-timeout", "0.5", "--retries", "0"), 1,
           "");
    untouched(&b);
}

static void ledger_unwritable(void)
{
    struct bench b;

    good_bench(&b);
    /* A folder stands where the ledger would be: not even root can write there. */
    CHECK(mkdir(scratch_path(&b.dir, "keys.csv.ledger"), 0700) == 0, "%s", strerror(errno));
    expect(&b, WORDS("--once"), 6, "ledger");
    untouched(&b);
}

/* Taken away between two runs: nobody can know what it held, but it is said, in all places. */
static void ledger_gone(void)
{
    struct bench b;
    struct process p;

    good_bench(&b);
    CHECK(station_run(&b, &p, WORDS("--once")) == 0 && !strstr(p.text[0], "no ledger"), "%s",
          p.text[0]);
    forget(&p);
    CHECK(unlink(scratch_path(&b.dir, "keys.csv.ledger")) == 0, "%s", strerror(errno));
    /* The journal knows what the ledger knew; a person has to say how to go on. */
    CHECK(station_run(&b, &p, WORDS("--once")) == 7, "exit status %d", p.status);
    CHECK(strstr(p.text[1], "dev-1 for ") && strstr(p.text[1], "--heal"), "%s", p.text[1]);
    forget(&p);
    CHECK(station_run(&b, &p, WORDS("--once", "--heal")) == 0, "exit status %d", p.status);
    CHECK(strstr(p.text[0], "there was no ledger") && bench_events(&b, "station", NULL) > 0, "%s",
          p.text[0]);
    forget(&p);
    CHECK(bench_check_custody(&b) == 1, "one board, one key");
    bench_remove(&b);
}

/* No file of this process may grow: as if the disk were full. */
static void fill_disk(const struct process *p, bool full)
{
    struct rlimit limit;

    CHECK(prlimit(p->pid, RLIMIT_FSIZE, NULL, &limit) == 0, "%s", strerror(errno));
    limit.rlim_cur = full ? 0 : limit.rlim_max;
    CHECK(prlimit(p->pid, RLIMIT_FSIZE, &limit, NULL) == 0, "%s", strerror(errno));
}

/* A board waits for its key, visibly, and goes on by itself. */
static void full_disk(void)
{
    struct bench b;
    struct process p;

    good_bench(&b);
    bench_command(&b, "unplug 1");
    station_start(&b, &p, WORDS("--count", "1"));
    wait_for(&p, "refused");
    fill_disk(&p, true);
    bench_command(&b, "plug 1");
    wait_for(&p, "reserving");
    CHECK(strstr(wait_for(&p, "waiting"), "keys.csv.ledger"), "the reason is not told");
    CHECK(bench_stored(&b, 1)[0] == '\0', "a key left the host without a reservation");
    fill_disk(&p, false);
    wait_for(&p, "PASS");
    CHECK(finish(&p) == 0, "exit status %d: %s", p.status, p.text[1]);
    CHECK(!strstr(p.text[0], "FAIL"), "%s", p.text[0]);
    forget(&p);
    CHECK(bench_check_custody(&b) == 1, "one board, one key");
    bench_remove(&b);
}

static void no_keys_left(void)
{
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, 2, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 3, NULL);
    station_run(&b, &p, WORDS("--once"));
    CHECK(p.status == 5, "exit status %d", p.status);
    CHECK(bench_check_custody(&b) == 2, "two keys were there");
    forget(&p);
    bench_remove(&b);
}

/* The CSV as it is now, and these rows. */
static void put_with_rows(struct bench *b, const char *now, const char *rows)
{
    char all[2048];

    snprintf(all, sizeof all, "%s%s", now, rows);
    file_put(scratch_path(&b->dir, "keys.csv"), all);
}

/* A board waits for a key, and somebody adds rows that no board can get: the station names them,
   and goes on when they are corrected. */
static void added_rows_that_conflict(void)
{
    struct bench b;
    struct process p;
    char *now;

    bench_make(&b);
    bench_keys(&b, 1, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 2, NULL);
    station_start(&b, &p, WORDS("--count", "2"));
    wait_for(&p, "no free key is left");
    bench_wait_for_marks(&b, 1);
    now = file_read(scratch_path(&b.dir, "keys.csv"), NULL);
    put_with_rows(&b, now, "dev-1,0123456789,9876543210\n");
    wait_for(&p, "lines 1 and 2 have one label and different keys");
    put_with_rows(&b, now, "new-1,0123456789,9876543210\n");
    free(now);
    wait_for(&p, "key new-1 recorded");
    CHECK(finish(&p) == 0, "exit status %d: %s", p.status, p.text[1]);
    forget(&p);
    bench_remove(&b);
}

/* As a person does, with the number that is shown. */
static void accept_what_is_asked(const char *keys)
{
    struct process ask;
    char number[16];

    start(&ask, WORDS(KEYLINE, "keys", "accept", "--csv-file", keys));
    CHECK(finish(&ask) == 7, "exit status %d: %s", ask.status, ask.text[1]);
    const char *at = strstr(ask.text[1], "keys accept ");
    CHECK(at && sscanf(at, "keys accept %15s", number) == 1, "%s", ask.text[1]);
    forget(&ask);
    start(&ask, WORDS(KEYLINE, "keys", "accept", "--csv-file", keys, number));
    CHECK(finish(&ask) == 0 && strstr(ask.text[0], "accepted"), "exit status %d: %s", ask.status,
          ask.text[1]);
    forget(&ask);
}

/* Somebody puts another export behind the list, header and all. The station asks, and a person says
   with a command that it is right. */
static void added_rows_are_asked_about(void)
{
    struct bench b;
    struct process p, ask;
    char *keys, *now;

    bench_make(&b);
    bench_keys(&b, 1, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 2, NULL);
    keys = strdup(scratch_path(&b.dir, "keys.csv"));
    station_start(&b, &p, WORDS("--count", "2"));
    wait_for(&p, "no free key is left");
    bench_wait_for_marks(&b, 1);
    now = file_read(keys, NULL);
    put_with_rows(&b, now, "id,dev_eui,app_key\nnew-1,0123456789,9876543210\n");
    free(now);
    wait_for(&p, "line 2: a header");
    wait_for(&p, "keyline keys accept");
    start(&ask, WORDS(KEYLINE, "keys", "accept", "--csv-file", keys, "00000000"));
    CHECK(finish(&ask) == 4, "exit status %d: %s", ask.status, ask.text[1]);
    forget(&ask);
    accept_what_is_asked(keys);
    CHECK(finish(&p) == 0, "exit status %d: %s", p.status, p.text[1]);
    CHECK(strstr(p.text[0], "says that the list of keys is right"), "%s", p.text[0]);
    forget(&p);
    start(&ask, WORDS(KEYLINE, "keys", "history", "--csv-file", keys));
    CHECK(finish(&ask) == 0 && strstr(ask.text[0], "line 2: a header"), "%s", ask.text[0]);
    forget(&ask);
    start(&ask, WORDS(KEYLINE, "keys", "accept", "--csv-file", keys));
    CHECK(finish(&ask) == 4 && strstr(ask.text[1], "no station"), "%s", ask.text[1]);
    forget(&ask);
    free(keys);
    bench_remove(&b);
}

/* Each field quoted, CRLF, a byte order mark, and of each row's mark only the empty field. */
static char *saved_by_spreadsheet(const char *csv, unsigned marked)
{
    char *text = calloc(4, strlen(csv) + 100), *at = text;
    unsigned row = 1;

    at += sprintf(at, "\xef\xbb\xbf\"");
    for (const char *c = csv; *c; c++) {
        if (*c == ',')
            at += sprintf(at, "\",\"");
        else if (*c == '\n')
            at += sprintf(at, "\",\"\"%s\r\n%s", row++ <= marked ? ",Provisioned" : "",
                          c[1] ? "\"" : "");
        else
            *at++ = *c;
    }
    return text;
}

/* Between two runs somebody saves the CSV as it was in the morning, in another dialect: the boards
   keep their keys, and the marks come back. */
static void csv_saved_over(void)
{
    struct bench b;
    struct process p;
    char first[1024], *text;

    bench_make(&b);
    bench_keys(&b, 5, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 2, NULL);
    CHECK(station_run(&b, &p, WORDS("--once")) == 0, "%s", p.text[0]);
    forget(&p);
    snprintf(first, sizeof first, "%s", bench_stored(&b, 1));
    text = saved_by_spreadsheet(b.csv, 0);
    file_put(scratch_path(&b.dir, "keys.csv"), text);
    free(text);
    CHECK(station_run(&b, &p, WORDS("--once")) == 0, "%s", p.text[0]);
    CHECK(strstr(p.text[0], "5 keys: 3 free, 0 reserved, 2 provisioned\n"), "%s", p.text[0]);
    forget(&p);
    CHECK(strcmp(bench_stored(&b, 1), first) == 0, "the board has another key");
    text = saved_by_spreadsheet(b.csv, 2);
    CHECK(file_is(scratch_path(&b.dir, "keys.csv"), text), "marks or other bytes are wrong");
    free(text);
    bench_remove(&b);
}

/* A spreadsheet may write all rows anew, and again: what is gone is remembered, what is new counts.
 */
static void csv_replaced_again_and_again(void)
{
    static const char *const tables[] = {"a-1,01,02\na-2,03,04\n", "b-1,05,06\nb-2,07,08\n",
                                         "c-1,09,0a\nc-2,0b,0c\nc-3,0d,0e\n", "d-1,0f,10\n"};
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, 2, 3);
    bench_images(&b, KL_CHIP_ESP32);
    bench_boards(&b, 1, WORDS("--fault", "never_asks"));
    station_start(&b, &p, NULL);
    wait_for(&p, "connecting");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        file_put(scratch_path(&b.dir, "new.csv"), tables[i]);
        CHECK(rename(scratch_path(&b.dir, "new.csv"), scratch_path(&b.dir, "keys.csv")) == 0, "%s",
              strerror(errno));
        wait_for(&p, "the CSV was read again");
    }
    CHECK(kill(p.pid, SIGTERM) == 0 && finish(&p) == 0, "exit status %d: %s", p.status, p.text[1]);
    forget(&p);
    bench_remove(&b);
}

const struct e2e_case cases_input[] = {
    {"usage", usage},
    {"no_csv", no_csv},
    {"all_at_once", all_at_once},
    {"bad_csv", bad_csv},
    {"no_firmware", no_firmware},
    {"truncated_images", truncated_images},
    {"another_chip", another_chip},
    {"flash_too_small", flash_too_small},
    {"refused_port", refused_port},
    {"second_station", second_station},
    {"ledger_unwritable", ledger_unwritable},
    {"ledger_gone", ledger_gone},
    {"full_disk", full_disk},
    {"no_keys_left", no_keys_left},
    {"added_rows_that_conflict", added_rows_that_conflict},
    {"added_rows_are_asked_about", added_rows_are_asked_about},
    {"csv_saved_over", csv_saved_over},
    {"csv_replaced_again_and_again", csv_replaced_again_and_again},
    {NULL, NULL},
};
