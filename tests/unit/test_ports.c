/* Which ports there are and which are boards, over a sysfs made of files. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/host/ports_private.h"

static char root[64];

static void make_folders(const char *path)
{
    char part[512];
    for (size_t n = 1; n <= strlen(path); n++) {
        if (path[n] != '/' && path[n] != '\0')
            continue;
        memcpy(part, path, n);
        part[n] = '\0';
        mkdir(part, 0755);
    }
}

static void make_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    if (text == NULL)
        return;
    kl_format(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", text);
    fclose(f);
}

static void make_link(const char *to, const char *folder, const char *name)
{
    char path[512];
    kl_format(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(symlink(to, path), 0);
}

struct usb {
    const char *at, *interface, *vid, *pid, *serial, *product;
};

static void make_usb(const struct usb *u, const char *tty, const char *driver, const char *port)
{
    char device[256], place[400], tty_folder[480], to[512];
    kl_format(device, sizeof device, "%s/devices/pci0000:00/0000:00:14.0/usb1/%s", root, u->at);
    /* usb-serial has a folder for the port below the interface, cdc-acm has not. */
    if (port != NULL)
        kl_format(place, sizeof place, "%s/%s:1.%s/%s", device, u->at, u->interface, tty);
    else
        kl_format(place, sizeof place, "%s/%s:1.%s", device, u->at, u->interface);
    kl_format(tty_folder, sizeof tty_folder, "%s/tty/%s", place, tty);
    make_folders(tty_folder);
    make_file(device, "idVendor", u->vid);
    make_file(device, "idProduct", u->pid);
    make_file(device, "serial", u->serial);
    make_file(device, "product", u->product);
    make_file(device, "manufacturer", "Maker\x1b[2J");
    make_file(place, "port_number", port);
    kl_format(to, sizeof to, "../../../../bus/drivers/%s", driver);
    make_link(to, place, "driver");
    make_link("../..", tty_folder, "device");
    kl_format(to, sizeof to, "%s/class/tty", root);
    make_link(tty_folder, to, tty);
}

static void make_plain(const char *tty, const char *type)
{
    char folder[256], to[256];
    kl_format(folder, sizeof folder, "%s/devices/pnp0/00:00/tty/%s", root, tty);
    make_folders(folder);
    make_link("../..", folder, "device");
    make_file(folder, "type", type);
    kl_format(to, sizeof to, "%s/class/tty", root);
    make_link(folder, to, tty);
}

static int set_up(void **state)
{
    char folder[256];
    (void)state;
    const char *base = getenv("TMPDIR");
    kl_format(root, sizeof root, "%s/keyline-sys-XXXXXX",
              base != NULL && strlen(base) < 30 ? base : "/tmp");
    assert_non_null(mkdtemp(root));
    kl_format(folder, sizeof folder, "%s/class/tty", root);
    make_folders(folder);
    kl_format(folder, sizeof folder, "%s/class/tty/tty1", root);
    make_folders(folder); /* a console: no device */
    make_plain("ttyS0", "4");
    make_plain("ttyS7", "0"); /* a name without a port */
    make_plain("ttyAMA0", NULL);
    const struct usb hub10 = {"1-1.10", "0", "10c4", "ea60", "0001", "CP2102N"};
    const struct usb hub2 = {"1-1.2", "0", "10c4", "ea60", "0001", "CP2102N"};
    const struct usb esp_prog_a = {"1-2", "0", "0403", "6010", "X", "Dual RS232-HS"};
    const struct usb esp_prog_b = {"1-2", "1", "0403", "6010", "X", "Dual RS232-HS"};
    const struct usb jtag = {"1-1.4.2", "0", "303a", "1001", "AA:BB", "USB JTAG/serial"};
    const struct usb otg = {"2-1", "0", "303a", "0002", NULL, NULL};
    const struct usb modem = {"1-3", "2", "1199", "68a3", NULL, "Modem"};
    const struct usb four = {"1-4", "0", "110a", "1410", NULL, "Four ports"};
    make_usb(&hub10, "ttyUSB0", "cp210x", "0");
    make_usb(&hub2, "ttyUSB11", "cp210x", "0");
    make_usb(&esp_prog_a, "ttyUSB2", "ftdi_sio", "0");
    make_usb(&esp_prog_b, "ttyUSB3", "ftdi_sio", "0");
    make_usb(&jtag, "ttyACM0", "cdc_acm", NULL);
    make_usb(&otg, "ttyACM1", "cdc_acm", NULL);
    make_usb(&modem, "ttyUSB5", "option", "0");
    make_usb(&four, "ttyUSB6", "ti_usb_3410_5052", "3");
    return 0;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s;
    (void)type;
    (void)f;
    return remove(path);
}

