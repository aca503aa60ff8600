#!/usr/bin/env bash
# exam.sh KEYLINE: --expect and --reject over virtual boards, with both deliveries; --confirm readback with --deliver nvs.
set -euo pipefail
keyline=$1
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$keyline" virtual --images . >/dev/null
write_keys() { # write_keys [HEADER]
    rm -rf keys.csv* .keys* journal
    [ $# = 0 ] || echo "$1" >keys.csv
    for i in 1 2 3 4; do echo "dev-$i,5ecret$i$i$i$i$i$i,5ecret${i}0${i}0$i" >>keys.csv; done
}
boards=
stop_boards() {
    [ -z "$boards" ] || { kill "$boards" 2>/dev/null && wait "$boards" || true; }
    boards=
}
trap 'stop_boards; rm -rf "$folder"' EXIT

# start_boards [options]: their ports go to `ports`.
start_boards() {
    local port
    : >boards.txt
    "$keyline" virtual --listen 127.0.0.1:0 "$@" >boards.txt 2>&1 &
    boards=$!
    until grep -q '^ready' boards.txt; do
        kill -0 "$boards" || { cat boards.txt; exit 1; }
        read -rt 0.05 <> <(:) || true
    done
    ports=()
    while read -r port; do ports+=(--port "$port"); done < <(grep -o 'rfc2217://[^ ]*' boards.txt)
}
options=(--headless --firmware firmware.bin --once --volatile --journal journal --events events.json)
nvs=(--deliver nvs)
run() { timeout 120 "$keyline" "${options[@]}" "${ports[@]}" "$@"; }
marked() { grep -c ',Provisioned' keys.csv || true; }
expect() { [ "$1" = "$2" ] || { echo "FAILED: $3: $1, not $2"; failed=1; }; }
# result FIELD: of the last result told.
result() { grep '"event":"result"' events.json | tail -n 1 | python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1]))' "$1"; }

passes=(--expect '^SELFTEST OK$' --expect 'sensor ok' --reject 'SELFTEST FAIL')

# Handover: fresh, then the same board again, which is tested again and gets no second key.
write_keys
start_boards --firmware selftest
ends 0 run "${passes[@]}"
expect "$(result test) $(result texts_came) $(result texts_expected)" "passed 2 2" "the result's test"
says "already has key dev-1 and passed its test" run "${passes[@]}"
expect "$(marked)" 1 "keys marked"
# A text that never comes: the board keeps its key.
says 'FAIL after' run --retries 0 --expect 'sensor ok' --expect 'never' --expect-timeout 5
expect "$(result reason) $(result test) $(result texts_came)" "expect_missed failed 1" "the missing text"
expect "$(result detail)" '1 of 2 came within 5 s, not "never"' "what is missing"
expect "$(marked)" 1 "keys marked after a test failed"
says "expect_missed 1" "$keyline" report
# The same options from a config file, one line each.
printf '%s\n' 'expect = ^SELFTEST OK$' 'expect = sensor (ok|fine)' 'reject = FAIL' >exam.conf
ends 0 run --config exam.conf
expect "$(result test) $(result texts_expected)" "passed 2" "options from a config file"
stop_boards

# A rejected text: fails at once, is not tried again by itself, and passes on a later visit with the same key.
write_keys
start_boards --firmware selftest --fault test_fails=1
ends 1 run "${passes[@]}"
expect "$(result reason) $(result tries) $(result label)" "reject_came 1 dev-1" "the rejected text"
ends 0 run "${passes[@]}"
expect "$(marked) $(result already) $(result label)" "1 True dev-1" "the same key after a failed test"
stop_boards

# Endless output without a line end, and a crash.
write_keys
start_boards --firmware selftest --fault test_floods
ends 1 run --retries 0 "${passes[@]}" --expect-timeout 1
expect "$(result reason)" expect_missed "a flood"
stop_boards
start_boards --firmware selftest --fault test_crashes
ends 1 run --retries 0 --reject nothing --expect-timeout 60
expect "$(result reason)" panic "a crash during the test"
stop_boards

# A restart during the test forgets what came; then all of it comes.
start_boards --firmware selftest --fault test_restarts=1 --mac 24:6f:28:00:00:44
ends 0 run "${passes[@]}"
expect "$(result test)" passed "a restart during the test"
stop_boards

# --deliver nvs: silent firmware that tests itself.
write_keys label,provision/key1:string,provision/key2:string,provision/done:u8=1
start_boards --firmware silent-selftest
ends 0 run "${nvs[@]}" "${passes[@]}"
expect "$(result test)" passed "--deliver nvs"
says "already has key dev-1 and passed its test" run "${nvs[@]}" "${passes[@]}"
ends 1 run "${nvs[@]}" --retries 0 --reject 'radio ok'
expect "$(result reason) $(marked)" "reject_came 1" "--deliver nvs, a rejected text"
stop_boards

# --confirm readback with nvs: firmware that prints what it reads; wrongly; nothing; and without the key.
header=provision/key1:string,provision/key2:string,provision/key3:string,provision/done:u8=1
write_keys "$header"
start_boards --firmware original
ends 0 run "${nvs[@]}" --confirm readback
says "its firmware prints it" run "${nvs[@]}" --confirm readback
lacks 5ecret cat events.json
stop_boards
write_keys "$header"
start_boards --firmware original --fault reads_wrong
ends 1 run "${nvs[@]}" --retries 0 --confirm readback
expect "$(result reason) $(marked)" "readback_differs 1" "a wrong read-back"
ends 0 run "${nvs[@]}" --confirm flash
stop_boards
write_keys "$header"
start_boards --firmware silent
ends 1 run "${nvs[@]}" --retries 0 --confirm readback --prompt-timeout 1
expect "$(result reason)" no_readback "no read-back"
stop_boards
write_keys "$header"
start_boards --firmware keyline # it looks for its key under another name, and asks
ends 1 run "${nvs[@]}" --retries 0 --confirm readback
expect "$(result reason)" readback_differs "firmware that asks"
stop_boards
# … and with a test behind it.
write_keys "${header/provision\/done:u8=1/provision\/count:u8=3}"
start_boards --firmware selftest
ends 0 run "${nvs[@]}" --confirm readback "${passes[@]}"
expect "$(result test)" passed "a read-back and a test"
stop_boards

# What can't be is told before any board is touched.
ports=()
check() { "$keyline" check --firmware firmware.bin --csv-header "$@"; }
says "column 11: this ( has no )" check --expect 'SELFTEST: (OK'
ends 2 check --expect 'SELFTEST: (OK'
says "would match every line" check --reject 'x*'
ends 2 check --confirm flash
ends 2 check --deliver nvs --confirm ack
says "functional test: 2 to expect, 1 to reject, within 10 s" check "${passes[@]}"
ends 2 "$keyline" --headless --once --firmware firmware.bin --csv-header --expect '(' --port rfc2217://127.0.0.1:1
ends 2 "$keyline" --headless --once --firmware firmware.bin --csv-header --confirm flash --port rfc2217://127.0.0.1:1

exit "$failed"
