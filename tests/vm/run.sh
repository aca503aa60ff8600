#!/usr/bin/env bash
# Boots Debian's kernel in an emulated machine and runs scenarios.sh there, with keyline on the
# kernel's own USB serial drivers. usage: run.sh [--programs KEYLINE USBBENCH] [SCENARIO [SEED [verbose]]]
# Exit status 77: skipped, since QEMU or the kernel's package can't be had.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
here=tests/vm
work=build/vm

skip() { echo "vm: skipped: $*"; exit 77; }

programs=()
if [ "${1:-}" = --programs ]; then
    programs=("$2" "$3")
    shift 3
fi
scenario=${1:-}
seed=${2:-1}
verbose=${3:-}

command -v qemu-system-x86_64 >/dev/null || skip "qemu-system-x86_64 is not installed"
command -v busybox >/dev/null || skip "busybox-static is not installed"
mkdir -p "$work"

if [ ${#programs[@]} = 0 ]; then
    [ -e build/gcc/build.ninja ] ||
        cmake -S . -B build/gcc -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
    ninja -C build/gcc --quiet keyline usbbench >/dev/null
    programs=(build/gcc/keyline build/gcc/tests/usbbench)
fi

# The kernel is unpacked, not installed.
if ! compgen -G "$work/kernel/boot/vmlinuz-*" >/dev/null; then
    package=$(apt-cache depends linux-image-amd64 2>/dev/null |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
    [ -n "$package" ] || skip "no package list knows linux-image-amd64 (apt-get update)"
    rm -rf "$work/kernel.new" "$work"/*.deb
    (cd "$work" && apt-get download "$package" 2>/dev/null) || skip "$package can't be downloaded"
    mkdir -p "$work/kernel.new"
    dpkg --fsys-tarfile "$work"/*.deb | tar x -C "$work/kernel.new" --wildcards \
        './boot/vmlinuz*' './lib/modules/*/kernel/drivers/usb/*'
    rm -rf "$work"/*.deb "$work/kernel"
    mv "$work/kernel.new" "$work/kernel"
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/bin" "$root/modules" "$root/lib64"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$here/init" "$here/scenarios.sh" "$root/"
chmod +x "$root/init"
cp "${programs[0]}" "$root/bin/keyline"
cp "${programs[1]}" "$root/bin/usbbench"
ldd "${programs[@]}" | grep -o '/[^ :]*\.so[^ :]*' | sort -u | while read -r library; do
    mkdir -p "$root/$(dirname "$library")"
    cp -L "$library" "$root/$library"
done
for module in usb-common usbcore usbip-core vhci-hcd usbserial cp210x ch341 ftdi_sio cdc-acm; do
    find "$work/kernel/lib/modules" -name "$module.ko" -exec cp {} "$root/modules/" \;
done
strip --strip-debug "$root/bin/keyline" "$root/bin/usbbench" 2>/dev/null || true
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$root.initrd"
trap 'rm -rf "$root" "$root.initrd"' EXIT

log=$work/log
# Most of it is the machine's own time: an emulated processor, whether or not /dev/kvm exists.
timeout 560 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 512 -smp 2 -nographic -no-reboot \
    -net none -kernel "$work"/kernel/boot/vmlinuz-* -initrd "$root.initrd" \
    -append "console=ttyS0 panic=-1 quiet scenario=$scenario seed=$seed $verbose" </dev/null 2>&1 |
    tr -d '\r' | tee "$log" | sed -un 's/.*vm: scenario/vm: scenario/; /^vm: /,$p' || true
status=$(sed -n 's/^vm: exit \([0-9]*\).*/\1/p' "$log" | tail -1)
[ -n "$status" ] || echo "vm: the guest did not come to its end; see $log"
exit "${status:-1}"
