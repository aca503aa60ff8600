#!/usr/bin/env bash
# nvs_port.sh KEYLINE: `keyline nvs show|diff --port`: a board's NVS, read through its loader.
set -euo pipefail
keyline=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/boards.sh"

"$keyline" virtual --images . >/dev/null
printf 'label,provision/key1:string,lora/devEui:u64\ndev-1,5ecretA1,0x1234\n' >one.csv
"$keyline" nvs make --csv-file one.csv --label dev-1 --out one.bin >/dev/null
python3 - <<'PY'
from pathlib import Path
image = bytearray(Path("one.bin").read_bytes())
image[4096 - 4032 + 20] ^= 1  # inside an entry of the first page
Path("damaged.bin").write_bytes(image)
for at in range(64, 4096):
    image[at] ^= 0x5a
Path("cipher.bin").write_bytes(image)
rows = [("nvs", 1, 2, 0x9000, 0x6000), ("nvs_key", 1, 4, 0xF000, 0x1000), ("second", 1, 2, 0x20000, 0x3000),
        ("factory", 0, 0, 0x10000, 0x10000)]
table = b"".join(b"\xaa\x50" + bytes((t, s)) + o.to_bytes(4, "little") + z.to_bytes(4, "little") +
                 name.encode().ljust(16, b"\0") + bytes(4) for name, t, s, o, z in rows)
Path("table.bin").write_bytes(table.ljust(0xC00, b"\xff"))
PY

start_boards 1 --firmware silent
port=${ports[1]}
table() { command "put 1 0x8000 partitions.bin"; }

# A fresh board has no partition table; its program is started again all the same.
ends 3 "$keyline" nvs show --port "$port"
says "there is no partition table" "$keyline" nvs show --port "$port"
table
command "put 1 0x0 bootloader.bin"
command "put 1 0x10000 firmware.bin"
says "empty, 0x6000 bytes at 0x9000, partition nvs of 24:6f:28" "$keyline" nvs show --port "$port"
ends 0 "$keyline" nvs show --port "$port"
says "no NVS partition other, but nvs" "$keyline" nvs show --port "$port" --nvs-partition other
ends 3 "$keyline" nvs show --port "$port" --nvs-partition other

# What it holds: masked, unless asked for.
command "put 1 0x9000 one.bin"
says "sound, 0x6000 bytes" "$keyline" nvs show --port "$port"
says "provision        key1             string" "$keyline" nvs show --port "$port"
lacks 5ecret "$keyline" nvs show --port "$port"
says 5ecretA1 "$keyline" nvs show --port "$port" --values
"$keyline" nvs show --json --port "$port" | python3 -c '
import json, sys
board = json.load(sys.stdin)
assert board["offset"] == 0x9000 and board["mac"].startswith("24:6f:28"), board
assert [i["key"] for i in board["items"]] == ["key1", "devEui"], board' || failed=1
ends 0 "$keyline" nvs diff one.bin --port "$port"
printf 'label,provision/key1:string\ndev-1,5ecretA2\n' >two.csv
"$keyline" nvs make --csv-file two.csv --label dev-1 --out two.bin >/dev/null
ends 1 "$keyline" nvs diff two.bin --port "$port"
says "~ provision/key1 string" "$keyline" nvs diff two.bin --port "$port"

# The table may lie elsewhere, and name more than one.
command "put 1 0xa000 table.bin"
command "put 1 0x20000 two.bin"
says "sound, 0x3000 bytes at 0x20000" "$keyline" nvs show --port "$port" --table-offset 0xa000 --nvs-partition second
table
command "put 1 0x9000 one.bin"

# Damaged and encrypted are said as such.
command "put 1 0x9000 damaged.bin"
says "damaged, 0x6000" "$keyline" nvs show --port "$port"
ends 3 "$keyline" nvs show --port "$port"
command "put 1 0x9000 cipher.bin"
says "encrypted, or damaged throughout" "$keyline" nvs show --port "$port"
command "put 1 0x8000 table.bin"
says ": encrypted, 0x6000" "$keyline" nvs show --port "$port"

# The board's program runs afterwards: a station finds it as it was.
command "show 1"
says "plugged yes" cat boards.txt
stop_boards

# A locked board is refused with a reason; an ESP8266's loader can't read.
start_boards 1 --firmware silent --fault flash_encrypted
says "flash encryption" "$keyline" nvs show --port "${ports[1]}"
ends 1 "$keyline" nvs show --port "${ports[1]}"
stop_boards
start_boards 1 --firmware silent --chip esp8266
says "an ESP8266's loader can't read its flash" "$keyline" nvs show --port "${ports[1]}"
ends 3 "$keyline" nvs show --port "${ports[1]}"
ends 1 "$keyline" nvs show --port rfc2217://127.0.0.1:1
stop_boards

# A port that somebody holds stays theirs, and the holder is named.
python3 -c '
import os, pty, time
master, slave = pty.openpty()
print(os.ttyname(slave), flush=True)
time.sleep(600)' >held.txt &
holder=$!
until [ -s held.txt ]; do read -rt 0.05 <> <(:) || true; done
says "held by python3" "$keyline" nvs show --port "$(cat held.txt)"
ends 1 "$keyline" nvs show --port "$(cat held.txt)"
kill "$holder"
wait "$holder" || true

ends 2 "$keyline" nvs show one.bin --port "$port"
ends 2 "$keyline" nvs diff --port "$port"
ends 2 "$keyline" nvs make --label a --out b --port "$port"
ends 2 "$keyline" nvs show --port "$port" --table-offset 100

exit "$failed"
