/* cli_pool_show.c: how a pool is, and who holds what. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_pool.h"
#include "keyline/exit.h"

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

static bool is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

/* The server's answer as it is, or as JSON for the caller. */
static int look(struct kl_shared *s, const char *what, json_t **out)
{
    char error[KL_TEXT_MAX], *text = NULL;
    int exit = pool_exit(kl_shared_look(s, what, NULL, &text, error), error);

    *out = NULL;
    if (exit == KL_EXIT_OK && !(*out = json_loads(text, 0, NULL)))
        exit = pool_complain("the pool's answer makes no sense to this program", KL_EXIT_STORE);
    free(text);
    return exit;
}

static int print_json(json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    return keys_printed();
}

/* ---- status ---- */

static void print_keys(const json_t *pool)
{
    const json_t *keys = json_object_get(pool, "keys");

    printf("keys      %lld: %lld free, %lld leased, %lld provisioned, %lld lost, %lld spent, %lld "
           "used "
           "before or set aside\n",
           number_of(keys, "total"), number_of(keys, "free"), number_of(keys, "leased"),
           number_of(keys, "provisioned"), number_of(keys, "lost"), number_of(keys, "spent"),
           number_of(keys, "aside"));
    if (number_of(pool, "per_hour") > 0)
        printf("rate      %lld boards an hour: the free keys last %.1f h\n",
               number_of(pool, "per_hour"), json_number_value(json_object_get(pool, "hours_left")));
    if (is_true(pool, "rekey_due") || number_of(keys, "old_epoch") > 0)
        printf("secrets   %s: keyline pool rekey\n",
               is_true(pool, "rekey_due") ? "a lost station knows the pool key of all free keys"
                                          : "some free keys are under an older pool key");
    else
        printf("secrets   %s\n", is_true(pool, "plain")
                                     ? "plain: who can read all of the database can read all keys"
                                     : "sealed: the database can't read them");
}

static void print_fence(const json_t *pool)
{
    const json_t *fence = json_object_get(pool, "fence");
    const char *unheard = text_of(fence, "unheard"), *lost = text_of(fence, "lost_unheard");

    if (is_true(fence, "holds")) {
        if (is_true(pool, "open"))
            printf("state     open\n");
        else
            printf("state     closed: %s\n", text_of(pool, "closed_why"));
        return;
    }
    printf("state     FAILED OVER OR RESTORED: no leases until it is reopened\n");
    if (unheard[0] != '\0')
        printf("          these stations have not told yet what they hold: %s\n", unheard);
    if (lost[0] != '\0')
        printf("          %s was declared lost since: reopen --set-aside %lld\n", lost,
               number_of(fence, "set_aside"));
    if (unheard[0] == '\0')
        printf("          all stations have told what they hold: keyline pool reopen\n");
}

/* What a database promises about a commit that it has acknowledged. */
static void print_database(const json_t *pool)
{
    const char *standbys = text_of(pool, "synchronous_standbys");

    printf("database  PostgreSQL %s, ", text_of(pool, "server"));
    if (!is_true(pool, "fsync"))
        printf("fsync is OFF: a power cut can destroy it\n");
    else if (standbys[0] == '\0')
        printf("no synchronous standby: a failover can forget the last leases\n");
    else
        printf("synchronous standby: %s\n", standbys);
}

static void print_alarms(const json_t *alarms)
{
    const json_t *a;
    size_t i;

    json_array_foreach(alarms, i, a)
    {
        printf("ALARM %lld  %s: ", number_of(a, "id"), text_of(a, "kind"));
        keys_print(text_of(a, "text"), 0);
        printf("\n");
    }
}

int pool_status(const struct pool_args *a, const struct option_list *word)
{
    json_t *pool = NULL, *alarms = NULL;
    struct kl_shared *s;
    int exit;

    (void)word;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    if ((exit = look(s, "pool", &pool)) == KL_EXIT_OK)
        exit = look(s, "alarms", &alarms);
    kl_shared_close(s);
    if (exit == KL_EXIT_OK && a->json) {
        json_object_set(pool, "open_alarms", alarms);
        exit = print_json(pool);
    } else if (exit == KL_EXIT_OK) {
        printf("pool      %s, %lld stations\n", text_of(pool, "name"), number_of(pool, "stations"));
        print_fence(pool);
        print_keys(pool);
        print_database(pool);
        print_alarms(alarms);
        exit = keys_printed();
    }
    json_decref(pool);
    json_decref(alarms);
    return exit;
}

/* ---- stations ---- */

static void print_station(const json_t *s)
{
    double silent = json_number_value(json_object_get(s, "silent_s"));
    char seen[32];

    if (strcmp(text_of(s, "state"), "lost") == 0)
        kl_copy(seen, sizeof seen, "LOST");
    else if (!json_is_number(json_object_get(s, "silent_s")))
        kl_copy(seen, sizeof seen, "never seen");
    else if (silent < 60)
        kl_copy(seen, sizeof seen, "on line");
    else if (silent < 7200)
        kl_format(seen, sizeof seen, "%.0f min ago", silent / 60);
    else
        kl_format(seen, sizeof seen, "%.0f h ago", silent / 3600);
    printf("%-20s %-12s %8lld %8lld %8lld %8lld %8lld %6lld\n", text_of(s, "name"), seen,
           number_of(s, "leased"), number_of(s, "provisioned"), number_of(s, "failed"),
           number_of(s, "lost"), number_of(s, "per_hour"), number_of(s, "alarms"));
}

int pool_stations(const struct pool_args *a, const struct option_list *word)
{
    json_t *stations = NULL, *one;
    struct kl_shared *s;
    size_t i;
    int exit;

    (void)word;
    if ((exit = pool_open(a, &s)) != KL_EXIT_OK)
        return exit;
    exit = look(s, "stations", &stations);
    kl_shared_close(s);
    if (exit == KL_EXIT_OK && a->json) {
        exit = print_json(stations);
    } else if (exit == KL_EXIT_OK) {
        printf("%-20s %-12s %8s %8s %8s %8s %8s %6s\n", "station", "seen", "leased", "done",
               "failed", "lost", "per hour", "alarms");
        json_array_foreach(stations, i, one)
        {
            print_station(one);
        }
        exit = keys_printed();
    }
    json_decref(stations);
    return exit;
}
