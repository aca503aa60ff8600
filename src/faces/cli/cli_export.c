/*
 * cli_export.c: `keyline keys export` in the forms that networks and customers take:
 *
 *   rows of list and ledger -> text in memory -> nameless file -> record -> its name
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli_keys.h"
#include "export_sign.h"
#include "keyline/cli.h"
#include "keyline/export.h"
#include "keyline/secret.h"

enum {
    COMPLAINTS_MAX = 20,
    TRIES = 5, /* a station that puts marks in replaces the list now and then */
    TEMPLATE_MAX = 64 << 10,
};

struct job {
    const struct keys_args *a;
    enum kl_export_form form;
    char *template;
    struct kl_store *store;
    struct kl_export *export;
    struct { /* in secret memory */
        struct kl_key key;
        struct kl_key_text text;
    } * secret;
    char *name[KL_COLUMNS_MAX];
    unsigned names;
    char pool[33];
    int64_t since; /* microseconds since 1970; 0 = all */
    unsigned reserved, bad;
    bool all;     /* every row of the list, whether a board has it or not: only to check them */
    bool changed; /* the list was replaced while we read it: begin again */
    char error[KL_TEXT_MAX];
};

static int complain(const char *text, int exit)
{
    fprintf(stderr, "keyline keys: %s\n", text);
    return exit;
}

/* ---- what is asked for ---- */

bool keys_export_is_special(const struct keys_args *a)
{
    const struct keys_export_args *x = &a->export;

    return x->as >= 0 || x->public || x->secrets || x->is_signed || x->output || x->template ||
           x->since || x->maps.count > 0 || x->sets.count > 0;
}

/* What is wrong with the options; NULL = nothing. */
static const char *nonsense(const struct keys_args *a)
{
    const struct keys_export_args *x = &a->export;

    if (x->public && x->secrets)
        return "--public or --secrets, not both";
    if (x->secrets && x->as < 0)
        return "--secrets goes with --as";
    if (x->secrets && !x->output)
        return "secrets go into a file, never to a terminal or pipe: -o FILE";
    if (x->secrets && x->is_signed)
        return "sign the list that the customer gets: --signed goes without --secrets";
    if (x->is_signed && (!x->output || !x->sign_key))
        return "--signed needs -o FILE and --sign-key FILE";
    if (x->sign_key && !x->is_signed)
        return "--sign-key goes with --signed";
    if (x->password_file && !x->is_signed)
        return "--password-file goes with --signed";
    if (x->as >= 0 && a->format != KEYS_TEXT)
        return "the form of --as is fixed: without --json and --csv";
    if ((x->as == KL_EXPORT_TEMPLATE) != (x->template != NULL))
        return "--as template goes with --template FILE";
    if (x->as < 0 && !x->public && (x->maps.count > 0 || x->sets.count > 0))
        return "--map and --set go with --as or --public";
    return NULL;
}

/* A day, or a second. */
static bool read_time(const char *text, int64_t *wall)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm utc = {0};
        const char *end = strptime(text, forms[i], &utc);
        if (end && *end == '\0') {
            *wall = (int64_t)timegm(&utc) * 1000000;
            return true;
        }
    }
    return false;
}

char *keys_read_template(const char *path, char error[KL_TEXT_MAX])
{
    FILE *file = fopen(path, "rbe");
    char *text = malloc(TEMPLATE_MAX + 1);
    size_t size = 0;
    bool read = false;

    if (!file || !text) {
        kl_format(error, KL_TEXT_MAX, "%s: %s", path, strerror(errno));
    } else {
        size = fread(text, 1, TEMPLATE_MAX, file);
        text[size] = '\0';
        read = !ferror(file) && feof(file) && strlen(text) == size;
        if (!read)
            kl_format(error, KL_TEXT_MAX, "%s: a template is text of at most %d KiB", path,
                      TEMPLATE_MAX >> 10);
    }
    if (file)
        fclose(file);
    if (read)
        return text;
    free(text);
    return NULL;
}

/* ---- the list and its record ---- */

static void take_name(void *ctx, const char *name)
{
    struct job *j = ctx;

    if (j->names < KL_COLUMNS_MAX && (j->name[j->names] = strdup(name)))
        j->names++;
}

