/* cli_nvs_make.c: `keyline nvs make` and `keyline nvs check`: a CSV's rows as images. */
#include <stdio.h>
#include <string.h>

#include "cli_nvs.h"
#include "keyline/cli.h"
#include "keyline/secret.h"

enum {
    NAMED_MAX = 40, /* rows that are named one by one */
};

struct work {
    const struct nvs_args *args;
    const struct kl_nvs_schema *schema;
    uint8_t *image;
    uint32_t rows, misfits;
    /* make */
    bool found, twice, marked;
    char error[KL_TEXT_MAX];
};

void nvs_say_misfit(const struct kl_nvs_schema *schema, const char *csv, uint32_t line,
                    const struct kl_nvs_misfit *why, char out[KL_TEXT_MAX])
{
    const struct kl_nvs_place *p = &schema->place[why->place];
    char column[32] = "";

    if (p->column != KL_NVS_CONSTANT)
        kl_format(column, sizeof column, ", column %u", p->column + 1u);
    kl_format(out, KL_TEXT_MAX, "%s line %u%s (%s/%s): %s", csv, (unsigned)line, column,
              p->namespace, p->name, kl_nvs_verdict_text(why->verdict));
}

/* Builds the whole image; code that did not write it reads it back. */
static bool build(struct work *w, const struct kl_nvs_row *row, char error[KL_TEXT_MAX])
{
    struct kl_nvs_image image = {w->image, w->args->size};
    struct kl_nvs_misfit why;

    if (!row->key) {
        kl_format(error, KL_TEXT_MAX, "%s line %u: it can't be a key: %s", w->args->csv,
                  (unsigned)row->line, row->why);
        return false;
    }
    if (!kl_nvs_schema_build(w->schema, row->key, w->image, w->args->size, &why)) {
        nvs_say_misfit(w->schema, w->args->csv, row->line, &why, error);
        return false;
    }
    KL_ASSERT(kl_nvs_look(image) == KL_NVS_IS_SOUND);
    KL_ASSERT(kl_nvs_schema_matches(w->schema, row->key, image));
    return true;
}

static bool check_row(void *ctx, const struct kl_nvs_row *row)
{
    struct work *w = ctx;
    char text[KL_TEXT_MAX];

    w->rows++;
    if (build(w, row, text))
        return true;
    if (++w->misfits <= NAMED_MAX)
        printf("%s\n", text);
    return true;
}

static bool make_row(void *ctx, const struct kl_nvs_row *row)
{
    struct work *w = ctx;
    struct kl_span label = row->key ? kl_key_field(row->key, 0) : (struct kl_span){NULL, 0};
    size_t size = strlen(w->args->label);

    if (!label.data || label.size != size || memcmp(label.data, w->args->label, size) != 0)
        return true;
    w->twice = w->found;
    w->found = true;
    w->marked = row->marked;
    return !w->twice && build(w, row, w->error);
}

static int begin(struct work *w, const struct nvs_args *a, struct kl_nvs_schema **schema)
{
    char error[KL_TEXT_MAX];

    *w = (struct work){.args = a};
    *schema = kl_nvs_schema_load(a->csv, a->schema, error);
    if (!*schema)
        return nvs_complain(error, KL_EXIT_INPUT);
    w->schema = *schema;
    w->image = kl_secret_alloc(a->size);
    if (w->image)
        return KL_EXIT_OK;
    kl_nvs_schema_free(*schema);
    return nvs_complain("out of memory", KL_EXIT_FAILED);
}

static void end(struct work *w, struct kl_nvs_schema *schema)
{
    kl_secret_free(w->image, w->args->size);
    kl_nvs_schema_free(schema);
}

int nvs_check(const struct nvs_args *a)
{
    struct kl_nvs_schema *schema;
    char error[KL_TEXT_MAX];
    struct work w;
    int status = begin(&w, a, &schema);

    if (status != KL_EXIT_OK)
        return status;
    bool read = kl_nvs_rows(a->csv, check_row, &w, error);
    end(&w, schema);
    if (!read)
        return nvs_complain(error, KL_EXIT_INPUT);
    if (w.misfits > NAMED_MAX)
        printf("%u more lines like that\n", (unsigned)(w.misfits - NAMED_MAX));
    printf("%s: %u rows, %u can't be written\n", a->csv, (unsigned)w.rows, (unsigned)w.misfits);
    if (nvs_printed() != KL_EXIT_OK)
        return KL_EXIT_FAILED;
    return w.misfits == 0 ? KL_EXIT_OK : KL_EXIT_INPUT;
}

static bool write_image(struct work *w)
{
    const struct nvs_args *a = w->args;

    if (w->error[0])
        return false;
    if (!w->found)
        kl_format(w->error, sizeof w->error, "%s: no row has the label %s", a->csv, a->label);
    else if (w->twice)
        kl_format(w->error, sizeof w->error, "%s: two rows have the label %s", a->csv, a->label);
    else
        return kl_nvs_file_write(a->out, w->image, a->size, w->error);
    return false;
}

int nvs_make(const struct nvs_args *a)
{
    struct kl_nvs_schema *schema;
    char error[KL_TEXT_MAX];
    struct work w;
    int status = begin(&w, a, &schema);

    if (status != KL_EXIT_OK)
        return status;
    bool read = kl_nvs_rows(a->csv, make_row, &w, error);
    if (!read)
        kl_copy(w.error, sizeof w.error, error);
    bool written = write_image(&w);
    end(&w, schema);
    if (!written)
        return nvs_complain(w.error, KL_EXIT_INPUT);
    if (w.marked)
        fprintf(stderr, "keyline nvs: warning: %s is marked: a board has this key\n", a->label);
    printf("%s: %u bytes, for one board only; keyline's record does not know of it\n", a->out,
           (unsigned)a->size);
    return nvs_printed();
}
