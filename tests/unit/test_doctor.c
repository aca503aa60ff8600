/* The doctor over hosts made of files. */
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

#include "keyline/doctor.h"

static char root[64], csv[96];

static struct kl_finding findings[64];
static unsigned found;

static void put(const char *path, const char *text)
{
    char whole[512];
    kl_format(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = strchr(whole + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void put_port(const char *tty, const char *driver, const char *latency)
{
    char device[128], link[256], path[256], to[64];
    kl_format(device, sizeof device, "/sys/devices/usb1/1-1/1-1:1.0/%s", tty);
    kl_format(path, sizeof path, "%s/port_number", device);
    put(path, "0\n");
    kl_format(path, sizeof path, "%s/latency_timer", device);
    put(path, latency);
    put("/sys/devices/usb1/1-1/idVendor", "1a86\n");
    put("/sys/devices/usb1/1-1/idProduct", "7523\n");
    kl_format(link, sizeof link, "%s%s/driver", root, device);
    kl_format(to, sizeof to, "/bus/usb-serial/drivers/%s", driver);
    assert_int_equal(symlink(to, link), 0);
    kl_format(path, sizeof path, "/sys/class/tty/%s/dev", tty);
    put(path, "188:0\n");
    kl_format(link, sizeof link, "%s/sys/class/tty/%s/device", root, tty);
    kl_format(path, sizeof path, "%s%s", root, device);
    assert_int_equal(symlink(path, link), 0);
}

static int start(void **state)
{
    (void)state;
    kl_copy(root, sizeof root, "/tmp/keyline-doctor-XXXXXX");
    assert_non_null(mkdtemp(root));
    kl_format(csv, sizeof csv, "%s/keys.csv", root);
    put("/proc/self/status", "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGroups:\t4 20 1000 \n");
    put("/etc/group", "root:x:0:\nmydialout:x:77:\ndialout:x:20:pi\n");
    put("/proc/sys/kernel/osrelease", "6.1.0-18-arm64\n");
    put("/dev/kmsg", "6,1,0,-;usb 1-1: new full-speed USB device number 2 using xhci_hcd\n");
    put("/sys/class/tty/tty0/dev", "4:0\n");
    put("/proc/1/comm", "systemd\n");
    return 0;
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
    (void)s;
    (void)type;
    (void)f;
    return remove(path);
}

static int finish(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void keep(void *ctx, const struct kl_finding *finding)
{
    (void)ctx;
    assert_true(found < 64);
    assert_true(finding->text[0] != '\0');
    /* Whatever is in the way comes with something to do. */
    assert_true(finding->verdict != KL_TROUBLE || finding->advice[0] != '\0');
    findings[found++] = *finding;
}

static struct kl_doctor asked(void)
{
    return (struct kl_doctor){
        .root = root, .csv = csv, .now = 1900000000, .clock_synchronised = true, .tell = keep};
}

static unsigned run(void)
{
    struct kl_doctor d = asked();
    found = 0;
    return kl_doctor_run(&d);
}

static void expect(const char *check, enum kl_verdict verdict, const char *text)
{
    for (unsigned i = 0; i < found; i++)
        if (strcmp(findings[i].check, check) == 0 && findings[i].verdict == verdict &&
            strstr(findings[i].text, text) != NULL)
            return;
    for (unsigned i = 0; i < found; i++)
        print_message("%d %s: %s\n", findings[i].verdict, findings[i].check, findings[i].text);
    fail_msg("not found: %s: %s", check, text);
}

/* /tmp may be memory, which the doctor rightly minds. */
static unsigned troubles_but_disk(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < found; i++)
        n += findings[i].verdict == KL_TROUBLE && strncmp(findings[i].check, "disk", 4) != 0;
    return n;
}

static void a_good_host_is_fine(void **state)
{
    (void)state;
    put_port("ttyUSB0", "ftdi_sio", "1\n");
    put("/dev/ttyUSB0", "");
    unsigned troubles = run();
    assert_int_equal(troubles_but_disk(), 0);
    assert_true(troubles <= 1);
    expect("ports", KL_FINE, "1 ports");
    expect("groups", KL_FINE, "dialout");
    expect("modemmanager", KL_FINE, "");
    expect("brltty", KL_FINE, "");
    expect("latency", KL_FINE, "at once");
    expect("drivers", KL_FINE, "6.1.0");
    expect("supply", KL_UNKNOWN, "");
    expect("kernel_log", KL_FINE, "");
    expect("clock", KL_FINE, "");
}

static void missing_rights_are_found(void **state)
{
    (void)state;
    put("/proc/self/status", "Name:\tx\nUid:\t1000\t1000\nGroups:\t4 77 200 \n");
    run();
    expect("groups", KL_TROUBLE, "dialout");
    put("/proc/self/status", "Name:\tx\nUid:\t0\t0\nGroups:\t \n");
    run();
    expect("groups", KL_FINE, "root");
    put("/etc/group", "root:x:0:\n");
    put("/proc/self/status", "Name:\tx\nUid:\t1000\nGroups:\t20 \n");
    run();
    expect("groups", KL_UNKNOWN, "no group dialout");
}

static void programs_that_take_ports_are_found(void **state)
{
    (void)state;
    put("/proc/70/comm", "ModemManager\n");
    put("/proc/71/comm", "brltty\n");
    /* As systemd starts it on Debian 12: its arguments do not name the port. */
    put("/proc/72/comm", "agetty\n");
    put("/proc/72/stat", "72 (agetty) S 1 72 72 48128 72 4194560 300\n");
    put("/proc/73/comm", "agetty\n"); /* on a console */
    put("/proc/73/stat", "73 (agetty) S 1 73 73 1089 73 4194560 300\n");
    put("/proc/74/comm", "login\n"); /* what a getty becomes when a board says a word */
    put("/proc/74/stat", "74 (login) S 1 74 74 1091073 74 4194560 300\n");
    put("/proc/75/comm", "bash\n");
    put("/proc/75/stat", "75 (a) b) S 1 75 75 48129 75 4194560 300\n");
    run();
    expect("modemmanager", KL_TROUBLE, "ModemManager");
    expect("brltty", KL_TROUBLE, "brltty");
    expect("getty", KL_TROUBLE, "ttyUSB0");
    expect("getty", KL_TROUBLE, "ttyACM257");
    assert_int_equal(troubles_but_disk(), 4);
    put("/usr/local/lib/udev/rules.d/60-keyline.rules", "");
    run();
    expect("modemmanager", KL_FINE, "udev rules");
}

static void marks_in_the_kernel_log_are_counted(void **state)
{
    (void)state;
    put("/dev/kmsg", "3,1,0,-;usb 1-1-port2: over-current condition\n"
                     "3,2,0,-;usb 1-1-port2: over-current condition\n"
                     "4,3,0,-;hwmon hwmon1: Undervoltage detected!\n"
                     "3,4,0,-;usb usb1-port3: unable to enumerate USB device\n");
    run();
    expect("kernel_log", KL_TROUBLE, "over-current (2 times");
    expect("kernel_log", KL_TROUBLE, "supply was too low (1 times");
    expect("kernel_log", KL_TROUBLE, "could not be set up");
    assert_int_equal(troubles_but_disk(), 3);
    char path[96];
    kl_format(path, sizeof path, "%s/dev/kmsg", root);
    unlink(path);
    run();
    expect("kernel_log", KL_UNKNOWN, "can't be read");
}

static void supply_drivers_latency_and_clock(void **state)
{
    (void)state;
    put("/sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
    put("/sys/class/hwmon/hwmon1/name", "rpi_volt\n");
    put("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    put("/proc/sys/kernel/osrelease", "5.4.0-1\n");
    put_port("ttyUSB0", "ch341-uart", "16\n");
    struct kl_doctor d = asked();
    d.now = 3600;
    found = 0;
    kl_doctor_run(&d);
    expect("supply", KL_TROUBLE, "too low");
    expect("drivers", KL_TROUBLE, "CH340");
    expect("latency", KL_NOTE, "1 adapters");
    expect("clock", KL_TROUBLE, "long past");
    put("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    d = asked();
    d.clock_synchronised = false;
    found = 0;
    kl_doctor_run(&d);
    expect("supply", KL_FINE, "never");
    expect("clock", KL_NOTE, "not synchronised");
}

static void the_place_of_the_keys_is_judged(void **state)
{
    (void)state;
    struct kl_doctor d = asked();
    d.csv = "/keyline-no-such-folder/keys.csv";
    found = 0;
    kl_doctor_run(&d);
    expect("disk", KL_TROUBLE, "No such file");
    d.csv = "/proc/keys.csv";
    found = 0;
    kl_doctor_run(&d);
    expect("disk_space", KL_TROUBLE, "0 MiB");
    if (access("/dev/shm", W_OK) != 0)
        return; /* no file system in memory to show */
    d.csv = "/dev/shm/keys.csv";
    found = 0;
    kl_doctor_run(&d);
    expect("disk", KL_TROUBLE, "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_host_is_fine, start, finish),
        cmocka_unit_test_setup_teardown(missing_rights_are_found, start, finish),
        cmocka_unit_test_setup_teardown(programs_that_take_ports_are_found, start, finish),
        cmocka_unit_test_setup_teardown(marks_in_the_kernel_log_are_counted, start, finish),
        cmocka_unit_test_setup_teardown(supply_drivers_latency_and_clock, start, finish),
        cmocka_unit_test_setup_teardown(the_place_of_the_keys_is_judged, start, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
