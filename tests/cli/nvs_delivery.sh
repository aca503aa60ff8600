#!/usr/bin/env bash
# nvs_delivery.sh KEYLINE: --deliver nvs over virtual boards: fresh, returning, by ROM alone, killed, and refusals.
set -euo pipefail
keyline=$1
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$keyline" virtual --images . >/dev/null
header=label,provision/key1:string,provision/key2:string,provision/key3:string,provision/done:u8=1
write_keys() {
    rm -rf keys.csv* .keys* journal
    echo "$header" >keys.csv
    for i in 1 2 3 4; do echo "dev-$i,name-$i,5ecret$i$i$i$i$i$i,5ecret${i}0${i}0$i" >>keys.csv; done
}
boards=
stop_boards() {
    [ -z "$boards" ] || { kill "$boards" 2>/dev/null && wait "$boards" || true; }
    boards=
}
trap 'stop_boards; rm -rf "$folder"' EXIT

# start_boards N [options]: their ports go to `ports`.
start_boards() {
    local n=$1 port
    shift
    : >boards.txt
    "$keyline" virtual --boards "$n" --listen 127.0.0.1:0 --firmware original "$@" >boards.txt 2>&1 &
    boards=$!
    until grep -q '^ready' boards.txt; do
        kill -0 "$boards" || { cat boards.txt; exit 1; }
        read -rt 0.05 <> <(:) || true
    done
    ports=()
    while read -r port; do ports+=(--port "$port"); done < <(grep -o 'rfc2217://[^ ]*' boards.txt)
}
options=(--headless --firmware firmware.bin --deliver nvs --once --volatile --journal journal)
run() { timeout 120 "$keyline" "${options[@]}" "${ports[@]}" "$@"; }
marked() { grep -c ',Provisioned' keys.csv || true; }
expect() { [ "$1" = "$2" ] || { echo "FAILED: $3: $1, not $2"; failed=1; }; }

# Three fresh boards; then the same ones again, which are recognised without being asked for.
write_keys
start_boards 3 --state held
ends 0 run
expect "$(marked)" 3 "keys marked"
lacks 5ecret cat output
says "already has key" run
expect "$(marked)" 3 "keys marked after the boards came back"

# Their keys in a CSV that does not know them: unknown keys, and none is given.
cp keys.csv known.csv
write_keys
sed -i 's/5ecret/other0/g' keys.csv
says "holds_unknown_key" run --retries 0 --events -
expect "$(marked)" 0 "keys marked for boards with unknown keys"
ends 0 run --nvs replace
expect "$(marked)" 3 "keys marked after --nvs replace"
stop_boards

# The screen waits for no word of a firmware that says none: no time limit of such a wait goes there.
hello() {
    "$keyline" --headless --firmware firmware.bin --volatile --journal journal --moved --csv-file "$1" --socket bench.socket "${@:2}" \
        --port rfc2217://127.0.0.1:1 >/dev/null 2>&1 &
    station=$!
    python3 - <<'PY'
import json, os, socket, time
until = time.monotonic() + 60
while not os.path.exists("bench.socket") and time.monotonic() < until:
    time.sleep(0.02)
with socket.socket(socket.AF_UNIX) as s:
    s.connect("bench.socket")
    for line in s.makefile():
        said = json.loads(line)
        said = said.get("hello", said)
        if "prompt_timeout" in said:
            print(said["prompt_timeout"], said["ack_timeout"])
            break
PY
    kill "$station"
    wait "$station" || true
    rm -f bench.socket
}
write_keys
expect "$(hello keys.csv --deliver nvs)" "0 0" "limits of waits with --deliver nvs"
tail -n +2 keys.csv >plain.csv
expect "$(hello plain.csv)" "30000000 20000000" "limits of waits with the handover"

# The ROM loader alone.
write_keys
start_boards 2
ends 0 run --stub none
expect "$(marked)" 2 "keys marked by the ROM alone"
stop_boards

# Killed at many instants: in the end each board has one key, and no key is on two boards.
write_keys
start_boards 2
for delay in 0.05 0.1 0.15 0.2 0.25 0.3 0.35 0.4; do
    "$keyline" "${options[@]}" "${ports[@]}" >/dev/null 2>&1 &
    station=$!
    read -rt "$delay" <> <(:) || true
    kill -9 "$station" 2>/dev/null || true
    wait "$station" 2>/dev/null || true
done
ends 0 run
expect "$(marked)" 2 "keys marked after the station was killed"
says "already has key" run
stop_boards

# What can't be: told before any board is touched, with line and column and no value.
write_keys
echo "dev-5,name-5,5ecret5" >>keys.csv
ports=()
says "line 6, column 4 (provision/key3)" "$keyline" check --firmware firmware.bin --deliver nvs
ends 3 "$keyline" check --firmware firmware.bin --deliver nvs
lacks 5ecret cat output
says "has no NVS partition other" "$keyline" check --firmware firmware.bin --deliver nvs --nvs-partition other
ends 3 "$keyline" --headless --once --firmware firmware.bin --deliver nvs --nvs-partition other --port rfc2217://127.0.0.1:1
mkdir old
"$keyline" virtual --images old --chip esp8266 >/dev/null
says "does not go with an ESP8266" "$keyline" check --firmware old/firmware.bin --deliver nvs
ends 3 "$keyline" --headless --once --firmware old/firmware.bin --deliver nvs --port rfc2217://127.0.0.1:1
says "does not go with --deliver nvs" "$keyline" check --firmware firmware.bin --deliver nvs --secured handover

exit "$failed"
