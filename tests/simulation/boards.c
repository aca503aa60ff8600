/* boards.c: virtual boards, their faults, and hands that put them into slots and take them out. */
#include "world.h"

#include <string.h>

/* Only clone and planted boards share a MAC or a key: the oracles must know them. */
bool board_fault_is_drawn(const char *name)
{
    return strcmp(name, "mac_shared") != 0 && strcmp(name, "provisioned") != 0;
}

/* Gives the board a fault of its own, with a figure if the fault takes one. */
static void spoil(struct world *w, struct sim_board *b, char out[64])
{
    struct kl_vboard_fault_info info;
    unsigned count = 0;

    while (kl_vboard_fault_info(count, &info))
        count++;
    do {
        b->fault = (int)below(w, count);
        kl_vboard_fault_info((unsigned)b->fault, &info);
    } while (!board_fault_is_drawn(info.name));
    b->healthy = false;
    if (strcmp(info.form, "[=TIMES]") == 0 && below(w, 4))
        snprintf(out, 64, "%s=%u", info.name, 1 + below(w, 3));
    else if (strcmp(info.form, "[=BYTE]") == 0)
        snprintf(out, 64, "%s=%u", info.name, 1 + below(w, 16000));
    else if (strcmp(info.name, "dies_writing") == 0)
        snprintf(out, 64, "dies_writing=%u", 1 + below(w, 120));
    else if (strcmp(info.name, "noise") == 0)
        snprintf(out, 64, "noise=%u", 1000 + below(w, 20000));
    else
        snprintf(out, 64, "%s", info.name);
}

/* The fault that makes a board hold this key from the start, or another key with its label. */
static void plant(struct world *w, struct sim_board *b, char out[300])
{
    const struct sim_key *k = &w->key[below(w, w->key_count)];

    b->healthy = false;
    b->fault = -1;
    if (below(w, 6) == 0) {
        saw(SIM_HALF_PLANTED);
        snprintf(out, 300, "provisioned=%s|5ec0aa|5ec0bb", k->label);
        return;
    }
    saw(SIM_PLANTED);
    b->planted = true;
    snprintf(out, 300, "provisioned=%s", k->key.line);
    for (char *c = out; *c; c++)
        if (*c == ',')
            *c = '|';
}

/* Boards that the bundle's images do not fit. */
static void misfit(struct world *w, struct sim_board *b, struct kl_vboard_config *c)
{
    b->healthy = false;
    if (below(w, 2)) {
        saw(SIM_OTHER_CHIP);
        c->chip = KL_CHIP_ESP32C3;
    } else {
        saw(SIM_SMALL_FLASH);
        c->flash_size = 512 * 1024;
    }
}

/* Gives the board firmware that is neither keyline's, nor the original tool's, nor silent. */
static void take_dialect(struct sim_board *b, struct kl_vboard_config *c)
{
    unsigned first = 0, count;

    while (strcmp(kl_vboard_firmware(first), "silent") != 0)
        first++;
    for (count = 0; kl_vboard_firmware(first + 1 + count);)
        count++;
    c->firmware = kl_vboard_firmware(first + 1 + (unsigned)(c->seed / 7 % count));
    b->healthy = false;
    b->odd = true;
    saw(SIM_ODD_FIRMWARE);
}

/* The firmware that this bench's options are for. */
static void suit(const struct world *w, struct sim_board *b, struct kl_vboard_config *c,
                 char faults[300])
{
    bool prints = w->config.nvs && w->config.confirm == KL_CONFIRM_READBACK;

    if (w->config.exam)
        c->firmware = w->config.nvs ? "silent-selftest" : "selftest";
    if (w->config.exam && !w->calm && !b->planted && c->seed % 8 == 3) {
        snprintf(faults, 300, "test_fails=%u", (unsigned)(1 + c->seed / 8 % 3));
        b->healthy = false;
        b->fault = -1;
    }
    if (w->config.exam)
        return;
    if (prints && (w->calm || c->seed % 5 > 0))
        c->firmware = "original";
    else if (prints)
        b->healthy = false; /* it does not know what was written there */
}

/* One board in eight comes with something in its NVS. */
static void fill_nvs(struct world *w, struct sim_board *b)
{
    const struct kl_nvs_delivery *d = w->config.nvs;
    uint32_t size;

    kl_vboard_flash(b->v, &size);
    if (!d || w->calm || b->planted || b->fault >= 0 || size < d->offset + d->size || below(w, 8))
        return;
    enum sim_content content = (enum sim_content)below(w, 3);
    b->healthy &= content == SIM_LITTLE && d->policy == KL_NVS_MERGE;
    sim_fill_nvs(b->v, d, content);
}

static struct kl_mac own_mac(const struct world *w)
{
    return (struct kl_mac){{0x24, 0x6f, 0x28, 0, 0, (uint8_t)w->board_count}};
}

static int finish_board(struct world *w, struct sim_board *b, struct kl_vboard_config *c)
{
    c->fields = FIELDS;
    b->mac = c->mac;
    b->v = kl_vboard_create(c);
    b->used = true;
    b->slot = -1;
    tell(w, "board %u is made: firmware %s, fault '%s'", w->board_count, c->firmware, c->faults);
    return (int)w->board_count++;
}

