/* cli_pool_make.c: a pool comes to be, and gets keys and stations. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli_pool.h"
#include "keyline/exit.h"
#include "keyline/lint.h"

static int upgrade(struct kl_shared *s)
{
    char error[KL_TEXT_MAX];
    int from = 0, exit = pool_exit(kl_shared_upgrade(s, &from, error), error);

    if (exit != KL_EXIT_OK)
        return exit;
    printf("The schema had version %d, and is up to date.\n", from);
    return keys_printed();
}

static int make(struct kl_shared *s, const struct pool_args *a, const char *name)
{
    const struct kl_shared_init how = {.name = name,
                                       .plain = a->plain,
                                       .owner_file = a->owner,
                                       .recovery_file = a->recovery,
                                       .lease_cap = (uint32_t)a->lease_cap};
    char error[KL_TEXT_MAX];
    int exit = pool_exit(kl_shared_init(s, &how, error), error);

    if (exit != KL_EXIT_OK)
        return exit;
    printf("Pool %s is made.\n", name);
    if (a->plain)
        printf("It is plain: who can read all of this database can read all keys.\n");
    else
        printf("%s opens all keys: it stays with you, and goes on no station.\n"
               "%s does the same when the other is lost: keep it off line, in another place.\n",
               a->owner, a->recovery);
    printf("Next: keyline pool import FILE.csv --pool %s%s%s\n", a->pool,
           a->plain ? "" : " --owner ", a->plain ? "" : a->owner);
    return keys_printed();
}

int pool_init(const struct pool_args *a, const struct option_list *word)
{
    struct kl_shared *s;
    int exit;

    if (a->upgrade == (word->count == 1))
        return pool_complain("init NAME, or init --upgrade", KL_EXIT_USAGE);
    if (!a->upgrade && a->plain && (a->owner || a->recovery))
        return pool_complain("a plain pool has no key files", KL_EXIT_USAGE);
    if (!a->upgrade && !a->plain && (!a->owner || !a->recovery))
        return pool_complain("which files are made? --owner FILE --recovery FILE; or --plain",
                             KL_EXIT_USAGE);
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    exit = a->upgrade ? upgrade(s) : make(s, a, word->item[0]);
    kl_shared_close(s);
    return exit;
}

/* ---- import ---- */

static bool read_kinds(const struct option_list *list, uint32_t *out)
{
    enum kl_csv_kind kind;

    *out = 0;
    for (unsigned i = 0; i < list->count; i++) {
        if (!kl_csv_kind_by_word(list->item[i], &kind)) {
            fprintf(stderr, "keyline pool: --accept: there is no kind %s (keyline keys --help)\n",
                    list->item[i]);
            return false;
        }
        *out |= 1u << kind;
    }
    return true;
}

static void show_rows(void *ctx, uint32_t rows, uint32_t of)
{
    (void)ctx;
    pool_progress("rows", rows, of);
}

static int say_imported(const struct kl_shared_imported *in, const char *csv)
{
    printf("%u rows: %u new keys, %u used before, %u in the pool already.\n", (unsigned)in->rows,
           (unsigned)in->fresh, (unsigned)in->spent, (unsigned)in->known);
    if (in->aside > 0)
        printf(
            "%u keys were free in the pool but are used in this list: they are lost now. Find out "
            "what became of them, then: keyline pool settle\n",
            (unsigned)in->aside);
    if (in->fresh > 0)
        printf("From now on no bench may be started on %s: its keys are the pool's.\n", csv);
    keys_printed();
    return in->aside > 0 ? KL_EXIT_DOUBT : KL_EXIT_OK;
}

int pool_import(const struct pool_args *a, const struct option_list *word)
{
    struct kl_shared_import how = {
        .csv = word->item[0], .header = a->header, .journal = a->journal, .progress = show_rows};
    struct kl_shared_imported in;
    char error[KL_TEXT_MAX];
    struct kl_shared *s;
    int exit;

    if (!read_kinds(&a->accept, &how.accept))
        return KL_EXIT_USAGE;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    if ((exit = pool_unlock(a, s)) == KL_EXIT_OK &&
        (exit = pool_exit(kl_shared_import(s, &how, &in, error), error)) == KL_EXIT_OK)
        exit = say_imported(&in, word->item[0]);
    kl_shared_close(s);
    return exit;
}

/* ---- stations ---- */

int pool_join(const struct pool_args *a, const struct option_list *word)
{
    char path[4096], public[64], host[KL_NAME_MAX] = "", error[KL_TEXT_MAX];
    const char *name = word->count > 0 ? word->item[0] : host;
    bool made;

    gethostname(host, sizeof host - 1);
    if (a->anew &&
        !pool_confirm(
            a,
            "What this station holds of the pool is put aside, and no board gets it from here "
            "any more. Its owner must have declared it lost.",
            "anew"))
        return KL_EXIT_USAGE;
    if (a->anew && !kl_shared_put_aside(a->pool, path, error))
        return pool_complain(error, KL_EXIT_HELD);
    if (a->anew && path[0] != '\0')
        fprintf(stderr,
                "What the station had is kept in %s: its ledger tells which board has which key.\n",
                path);
    if (!kl_shared_join(a->pool, name, path, public, &made, error))
        return pool_complain(error, KL_EXIT_INPUT);
    fprintf(stderr,
            "%s %s. It stays on this station.\n"
            "The pool's owner lets the station in with:\n"
            "  keyline pool station %s --key %s --pool %s --owner FILE\n"
            "and --role ROLE, if its database role has another name than %s.\n",
            path, made ? "is made" : "was there already", name, public, a->pool, name);
    puts(public);
    return keys_printed();
}

int pool_station(const struct pool_args *a, const struct option_list *word)
{
    struct kl_shared_station how = {.name = word->item[0],
                                    .role = a->role ? a->role : word->item[0],
                                    .public = a->public_key,
                                    .lease_cap = (uint32_t)a->lease_cap,
                                    .allotment = a->allot};
    char error[KL_TEXT_MAX];
    struct kl_shared *s;
    int exit;

    if (!a->public_key)
        return pool_complain(
            "which public key? --key PUBLIC, as keyline pool join prints it on the station",
            KL_EXIT_USAGE);
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    if ((exit = pool_unlock(a, s)) == KL_EXIT_OK &&
        (exit = pool_exit(kl_shared_add_station(s, &how, error), error)) == KL_EXIT_OK) {
        printf("Station %s is in, with the database role %s.\n", how.name, how.role);
        exit = keys_printed();
    }
    kl_shared_close(s);
    return exit;
}
