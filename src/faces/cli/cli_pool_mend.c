/* cli_pool_mend.c: what only a person can say about a pool: lost, settled, reopened, closed. */
#include <stdio.h>
#include <string.h>

#include "cli_pool.h"
#include "keyline/exit.h"

static void show_keys(void *ctx, uint64_t done)
{
    (void)ctx;
    pool_progress("keys under the new pool key", done, 0);
}

static int rekey(struct kl_shared *s)
{
    char error[KL_TEXT_MAX];
    uint64_t done;
    int exit = pool_exit(kl_shared_rekey(s, show_keys, NULL, &done, error), error);

    if (exit != KL_EXIT_OK) {
        fprintf(stderr,
                "keyline pool: not all free keys have the new pool key: keyline pool rekey\n");
        return exit;
    }
    printf("%llu free keys were sealed under the new pool key; none is left under an old one.\n",
           (unsigned long long)done);
    return keys_printed();
}

int pool_rekey(const struct pool_args *a, const struct option_list *word)
{
    struct kl_shared *s;
    int exit;

    (void)word;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    if ((exit = pool_unlock(a, s)) == KL_EXIT_OK)
        exit = rekey(s);
    kl_shared_close(s);
    return exit;
}

static int lose(struct kl_shared *s, const struct pool_args *a, const char *station, bool unlocked)
{
    char error[KL_TEXT_MAX];
    uint32_t keys;
    int exit = pool_exit(kl_shared_lose(s, station, a->reason, &keys, error), error);

    if (exit != KL_EXIT_OK)
        return exit;
    printf(
        "Station %s is lost, and %u keys that it had not reported are. Settle them as you find out "
        "what became of them: keyline pool settle\n",
        station, (unsigned)keys);
    if (keys_printed() != KL_EXIT_OK)
        return KL_EXIT_FAILED;
    return unlocked ? rekey(s) : KL_EXIT_OK;
}

/* A station that was stolen can be shut out at once, by whoever has the database but not the
 * owner's key. */
int pool_lost(const struct pool_args *a, const struct option_list *word)
{
    char what[KL_TEXT_MAX], error[KL_TEXT_MAX];
    bool unlocked = false;
    struct kl_shared *s;
    int exit;

    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    if (a->owner)
        exit = pool_unlock(a, s);
    else
        unlocked = kl_shared_unlock(s, NULL, error) == KL_SHARED_DONE; /* a plain pool */
    unlocked |= exit == KL_EXIT_OK && a->owner;
    kl_format(
        what, sizeof what,
        "Station %s is declared lost: it gets no more keys, it can't come back, and all that it "
        "has not reported is lost.",
        word->item[0]);
    if (exit == KL_EXIT_OK && !pool_confirm(a, what, word->item[0]))
        exit = KL_EXIT_USAGE;
    if (exit == KL_EXIT_OK)
        exit = lose(s, a, word->item[0], unlocked);
    if (exit == KL_EXIT_OK && !unlocked)
        fprintf(stderr,
                "keyline pool: the free keys keep their pool key, which that station knows, until "
                "somebody with the owner's key says: keyline pool rekey\n");
    kl_shared_close(s);
    return exit;
}

/* ---- settle ---- */

static bool print_lost(void *ctx, const struct kl_shared_lost *k)
{
    char mac[18] = "-";

    if (++*(unsigned *)ctx == 1)
        printf("%-24s %-18s %-16s %s\n", "label", "kept for board", "station", "why it is lost");
    if (kl_mac_is_set(&k->mac))
        kl_mac_format(&k->mac, mac);
    keys_print(k->label, 24);
    printf(" %-18s %-16s ", mac, k->station[0] ? k->station : "-");
    keys_print(k->why, 0);
    printf("\n");
    return true;
}

/* Without a word: what there is to settle. */
static int list_lost(const struct pool_args *a)
{
    char error[KL_TEXT_MAX];
    struct kl_shared *s;
    unsigned count = 0;
    int exit;

    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    exit = pool_exit(kl_shared_lost_keys(s, print_lost, &count, error), error);
    kl_shared_close(s);
    if (exit == KL_EXIT_OK && count == 0)
        printf("No key is lost.\n");
    return exit != KL_EXIT_OK ? exit : keys_printed();
}