static int clear_up(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct kl_port_info ports[32];

static int list(const struct kl_port_rules *rules)
{
    memset(ports, 0, sizeof ports);
    return kl_ports_list_at(root, ports, 32, rules);
}

static const struct kl_port_info *find(const char *path)
{
    for (int i = 0; i < 32; i++)
        if (strcmp(ports[i].path, path) == 0)
            return &ports[i];
    fail_msg("%s is not listed", path);
    return NULL;
}

static void sorted_by_place(void **state)
{
    static const char *const order[][2] = {
        {"1-1.2", "/dev/ttyUSB11"}, {"1-1.4.2", "/dev/ttyACM0"}, {"1-1.10", "/dev/ttyUSB0"},
        {"1-2", "/dev/ttyUSB2"},    {"1-2:1.1", "/dev/ttyUSB3"}, {"1-3:1.2", "/dev/ttyUSB5"},
        {"1-4#3", "/dev/ttyUSB6"},  {"2-1", "/dev/ttyACM1"},     {"", "/dev/ttyAMA0"},
        {"", "/dev/ttyS0"},
    };
    (void)state;
    assert_int_equal(list(&(struct kl_port_rules){0}), 10);
    for (unsigned i = 0; i < 10; i++) {
        assert_string_equal(ports[i].topology, order[i][0]);
        assert_string_equal(ports[i].path, order[i][1]);
    }
    /* More than fit: the count is told, the first ones are given. */
    struct kl_port_info two[2];
    assert_int_equal(kl_ports_list_at(root, two, 2, &(struct kl_port_rules){0}), 10);
    assert_string_equal(two[1].topology, "1-1.4.2");
    assert_int_equal(kl_ports_list_at("/nowhere", two, 2, &(struct kl_port_rules){0}), -1);
}

static void tells_what_the_kernel_knows(void **state)
{
    (void)state;
    list(&(struct kl_port_rules){0});
    const struct kl_port_info *p = find("/dev/ttyUSB0");
    assert_int_equal(p->vid, 0x10c4);
    assert_int_equal(p->pid, 0xea60);
    assert_string_equal(p->driver, "cp210x");
    assert_string_equal(p->serial, "0001");
    assert_string_equal(p->product, "CP2102N");
    assert_string_equal(p->manufacturer, "Maker?[2J"); /* no escapes to a terminal */
    p = find("/dev/ttyACM0");
    assert_string_equal(p->driver, "cdc_acm");
    assert_string_equal(p->serial, "AA:BB");
    assert_string_equal(find("/dev/ttyACM1")->serial, "");
    assert_int_equal(find("/dev/ttyS0")->vid, 0);
}

static void expect_used(const char *path, bool usable, const char *why)
{
    const struct kl_port_info *p = find(path);
    assert_int_equal(p->usable, usable);
    assert_non_null(strstr(p->why, why));
}

static void takes_boards_and_bridges_only(void **state)
{
    (void)state;
    list(&(struct kl_port_rules){0});
    expect_used("/dev/ttyUSB0", true, "CP210x");
    expect_used("/dev/ttyUSB2", false, "JTAG");
    expect_used("/dev/ttyUSB3", true, "FT2232");
    expect_used("/dev/ttyUSB5", false, "--usb-id 1199:68a3");
    expect_used("/dev/ttyS0", false, "not USB");
    expect_used("/dev/ttyAMA0", false, "not USB");
    assert_int_equal(find("/dev/ttyACM0")->link, KL_LINK_USB_JTAG);
    assert_int_equal(find("/dev/ttyACM1")->link, KL_LINK_USB_OTG);
    assert_int_equal(find("/dev/ttyUSB0")->link, KL_LINK_SERIAL);
}

static void rules_add_and_take_away(void **state)
{
    (void)state;
    const uint32_t ids[] = {0x119968a3, 0};
    const char *const out[] = {"1-1.4.2", "/dev/ttyUSB0"};
    list(&(struct kl_port_rules){
        .extra_ids = ids, .extra_id_count = 2, .exclude = out, .exclude_count = 2});
    expect_used("/dev/ttyUSB5", true, "--usb-id");
    expect_used("/dev/ttyACM0", false, "excluded");
    expect_used("/dev/ttyUSB0", false, "excluded");
    expect_used("/dev/ttyUSB11", true, "CP210x");
    expect_used("/dev/ttyS0", false, "not USB"); /* 0000:0000 adds no on-board UART */
}

static void named_ports_are_the_only_ones(void **state)
{
    (void)state;
    const char *const named[] = {"/dev/ttyS0", "1-1.2", "/dev/ttyUSB2"};
    list(&(struct kl_port_rules){.only = named, .only_count = 3});
    expect_used("/dev/ttyS0", true, "named");
    expect_used("/dev/ttyUSB11", true, "CP210x");
    expect_used("/dev/ttyUSB2", true, "");
    expect_used("/dev/ttyUSB0", false, "other ports are named");
    expect_used("/dev/ttyAMA0", false, "other ports are named");
}

/* The rules give rights to the very devices that are used. */
static void udev_rules_name_the_same_ids(void **state)
{
    static const uint16_t vendors[] = {0x10c4, 0x1a86, 0x0403, 0x067b};
    static char rules[8192];
    enum kl_link_kind kind;
    const char *what;
    (void)state;
    FILE *f = fopen(KL_SOURCE_DIR "/src/adapters/host/60-keyline.rules", "r");
    assert_non_null(f);
    assert_true(fread(rules, 1, sizeof rules - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(rules, "ATTRS{idVendor}==\"303a\", GOTO"));
    assert_true(kl_ports_known(0x303a, 0x4001, 0, &kind, &what));
    for (size_t v = 0; v < sizeof vendors / sizeof vendors[0]; v++)
        for (unsigned pid = 0; pid <= 0xffff; pid++) {
            char vendor[64], product[8];
            bool named = false;
            kl_format(vendor, sizeof vendor, "ATTRS{idVendor}==\"%04x\"", vendors[v]);
            kl_format(product, sizeof product, "%04x", pid);
            for (const char *at = strstr(rules, vendor); at != NULL && !named;
                 at = strstr(at + 1, vendor)) {
                const char *found = strstr(at + strlen(vendor), product);
                named = found != NULL && found < strchr(at, '\n');
            }
            assert_int_equal(named, kl_ports_known(vendors[v], (uint16_t)pid, 1, &kind, &what));
        }
}

static void ids_are_read(void **state)
{
    static const char *const wrong[] = {"",           "10c4",      "10c4:",    "10c4:ea6",
                                        "10c4:ea600", "10c4-ea60", " 0c4:ea60"};
    uint32_t id;
    (void)state;
    assert_true(kl_ports_parse_id("10C4:ea60", &id));
    assert_int_equal(id, 0x10c4ea60);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(kl_ports_parse_id(wrong[i], &id));
}

static void the_machine_s_own_ports_can_be_listed(void **state)
{
    (void)state;
    int n = kl_ports_list(ports, 32, &(struct kl_port_rules){0});
    assert_true(n >= -1);
    for (int i = 0; i < n && i < 32; i++)
        assert_memory_equal(ports[i].path, "/dev/tty", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorted_by_place),
        cmocka_unit_test(tells_what_the_kernel_knows),
        cmocka_unit_test(takes_boards_and_bridges_only),
        cmocka_unit_test(rules_add_and_take_away),
        cmocka_unit_test(named_ports_are_the_only_ones),
        cmocka_unit_test(udev_rules_name_the_same_ids),
        cmocka_unit_test(ids_are_read),
        cmocka_unit_test(the_machine_s_own_ports_can_be_listed),
    };
    return cmocka_run_group_tests(tests, set_up, clear_up);
}
