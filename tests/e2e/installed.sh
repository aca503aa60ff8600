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

# ---- what a shared pool needs: found where it was installed, and nowhere else ----

mkdir "$root/tried"
cp -a "$root/usr" "$root/tried"
program=$root/tried/usr/local/bin/keyline
module=$(find "$root/tried" -name postgresql.so)
folder=$(dirname "$module")
[ -n "$module" ] || { echo "what speaks to PostgreSQL is not installed"; exit 1; }
cp "$module" "$root/whole.so"

# tells WHAT STATUS WORDS COMMAND...
tells() {
    local what=$1 wanted=$2 words=$3 status=0
    shift 3
    (cd "$root" && KEYLINE_CONFIG=none "$@") >"$root/said" 2>&1 || status=$?
    [ "$status" = "$wanted" ] && grep -q "$words" "$root/said" && return
    echo "FAILED: $what: it ends with $status, not $wanted, and says: $(cat "$root/said")"
    exit 1
}
pool=("$program" pool status --pool "host=/nowhere dbname=keys")

tells "as installed" 6 'the database does not answer' "${pool[@]}"
rm "$module"
wanted='needs the package keyline-postgresql: sudo apt install keyline-postgresql'
tells "not installed" 2 "$wanted" "${pool[@]}"
tells "not installed, fleet" 2 "$wanted" "$program" fleet "host=/nowhere dbname=keys"
tells "not installed, station" 2 "$wanted" "$program" --headless --pool "host=/nowhere dbname=keys" --firmware none
tells "not installed, check" 2 "$wanted" "$program" check --pool "host=/nowhere dbname=keys"
tells "a key of one's own needs none" 0 'keyline pool station' env XDG_STATE_HOME="$root/state" "$program" pool join north --pool pool
mkdir "$root/keyline"
cp "$root/whole.so" "$root/postgresql.so"
cp "$root/whole.so" "$root/keyline/postgresql.so"
cp "$root/whole.so" "$root/tried/usr/local/bin/postgresql.so"
tells "the working folder, and what the environment says" 2 "$wanted" \
    env LD_LIBRARY_PATH="$root:$root/keyline" KEYLINE_LIB_DIR="$root" PATH="$root:$PATH" "${pool[@]}"
cp "$root/whole.so" "$module"
chmod o+w "$module"
tells "everybody can write it" 2 'others can change' "${pool[@]}"
chmod o-w "$module"
chmod o+w "$folder"
tells "everybody can replace it" 2 'others can change' "${pool[@]}"
chmod o-w "$folder"
if [ "$(id -u)" = 0 ]; then
    chown nobody "$module"
    tells "it is somebody else's" 2 'others can change' "${pool[@]}"
    chown root "$module"
fi
version=$("$program" --config none --version | sed -n 's/^keyline //p')
LC_ALL=C sed "s/$version/${version//[0-9]/9}/" "$root/whole.so" >"$module"
tells "of another version" 2 'install keyline and keyline-postgresql of one version' "${pool[@]}"
echo 'no library' >"$module"
tells "damaged" 2 'install keyline-postgresql again' "${pool[@]}"
cp "$root/whole.so" "$module"
tells "all well again" 6 'the database does not answer' "${pool[@]}"

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
