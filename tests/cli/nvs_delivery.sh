#!/usr/bin/env bash
# nvs_delivery.sh KEYLINE: --deliver nvs over virtual boards: fresh, returning, by ROM alone, killed, and refusals.
set -euo pipefail
keyline=$1
export KEYLINE_HERE=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/boards.sh"

"$keyline" virtual --images . >/dev/null
header=label,provision/key1:string,provision/key2:string,provision/key3:string,provision/done:u8=1
write_keys() {
    rm -rf keys.csv* .keys* journal
    echo "$header" >keys.csv
    for i in 1 2 3 4; do echo "dev-$i,name-$i,5ecret$i$i$i$i$i$i,5ecret${i}0${i}0$i" >>keys.csv; done
}
options=(--headless --firmware firmware.bin --deliver nvs --once --volatile --journal journal)
run() { timeout 120 "$keyline" "${options[@]}" "${ports[@]}" "$@"; }
marked() { grep -c ',Provisioned' keys.csv || true; }
expect() { [ "$1" = "$2" ] || { echo "FAILED: $3: $1, not $2"; failed=1; }; }

# Three fresh boards; then the same ones again, which are recognised without being asked for.
write_keys
start_boards 3 --firmware original --state held
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
start_boards 2 --firmware original
ends 0 run --stub none
expect "$(marked)" 2 "keys marked by the ROM alone"
stop_boards

# A board whose NVS holds something: `board FILE` is one with that partition. Each is given a new journal and CSV.
python3 - <<'PY'
from pathlib import Path
import os, subprocess
keyline = os.environ["KEYLINE_HERE"]
def make(name, header, row, size="0x6000"):
    Path("x.csv").write_text(header + "\n" + row + "\n")
    subprocess.run([keyline, "nvs", "make", "--csv-file", "x.csv", "--label", "x", "--out", name, "--size", size], check=True, stdout=subprocess.DEVNULL)
    return bytearray(Path(name).read_bytes())
wifi = make("wifi.bin", "label,wifi/ssid:string", "x,home")
make("much.bin", "label," + ",".join("wifi/v%d:string" % i for i in range(6)), ",".join(["x"] + ["v%d-3f" % i * 420 for i in range(5)] + ["v6-3f" * 340]))
damaged = bytearray(wifi)
damaged[64 + 32 + 5] ^= 1
Path("damaged.bin").write_bytes(damaged)
for at in range(64, 4096):
    wifi[at] ^= 0x5a
Path("cipher.bin").write_bytes(wifi)
Path("rubbish.bin").write_bytes(bytes(0x6000))
keys = "label,provision/key1:string,provision/key2:string,provision/key3:string,provision/done:u8=1"
make("second.bin", keys, "x,name-2,5ecret222222,5ecret20202")
make("foreign.bin", keys, "x,who,knows,this")
PY
board() {
    write_keys
    command "replace 1"
    command "put 1 0x9000 $1"
}
start_boards 1 --firmware silent
try() { run --retries 0 --events - "$@"; }
nvs() { "$keyline" nvs show "${ports[@]}"; }
board wifi.bin
says nvs_holds_more try
expect "$(marked)" 0 "keys marked for a board with other values"
ends 0 try --nvs merge
says "wifi             ssid" nvs
says "provision        key1" nvs
says "already has key" run --nvs merge
expect "$(marked)" 1 "keys marked after --nvs merge"
board wifi.bin
ends 0 try --nvs replace
lacks "wifi" nvs
for content in damaged rubbish; do
    board $content.bin
    says nvs_holds_more try
    says "damaged, or no NVS" try --nvs merge
    expect "$(marked)" 0 "keys marked for a board whose NVS is $content"
    ends 0 try --nvs replace
    expect "$(marked)" 1 "keys marked after --nvs replace over $content"
done
board cipher.bin
for policy in refuse merge replace; do says nvs_encrypted try --nvs $policy; done
expect "$(marked)" 0 "keys marked for a board whose NVS is encrypted"
# Known by its values, though nobody has recorded it: another board's, from now on.
board second.bin
ends 0 try
says "dev-2" "$keyline" keys list --csv-header --journal journal
expect "$(marked)" 1 "keys marked for a board that holds one of this list"
command "replace 1"
command "put 1 0x9000 second.bin"
for policy in refuse merge replace; do says holds_other_key try --nvs $policy; done
expect "$(marked)" 1 "keys marked after another board showed the same key"
board foreign.bin
says holds_unknown_key try
says holds_unknown_key try --nvs merge
ends 0 try --nvs replace
# No room beside what is kept; the key goes back to the pool.
board much.bin
says nvs_no_fit try --nvs merge
says "4  free" "$keyline" keys status --csv-header --journal journal
stop_boards

# Killed at many instants: in the end each board has one key, and no key is on two boards.
write_keys
start_boards 2 --firmware original
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
