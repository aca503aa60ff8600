/* Signatures: files that minisign made (tests/export/minisign), our own, and all that is no longer
   as it was signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keyline/minisign.h"
#include "scratch.h"

static struct scratch dir;
static char error[KL_TEXT_MAX];
static struct kl_signature_check check;

static int new_folder(void **state)
{
    (void)state;
    scratch_make(&dir);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    scratch_remove(&dir);
    return 0;
}

static const char *theirs(const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof path[0], "%s/tests/export/minisign/%s", KL_SOURCE_DIR, name);
    return p;
}

static struct kl_public_key their_key(void)
{
    struct kl_public_key key;

    if (!kl_public_key_load(theirs("minisign.pub"), &key, error))
        fail_msg("%s", error);
    return key;
}

static enum kl_verdict verdict(const char *file, const char *signature,
                               const struct kl_public_key *key)
{
    kl_verify(file, signature, key, &check);
    return check.verdict;
}

/* ---- what minisign made ---- */

static void takes_what_minisign_signed(void **state)
{
    struct kl_public_key key = their_key(), again;
    char id[17], word[64], text[KL_SIGN_KEY_TEXT], *file;

    (void)state;
    assert_int_equal(verdict(theirs("list.csv"), theirs("list.csv.minisig"), &key), KL_SIGNED);
    assert_string_equal(check.comment, "from minisign");
    assert_int_equal(verdict(theirs("list.csv"), theirs("list.csv.old"), &key), KL_SIGNED);
    assert_string_equal(check.comment, "the old way");
    assert_int_equal(verdict(theirs("empty"), theirs("empty.minisig"), &key), KL_SIGNED);
    assert_int_equal(verdict(theirs("empty"), theirs("empty.old"), &key), KL_SIGNED);

    kl_public_key_id(&key, id);
    kl_public_key_word(&key, word);
    file = file_read(theirs("minisign.pub"), NULL);
    assert_non_null(strstr(file, id));
    assert_non_null(strstr(file, word));
    assert_true(kl_public_key_parse(word, &again));
    assert_memory_equal(&again, &key, sizeof key);
    kl_public_key_text(&key, text);
    assert_string_equal(text, file);
    free(file);
}

static void signs_with_a_key_of_minisign(void **state)
{
    const char *file = scratch_path(&dir, "f"), *signature = scratch_path(&dir, "f.minisig");
    struct kl_public_key key = their_key(), ours;
    struct kl_secret_key *secret;
    char out[KL_SIGNATURE_TEXT];

    (void)state;
    assert_int_equal(kl_secret_key_load(theirs("minisign.key"), NULL, &secret, error),
                     KL_SECRET_KEY_OPEN);
    ours = kl_secret_key_public(secret);
    assert_memory_equal(&ours, &key, sizeof key);
    file_put(file, "what is signed\n");
    assert_true(kl_sign(secret, "what is signed\n", 15, "date:today\tcount:3", out));
    file_put(signature, out);
    assert_int_equal(verdict(file, signature, &key), KL_SIGNED);
    assert_string_equal(check.comment, "date:today\tcount:3");
    kl_secret_key_free(secret);
}

/* ---- what is no longer as it was signed ---- */

static char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out = malloc(strlen(text) + strlen(to) + 1);

    assert_non_null(at);
    assert_non_null(out);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void says_what_is_wrong(void **state)
{
    const char *file = scratch_path(&dir, "f"), *signature = scratch_path(&dir, "f.minisig");
    struct kl_public_key key = their_key(), other = key;
    char *text = file_read(theirs("list.csv.minisig"), NULL), *forged;

    (void)state;
    file_put(file, "label,mac\nnode-1,24:6f:28:00:00:02\n");
    assert_int_equal(verdict(file, theirs("list.csv.minisig"), &key), KL_OTHER_CONTENTS);
    assert_string_equal(check.comment, "from minisign");
    assert_int_equal(verdict(theirs("empty"), theirs("list.csv.minisig"), &key), KL_OTHER_CONTENTS);
    assert_int_equal(verdict(theirs("list.csv"), theirs("empty.old"), &key), KL_OTHER_CONTENTS);

    forged = changed(text, "comment: from minisign", "comment: from MINISIGN");
    file_put(signature, forged);
    free(forged);
    assert_int_equal(verdict(theirs("list.csv"), signature, &key), KL_FORGED);
    assert_string_equal(check.comment, "");

    other.id[0] ^= 1;
    assert_int_equal(verdict(theirs("list.csv"), theirs("list.csv.minisig"), &other), KL_OTHER_KEY);
    assert_int_equal(strlen(check.made_by), 16);
    other = key;
    other.key[5] ^= 1;
    assert_int_equal(verdict(theirs("list.csv"), theirs("list.csv.minisig"), &other), KL_FORGED);

    assert_int_equal(verdict(theirs("list.csv"), theirs("absent"), &key), KL_UNREADABLE);
    assert_int_equal(verdict(theirs("absent"), theirs("list.csv.minisig"), &key), KL_UNREADABLE);
    assert_int_equal(verdict(theirs("list.csv"), theirs("list.csv"), &key), KL_NO_SIGNATURE);
    free(text);
}

