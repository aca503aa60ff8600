#include "export_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "keyline/cli.h"
#include "keyline/export.h"
#include "keyline/minisign.h"
#include "password.h"

struct export_signer {
    struct kl_secret_key *key;
};

static int complain(const char *text, int exit)
{
    fprintf(stderr, "keyline keys: %s\n", text);
    return exit;
}

void export_signer_close(struct export_signer *s)
{
    if (s)
        kl_secret_key_free(s->key);
    free(s);
}

int export_signer_open(const struct keys_export_args *x, struct export_signer **out)
{
    struct export_signer *s = calloc(1, sizeof *s);
    enum kl_secret_key_result result;
    struct password *p = NULL;
    char error[KL_TEXT_MAX];

    *out = NULL;
    if (!s)
        return complain("no memory", KL_EXIT_FAILED);
    result = kl_secret_key_load(x->sign_key, NULL, &s->key, error);
    if (result == KL_SECRET_KEY_LOCKED) {
        if ((p = password_get(x->password_file, "password of the signing key", false, error)))
            result = kl_secret_key_load(x->sign_key, p->text, &s->key, error);
        password_free(p);
    }
    if (result == KL_SECRET_KEY_OPEN) {
        *out = s;
        return KL_EXIT_OK;
    }
    export_signer_close(s);
    return complain(error, KL_EXIT_INPUT);
}

/* minisign's own members come first; a file's name is kept to one line. */
static void make_comment(const char *path, const char *pool, unsigned count,
                         char out[KL_SIGN_COMMENT_MAX])
{
    const char *slash = strrchr(path, '/');
    char when[32], name[256];
    time_t now = time(NULL);

    keys_time((int64_t)now * 1000000, when);
    kl_copy(name, sizeof name, slash ? slash + 1 : path);
    for (char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    kl_format(out, KL_SIGN_COMMENT_MAX,
              "timestamp:%lld\tfile:%s\thashed\tdate:%s\tpool:%s\tcount:%u", (long long)now, name,
              when, pool[0] != '\0' ? pool : "none", count);
}

/* The signature gets its name first: a list that stands there always has one. */
static int name_both(struct kl_export_file *list, struct kl_export_file *signature,
                     const char *beside)
{
    char error[KL_TEXT_MAX];

    if (!kl_export_file_name(signature, error)) {
        kl_export_file_drop(list);
        return complain(error, KL_EXIT_INPUT);
    }
    if (kl_export_file_name(list, error))
        return KL_EXIT_OK;
    unlink(beside);
    return complain(error, KL_EXIT_INPUT);
}

int export_write_signed(const struct export_signer *s, const char *path, struct kl_span text,
                        const char *pool, unsigned count)
{
    char comment[KL_SIGN_COMMENT_MAX], signature[KL_SIGNATURE_TEXT], beside[4096];
    struct kl_export_file list, sig;
    char error[KL_TEXT_MAX];

    if ((size_t)snprintf(beside, sizeof beside, "%s.minisig", path) >= sizeof beside)
        return complain("the path is too long", KL_EXIT_USAGE);
    make_comment(path, pool, count, comment);
    if (!kl_sign(s->key, text.data, text.size, comment, signature))
        return complain("it can't be signed", KL_EXIT_FAILED);
    if (!kl_export_file_write(&list, path, false, text.data, text.size, error))
        return complain(error, KL_EXIT_INPUT);
    if (!kl_export_file_write(&sig, beside, false, signature, strlen(signature), error)) {
        kl_export_file_drop(&list);
        return complain(error, KL_EXIT_INPUT);
    }
    return name_both(&list, &sig, beside);
}
