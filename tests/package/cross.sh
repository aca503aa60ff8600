#!/usr/bin/env bash
# cross.sh ARCH SOURCES FOLDER: builds the packages for another architecture, with Debian's cross compiler, in a
# clean root, and puts them into FOLDER. ./run package --cross ARCH
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
arch=$1 sources=$(cd "$2" && pwd) cache=$(cd "$3" && pwd)
[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"
source "$here/root.sh"
root=$cache/root-$arch
trap 'drop_root "$root"' EXIT

# try WHAT COMMAND...: says what went wrong.
try() {
    local what=$1
    shift
    echo "-- $what"
    in_root "$root" "$@" >"$cache/cross-$arch.log" 2>&1 && return
    tail -n 30 "$cache/cross-$arch.log"
    echo "FAILED: $what"
    exit 1
}

drop_root "$root"
make_root "$root"
cp -r "$sources" "$root/keyline"
in_root "$root" dpkg --add-architecture "$arch"
try "package lists" apt-get -q update
try "the cross compiler" apt-get -q -y --no-install-recommends install "crossbuild-essential-$arch"
try "what keyline is built with" sh -c "cd /keyline && apt-get -q -y --no-install-recommends -a $arch -P cross,nocheck build-dep ./"
try "the packages" sh -c "cd /keyline && DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage -a $arch -Pcross,nocheck -B -us -uc"
for package in keyline keyline-postgresql; do
    cp "$root/$package"_*_"$arch".deb "$cache"
    dpkg-deb -f "$cache/$package"_*_"$arch".deb Package Version Architecture
done