int new_board(struct world *w)
{
    char faults[300] = "";
    struct kl_vboard_config c = {.chip = KL_CHIP_ESP32, .flash_size = 1024 * 1024};
    struct sim_board *b;

    if (w->board_count == BOARDS_MAX)
        return -1;
    b = &w->board[w->board_count];
    c.mac = own_mac(w);
    if (w->board_count > 0 && chance(w, w->w.clone)) {
        c.mac = w->board[below(w, w->board_count)].mac;
        saw(SIM_CLONE);
    }
    b->healthy = true;
    b->fault = -1;
    if (chance(w, w->w.bad_board)) {
        if (below(w, 16) == 0)
            misfit(w, b, &c);
        else
            spoil(w, b, faults);
    }
    if (chance(w, w->w.planted))
        plant(w, b, faults);
    c.faults = faults;
    c.firmware = below(w, 4) == 0 ? "digest" : below(w, 3) == 0 ? "original" : "keyline";
    c.seed = draw(w);
    suit(w, b, &c, faults);
    if (!w->calm && c.seed % 7 == 0)
        take_dialect(b, &c);
    int made = finish_board(w, b, &c);
    fill_nvs(w, b);
    return made;
}

int board_of(struct world *w, const char *firmware, const char *faults)
{
    struct kl_vboard_config c = {.chip = KL_CHIP_ESP32,
                                 .flash_size = 1024 * 1024,
                                 .faults = faults,
                                 .firmware = firmware,
                                 .mac = own_mac(w)};

    c.seed = draw(w);
    w->board[w->board_count].fault = -1;
    return finish_board(w, &w->board[w->board_count], &c);
}

int board_with(struct world *w, const char *faults)
{
    return board_of(w, "keyline", faults);
}

struct kl_vboard *in(struct world *w, unsigned slot)
{
    return w->in_slot[slot] < 0 ? NULL : w->board[w->in_slot[slot]].v;
}

void say_plugged(struct world *w, unsigned slot, bool plugged)
{
    struct kl_event ev = world_make(w, plugged ? KL_EV_PLUGGED : KL_EV_UNPLUGGED, slot);
    kl_us at;

    if (w->network[slot] || w->plugged_said[slot] == plugged)
        return;
    w->plugged_said[slot] = plugged;
    if (plugged) {
        snprintf(ev.u.port.path, sizeof ev.u.port.path, "/dev/ttyUSB%u", slot);
        ev.u.port.link = KL_LINK_SERIAL;
        ev.u.port.vid = 0x10c4;
        ev.u.port.pid = 0xea60;
    }
    if (plugged && w->native[slot]) {
        ev.u.port.link = KL_LINK_USB_OTG;
        kl_mac_format(&w->board[w->in_slot[slot]].mac, ev.u.port.serial);
    }
    /* The poll sees the change within its 250 ms, and changes in order. */
    at = w->now + 1000 + (kl_us)below(w, 250000);
    if (at < w->port_said_at[slot])
        at = w->port_said_at[slot];
    w->port_said_at[slot] = at;
    push_event(w, at, &ev);
}

void take_out(struct world *w, unsigned slot)
{
    int b = w->in_slot[slot];

    if (b < 0)
        return;
    tell(w, "board %d leaves slot %u", b, slot);
    saw(SIM_BOARD_LEAVES);
    kl_vboard_lines(w->board[b].v, false, false, w->now);
    kl_vboard_power(w->board[b].v, false, w->now);
    w->board[b].slot = -1;
    w->in_slot[slot] = -1;
    w->was_in_slot[slot] = b;
    w->left_at[slot] = w->now;
    w->returns_at[slot] = 0;
    if (w->fixture)
        return; /* the bed's adapter stays, and tells nothing */
    lose_link(w, slot, "unplugged");
    say_plugged(w, slot, false);
}

void leave_bus(struct world *w, unsigned slot)
{
    tell(w, "the board in slot %u leaves the bus", slot);
    saw(SIM_BUS_LEFT);
    lose_link(w, slot, "left the bus");
    say_plugged(w, slot, false);
    w->returns_at[slot] = w->now + KL_MS(100 + (kl_us)below(w, 3000));
}

void return_to_bus(struct world *w, unsigned slot)
{
    if (!w->returns_at[slot] || w->now < w->returns_at[slot])
        return;
    saw(SIM_BUS_BACK);
    w->returns_at[slot] = 0;
    say_plugged(w, slot, true);
}

void put_in(struct world *w, unsigned slot, int b)
{
    if (b < 0 || w->in_slot[slot] >= 0 || w->board[b].slot != -1 || w->no_adapter[slot])
        return;
    /* Hands take their time, also at a needle bed. */
    if (w->fixture && w->now - w->left_at[slot] < KL_SEC(1))
        return;
    tell(w, "board %d enters slot %u", b, slot);
    saw(w->was_in_slot[slot] == b ? SIM_SAME_BACK : SIM_OTHER_COMES);
    if (w->fixture && w->left_at[slot] && w->now - w->left_at[slot] < KL_SEC(4))
        saw(SIM_BED_EXCHANGED);
    if (w->board[b].fault >= 0)
        saw_board_fault((unsigned)w->board[b].fault);
    w->in_slot[slot] = b;
    w->board[b].slot = (int)slot;
    w->lives++;
    w->came_at[slot] = w->now;
    kl_vboard_power(w->board[b].v, true, w->now);
    kl_vboard_lines(w->board[b].v, w->link[slot].dtr, w->link[slot].rts, w->now);
    kl_vboard_baud(w->board[b].v, w->link[slot].baud ? w->link[slot].baud : 115200, w->now);
    if (!w->fixture)
        say_plugged(w, slot, true);
}

int drawer(struct world *w)
{
    unsigned start = below(w, w->board_count ? w->board_count : 1);

    for (unsigned i = 0; i < w->board_count; i++) {
        unsigned b = (start + i) % w->board_count;
        if (w->board[b].slot == -1)
            return (int)b;
    }
    return -1;
}
