#!/usr/bin/env bash
# installed.sh BUILD STUBS: what `cmake --install` puts somewhere works there, without the build folder.
set -euo pipefail
build=$1 stubs=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

DESTDIR=$root cmake --install "$build" --prefix /usr/local >/dev/null
[ -x "$root/usr/local/bin/keyline" ] || { echo "no program is installed"; exit 1; }
[ -s "$root/usr/local/lib/udev/rules.d/60-keyline.rules" ] || { echo "no udev rules are installed"; exit 1; }
for file in bash-completion/completions/keyline zsh/vendor-completions/_keyline fish/vendor_completions.d/keyline.fish \
    keyline/hooks/zpl-label; do
    [ -s "$root/usr/local/share/$file" ] || { echo "no $file is installed"; exit 1; }
done
if command -v scdoc >/dev/null; then
    for page in man1/keyline.1 man5/keyline.conf.5 man5/keyline-events.5 man7/keyline.7; do
        [ -s "$root/usr/local/share/man/$page" ] || { echo "no $page is installed"; exit 1; }
    done
fi
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