static void forget_names(struct job *j)
{
    while (j->names > 0)
        free(j->name[--j->names]);
}

/* The list of who got what needs only the record, also where the CSV is gone. */
static bool needs_list(const struct job *j)
{
    return j->a->export.as >= 0 || j->a->export.public;
}

static int open_store(struct job *j)
{
    struct kl_store_options options = {.csv = j->a->csv,
                                       .header = j->a->header,
                                       .long_keys = true,
                                       .journal = j->a->journal,
                                       .mode = needs_list(j) ? KL_STORE_LOOK : KL_STORE_RECORD};
    enum kl_store_open_result result = kl_store_open(&options, &j->store, j->error);
    const struct kl_store_content *c;

    if (result != KL_STORE_OPENED) {
        fprintf(stderr, "keyline: %s\n", j->error);
        return keys_store_exit(result);
    }
    if (!j->all)
        keys_say_no_record(j->a, j->store);
    if (!needs_list(j))
        return KL_EXIT_OK;
    c = kl_store_content(j->store);
    if (c->warning[0] != '\0' && !j->all)
        fprintf(stderr, "keyline: warning: %s\n", c->warning);
    if (c->doubt[0] == '\0' || j->all)
        return KL_EXIT_OK;
    fprintf(stderr, "keyline: %s%s\n", j->a->export.secrets ? "" : "warning: ", c->doubt);
    if (!j->a->export.secrets)
        return KL_EXIT_OK;
    fprintf(stderr, "keyline: not exported: start the station first, which asks about that\n");
    return KL_EXIT_DOUBT;
}

static int make_export(struct job *j)
{
    const struct keys_export_args *x = &j->a->export;
    struct kl_export_options o = {.form = j->form,
                                  .secrets = x->secrets || (j->all && !x->public),
                                  .public = x->public,
                                  .maps = x->maps.item,
                                  .map_count = x->maps.count,
                                  .sets = x->sets.item,
                                  .set_count = x->sets.count,
                                  .template = j->template,
                                  .pool = j->pool,
                                  .now = (int64_t)time(NULL) * 1000000};

    if (!kl_store_pool(j->store, j->pool, j->error))
        return complain(j->error, KL_EXIT_STORE);
    if (needs_list(j)) {
        o.fields = kl_store_content(j->store)->fields;
        if (j->a->header && !kl_store_header(j->store, take_name, j, j->error)) {
            j->changed = true;
            return KL_EXIT_INPUT;
        }
        o.columns = (const char *const *)j->name;
        o.column_count = j->names;
    }
    j->export = kl_export_new(&o, j->error);
    return j->export ? KL_EXIT_OK : complain(j->error, KL_EXIT_USAGE);
}

/* ---- rows ---- */

static void complain_about_row(struct job *j, const char *what)
{
    if (j->bad++ < COMPLAINTS_MAX)
        fprintf(stderr, "keyline: %s %s\n", j->a->csv, what);
}

/* False if the list changed under us, or can't be read: then nothing more is of use. */
static bool fetch(struct job *j, const struct kl_ledger_key *key, struct kl_export_row *row)
{
    char text[KL_TEXT_MAX];

    if (!kl_export_needs_keys(j->export))
        return true;
    switch (
        kl_store_read_key(j->store, key, &j->secret->key, &j->secret->text, &row->line, j->error)) {
    case KL_READ_DONE:
        row->key = &j->secret->key;
        return true;
    case KL_READ_ABSENT:
        kl_format(text, sizeof text, "lacks the row of %s, which a board has: put it back",
                  key->label);
        complain_about_row(j, text);
        return true;
    case KL_READ_CHANGED:
        j->changed = true;
        return false;
    case KL_READ_FAILED:
        break;
    }
    j->bad++;
    fprintf(stderr, "keyline: %s\n", j->error);
    return false;
}

