/* cli_keys_audit.c: `keyline keys audit`: what is certain about the keys, what is in doubt, and
   why. */
#include <stdio.h>
#include <string.h>

#include "cli_keys.h"
#include "pool_view.h"

struct audit {
    const struct keys_args *args;
    unsigned certain, doubts;
    bool first;
};

static void print_json(struct audit *a, const struct kl_audit_finding *f, const char *mac)
{
    json_t *o = json_pack("{s:b, s:o}", "doubt", f->kind == KL_AUDIT_DOUBT, "text",
                          keys_json_text(f->text));

    if (f->label[0] != '\0')
        json_object_set_new(o, "label", keys_json_text(f->label));
    if (mac[0] != '\0')
        json_object_set_new(o, "mac", json_string(mac));
    keys_json_element(o, &a->first);
}

static void print_finding(void *ctx, const struct kl_audit_finding *f)
{
    struct audit *a = ctx;
    char mac[18] = "";

    a->certain += f->kind == KL_AUDIT_CERTAIN;
    a->doubts += f->kind == KL_AUDIT_DOUBT;
    if (f->kind == KL_AUDIT_CERTAIN)
        return;
    if (kl_mac_is_set(&f->mac))
        kl_mac_format(&f->mac, mac);
    if (a->args->format == KEYS_JSON) {
        print_json(a, f, mac);
        return;
    }
    printf("%s  ", f->kind == KL_AUDIT_DOUBT ? "in doubt" : "note    ");
    if (f->label[0] != '\0') {
        keys_print(f->label, 0);
        printf("%s%s: ", mac[0] != '\0' ? ", " : "", mac);
    }
    keys_print(f->text, 0);
    putchar('\n');
}

static void print_sum(const struct audit *a, const struct pool_view *v)
{
    const struct kl_pool_counts *c = &v->pool.counts;

    if (c->twins > 0)
        printf("in doubt  lines %u and %u have one secret under two labels\n",
               (unsigned)c->twin_line_a, (unsigned)c->twin_line_b);
    if (c->conflicts > 0)
        printf("in doubt  lines %u and %u have one label and different keys\n",
               (unsigned)c->conflict_line_a, (unsigned)c->conflict_line_b);
    printf("certain   %u keys: their boards have read them back\n", a->certain);
    printf("certain   %u keys are free: nothing was ever sent of them\n", (unsigned)c->free);
    printf(a->doubts == 0 ? "nothing is in doubt\n" : "in doubt  %u in all\n", a->doubts);
}

int keys_audit(const struct keys_args *args)
{
    struct audit a = {.args = args, .first = true};
    char error[KL_TEXT_MAX];
    struct pool_view v;
    int exit = pool_view_open(args->csv, args->header, true, args->journal, &v, error);

    if (exit != KL_EXIT_OK) {
        fprintf(stderr, "keyline: %s\n", error);
        return exit;
    }
    if (!kl_store_audit(v.store, print_finding, &a, error)) {
        fprintf(stderr, "keyline: %s\n", error);
        exit = KL_EXIT_STORE;
    } else {
        a.doubts += v.pool.counts.twins + v.pool.counts.conflicts;
        if (args->format == KEYS_JSON)
            keys_json_end(a.first);
        else
            print_sum(&a, &v);
        exit = a.doubts > 0 ? KL_EXIT_DOUBT : KL_EXIT_OK;
    }
    pool_view_close(&v);
    return keys_printed() == KL_EXIT_OK ? exit : KL_EXIT_FAILED;
}
