/* cases_images.c: images of other kinds than the three usual files, from the command line to what
   the board holds in the end. */
#include <stdlib.h>
#include <string.h>

#include "e2e.h"

/* What merging the bench's images makes: one file from 0, with 0xFF where the NVS lies. */
static void merge_images(struct bench *b)
{
    static unsigned char all[1 << 20];
    static const struct {
        const char *name;
        size_t at;
    } parts[] = {{"bootloader.bin", 0x1000}, {"partitions.bin", 0x8000}, {"firmware.bin", 0x10000}};
    size_t end = 0;

    memset(all, 0xff, sizeof all);
    for (size_t i = 0; i < 3; i++) {
        size_t size;
        char *data = file_read(scratch_path(&b->dir, parts[i].name), &size);
        CHECK(data && parts[i].at + size <= sizeof all, "%s", parts[i].name);
        memcpy(all + parts[i].at, data, size);
        end = parts[i].at + size;
        free(data);
    }
    file_write(scratch_path(&b->dir, "all.bin"), all, end);
}

static void run_merged(struct bench *b, const char *csv, bool already)
{
    char file[256], keys[256];
    struct outcome o;
    struct process p;

    snprintf(file, sizeof file, "%s", scratch_path(&b->dir, "all.bin"));
    snprintf(keys, sizeof keys, "%s", scratch_path(&b->dir, csv));
    station_run(b, &p, WORDS("--once", "--firmware", file, "--csv-file", keys));
    bench_outcome(b, 1, &o);
    CHECK(p.status == 0 && strcmp(o.result, "done") == 0, "%s %s: %s", o.result, o.reason,
          p.text[1]);
    CHECK(o.already == already, "the board is taken for another");
    bench_check_flash(b, 1);
    forget(&p);
}

/* A merged image covers the NVS: it is written on a board that is new to these keys, and left alone
   on one that holds one of them. */
static void merged_image(void)
{
    struct bench b;
    char first[512];

    bench_make(&b);
    bench_keys(&b, 3, 3);
    bench_images(&b, KL_CHIP_ESP32);
    merge_images(&b);
    bench_boards(&b, 1, NULL);
    run_merged(&b, "keys.csv", false);
    snprintf(first, sizeof first, "%s", bench_stored(&b, 1));
    CHECK(first[0], "no key");
    run_merged(&b, "keys.csv", true);
    CHECK(strcmp(bench_stored(&b, 1), first) == 0, "its key was overwritten");
    CHECK(bench_check_custody(&b) == 1, "one key, one mark");
    file_put(scratch_path(&b.dir, "other.csv"), "new-1,aabbccdd00112233,5566778899aabbcc\n");
    run_merged(&b, "other.csv", false);
    CHECK(strncmp(bench_stored(&b, 1), "new-1,", 6) == 0, "what the NVS held was not cleared");
    bench_remove(&b);
}

/* `keyline chip` reads a locked board, and leaves it as it was. */
static void chip_shown(void)
{
    struct bench b;
    struct process p;

    bench_make(&b);
    bench_keys(&b, 1, 3);
    bench_boards(&b, 2, WORDS("--fault", "1:flash_encrypted"));
    start(&p, WORDS(KEYLINE, "chip", "--port", b.url[1], "--json"));
    CHECK(finish(&p) == 0, "exit status %d: %s", p.status, p.text[1]);
    CHECK(strstr(p.text[0], b.mac[1]) && strstr(p.text[0], "\"on\": true"), "%s", p.text[0]);
    forget(&p);
    start(&p, WORDS(KEYLINE, "chip", "--port", b.url[2]));
    CHECK(finish(&p) == 0 && strstr(p.text[0], "flash encryption  off"), "%s", p.text[0]);
    forget(&p);
    start(&p, WORDS(KEYLINE, "chip"));
    CHECK(finish(&p) == 2 && strstr(p.text[1], "--port"), "exit status %d", p.status);
    forget(&p);
    start(&p, WORDS(KEYLINE, "chip", "--port", "rfc2217://127.0.0.1:1"));
    CHECK(finish(&p) == 1 && strstr(p.text[1], "refused"), "exit status %d", p.status);
    forget(&p);
    bench_remove(&b);
}

static void run_secured(struct bench *b, const char *const *options, const char *result,
                        const char *reason)
{
    struct outcome o;
    struct process p;

    station_run(b, &p, options);
    bench_outcome(b, 1, &o);
    CHECK(strcmp(o.result, result) == 0 && strcmp(o.reason, reason) == 0, "%s [%s] not %s [%s]\n%s",
          o.result, o.reason, result, reason, p.text[0]);
    CHECK(strcmp(o.mac, b->mac[1]) == 0, "it is recorded as '%s'", o.mac); /* refused or not */
    forget(&p);
}

static void secured_bench(struct bench *b, const char *faults)
{
    bench_make(b);
    bench_keys(b, 4, 3);
    bench_images(b, KL_CHIP_ESP32);
    bench_boards(b, 1, WORDS("--fault", faults));
}

/* The program locks its board at its first start. Flashed again it would never start; what the
   ledger, or this very run, knows to be flashed with these images is given its key. */
static void secured_boards(void)
{
    struct bench b;

    secured_bench(&b, "encrypts_itself");
    run_secured(&b, WORDS("--once"), "done", "");
    run_secured(&b, WORDS("--once"), "failed", "flash_encrypted");
    run_secured(&b, WORDS("--once", "--secured=handover"), "done", "");
    CHECK(bench_check_custody(&b) == 1, "one key");
    bench_images(&b, KL_CHIP_ESP32C3);
    run_secured(&b, WORDS("--once", "--secured=handover"), "failed", "flash_encrypted");
    bench_remove(&b);

    secured_bench(&b, "encrypts_itself,brownout=3");
    run_secured(&b, WORDS("--once"), "failed", "flash_encrypted");
    bench_remove(&b);
    secured_bench(&b, "encrypts_itself,brownout=3");
    run_secured(&b, WORDS("--once", "--secured=handover"), "done", "");
    bench_remove(&b);
    secured_bench(&b, "flash_encrypted"); /* somebody else's lock */
    run_secured(&b, WORDS("--once", "--secured=handover"), "failed", "flash_encrypted");
    bench_remove(&b);
}

const struct e2e_case cases_images[] = {{"merged_image", merged_image},
                                        {"chip_shown", chip_shown},
                                        {"secured_boards", secured_boards},
                                        {NULL, NULL}};