static bool feed(void *ctx, const struct kl_ledger_key *key)
{
    struct job *j = ctx;
    char eui64[24], error[KL_TEXT_MAX];
    struct kl_export_row row = {.label = key->label,
                                .eui64 = eui64,
                                .station = key->station,
                                .build = key->bundle,
                                .how = key->how,
                                .mac = key->mac,
                                .provisioned = key->provisioned,
                                .fingerprint = key->fingerprint};

    j->reserved += strcmp(key->state, "reserved") == 0;
    if (strcmp(key->state, "provisioned") != 0 || key->provisioned < j->since)
        return true;
    if (j->all)
        kl_copy(eui64, sizeof eui64, "00:00:00:00:00:00:00:00"); /* as if a board had it */
    else
        keys_eui64(j->store, &key->mac, eui64);
    if (!fetch(j, key, &row))
        return false;
    if ((row.key || !kl_export_needs_keys(j->export)) && !kl_export_row(j->export, &row, error))
        complain_about_row(j, error);
    kl_key_wipe(&j->secret->key);
    return true;
}

static void feed_all(struct job *j)
{
    const struct kl_store_content *c = kl_store_content(j->store);

    for (uint32_t i = 0; i < c->row_count; i++) {
        const struct kl_pool_row *row = &c->rows[i];
        const struct kl_ledger_key key = {.fingerprint = row->fingerprint,
                                          .label = row->label,
                                          .state = "provisioned",
                                          .station = "",
                                          .bundle = "",
                                          .how = "",
                                          .provisioned = 1};

        if (!row->bad && !feed(j, &key))
            return;
    }
}

static int collect(struct job *j)
{
    if (j->all)
        feed_all(j);
    else if (!kl_store_keys(j->store, feed, j, j->error))
        return complain(j->error, KL_EXIT_STORE);
    if (j->changed)
        return KL_EXIT_INPUT;
    if (j->bad > COMPLAINTS_MAX)
        fprintf(stderr, "keyline: and %u more\n", j->bad - COMPLAINTS_MAX);
    if (!kl_export_end(j->export, j->error) && j->error[0] != '\0') {
        fprintf(stderr, "keyline: %s %s\n", j->a->csv, j->error);
        j->bad++;
    }
    if (j->bad > 0)
        return j->all ? KL_EXIT_INPUT : complain("nothing is written", KL_EXIT_INPUT);
    if (kl_export_count(j->export) == 0 && j->a->export.output)
        return complain(j->since > 0 ? "no board got a key since then: nothing is written"
                                     : "no board has a key yet: nothing is written",
                        KL_EXIT_INPUT);
    return KL_EXIT_OK;
}

static void close_store(struct job *j)
{
    forget_names(j);
    kl_store_free(j->store);
    j->store = NULL;
}

static int gather(struct job *j)
{
    int exit = KL_EXIT_STORE;

    for (int i = 0; i < TRIES; i++) {
        j->changed = false;
        j->reserved = j->bad = 0;
        if ((exit = open_store(j)) == KL_EXIT_OK && (exit = make_export(j)) == KL_EXIT_OK)
            exit = collect(j);
        close_store(j);
        if (!j->changed)
            return exit;
        kl_export_free(j->export);
        j->export = NULL;
    }
    return complain(j->error, KL_EXIT_INPUT);
}

/* ---- where it goes ---- */

