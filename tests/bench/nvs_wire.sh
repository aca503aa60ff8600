#!/usr/bin/env bash
# nvs_wire.sh PROFILE KEYLINE: what --deliver nvs adds for three fields stays under 60 ms on the wire at 921600 baud.
set -euo pipefail
profile=$1
keyline=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$keyline" virtual --images "$folder" >/dev/null
"$profile" "$folder/firmware.bin" none 921600 nvs | tee "$folder/table"
awk 'NR > 1 { rows++; if ($5 >= 60) { print "FAILED: " $5 " ms on the wire"; bad = 1 } } END { exit bad || rows < 2 }' "$folder/table"
