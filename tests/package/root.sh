# root.sh: a clean Debian to try packages in. Needs root; sources set `release` and `cache`.

release=${KEYLINE_TEST_RELEASE:-bookworm}

# The mirror that this machine installs from.
mirror() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
        awk -v release="$release" '$2 == release { print $1; exit }'
}

# make_root FOLDER: unpacks a minimal Debian there; it is made once and kept beside the packages.
make_root() {
    local packed=$cache/$release.tar made=$cache/$release.new from
    if [ ! -e "$packed" ]; then
        from=$(mirror)
        rm -rf "$made"
        debootstrap --variant=minbase "$release" "$made" ${from:+"$from"} >"$cache/debootstrap.log" 2>&1 || {
            tail "$cache/debootstrap.log" >&2
            echo "the clean Debian can't be had: is there a network?" >&2
            exit 1
        }
        tar -C "$made" -cf "$packed.new" .
        mv "$packed.new" "$packed"
        rm -rf "$made"
    fi
    mkdir -p "$1"
    tar -C "$1" -xf "$packed"
    cp /etc/resolv.conf "$1/etc/resolv.conf"
    # Services are not started by installing a package here: nobody manages them.
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
    chmod +x "$1/usr/sbin/policy-rc.d"
    mount -t proc proc "$1/proc"
    mount --bind /dev "$1/dev"
    mount --bind /dev/pts "$1/dev/pts"
}

drop_root() {
    umount -l "$1/proc" "$1/dev/pts" "$1/dev" 2>/dev/null || true
    rm -rf --one-file-system "$1"
}

# in_root FOLDER COMMAND...
in_root() {
    local folder=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=xterm DEBIAN_FRONTEND=noninteractive \
        chroot "$folder" "$@"
}