/* However much of it is missing, and whichever of its bytes was changed, it is no signature. */
static void no_part_of_a_signature_is_one(void **state)
{
    const char *signature = scratch_path(&dir, "cut");
    char *text = file_read(theirs("list.csv.minisig"), NULL);
    struct kl_public_key key = their_key();
    size_t size = strlen(text), comment = strcspn(text, "\n");

    (void)state;
    for (size_t n = 0; n + 1 < size; n++) {
        file_write(signature, text, n);
        if (verdict(theirs("list.csv"), signature, &key) == KL_SIGNED)
            fail_msg("%zu of %zu bytes are taken for a signature", n, size);
        assert_int_not_equal(check.verdict, KL_OTHER_CONTENTS);
    }
    for (size_t at = comment + 1; at + 1 < size; at++) {
        char was = text[at];
        text[at] = was == 'A' ? 'B' : 'A';
        file_put(signature, text);
        if (verdict(theirs("list.csv"), signature, &key) == KL_SIGNED)
            fail_msg("byte %zu is not looked at", at);
        text[at] = was;
    }
    free(text);
}

/* ---- secret keys ---- */

static void secret_keys_keep_their_password(void **state)
{
    const char *path = scratch_path(&dir, "my.key");
    struct kl_secret_key *key = kl_secret_key_new(), *again = NULL;
    struct kl_public_key a = kl_secret_key_public(key), b;
    char text[KL_SIGN_SECRET_TEXT];

    (void)state;
    if (!kl_secret_key_text(key, "correct horse", 16 << 20, text, error))
        fail_msg("%s", error);
    file_put(path, text);
    assert_int_equal(kl_secret_key_load(path, NULL, &again, error), KL_SECRET_KEY_LOCKED);
    assert_int_equal(kl_secret_key_load(path, "wrong horse", &again, error), KL_SECRET_KEY_WRONG);
    assert_null(again);
    assert_int_equal(kl_secret_key_load(path, "correct horse", &again, error), KL_SECRET_KEY_OPEN);
    b = kl_secret_key_public(again);
    assert_memory_equal(&a, &b, sizeof a);
    kl_secret_key_free(again);
    kl_secret_key_free(key);
}

static void secret_keys_without_a_password(void **state)
{
    const char *path = scratch_path(&dir, "my.key");
    struct kl_secret_key *key = kl_secret_key_new(), *again = NULL;
    struct kl_public_key a = kl_secret_key_public(key), b;
    char text[KL_SIGN_SECRET_TEXT];

    (void)state;
    assert_true(kl_secret_key_text(key, "", 0, text, error));
    file_put(path, text);
    assert_int_equal(kl_secret_key_load(path, NULL, &again, error), KL_SECRET_KEY_OPEN);
    b = kl_secret_key_public(again);
    assert_memory_equal(&a, &b, sizeof a);
    kl_secret_key_free(again);
    kl_secret_key_free(key);
    again = NULL;
    for (size_t at = strcspn(text, "\n") + 80; at < strlen(text) - 60; at += 7) {
        char was = text[at];
        text[at] = was == 'B' ? 'C' : 'B';
        file_put(path, text);
        assert_int_not_equal(kl_secret_key_load(path, NULL, &again, error), KL_SECRET_KEY_OPEN);
        text[at] = was;
    }
    assert_null(again);
}

static void other_files_are_no_keys(void **state)
{
    struct kl_secret_key *key;
    struct kl_public_key public;

    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"list.csv", "list.csv.minisig", "absent"};
        assert_int_equal(kl_secret_key_load(theirs(names[i]), NULL, &key, error),
                         KL_SECRET_KEY_BAD);
        assert_false(kl_public_key_load(theirs(names[i]), &public, error));
    }
    assert_int_equal(kl_secret_key_load(theirs("minisign.pub"), NULL, &key, error),
                     KL_SECRET_KEY_BAD);
    assert_false(kl_public_key_load(theirs("minisign.key"), &public, error));
    assert_false(kl_public_key_parse("RWQ", &public));
    assert_false(kl_public_key_parse("", &public));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, new_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        TEST(takes_what_minisign_signed),
        TEST(signs_with_a_key_of_minisign),
        TEST(says_what_is_wrong),
        TEST(no_part_of_a_signature_is_one),
        TEST(secret_keys_keep_their_password),
        TEST(secret_keys_without_a_password),
        TEST(other_files_are_no_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
