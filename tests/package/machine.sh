#!/usr/bin/env bash
# machine.sh FOLDER: the packages in FOLDER on a clean Debian with its systemd, in an emulated machine: the unit as it
# is, its sandbox, its watchdog, a reboot. ./run test-package
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$1" && pwd)
[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"
source "$here/root.sh"
root=$cache/machine
disk=$cache/machine.img
trap 'drop_root "$root"; rm -rf "$cache/initrd" "$cache/initrd.img"' EXIT

# The kernel's package, unpacked: the image and the modules that the machine needs.
get_kernel() {
    local package
    [ -e "$cache/kernel/vmlinuz" ] && return
    package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
    rm -rf "$cache/kernel.new"
    mkdir -p "$cache/kernel.new/download"
    (cd "$cache/kernel.new/download" && apt-get -q download "$package" >/dev/null 2>&1) || {
        echo "SKIPPED: the kernel $package can't be had"
        exit 77
    }
    dpkg --fsys-tarfile "$cache"/kernel.new/download/*.deb | tar x -C "$cache/kernel.new" --wildcards './boot/vmlinuz*' \
        './lib/modules/*/modules.*' './lib/modules/*/kernel/drivers/usb/*' './lib/modules/*/kernel/drivers/virtio/*' \
        './lib/modules/*/kernel/drivers/block/virtio_blk.ko' './lib/modules/*/kernel/fs/ext4/*' './lib/modules/*/kernel/fs/jbd2/*' \
        './lib/modules/*/kernel/fs/mbcache.ko' './lib/modules/*/kernel/lib/crc*' './lib/modules/*/kernel/crypto/crc*' \
        './lib/modules/*/kernel/lib/libcrc*'
    rm -rf "$cache/kernel.new/download"
    mv "$cache"/kernel.new/boot/vmlinuz-* "$cache/kernel.new/vmlinuz"
    rm -rf "$cache/kernel"
    mv "$cache/kernel.new" "$cache/kernel"
}

make_disk() {
    drop_root "$root"
    make_root "$root"
    cp "$cache"/keyline_*_amd64.deb "$root/keyline.deb"
    cp "$cache"/keyline-postgresql_*_amd64.deb "$root/postgresql.deb"
    in_root "$root" apt-get -q update >/dev/null
    in_root "$root" apt-get -q -y --no-install-recommends install systemd-sysv udev kmod jq /keyline.deb /postgresql.deb >"$cache/machine.log" 2>&1 || {
        tail "$cache/machine.log"
        echo "FAILED: the machine's Debian"
        exit 1
    }
    rm "$root/usr/sbin/policy-rc.d" "$root/keyline.deb" "$root/postgresql.deb"
    cp -r "$cache/kernel/lib/modules" "$root/usr/lib/"
    in_root "$root" depmod -a "$(basename "$cache"/kernel/lib/modules/*)"
    cp "$here/machine_scenario.sh" "$root/scenario.sh"
    cat >"$root/etc/systemd/system/scenario.service" <<'END'
[Unit]
Description=the test
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /scenario.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=graphical.target
END
    in_root "$root" systemctl enable scenario.service >/dev/null 2>&1
    ln -sf /lib/systemd/system/graphical.target "$root/etc/systemd/system/default.target"
    ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
    echo bench >"$root/etc/hostname"
    umount "$root/proc" "$root/dev/pts" "$root/dev"
    rm -f "$disk"
    mke2fs -q -t ext4 -d "$root" "$disk" 1200M
}

make_initrd() {
    local module
    rm -rf "$cache/initrd"
    mkdir -p "$cache/initrd"/{bin,modules,proc,sys,dev,root}
    cp "$(command -v busybox)" "$cache/initrd/bin/busybox"
    for module in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk crc16 crc32c_generic libcrc32c \
        mbcache jbd2 ext4; do
        find "$cache/kernel/lib/modules" -name "$module.ko" -exec cp {} "$cache/initrd/modules/" \;
    done
    cat >"$cache/initrd/init" <<'END'
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
# Each pass loads those whose needs the passes before have loaded.
for pass in 1 2 3 4; do
    for module in /modules/*.ko; do busybox insmod $module 2>/dev/null; done
done
busybox mount -t ext4 /dev/vda /root || busybox poweroff -f
busybox umount /proc /sys
exec busybox switch_root /root /lib/systemd/systemd
END
    chmod +x "$cache/initrd/init"
    ln -s busybox "$cache/initrd/bin/sh"
    (cd "$cache/initrd" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$cache/initrd.img"
}

for tool in qemu-system-x86_64 busybox mke2fs; do
    command -v $tool >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 77; }
done
echo "-- a clean Debian with systemd, for the emulated machine"
get_kernel
make_disk
make_initrd
# boot SAYS: until the machine is switched off or reboots; it has to have said this.
boot() {
    timeout 1500 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 1024 -smp 2 -nographic -no-reboot -net none \
        -kernel "$cache/kernel/vmlinuz" -initrd "$cache/initrd.img" \
        -drive "file=$disk,format=raw,if=virtio,cache=unsafe" -serial mon:stdio -serial null \
        -append "console=ttyS0 panic=-1 quiet systemd.show_status=no loglevel=3 nowatchdog no_timer_check" \
        </dev/null >"$cache/machine.out" 2>&1 || true
    tr -d '\r' <"$cache/machine.out" | grep -a '^-- \|^FAILED\|^   ' || true
    grep -aq "^$1" "$cache/machine.out" && return
    tail -n 30 "$cache/machine.out"
    echo "FAILED: the machine does not say that all is well"
    exit 1
}

echo "-- it boots"
boot "-- rebooting"
boot "MACHINE OK"
rm -f "$disk"
echo "the packages work on a machine with systemd"
