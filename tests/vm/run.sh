#!/usr/bin/env bash
# Boots Debian's kernel in an emulated machine and runs scenarios.sh there, with keyline on the
# kernel's own USB serial drivers. usage: run.sh KEYLINE USBBENCH [SCENARIO [SEED [verbose]]], or
# run.sh --kernel, which only gets the kernel.
# Exit status 77: skipped, since QEMU or the kernel's package can't be had.
set -euo pipefail
[ "$1" = --kernel ] || keyline=$(readlink -f "$1") usbbench=$(readlink -f "$2")
scenario=${3:-} seed=${4:-1} verbose=${5:-}
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
here=tests/vm
work=build/vm
modules="usb-common usbcore usbip-core vhci-hcd usbserial cp210x ch341 ftdi_sio cdc-acm"

skip() {
    echo "SKIPPED: $*"
    exit 77
}

for tool in qemu-system-x86_64 busybox dpkg apt-get; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
mkdir -p "$work"
root=$(mktemp -d)
trap 'rm -rf "$root" "$root.initrd"' EXIT

# The exact package that linux-image-amd64 stands for; nothing if no list knows it.
kernel_package() {
    { apt-cache depends linux-image-amd64 2>/dev/null || true; } |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1
}

# It is unpacked, not installed.
get_kernel() {
    local package
    package=$(kernel_package)
    [ -n "$package" ] || skip "no package list knows linux-image-amd64 (apt-get update)"
    rm -rf "$work/kernel.new"
    mkdir -p "$work/kernel.new" "$root/download"
    (cd "$root/download" && apt-get -q download "$package" >/dev/null 2>&1) ||
        skip "$package can't be downloaded (apt-get update)"
    dpkg --fsys-tarfile "$root"/download/*.deb | tar x -C "$work/kernel.new" --wildcards \
        './boot/vmlinuz*' './lib/modules/*/kernel/drivers/usb/*'
    rm -rf "$root/download" "$work/kernel"
    mv "$work/kernel.new" "$work/kernel"
}

# with_libraries PROGRAM…: into the guest's /bin, with what they need.
with_libraries() {
    cp "$@" "$root/bin/"
    ldd "$@" | grep -o '/[^ :]*\.so[^ :]*' | sort -u | while read -r library; do
        mkdir -p "$root/$(dirname "$library")"
        cp -L "$library" "$root/$library"
    done
}

make_root() {
    mkdir -p "$root/bin" "$root/modules" "$root/lib64" "$root/lib/terminfo/x" \
        "$root/etc/udev/rules.d" "$root/udev"
    cp "$here/init" "$here/scenarios.sh" "$here/doctor.sh" "$root/"
    [ ! -d build/stubs ] || cp -r build/stubs "$root/"
    find src -name 60-keyline.rules -exec cp {} "$root/udev/" \;
    chmod +x "$root/init"
    cp -L /lib/terminfo/x/xterm-256color "$root/lib/terminfo/x/"
    cp "$(command -v busybox)" "$root/bin/busybox"
    with_libraries "$keyline" "$usbbench"
    if command -v udevadm >/dev/null; then
        with_libraries "$(command -v udevadm)"
        ln -s udevadm "$root/bin/systemd-udevd"
    fi
    strip --strip-debug "$root/bin/keyline" "$root/bin/usbbench"
    for module in $modules; do
        find "$work/kernel/lib/modules" -name "$module.ko" -exec cp {} "$root/modules/" \;
    done
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$root.initrd"
}

# It is the machine's own time whether or not /dev/kvm exists: that may not work. no_timer_check: the
# kernel else counts ticks against its own speed, and panics on a busy host.
boot() {
    timeout 1700 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 1024 -smp 2 -nographic \
        -no-reboot -net none -kernel "$work"/kernel/boot/vmlinuz-* -initrd "$root.initrd" \
        -append "console=ttyS0 panic=-1 quiet no_timer_check scenario=$scenario seed=$seed $verbose" \
        </dev/null 2>&1
}

exec 9>"$work/lock"
flock 9 # another run may be getting it
compgen -G "$work/kernel/boot/vmlinuz-*" >/dev/null || get_kernel
exec 9>&-
[ "$1" != --kernel ] || exit 0
make_root
log=$work/log${scenario:+-$scenario}-$seed
boot | tee "$log" | sed -un 's/\r//; s/.*vm: scenario/vm: scenario/; /^vm: /,$p' || true
status=$(sed -n 's/^vm: exit \([0-9]*\).*/\1/p' "$log" | tail -1)
[ -n "$status" ] || echo "vm: the guest did not come to its end; see $log"
exit "${status:-1}"
