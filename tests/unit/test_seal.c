/* Who can open a key that lies in a shared pool: adapters/fleet/seal.h. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/fleet/seal.h"
#include "keyline/bundle_load.h"
#include "scratch.h"

static struct scratch place;
static const uint8_t pool_a[KL_FDB_UUID] = {1}, pool_b[KL_FDB_UUID] = {2};

static struct kl_key key_of(const char *label, const char *secret)
{
    const struct kl_span field[] = {{(const uint8_t *)label, strlen(label)},
                                    {(const uint8_t *)secret, strlen(secret)}};
    struct kl_key key;

    assert_true(kl_key_build(&key, field, 2, kl_sha256));
    return key;
}

static struct kl_fdb_row row_of(const struct kl_key *key, const char *label, uint32_t epoch,
                                const uint8_t *box, size_t size)
{
    return (struct kl_fdb_row){.label = label,
                               .fingerprint = key->fingerprint,
                               .kin = key->kin,
                               .fields = key->count,
                               .epoch = epoch,
                               .box = {box, size}};
}

static void a_box_opens_at_its_own_place_only(void **state)
{
    struct kl_key key = key_of("L1", "0011223344"), other = key_of("L2", "5566778899"), got;
    struct kl_seal_pool_key k1, k2;
    uint8_t box[KL_FDB_BOX_MAX];
    struct kl_fdb_row row;
    size_t n;

    (void)state;
    kl_seal_pool_key_make(1, &k1);
    kl_seal_pool_key_make(1, &k2);
    n = kl_seal_fields(&key, &k1, pool_a, box);
    assert_true(n > strlen(key.line));
    row = row_of(&key, "L1", 1, box, n);
    assert_true(kl_seal_open_fields(&row, &k1, pool_a, kl_sha256, &got));
    assert_string_equal(got.line, "L1,0011223344");
    assert_true(kl_fingerprint_equal(&got.fingerprint, &key.fingerprint));

    assert_false(kl_seal_open_fields(&row, &k2, pool_a, kl_sha256, &got)); /* another pool key */
    assert_int_equal(got.line[0], '\0');
    assert_false(kl_seal_open_fields(&row, &k1, pool_b, kl_sha256, &got)); /* another pool */
    row = row_of(&key, "L2", 1, box, n); /* moved to another row */
    assert_false(kl_seal_open_fields(&row, &k1, pool_a, kl_sha256, &got));
    row = row_of(&other, "L1", 1, box, n);
    assert_false(kl_seal_open_fields(&row, &k1, pool_a, kl_sha256, &got));
    row = row_of(&key, "L1", 2, box, n);
    assert_false(kl_seal_open_fields(&row, &k1, pool_a, kl_sha256, &got));
    row = row_of(&key, "L1", 1, box, n);
    row.fields = 3;
    assert_false(kl_seal_open_fields(&row, &k1, pool_a, kl_sha256, &got));
}

static void no_changed_or_cut_box_opens(void **state)
{
    struct kl_key key = key_of("L1", "0011223344"), got;
    struct kl_seal_pool_key k;
    uint8_t box[KL_FDB_BOX_MAX];
    struct kl_fdb_row row;
    size_t n;

    (void)state;
    kl_seal_pool_key_make(7, &k);
    n = kl_seal_fields(&key, &k, pool_a, box);
    for (size_t i = 0; i < n; i++) {
        box[i] ^= 1;
        row = row_of(&key, "L1", 7, box, n);
        assert_false(kl_seal_open_fields(&row, &k, pool_a, kl_sha256, &got));
        box[i] ^= 1;
        row = row_of(&key, "L1", 7, box, i);
        assert_false(kl_seal_open_fields(&row, &k, pool_a, kl_sha256, &got));
    }
    row = row_of(&key, "L1", 7, box, n);
    assert_true(kl_seal_open_fields(&row, &k, pool_a, kl_sha256, &got));
}

static void two_boxes_of_one_key_differ(void **state)
{
    struct kl_key key = key_of("L1", "0011223344");
    uint8_t a[KL_FDB_BOX_MAX], b[KL_FDB_BOX_MAX];
    struct kl_seal_pool_key k;
    size_t n;

    (void)state;
    kl_seal_pool_key_make(1, &k);
    n = kl_seal_fields(&key, &k, pool_a, a);
    assert_int_equal(kl_seal_fields(&key, &k, pool_a, b), n);
    assert_memory_not_equal(a, b, n);
}

static void a_pool_key_is_for_one_holder_pool_and_epoch(void **state)
{
    struct kl_seal_pair a, b;
    struct kl_seal_pool_key k, got;
    struct kl_fdb_sealed_key sealed;
    char error[KL_TEXT_MAX], path[256];

    (void)state;
    kl_copy(path, sizeof path, scratch_path(&place, "a.key"));
    assert_true(kl_seal_pair_make(path, "station", "a", &a, error));
    kl_copy(path, sizeof path, scratch_path(&place, "b.key"));
    assert_true(kl_seal_pair_make(path, "station", "b", &b, error));
    kl_seal_pool_key_make(3, &k);
    assert_true(kl_seal_pool_key(&k, pool_a, &a.public, &sealed));
    assert_true(kl_seal_open_pool_key(&sealed, pool_a, &a, &got));
    assert_memory_equal(got.b, k.b, KL_SEAL_KEY);
    assert_int_equal(got.epoch, 3);
    assert_false(kl_seal_open_pool_key(&sealed, pool_a, &b, &got));
    assert_false(kl_seal_open_pool_key(&sealed, pool_b, &a, &got));
    sealed.epoch = 2;
    assert_false(kl_seal_open_pool_key(&sealed, pool_a, &a, &got));
}

static void a_key_file_is_private_and_whole(void **state)
{
    struct kl_seal_pair made, read;
    char error[KL_TEXT_MAX], path[256], text[KL_SEAL_PUBLIC_TEXT];
    struct kl_seal_public public;
    struct stat st;
    int fd;

    (void)state;
    kl_copy(path, sizeof path, scratch_path(&place, "station.key"));
    assert_true(kl_seal_pair_make(path, "station", "bench", &made, error));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(kl_seal_pair_read(path, &read, error));
    assert_memory_equal(&read, &made, sizeof made);
    kl_seal_public_format(&made.public, text);
    assert_true(kl_seal_public_parse(text, &public));
    assert_memory_equal(&public, &made.public, sizeof public);
    assert_false(kl_seal_public_parse("kl1abc", &public));
    assert_false(kl_seal_public_parse(text + 1, &public));

    assert_false(
        kl_seal_pair_make(path, "station", "bench", &read, error)); /* never written over */
    assert_non_null(strstr(error, "is there already"));
    assert_int_equal(chmod(path, 0640), 0);
    assert_false(kl_seal_pair_read(path, &read, error));
    assert_non_null(strstr(error, "may be read by others"));
    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "kl1AAAA", 7, 39) == 7);
    close(fd);
    assert_false(kl_seal_pair_read(path, &read, error));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_opens_at_its_own_place_only),
        cmocka_unit_test(no_changed_or_cut_box_opens),
        cmocka_unit_test(two_boxes_of_one_key_differ),
        cmocka_unit_test(a_pool_key_is_for_one_holder_pool_and_epoch),
        cmocka_unit_test(a_key_file_is_private_and_whole),
    };

    int result = 1;

    scratch_make(&place);
    if (kl_seal_start())
        result = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_remove(&place);
    return result;
}
