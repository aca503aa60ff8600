#!/usr/bin/env bash
# installed.sh BUILD STUBS: what `cmake --install` puts somewhere works there, without the build folder.
set -euo pipefail
build=$1 stubs=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

DESTDIR=$root cmake --install "$build" --prefix /usr/local >/dev/null
[ -x "$root/usr/local/bin/keyline" ] || { echo "no program is installed"; exit 1; }
[ -s "$root/usr/local/lib/udev/rules.d/60-keyline.rules" ] || { echo "no udev rules are installed"; exit 1; }
[ -e "$stubs/esp32.json" ] || exit 0 # there are none to be had: nothing more to see
report=$(cd "$root" && KEYLINE_STUB_DIR=/nowhere usr/local/bin/keyline check) || true
case "$report" in
*"/share/keyline/stubs"*) ;;
*)
    echo "the installed program does not find its stubs:"
    echo "$report"
    exit 1
    ;;
esac
[ -s "$root/usr/local/share/keyline/stubs/LICENSE" ] || { echo "the stubs' licence is missing"; exit 1; }
