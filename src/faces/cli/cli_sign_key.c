/* cli_sign_key.c: `keyline keys sign-key`: a pair of keys to sign exports with. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_keys.h"
#include "keyline/cli.h"
#include "keyline/export.h"
#include "keyline/minisign.h"
#include "keyline/secret.h"
#include "password.h"

static int complain(const char *error, int exit)
{
    fprintf(stderr, "keyline keys: %s\n", error);
    return exit;
}

/* Both files, or none. */
static int write_pair(const struct kl_secret_key *key, const char *secret, const char *name)
{
    struct kl_public_key public = kl_secret_key_public(key);
    char path[4096], text[KL_SIGN_KEY_TEXT], id[17], error[KL_TEXT_MAX];
    struct kl_export_file file, pub;

    kl_public_key_text(&public, text);
    kl_public_key_id(&public, id);
    if ((size_t)snprintf(path, sizeof path, "%s.pub", name) >= sizeof path)
        return complain("the path is too long", KL_EXIT_USAGE);
    if (!kl_export_file_write(&pub, path, false, text, strlen(text), error))
        return complain(error, KL_EXIT_INPUT);
    snprintf(path, sizeof path, "%s.key", name);
    if (!kl_export_file_write(&file, path, true, secret, strlen(secret), error)) {
        kl_export_file_drop(&pub);
        return complain(error, KL_EXIT_INPUT);
    }
    if (!kl_export_file_name(&file, error)) {
        kl_export_file_drop(&pub);
        return complain(error, KL_EXIT_INPUT);
    }
    if (!kl_export_file_name(&pub, error)) {
        unlink(path);
        return complain(error, KL_EXIT_INPUT);
    }
    printf("%s: the secret key, for you only\n%s.pub: the public key %s, for whoever checks your "
           "lists: keyline verify, minisign -V\n",
           path, name, id);
    return keys_printed();
}

int keys_sign_key(const struct keys_args *a)
{
    const struct keys_export_args *x = &a->export;
    char error[KL_TEXT_MAX], *text = NULL;
    struct kl_secret_key *key = NULL;
    struct password *p = NULL;
    int exit = KL_EXIT_USAGE;

    if (!x->output || (x->no_password && x->password_file))
        return complain("usage: keyline keys sign-key -o NAME [--password-file FILE | "
                        "--no-password]",
                        KL_EXIT_USAGE);
    if (!x->no_password &&
        !(p = password_get(x->password_file, "password of the new key", true, error)))
        return complain(error, KL_EXIT_USAGE);
    if (p && p->text[0] == '\0')
        complain("an empty password is none: --no-password", exit);
    else if (!(key = kl_secret_key_new()) || !(text = kl_secret_alloc(KL_SIGN_SECRET_TEXT)))
        exit = complain("no memory", KL_EXIT_FAILED);
    else if (!kl_secret_key_text(key, p ? p->text : "", 0, text, error))
        exit = complain(error, KL_EXIT_FAILED);
    else
        exit = write_pair(key, text, x->output);
    kl_secret_free(text, KL_SIGN_SECRET_TEXT);
    kl_secret_key_free(key);
    password_free(p);
    return exit;
}