/* For the history: how many, in which form, and the file's whole path as far as there is room. */
static void describe(const struct job *j, char out[KL_TEXT_MAX])
{
    enum {
        ROOM = 120
    };
    char folder[4096] = "", path[2 * sizeof folder];
    const char *output = j->a->export.output;
    size_t size;

    if (output[0] != '/' && !getcwd(folder, sizeof folder))
        folder[0] = '\0';
    size = kl_format(path, sizeof path, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", output);
    kl_format(out, KL_TEXT_MAX, "%s, %u keys with their secrets, to %s",
              kl_export_form_name(j->form), kl_export_count(j->export),
              path + (size > ROOM ? size - ROOM : 0));
}

static int write_secret(struct job *j)
{
    struct kl_span text = kl_export_text(j->export);
    struct kl_export_file file;
    char what[KL_TEXT_MAX];
    int exit;

    if (!kl_export_file_write(&file, j->a->export.output, true, text.data, text.size, j->error))
        return complain(j->error, KL_EXIT_INPUT);
    describe(j, what);
    if ((exit = keys_record_export(j->a, what)) != KL_EXIT_OK) {
        kl_export_file_drop(&file);
        return exit;
    }
    return kl_export_file_name(&file, j->error) ? KL_EXIT_OK : complain(j->error, KL_EXIT_INPUT);
}

static int write_out(struct job *j, const struct export_signer *signer)
{
    struct kl_span text = kl_export_text(j->export);
    struct kl_export_file file;

    if (!j->a->export.output) {
        fwrite(text.data, 1, text.size, stdout);
        return keys_printed();
    }
    if (kl_export_is_secret(j->export))
        return write_secret(j);
    if (signer)
        return export_write_signed(signer, j->a->export.output, text, j->pool,
                                   kl_export_count(j->export));
    if (!kl_export_file_write(&file, j->a->export.output, false, text.data, text.size, j->error) ||
        !kl_export_file_name(&file, j->error))
        return complain(j->error, KL_EXIT_INPUT);
    return KL_EXIT_OK;
}

static int say_done(const struct job *j)
{
    const struct keys_export_args *x = &j->a->export;

    if (j->reserved > 0)
        fprintf(stderr, "keyline: %u keys are reserved, and not in it: keyline keys status\n",
                j->reserved);
    if (x->public && !kl_export_has_qr(j->export) && x->as < 0)
        fprintf(stderr, "keyline: without texts for QR codes, which need dev_eui, join_eui and "
                        "--set profile_id=VVVVPPPP\n");
    if (!x->output)
        return KL_EXIT_OK;
    printf("%u keys%s: %s\n", kl_export_count(j->export),
           x->secrets ? " with their secrets, for this user only" : "", x->output);
    if (x->is_signed)
        printf("its signature: %s.minisig\n", x->output);
    return keys_printed();
}

static bool settle_form(struct job *j)
{
    const struct keys_export_args *x = &j->a->export;

    j->form = x->as >= 0                  ? (enum kl_export_form)x->as
              : j->a->format == KEYS_JSON ? KL_EXPORT_LINES
                                          : KL_EXPORT_LIST;
    return !x->template || (j->template = keys_read_template(x->template, j->error));
}

static void forget(struct job *j)
{
    kl_secret_free(j->secret, sizeof *j->secret);
    kl_export_free(j->export);
    free(j->template);
}

int keys_export_special(const struct keys_args *a)
{
    struct job j = {.a = a};
    struct export_signer *signer = NULL;
    const char *wrong = nonsense(a);
    int exit = KL_EXIT_OK;

    if (!wrong && a->export.since && !read_time(a->export.since, &j.since))
        wrong = "--since takes a day or a second of UTC: 2026-03-01 or 2026-03-01T07:55:10Z";
    if (wrong)
        return complain(wrong, KL_EXIT_USAGE);
    if (!settle_form(&j))
        return complain(j.error, KL_EXIT_INPUT);
    if (!(j.secret = kl_secret_alloc(sizeof *j.secret)))
        exit = complain("no memory", KL_EXIT_FAILED);
    else if (!a->export.is_signed ||
             (exit = export_signer_open(&a->export, &signer)) == KL_EXIT_OK) {
        if ((exit = gather(&j)) == KL_EXIT_OK && (exit = write_out(&j, signer)) == KL_EXIT_OK)
            exit = say_done(&j);
    }
    export_signer_close(signer);
    forget(&j);
    return exit;
}

int keys_export_check(const struct keys_args *a)
{
    struct job j = {.a = a, .all = true};
    int exit;

    if ((a->export.as == KL_EXPORT_TEMPLATE) != (a->export.template != NULL))
        return complain("--as template goes with --template FILE", KL_EXIT_USAGE);
    if (!settle_form(&j))
        return complain(j.error, KL_EXIT_INPUT);
    j.secret = kl_secret_alloc(sizeof *j.secret);
    exit = j.secret ? gather(&j) : complain("no memory", KL_EXIT_FAILED);
    if (exit == KL_EXIT_OK) {
        printf("%u keys can be exported as %s\n", kl_export_count(j.export),
               kl_export_form_name(j.form));
        exit = keys_printed();
    }
    forget(&j);
    return exit;
}
