#!/usr/bin/env bash
# clean_root.sh FOLDER: the packages in FOLDER are installed in a clean Debian, run a bench, are upgraded while it
# runs, removed and purged. ./run test-package
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$1" && pwd)
[ "$(id -u)" = 0 ] || exec sudo "$0" "$@"
source "$here/root.sh"
root=$cache/root
pids=()
finish() {
    status=$?
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    [ "$status" = 0 ] || tail -n 20 "$root"/tmp/*.log 2>/dev/null || true
    drop_root "$root"
}
trap finish EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}

step() {
    echo "-- $*"
}

r() {
    in_root "$root" "$@"
}

# until_true WHAT COMMAND...
until_true() {
    local what=$1 i
    shift
    for ((i = 0; i < 600; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    fail "not seen: $what"
}

apt() {
    r apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >"$root/tmp/apt.log" 2>&1 || {
        tail -n 20 "$root/tmp/apt.log"
        fail "apt-get $*"
    }
}

# no_server STATUS WORDS: what keyline pool says of a database that is not there.
no_server() {
    local status=0
    r keyline pool status --pool "host=/nowhere dbname=keys" >"$root/tmp/pool.log" 2>&1 || status=$?
    { [ "$status" = "$1" ] && grep -q "$2" "$root/tmp/pool.log"; } || fail "keyline pool ends with $status: $(cat "$root/tmp/pool.log")"
}

# What belongs to the system, without what every installation changes.
inventory() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./var/lib/dpkg -o -path ./var/lib/apt \
        -o -path ./var/cache -o -path ./var/log -o -path ./run \) -prune -o -print | sort)
}

step "a clean Debian ($release)"
drop_root "$root"
make_root "$root"
mkdir "$root/pkg"
cp "$cache"/keyline_*.deb "$root/pkg/keyline.deb"
cp "$cache"/keyline-firmware_*.deb "$root/pkg/firmware.deb"
cp "$cache"/keyline-postgresql_*.deb "$root/pkg/postgresql.deb"
apt update

step "installing"
apt install /pkg/keyline.deb /pkg/firmware.deb
version=$(r dpkg-query -W -f '${Version}' keyline)
r keyline --version | grep -q "^keyline ${version%%+*}" || fail "another version is installed"
if [ -e "$root/usr/share/keyline/stubs/esp32.json" ]; then
    case $(r keyline --version) in *"flasher stubs for"*share/keyline/stubs*) ;; *) fail "the package's flasher stubs are not found" ;; esac
else
    echo "(no flasher stubs are in the package)"
fi
r getent passwd keyline | grep -q ':/var/lib/keyline:' || fail "there is no user keyline"
r id -nG keyline | grep -qw dialout || fail "the user keyline is not in the group dialout"
[ "$(r stat -c '%U %a' /var/lib/keyline)" = "keyline 711" ] || fail "the rights of /var/lib/keyline"
[ "$(r stat -c '%U %a' /run/keyline)" = "keyline 755" ] || fail "the rights of /run/keyline"
for file in /lib/systemd/system/keyline@.service /usr/lib/udev/rules.d/60-keyline.rules /usr/lib/modules-load.d/keyline.conf \
    /usr/share/bash-completion/completions/keyline /usr/share/zsh/vendor-completions/_keyline \
    /usr/share/keyline/hooks/zpl-label /usr/share/keyline/firmware/provisioning/provisioning.h /etc/keyline/keyline.conf; do
    [ -s "$root$file" ] || fail "$file is missing"
done
r keyline demo --headless >"$root/tmp/demo.log" || fail "the demo"

step "a shared pool's package"
[ -z "$(find "$root/usr/lib" -name 'libpq.so*' -o -name 'libldap*.so*')" ] || fail "the package keyline brings libpq"
no_server 2 'sudo apt install keyline-postgresql'
apt install /pkg/postgresql.deb
no_server 6 'the database does not answer'

step "a bench, as the unit starts it"
r install -d -o keyline -g keyline -m 700 /var/lib/keyline/bench
printf 'dev-1,aa01,bb01\ndev-2,aa02,bb02\ndev-3,aa03,bb03\n' | r tee /var/lib/keyline/bench/keys.csv >/dev/null
r chown keyline:keyline /var/lib/keyline/bench/keys.csv
r chmod 600 /var/lib/keyline/bench/keys.csv
r install -d /srv/firmware
r keyline virtual --images /srv/firmware >/dev/null
(exec chroot "$root" keyline virtual --boards 2 --listen 127.0.0.1:47110 --replace auto --replug 1) >"$root/tmp/boards.log" 2>&1 &
pids+=($!)
cat >"$root/etc/keyline/bench.conf" <<'END'
csv-file = keys.csv
firmware = /srv/firmware/firmware.bin
port = rfc2217://127.0.0.1:47110
warn-keys = 0
END
until_true "the boards" grep -q ready "$root/tmp/boards.log"
unit=$root/lib/systemd/system/keyline@.service
start=$(sed -n 's/^ExecStart=//p' "$unit")
user=$(sed -n 's/^User=//p' "$unit")
# shellcheck disable=SC2086
(cd / && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups \
    sh -c "umask 077; cd /var/lib/keyline/bench && exec ${start//%i/bench}") >"$root/tmp/station.log" 2>&1 &
pids+=($!)
until_true "the first board" grep -q PASS "$root/tmp/station.log"

step "attaching: a member of the group, and somebody else"
r useradd -m -G keyline member
r useradd -m stranger
r runuser -u stranger -- keyline attach bench >"$root/tmp/attach.log" 2>&1 && fail "a stranger attaches"
grep -q 'group' "$root/tmp/attach.log" || fail "a stranger is not told why: $(cat "$root/tmp/attach.log")"
r runuser -u stranger -- cat /var/lib/keyline/bench/keys.csv 2>/dev/null && fail "a stranger reads the keys"
r runuser -u member -- cat /var/lib/keyline/bench/keys.csv 2>/dev/null && fail "an operator reads the keys"
r runuser -u member -- sh -c 'stty cols 100 rows 30 2>/dev/null; (sleep 2; printf q; sleep 1; printf "\n") |
    script -qec "keyline attach bench" /dev/null' >"$root/tmp/screen" 2>&1 || true
grep -aq 'PASS\|dev-' "$root/tmp/screen" || fail "a member of the group sees nothing: $(head -c 600 "$root/tmp/screen")"
r runuser -u member -- keyline attach other >"$root/tmp/attach.log" 2>&1 && fail "another bench is attached"
grep -q 'systemctl status keyline@other' "$root/tmp/attach.log" || fail "it is not told what to try"

step "upgrading while it runs"
echo '# changed by hand' >>"$root/etc/keyline/keyline.conf"
for package in keyline postgresql; do
    rm -rf "$root/pkg/next"
    dpkg-deb -R "$root/pkg/$package.deb" "$root/pkg/next"
    sed -i "s/^Version: .*/Version: $version+1/; s/keyline (= $version)/keyline (= $version+1)/" "$root/pkg/next/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$root/pkg/next" "$root/pkg/next-$package.deb" >/dev/null
done
apt install /pkg/next-keyline.deb /pkg/next-postgresql.deb
for package in keyline keyline-postgresql; do
    [ "$(r dpkg-query -W -f '${Version}' $package)" = "$version+1" ] || fail "$package was not upgraded"
done
no_server 6 'the database does not answer'
until_true "that it is older" grep -q 'was replaced by another version' "$root/tmp/station.log"
grep -q 'changed by hand' "$root/etc/keyline/keyline.conf" || fail "the upgrade forgets what was changed"
kill -0 "${pids[1]}" || fail "the upgrade stops the station"
until_true "the next board" sh -c "[ \$(grep -c PASS '$root/tmp/station.log') -ge 2 ]"

step "removing while it runs, then purging"
apt remove keyline
[ ! -e "$root/usr/bin/keyline" ] || fail "the program stays"
[ -z "$(find "$root/usr/lib" -name postgresql.so)" ] || fail "what the program alone can load stays"
[ -s "$root/var/lib/keyline/bench/keys.csv.ledger" ] || fail "the ledger is gone"
[ -s "$root/etc/keyline/keyline.conf" ] || fail "removing purges"
kill -0 "${pids[1]}" || fail "removing the package kills a station of no service"
kill "${pids[1]}"
status=0
wait "${pids[1]}" || status=$?
[ "$status" = 0 ] || fail "the station ends with $status"
kill "${pids[0]}"
r apt-get -q -y purge keyline >"$root/tmp/purge.log" 2>&1
grep -q 'holds keys and ledgers and stays' "$root/tmp/purge.log" || fail "it is not told that the keys stay"
[ -s "$root/var/lib/keyline/bench/keys.csv" ] || fail "purging deletes keys"
[ ! -e "$root/etc/keyline/keyline.conf" ] || fail "the settings stay"

step "nothing stays where nothing was kept"
rm -rf "$root/var/lib/keyline" "$root/etc/keyline" "$root/run/keyline"
inventory >"$cache/before"
apt install /pkg/keyline.deb
apt purge keyline
inventory >"$cache/after"
diff "$cache/before" "$cache/after" || fail "purging leaves something"
echo "the packages install, upgrade, remove and purge"
