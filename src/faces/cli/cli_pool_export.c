/* cli_pool_export.c: who got what out of a shared pool, as lists, signed, or as networks take it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli_pool.h"
#include "export_sign.h"
#include "keyline/exit.h"
#include "keyline/export.h"

enum {
    COMPLAINTS_MAX = 20,
};

struct job {
    const struct pool_args *a;
    struct keys_export_args x;
    struct kl_shared *s;
    struct kl_export *export;
    char *template, id[40];
    unsigned bad;
    char error[KL_TEXT_MAX];
};

static const char *nonsense(const struct job *j)
{
    const struct keys_export_args *x = &j->x;

    if (x->public && x->secrets)
        return "--public or --secrets, not both";
    if (x->secrets && (x->as < 0 || !x->output))
        return "secrets go into a file in the form of a network: --as FORM -o FILE";
    if (x->secrets && x->is_signed)
        return "sign the list that the customer gets: --signed goes without --secrets";
    if (x->is_signed && (!x->output || !x->sign_key))
        return "--signed needs -o FILE and --sign-key FILE";
    if ((x->sign_key || x->password_file) && !x->is_signed)
        return "--sign-key and --password-file go with --signed";
    if (j->a->json && j->a->as_csv)
        return "--json or --csv, not both";
    if (x->as >= 0 && (j->a->json || j->a->as_csv))
        return "the form of --as is fixed: without --json and --csv";
    if ((x->as == KL_EXPORT_TEMPLATE) != (x->template != NULL))
        return "--as template goes with --template FILE";
    if (x->as < 0 && !x->public && (x->maps.count > 0 || x->sets.count > 0))
        return "--map and --set go with --as or --public";
    return NULL;
}

static int read_pool(struct job *j, unsigned *fields)
{
    char *text = NULL;
    json_t *pool;
    const char *id;
    int exit = pool_exit(kl_shared_look(j->s, "pool", NULL, &text, j->error), j->error);

    if (exit != KL_EXIT_OK)
        return exit;
    pool = json_loads(text, 0, NULL);
    id = json_string_value(json_object_get(pool, "id"));
    kl_copy(j->id, sizeof j->id, id ? id : "");
    *fields = (unsigned)json_integer_value(json_object_get(pool, "fields"));
    json_decref(pool);
    free(text);
    return KL_EXIT_OK;
}

static int make_export(struct job *j)
{
    struct kl_export_options o = {
        .form = j->x.as >= 0 ? (enum kl_export_form)j->x.as
                : j->a->json ? KL_EXPORT_LINES
                             : KL_EXPORT_LIST,
        .secrets = j->x.secrets,
        .public = j->x.public,
        .maps = j->x.maps.item,
        .map_count = j->x.maps.count,
        .sets = j->x.sets.item,
        .set_count = j->x.sets.count,
        .template = j->template,
        .pool = j->id,
        .now = (int64_t)time(NULL) * 1000000,
    };
    int exit = read_pool(j, &o.fields);

    if (exit != KL_EXIT_OK)
        return exit;
    j->export = kl_export_new(&o, j->error);
    return j->export ? KL_EXIT_OK : pool_complain(j->error, KL_EXIT_USAGE);
}

static bool feed(void *ctx, const struct kl_shared_given *g)
{
    const struct kl_export_row row = {.key = g->key,
                                      .label = g->label,
                                      .eui64 = "",
                                      .station = g->station,
                                      .build = g->build,
                                      .how = g->how,
                                      .mac = g->mac,
                                      .provisioned = g->provisioned,
                                      .fingerprint = g->fingerprint};
    char error[KL_TEXT_MAX];
    struct job *j = ctx;

    if (!kl_export_row(j->export, &row, error) && j->bad++ < COMPLAINTS_MAX)
        fprintf(stderr, "keyline: %s: %s\n", g->label, error);
    return true;
}

static int gather(struct job *j)
{
    bool keys;
    int exit = make_export(j);

    if (exit != KL_EXIT_OK)
        return exit;
    keys = kl_export_needs_keys(j->export);
    if (keys && (exit = pool_unlock(j->a, j->s)) != KL_EXIT_OK)
        return exit;
    exit = pool_exit(kl_shared_given(j->s, keys, feed, j, j->error), j->error);
    if (exit != KL_EXIT_OK)
        return exit;
    if (!kl_export_end(j->export, j->error)) {
        pool_complain(j->error, KL_EXIT_INPUT);
        j->bad++;
    }
    if (j->bad > 0)
        return pool_complain("nothing is written", KL_EXIT_INPUT);
    if (kl_export_count(j->export) == 0 && j->x.output)
        return pool_complain("no board has a key yet: nothing is written", KL_EXIT_INPUT);
    return KL_EXIT_OK;
}

/* The record comes before the file gets its name. */
static int write_file(struct job *j)
{
    bool secret = kl_export_is_secret(j->export);
    struct kl_span text = kl_export_text(j->export);
    struct kl_export_file file;
    char what[KL_TEXT_MAX];
    int exit = KL_EXIT_OK;

    if (!kl_export_file_write(&file, j->x.output, secret, text.data, text.size, j->error))
        return pool_complain(j->error, KL_EXIT_INPUT);
    kl_format(what, sizeof what, "%u keys%s, to %.150s", kl_export_count(j->export),
              secret ? " with their secrets" : "", j->x.output);
    if (secret)
        exit = pool_exit(kl_shared_note(j->s, "export", what, j->error), j->error);
    if (exit != KL_EXIT_OK) {
        kl_export_file_drop(&file);
        return exit;
    }
    return kl_export_file_name(&file, j->error) ? KL_EXIT_OK
                                                : pool_complain(j->error, KL_EXIT_INPUT);
}

static int write_out(struct job *j, const struct export_signer *signer)
{
    struct kl_span text = kl_export_text(j->export);
    int exit;

    if (!j->x.output) {
        fwrite(text.data, 1, text.size, stdout);
        return keys_printed();
    }
    exit = signer
               ? export_write_signed(signer, j->x.output, text, j->id, kl_export_count(j->export))
               : write_file(j);
    if (exit != KL_EXIT_OK)
        return exit;
    printf("%u keys: %s\n", kl_export_count(j->export), j->x.output);
    return keys_printed();
}

int pool_export(const struct pool_args *a, const struct option_list *word)
{
    struct job j = {.a = a, .x = a->export};
    struct export_signer *signer = NULL;
    enum kl_export_form form;
    const char *wrong;
    int exit = KL_EXIT_OK;

    (void)word;
    if (a->settle_as && !kl_export_form_named(a->settle_as, &form))
        return pool_complain("--as: there is no such form (docs/exports.md)", KL_EXIT_USAGE);
    if (a->settle_as)
        j.x.as = (int)form;
    if ((wrong = nonsense(&j)))
        return pool_complain(wrong, KL_EXIT_USAGE);
    if (j.x.template && !(j.template = keys_read_template(j.x.template, j.error)))
        return pool_complain(j.error, KL_EXIT_INPUT);
    if (j.x.is_signed)
        exit = export_signer_open(&j.x, &signer);
    if (exit == KL_EXIT_OK)
        exit = pool_open(a, &j.s);
    if (exit == KL_EXIT_OK && (exit = gather(&j)) == KL_EXIT_OK)
        exit = write_out(&j, signer);
    kl_export_free(j.export);
    kl_shared_close(j.s);
    export_signer_close(signer);
    free(j.template);
    return exit;
}