static int settle_keys(struct kl_shared *s, const struct pool_args *a, const struct kl_mac *mac,
                       const struct option_list *label)
{
    char error[KL_TEXT_MAX];
    int exit = KL_EXIT_OK;

    for (unsigned i = 0; i < label->count && exit == KL_EXIT_OK; i++) {
        exit = pool_exit(kl_shared_settle(s, label->item[i], a->settle_as, mac, a->reason, error),
                         error);
        if (exit == KL_EXIT_OK) {
            keys_print(label->item[i], 0);
            printf(" is settled: %s\n", a->settle_as);
        }
    }
    return exit != KL_EXIT_OK ? exit : keys_printed();
}

static const char *nonsense(const struct pool_args *a, const struct option_list *label)
{
    static const char known[] = " provisioned spent free ";
    char word[24];

    if (a->alarm > 0)
        return label->count > 0 || a->settle_as || a->mac ? "an alarm, or keys; not both" : NULL;
    if (label->count == 0 || !a->settle_as)
        return "which keys, and how? settle LABEL… --as provisioned|spent|free; or settle --alarm "
               "N";
    kl_format(word, sizeof word, " %s ", a->settle_as);
    if (!strstr(known, word))
        return "--as provisioned, spent or free";
    if (a->mac && (strcmp(a->settle_as, "provisioned") != 0 || label->count > 1))
        return "--mac goes with one key --as provisioned";
    return NULL;
}

int pool_settle(const struct pool_args *a, const struct option_list *label)
{
    const char *wrong = nonsense(a, label);
    struct kl_mac mac = {{0}};
    char error[KL_TEXT_MAX];
    struct kl_shared *s;
    int exit;

    if (label->count == 0 && !a->settle_as && !a->mac && a->alarm < 0)
        return list_lost(a);
    if (!wrong && (!a->reason || a->reason[0] == '\0'))
        wrong = "why? --reason TEXT; the pool keeps it";
    if (!wrong && a->mac && !kl_mac_parse(a->mac, &mac))
        wrong = "this is no MAC like 24:0a:c4:00:00:01";
    if (wrong)
        return pool_complain(wrong, KL_EXIT_USAGE);
    if (a->settle_as && strcmp(a->settle_as, "free") == 0 &&
        !pool_confirm(
            a,
            "A key that is free again goes to any board. Whoever had the lost station can "
            "read it, and it must be certain that no board has it.",
            "free"))
        return KL_EXIT_USAGE;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    exit = a->alarm > 0 ? pool_exit(kl_shared_settle_alarm(s, a->alarm, a->reason, error), error)
                        : settle_keys(s, a, &mac, label);
    kl_shared_close(s);
    return exit;
}

/* ---- open and shut ---- */

int pool_reopen(const struct pool_args *a, const struct option_list *word)
{
    char error[KL_TEXT_MAX];
    struct kl_shared *s;
    int64_t aside = 0;
    int exit;

    (void)word;
    if (!pool_confirm(
            a,
            "Stations get keys from this database again. If it is an old backup, or another "
            "one is still in use, keys can go to two boards.",
            "reopen"))
        return KL_EXIT_USAGE;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    exit = pool_exit(kl_shared_reopen(s, a->set_aside, a->reason, &aside, error), error);
    if (exit == KL_EXIT_OK) {
        printf("The pool is open.\n");
        if (aside > 0)
            printf("%lld free keys are lost now: keyline pool settle\n", (long long)aside);
        exit = keys_printed();
    }
    kl_shared_close(s);
    return exit;
}

int pool_close(const struct pool_args *a, const struct option_list *word)
{
    char error[KL_TEXT_MAX];
    struct kl_shared *s;
    int exit;

    (void)word;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    exit = pool_exit(kl_shared_shut(s, a->reason, error), error);
    if (exit == KL_EXIT_OK) {
        printf("The pool is closed. Stations go on with what they hold.\n");
        exit = keys_printed();
    }
    kl_shared_close(s);
    return exit;
}
