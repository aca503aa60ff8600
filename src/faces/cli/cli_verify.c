/* cli_verify.c: `keyline verify`: whether a file is what its signer signed. */
#include <stdio.h>
#include <stdlib.h>

#include "cli_keys.h"
#include "commands.h"
#include "config_files.h"
#include "keyline/minisign.h"

struct args {
    const char *public_file, *public_key, *signature, *config;
    bool help;
};

#define AT(member) offsetof(struct args, member)

static const struct option options[] = {
    {.name = "public-key-file",
     .type = OPT_TEXT,
     .at = AT(public_file),
     .value = "FILE",
     .help = "the signer's public key: NAME.pub of keyline keys sign-key, or minisign.pub",
     .letter = 'p',
     .typed_only = true},
    {.name = "public-key",
     .type = OPT_TEXT,
     .at = AT(public_key),
     .value = "KEY",
     .help = "the same as a word: RWQ…",
     .letter = 'P',
     .typed_only = true},
    {.name = "signature",
     .type = OPT_TEXT,
     .at = AT(signature),
     .value = "FILE",
     .help = "the signature (default: FILE.minisig)",
     .letter = 'x',
     .typed_only = true},
    TYPED_TEXT("config", config, "FILE|none", "a config file above the user's and the system's"),
    TYPED_FLAG("help", 'h', help, "print this"),
};

static int verify(int argc, char **argv);

const struct command kl_command_verify = {
    .name = "verify",
    .run = verify,
    .options = OPTION_TABLE(options),
    .words = "FILE -p PUBLIC [options]",
    .summary = "whether a list is as its signer signed it",
    .about = "Checks a file that keyline keys export --signed or minisign has signed.",
    .after = "exit status: 0 it is as it was signed, 1 it is not, 2 usage,\n"
             "             3 a file or the public key can't be read\n",
};

/* minisign's comments are members with tabs between them. */
static void say_comment(char *comment)
{
    for (char *p = comment; *p != '\0'; p++)
        if (*p == '\t')
            *p = ' ';
    if (comment[0] == '\0')
        return;
    fputs("the signer says: ", stdout);
    keys_print(comment, 0);
    putchar('\n');
}

static int say(const char *path, const char *signature, const struct kl_public_key *key,
               struct kl_signature_check *c)
{
    char id[17];

    kl_public_key_id(key, id);
    switch (c->verdict) {
    case KL_SIGNED:
        printf("%s is as it was signed with the key %s\n", path, id);
        say_comment(c->comment);
        return keys_printed();
    case KL_OTHER_KEY:
        fprintf(stderr, "keyline verify: NOT VERIFIED: %s was made with the key %s, not with %s\n",
                signature, c->made_by, id);
        return KL_EXIT_FAILED;
    case KL_FORGED:
        fprintf(stderr,
                "keyline verify: NOT VERIFIED: %s was changed, or somebody else than the owner of "
                "%s made it\n",
                signature, id);
        return KL_EXIT_FAILED;
    case KL_OTHER_CONTENTS:
        fprintf(stderr,
                "keyline verify: NOT VERIFIED: the signature is good, but for other contents: %s "
                "was changed after it was signed, or this is another file's signature\n",
                path);
        say_comment(c->comment);
        return KL_EXIT_FAILED;
    case KL_NO_SIGNATURE:
        fprintf(stderr, "keyline verify: NOT VERIFIED: %s\n", c->error);
        return KL_EXIT_FAILED;
    case KL_UNREADABLE:
        break;
    }
    fprintf(stderr, "keyline verify: %s\n", c->error);
    return KL_EXIT_INPUT;
}

static int check(const char *path, const struct args *a)
{
    struct kl_signature_check *c = malloc(sizeof *c);
    char error[KL_TEXT_MAX], beside[4096];
    const char *signature = a->signature;
    struct kl_public_key key;
    int exit = KL_EXIT_INPUT;

    if (a->public_key ? !kl_public_key_parse(a->public_key, &key)
                      : !kl_public_key_load(a->public_file, &key, error)) {
        fprintf(stderr, "keyline verify: %s\n",
                a->public_key ? "this is no public key of minisign; it begins with RW" : error);
    } else if (!signature &&
               (size_t)snprintf(beside, sizeof beside, "%s.minisig", path) >= sizeof beside) {
        fprintf(stderr, "keyline verify: the path is too long\n");
    } else if (c) {
        signature = signature ? signature : beside;
        kl_verify(path, signature, &key, c);
        exit = say(path, signature, &key, c);
    }
    free(c);
    return exit;
}

static int verify(int argc, char **argv)
{
    struct args args = {.config = NULL};
    struct option_list words = {.count = 0};
    char error[KL_TEXT_MAX];

    if (!config_parse(kl_command_verify.options, argv + (argc > 0), &args, &words, error))
        return command_wrong(&kl_command_verify, error);
    if (args.help)
        return command_help(&kl_command_verify);
    if (words.count != 1)
        return command_wrong(&kl_command_verify, "one file at a time");
    if (!args.public_file == !args.public_key)
        return command_wrong(&kl_command_verify, "whose signature? -p FILE or -P KEY");
    return check(words.item[0], &args);
}
