/* cli_nvs_port.c: reads a board's NVS partition through its ROM loader. */
#include <stdio.h>

#include "cli_nvs.h"
#include "keyline/bundle_load.h"
#include "keyline/cli.h"
#include "keyline/secret.h"
#include "look_port.h"

enum step {
    IDENTIFIED,
    HAS_TABLE,
    HAS_PARTITION,
};

struct reading {
    const struct nvs_args *args;
    enum step step;
    uint8_t *data;
    struct kl_nvs_where where;
    char error[KL_TEXT_MAX]; /* "" = none */
};

static void read_range(struct look_port *s, uint32_t offset, uint32_t size)
{
    struct reading *r = s->ctx;
    struct kl_look_range range = {.offset = offset, .size = size, .out = r->data, .md5 = kl_md5};

    kl_look_read(s->look, &range, look_port_now());
}

/* Each of these may be called again by what it asks for: the step is taken first. */
static void ready(struct look_port *s)
{
    struct reading *r = s->ctx;
    struct kl_look_result result;

    kl_look_result(s->look, &result);
    if (r->step == IDENTIFIED && result.identity.chip == KL_CHIP_ESP8266)
        kl_copy(r->error, sizeof r->error, "an ESP8266's loader can't read its flash");
    if (r->step == HAS_TABLE)
        kl_nvs_where(r->data, r->args->partition, &r->where, r->error);
    if (r->error[0] || r->step == HAS_PARTITION) {
        kl_look_leave(s->look, look_port_now());
    } else if (r->step == IDENTIFIED) {
        r->step = HAS_TABLE;
        read_range(s, r->args->table_offset, KL_NVS_TABLE_SIZE);
    } else {
        r->step = HAS_PARTITION;
        read_range(s, r->where.offset, r->where.size);
    }
}

int nvs_read_board(const struct nvs_args *a, uint8_t *data, struct kl_nvs_where *where,
                   struct kl_mac *mac)
{
    static struct look_port s;
    struct reading r = {.args = a, .data = data};
    struct kl_look_result result;
    char text[2 * KL_TEXT_MAX];
    int status = KL_EXIT_OK;

    s = (struct look_port){.ready = ready, .ctx = &r};
    if (!look_port(&s, a->port)) {
        kl_format(text, sizeof text, "%s: %s", a->port, s.error);
        status = nvs_complain(text, KL_EXIT_FAILED);
    } else {
        kl_look_result(s.look, &result);
        *mac = result.identity.mac;
        if (result.fault->reason != KL_FAULT_NONE) {
            look_port_complain("nvs", a->port, result.fault);
            status = KL_EXIT_FAILED;
        } else if (r.error[0]) {
            kl_format(text, sizeof text, "%s: %s", a->port, r.error);
            status = nvs_complain(text, KL_EXIT_INPUT);
        }
    }
    *where = r.where;
    look_port_free(&s);
    return status;
}
