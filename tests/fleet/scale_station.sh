#!/usr/bin/env bash
# scale_station.sh KEYLINE [KEYS SECONDS]: for `./run bench fleet`: what the import of KEYS keys takes, and the memory of a
# station, a pool of a tenth of them and of all, over many leases and boards.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" ""
source "$here/station_lib.sh"
keys=${2:-1000000} seconds=${3:-120}

row() { printf '| %s |\n' "$(printf '%s | ' "$@" | sed 's/ | $//')"; }
memory() { awk -v what="$2:" '$1 == what { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }

# bring N FIRST: imports them, and prints a row.
bring() {
    local pid peak=0 last begun=$SECONDS
    list "$1" "$2" >"$work/list.csv"
    "$keyline" pool import "$work/list.csv" --owner shop.owner --pool "$(at a owner)" >import.out 2>&1 &
    pid=$!
    while last=$(memory "$pid" VmHWM 2>/dev/null) && [ -n "$last" ]; do
        peak=$last
        sleep 0.2
    done
    wait "$pid" || fail "import: $(tail -n 1 import.out)"
    row "$1" "$((SECONDS - begun))" "$peak"
}

# serve NAME: a station on boards that are replaced as soon as they hold their keys; a row every quarter of the time.
serve() {
    local name=$1 i ports=() pid
    boards "of_$name" 16 "24:6f:28:0$2:00:01" --replace 1
    for i in $(seq 16); do ports+=(--port "$(url "of_$name" "$i")"); done
    : >"$work/$name.events"
    station_start "$name" --lease-max 40 "${ports[@]}"
    pid=$(station_pid "$name")
    for i in 1 2 3 4; do
        sleep $((seconds / 4))
        row "$(sql a "SELECT total FROM keyline.pool")" "$(grep -c '"event":"result"' "$work/$name.events")" \
            "$(sql a "SELECT count(*) FROM keyline.lease l JOIN keyline.station s ON s.id = l.station WHERE s.name = '$name'")" \
            "$(memory "$pid" VmRSS)"
    done
    station_stop "$name" || fail "the end: $(tail -n 3 "$work/$name.out")"
}

pg_start a "shared_buffers = 256MB
max_wal_size = 2GB"
server=a
images
fleet_roles a one two
owner a init shop --owner shop.owner --recovery shop.recovery >/dev/null || { fail "init"; exit; }
echo "== keyline pool import, sealed keys of two fields; the last two columns: seconds, MiB at most"
row keys s MiB
row --- --- ---
bring $((keys / 10)) 1
for s in one two; do join_station a "$s" --owner shop.owner; done
echo "== a station with 16 virtual boards (keyline --pool pool --headless --lease-max 40)"
row "keys in the pool" "boards served" leases "MiB (RSS)"
row --- --- --- ---
serve one 1
row keys s MiB
bring $((keys - keys / 10)) $((keys / 10 + 1))
serve two 2
invariants a
