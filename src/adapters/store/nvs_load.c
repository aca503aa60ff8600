/* nvs_load.c: a CSV's header and rows for NVS, and images as files. See nvs_load.h. */
#include "keyline/nvs_load.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/host/disk.h"
#include "adapters/host/regular.h"
#include "csv.h"
#include "keyline/bundle_load.h"
#include "keyline/secret.h"

enum {
    HEADER_MAX = 1 << 14, /* bytes of the header row */
    CELLS_MAX = KL_COLUMNS_MAX + KL_NVS_ITEMS_MAX,
    CHUNK = 1 << 14,
};

/* ---- files ---- */

/* As much of `path` as fits into `room`; -1 and `error` if it can't be read. */
static ssize_t read_start(const char *path, uint8_t *out, size_t room, char error[KL_TEXT_MAX])
{
    const char *trouble;
    int fd = kl_open_regular(path, &trouble);
    size_t size = 0;
    ssize_t n = 1;

    while (fd >= 0 && size < room && n > 0) {
        n = read(fd, out + size, room - size);
        if (n > 0)
            size += (size_t)n;
        else if (n < 0)
            trouble = strerror(errno);
    }
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && n >= 0)
        return (ssize_t)size;
    kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), trouble);
    return -1;
}

uint8_t *kl_nvs_file_read(const char *path, size_t *size, char error[KL_TEXT_MAX])
{
    uint8_t *data = kl_secret_alloc(KL_NVS_FILE_MAX);
    ssize_t n;

    if (!data) {
        kl_copy(error, KL_TEXT_MAX, "out of memory");
        return NULL;
    }
    n = read_start(path, data, KL_NVS_FILE_MAX, error);
    if (n == KL_NVS_FILE_MAX) {
        kl_format(error, KL_TEXT_MAX, "%s: it is larger than 1 MB", kl_shown(path));
        n = -1;
    }
    if (n < 0) {
        kl_secret_free(data, KL_NVS_FILE_MAX);
        return NULL;
    }
    *size = (size_t)n;
    return data;
}

bool kl_nvs_file_write(const char *path, const uint8_t *data, size_t size, char error[KL_TEXT_MAX])
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t done = 0;
    ssize_t n = 1;

    if (fd < 0) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(path), strerror(errno));
        return false;
    }
    while (done < size && n > 0) {
        n = write(fd, data + done, size - done);
        if (n > 0)
            done += (size_t)n;
    }
    bool ok = done == size && fsync(fd) == 0;
    int why = errno;
    if (close(fd) == 0 && ok)
        return true;
    unlink(path);
    kl_format(error, KL_TEXT_MAX, "%s: it can't be written: %s", kl_shown(path), strerror(why));
    return false;
}

/* ---- the header ---- */

/* The first row, taken apart in its own memory. */
struct header {
    uint8_t text[HEADER_MAX];
    struct kl_span cell[CELLS_MAX];
    unsigned count;
};

/* One cell from `*at` on, with or without quotes. Takes the quotes off in place. */
static struct kl_span take_cell(uint8_t *text, size_t size, size_t *at)
{
    const size_t from = *at;
    size_t to = from;
    bool inside = false;

    for (; *at < size; ++*at) {
        uint8_t c = text[*at];
        if (c == '"' && inside && *at + 1 < size && text[*at + 1] == '"')
            text[to++] = text[++*at];
        else if (c == '"')
            inside = !inside;
        else if (!inside && (c == ',' || c == '\n' || c == '\r'))
            break;
        else
            text[to++] = c;
    }
    return (struct kl_span){text + from, to - from};
}

