/* usb_device.c: what every USB device answers: its descriptors. The rest is the model's. */
#include "usb.h"

enum {
    GET_DESCRIPTOR = 6,
    DEVICE = 1,
    CONFIGURATION = 2,
    STRING = 3,
    TYPE = 0x60, /* of a request: 0 is standard */
};

static int device_descriptor(const struct model *m, uint8_t *out)
{
    bool composite = m->device_class == 0xef;
    /* clang-format off */
    const uint8_t device[18] = {
        18, DEVICE, 0x00, 0x02, m->device_class, composite ? 2 : 0, composite ? 1 : 0, 64,
        (uint8_t)m->vid, (uint8_t)(m->vid >> 8), (uint8_t)m->pid, (uint8_t)(m->pid >> 8),
        (uint8_t)m->release, (uint8_t)(m->release >> 8), 1, 2, 3, 1};
    /* clang-format on */
    memcpy(out, device, sizeof device);
    return sizeof device;
}

static int string_descriptor(const struct adapter *a, unsigned index, uint8_t *out)
{
    const char *texts[] = {NULL, "The bench", a->model->product, a->serial};
    out[1] = STRING;
    if (index == 0) {
        memcpy(out, "\x04\x03\x09\x04", 4);
        return 4;
    }
    if (index >= sizeof texts / sizeof texts[0])
        return STALLED;
    size_t n = strlen(texts[index]);
    for (size_t i = 0; i < n; i++) {
        out[2 + 2 * i] = (uint8_t)texts[index][i];
        out[3 + 2 * i] = 0;
    }
    out[0] = (uint8_t)(2 + 2 * n);
    return out[0];
}

static int standard(const struct adapter *a, const struct request *r, uint8_t *out)
{
    if (r->request != GET_DESCRIPTOR)
        return r->size;
    switch (r->value >> 8) {
    case DEVICE:
        return device_descriptor(a->model, out);
    case CONFIGURATION:
        memcpy(out, a->model->config, a->model->config_size);
        return (int)a->model->config_size;
    case STRING:
        return string_descriptor(a, r->value & 0xff, out);
    default:
        return STALLED;
    }
}

int usb_control(struct adapter *a, const struct request *r, uint8_t *out)
{
    return (r->type & TYPE) == 0 ? standard(a, r, out) : a->model->control(a, r, out);
}

void usb_set_lines(struct adapter *a, bool dtr, bool rts)
{
    if (rts && !dtr)
        phase_reset(&a->watch);
    a->dtr = dtr;
    a->rts = rts;
    kl_vboard_lines(a->board, dtr, rts, adapter_now());
}

void usb_set_rate(struct adapter *a, uint32_t rate)
{
    a->rate = rate;
    kl_vboard_baud(a->board, rate, adapter_now());
}
