#!/usr/bin/env bash
# races.sh KEYLINE PROBE: ten stations lease, report and hand back at once, a hundred times, until the pool is empty; and two
# processes of one station with one id.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
pg_start a
stations="s0 s1 s2 s3 s4 s5 s6 s7 s8 s9"
# shellcheck disable=SC2086
fleet_pool a 2950 $stations

# A hundred leases of three keys for each, from all at once; at the end they fight for the last ones.
racing=""
for s in $stations; do
    for i in $(seq 100); do echo "lease $((1000 * (1 + ${s#s}) + i)) 3"; done >"calls-$s"
    probe a "$s" 60000 <"calls-$s" >"got-$s" &
    racing="$racing $!"
done
# shellcheck disable=SC2086
wait $racing
equals "every answer is certain" "" "$(grep -hE '^(DOUBT|DOWN|REFUSED)' got-* | head -n 3)"
equals "every key once" "2950 2950" "$(cat got-* | keys_of | wc -l) $(cat got-* | keys_of | sort -u | wc -l)"
equals "the pool is empty" 0 "$(sql a "SELECT keyline.free_keys()")"
invariants a

# Boards: all stations claim the same ones with keys of their own; one of them has each.
for s in $stations; do
    mapfile -t key < <(keys_of <"got-$s")
    for i in $(seq 20); do echo "claim 02:00:00:00:01:$(printf %02x "$i") ${key[$i]}"; done >"calls-$s"
done
racing=""
for s in $stations; do
    probe a "$s" 60000 <"calls-$s" >"claims-$s" &
    racing="$racing $!"
done
# shellcheck disable=SC2086
wait $racing
equals "each board has one station" 20 "$(grep -h '^OK new' claims-* | wc -l)"
equals "and the others are told" 180 "$(grep -h '^OK other' claims-* | wc -l)"
equals "and one key" 20 "$(sql a "SELECT count(*) FROM keyline.key WHERE mac IS NOT NULL")"

# One id, twice at once.
mapfile -t key < <(keys_of <got-s0)
probe a s0 <<<"back ${key[*]:30:60}" >/dev/null
for i in $(seq 10); do
    probe a s0 60000 <<<"lease 77777$i 4" >twice1 &
    one=$!
    probe a s0 60000 <<<"lease 77777$i 4" >twice2
    wait "$one"
    equals "one id, one lease" "$(cat twice1)" "$(cat twice2)"
done
invariants a