static bool take_header(struct header *h, size_t size)
{
    size_t at = size >= 3 && memcmp(h->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;

    h->count = 0;
    while (h->count < CELLS_MAX) {
        h->cell[h->count++] = take_cell(h->text, size, &at);
        if (at == size)
            return size < HEADER_MAX;
        if (h->text[at++] != ',')
            return true;
    }
    return false;
}

static bool parse(struct kl_nvs_schema *s, const struct header *h, const char *csv,
                  const char *file, char error[KL_TEXT_MAX])
{
    struct kl_nvs_schema_error e;
    unsigned columns;
    size_t size = 0;
    bool ok;

    if (!file) {
        if (kl_nvs_schema_header(s, h->cell, h->count, &columns, &e))
            return true;
        kl_format(error, KL_TEXT_MAX, "%s line 1, column %u: %s", kl_shown(csv), e.at,
                  e.fault == KL_NVS_SCHEMA_NOTHING
                      ? "its header names no place: NAMESPACE/NAME:TYPE, or --nvs-schema FILE"
                      : kl_nvs_schema_error_text(&e));
        return false;
    }
    uint8_t *text = kl_nvs_file_read(file, &size, error);
    if (!text)
        return false;
    ok = kl_nvs_schema_config(s, (struct kl_span){text, size}, h->cell, h->count, &e);
    if (!ok)
        kl_format(error, KL_TEXT_MAX, "%s line %u: %s", kl_shown(file), e.at,
                  kl_nvs_schema_error_text(&e));
    kl_secret_free(text, KL_NVS_FILE_MAX);
    return ok;
}

struct kl_nvs_schema *kl_nvs_schema_load(const char *csv, const char *file, char error[KL_TEXT_MAX])
{
    struct kl_nvs_schema *s = kl_secret_alloc(sizeof *s);
    struct header *h = kl_secret_alloc(sizeof *h);
    ssize_t size = -1;
    bool ok = false;

    if (!s || !h)
        kl_copy(error, KL_TEXT_MAX, "out of memory");
    else
        size = read_start(csv, h->text, HEADER_MAX, error);
    if (size >= 0 && !take_header(h, (size_t)size))
        kl_format(error, KL_TEXT_MAX, "%s line 1: the header is too long", kl_shown(csv));
    else if (size >= 0)
        ok = parse(s, h, csv, file, error);
    kl_secret_free(h, sizeof *h);
    if (ok)
        return s;
    kl_secret_free(s, sizeof *s);
    return NULL;
}

void kl_nvs_schema_free(struct kl_nvs_schema *s)
{
    kl_secret_free(s, sizeof *s);
}

/* ---- the rows ---- */

struct reading {
    struct kl_csv csv;
    struct kl_key key;
    struct kl_key_text text;
    bool past_header;
    uint8_t chunk[CHUNK];
};

static bool tell_row(struct reading *r, bool (*each)(void *, const struct kl_nvs_row *), void *ctx)
{
    const struct kl_csv_row_text *text = &r->csv.row;
    struct kl_nvs_row row = {.line = text->line, .marked = text->marked};
    enum kl_csv_unfit unfit = kl_csv_unfit_long(text);
    struct kl_span field[KL_COLUMNS_MAX];

    if (!r->past_header) {
        r->past_header = true;
        return true;
    }
    for (unsigned i = 0; unfit == KL_UNFIT_NOTHING && i < text->fields; i++)
        field[i] = kl_csv_field(text, i);
    if (unfit != KL_UNFIT_NOTHING)
        row.why = kl_csv_unfit_text(unfit);
    else if (!kl_key_build_long(&r->key, &r->text, field, text->fields, kl_sha256))
        row.why = kl_csv_unfit_text(KL_UNFIT_OTHER);
    else
        row.key = &r->key;
    return each(ctx, &row);
}

/* False if the reader must stop: there is an error, or nobody wants more. */
static bool take_chunk(struct reading *r, size_t size,
                       bool (*each)(void *, const struct kl_nvs_row *), void *ctx)
{
    for (size_t at = 0; at < size;) {
        at += kl_csv_feed(&r->csv, r->chunk + at, size - at);
        if (r->csv.error != KL_CSV_FINE || (r->csv.row_ready && !tell_row(r, each, ctx)))
            return false;
    }
    return true;
}

bool kl_nvs_rows(const char *csv, bool (*each)(void *ctx, const struct kl_nvs_row *row), void *ctx,
                 char error[KL_TEXT_MAX])
{
    struct reading *r = kl_secret_alloc(sizeof *r);
    const char *trouble = "out of memory";
    int fd = r ? kl_open_regular(csv, &trouble) : -1;
    ssize_t n = -1;
    bool more = true;

    error[0] = '\0';
    if (fd >= 0)
        kl_csv_begin(&r->csv);
    while (fd >= 0 && more && (n = read(fd, r->chunk, sizeof r->chunk)) > 0)
        more = take_chunk(r, (size_t)n, each, ctx);
    if (fd >= 0 && n < 0)
        trouble = strerror(errno);
    if (fd < 0 || n < 0)
        kl_format(error, KL_TEXT_MAX, "%s: %s", kl_shown(csv), trouble);
    if (fd >= 0 && n == 0) {
        kl_csv_end(&r->csv);
        if (r->csv.error == KL_CSV_FINE && r->csv.row_ready)
            tell_row(r, each, ctx);
    }
    if (fd >= 0 && r->csv.error != KL_CSV_FINE)
        kl_format(error, KL_TEXT_MAX, "%s line %u: %s", kl_shown(csv), (unsigned)r->csv.error_line,
                  kl_csv_error_text(r->csv.error));
    if (fd >= 0)
        close(fd);
    kl_secret_free(r, sizeof *r);
    return error[0] == '\0';
}
