#!/usr/bin/env bash
# habits.sh KEYLINE: what people expect of every program that they type.
set -euo pipefail
keyline=$1
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

printf 'label,key\ndev-1,aa\ndev-2,bb\n' >keys.csv
printf 'dev-1,aa\n' >other.csv

# Options before or after the command, and its own words wherever they are.
says "1  free" "$keyline" keys status --csv-file other.csv
says "1  free" "$keyline" --csv-file other.csv keys status
says "1  free" "$keyline" keys --csv-file other.csv status
says "1  free" "$keyline" keys --csv-file=other.csv -- status
says "2  free" "$keyline" --csv-header keys status
ends 2 "$keyline" keys status extra
ends 2 "$keyline" keys
ends 2 "$keyline" nonsense
says 'is --csv-file meant?' "$keyline" --csv-fiel other.csv keys status
says 'is --csv-file meant?' "$keyline" --csv other.csv
says 'is --csv-file other.csv meant?' "$keyline" other.csv
says 'is --firmware build/app.bin meant?' "$keyline" build/app.bin
says 'nor a command
' "$keyline" stats
says 'there is no file nosuch.csv' "$keyline" report --csv-file nosuch.csv

# Images that are named without their folder are the ones that are taken.
mkdir images
(cd images && "$keyline" virtual --images . >/dev/null)
cd images
says "nothing is wrong" "$keyline" check --csv-file ../other.csv
lacks "left out" "$keyline" check --csv-file ../other.csv
cd ..

# Help, everywhere, on standard output.
for command in $("$keyline" complete -- "" | cut -f1 | grep -vx help); do
    ends 0 "$keyline" "$command" --help
    ends 0 "$keyline" "$command" -h
    ends 0 "$keyline" help "$command"
    says "usage: keyline $command" "$keyline" help "$command"
    says "xit status" "$keyline" help "$command"
    says "$command" "$keyline" help
    ends 2 "$keyline" "$command" --nonsense
    says "try: keyline $command --help" "$keyline" "$command" --nonsense
done
cmp -s <("$keyline" help) <("$keyline" --help) || { echo "FAILED: help is not --help"; failed=1; }
ends 2 "$keyline" help nonsense
[ -z "$("$keyline" --help 2>&1 >/dev/null)" ] || { echo "FAILED: --help speaks on standard error"; failed=1; }

# The version.
for option in --version -V; do
    ends 0 "$keyline" "$option"
    for words in "keyline " "commit " libuv SQLite ncurses stubs; do says "$words" "$keyline" "$option"; done
done
"$keyline" --version --json | python3 -c 'import json, sys; v = json.load(sys.stdin); v["version"], v["commit"], v["libraries"]["libuv"], v["stubs"]'
"$keyline" --list-faults --json | python3 -c 'import json, sys; assert {"reason", "what", "advice", "by_itself", "retries"} == set(json.load(sys.stdin)[0])'
"$keyline" config --json | python3 -c 'import json, sys; c = json.load(sys.stdin); assert c["csv-file"] == {"value": "keys.csv", "from": "the default"}, c'
"$keyline" doctor --json --csv-file other.csv | python3 -c 'import json, sys; json.load(sys.stdin)' || true

# Colours: none where nobody looks, unless they are asked for.
lacks $'\033[' "$keyline" doctor
says $'\033[' "$keyline" doctor --color always
says $'\033[1m' "$keyline" --list-faults --color=always
says '| `port_busy` |' "$keyline" --list-faults
ends 2 "$keyline" doctor --color sometimes

# What is set, and by whom.
mkdir -p config/keyline
printf '# ours\ncsv-file = other.csv\nbaud = 460800\n' >config/keyline/keyline.conf
says "1  free" "$keyline" keys status
says "$folder/config/keyline/keyline.conf:3" "$keyline" config
says "KEYLINE_BAUD" env KEYLINE_BAUD=115200 "$keyline" config
says "the command line" "$keyline" config --baud 115200
[ "$(KEYLINE_BAUD=115200 "$keyline" config baud)" = 115200 ] || { echo "FAILED: config baud"; failed=1; }
[ "$("$keyline" --baud 230400 config baud)" = 230400 ] || { echo "FAILED: config baud, typed"; failed=1; }
ends 2 "$keyline" config nonsense
echo 'prot = /dev/ttyUSB0' >>config/keyline/keyline.conf
for command in "" check doctor ports "keys status" attach config; do
    # shellcheck disable=SC2086
    ends 2 "$keyline" $command
    # shellcheck disable=SC2086
    says "keyline.conf:4: unknown option prot: is port meant?" "$keyline" $command
done
ends 0 "$keyline" --config none keys status --csv-header
KEYLINE_CONFIG=none ends 0 "$keyline" config

exit "$failed"
