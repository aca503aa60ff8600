#!/usr/bin/env bash
# nvs_long.sh KEYLINE: keys that no line protocol carries: certificates, many columns, blobs of several pages.
set -euo pipefail
keyline=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/boards.sh"
expect() { [ "$1" = "$2" ] || { echo "FAILED: $3: $1, not $2"; failed=1; }; }

# Drawn, but always the same: 46 columns, certificates with line ends, 2500 bytes in hex.
cat >make.py <<'PY'
import base64, csv, random
r = random.Random(18)
def pem(kind, size):
    body = base64.b64encode(r.randbytes(size)).decode()
    return f"-----BEGIN {kind}-----\n" + "\n".join(body[i:i + 64] for i in range(0, len(body), 64)) + f"\n-----END {kind}-----\n"
columns = ["label", "device/cert:string", "device/key:string", "cloud/ca:blob", "cloud/blob:hex2bin", "cloud/b64:base64"]
columns += [f"many/k{i}:u16" for i in range(40)]
with open("keys.csv", "w", newline="") as f:
    w = csv.writer(f, lineterminator="\n")
    w.writerow(columns + ["cloud/done:u8=1"])
    for n in range(3):
        w.writerow([f"dev-{n}", pem("CERTIFICATE", 2700 - n), pem("PRIVATE KEY", 121), pem("CERTIFICATE", 900),
                    r.randbytes(2500).hex(), base64.b64encode(r.randbytes(1000)).decode()] +
                   [str(r.randrange(65536)) for i in range(40)])
PY
python3 make.py
cp keys.csv fresh.csv

# Byte for byte what Espressif's generator (2025-05) makes of the same values.
ends 0 "$keyline" nvs check
for line in 447e9d2f02bcdf73509959c4c697f775b73e4ccb35fdcd2ad4cbac6fcac84da4:dev-0 \
    a2d05f337d201ab5ce18673e8c1c154a56ef43012771168a70a3614cf6621c28:dev-1 \
    9dd71e5f75eb64c2d8ead2d87bebaea63ff9ead0644f6acc6b0fe6dfbea44227:dev-2; do
    ends 0 "$keyline" nvs make --label "${line#*:}" --out "${line#*:}.bin"
    expect "$(sha256sum <"${line#*:}.bin")" "${line%:*}  -" "image of ${line#*:}"
done

# A station delivers them; boards that come back are recognised; other boards' keys are.
"$keyline" virtual --images . >/dev/null
options=(--headless --firmware firmware.bin --deliver nvs --once --volatile)
start_boards 2 --firmware silent
run() { timeout 120 "$keyline" "${options[@]}" --journal "$1" "${ports[@]}" "${@:2}"; }
ends 0 "$keyline" check --firmware firmware.bin --deliver nvs --journal journal
ends 0 run journal --events events
expect "$(grep -c ',Provisioned$' keys.csv)" 2 "keys marked"
says "already has key" run journal
says "~ many/k0" "$keyline" nvs diff dev-2.bin "${ports[@]:0:2}"
says "provisioned" "$keyline" keys list --csv-header --journal journal
for secret in "$(cut -d, -f2 fresh.csv | sed -n 3p)" "$(grep -o '[0-9a-f]\{200\}' fresh.csv | head -1 | cut -c1-40)" PRIVATE; do
    lacks "$secret" cat output events
    lacks "$secret" strings keys.csv.keyline-ledger
done
says "dev-0" cat events
says "dev-1" cat events

# What is exported is what they hold, to the byte, in columns beyond the 32nd too.
export_keys() { "$keyline" keys export --csv-header --journal journal "$@"; }
ends 0 export_keys --as aws-things --secrets --map ThingName=@label,cert=cert,key=3,k39=many/k39:u16 -o things.jsonl
expect "$(stat -c %a things.jsonl)" 600 "mode of the secrets"
python3 - <<'PY' || failed=1
import csv, json
rows = {r[0]: r for r in list(csv.reader(open("fresh.csv", newline="")))[1:]}
told = [json.loads(line) for line in open("things.jsonl")]
assert len(told) == 2, told
for thing in told:
    row = rows[thing["ThingName"]]
    assert [thing[n] for n in ("cert", "key", "k39")] == [row[1], row[2], row[45]], thing["ThingName"]
PY
ends 0 "$keyline" keys lint keys.csv --csv-header --journal journal --as aws-things --map ThingName=@label,cert=2

# A board with the other one's key.
other=dev-0.bin
! "$keyline" nvs diff dev-0.bin "${ports[@]:0:2}" >output || other=dev-1.bin
command "put 1 0x9000 $other"
says "holds_other_key" run journal --retries 0 --events -
stop_boards

# Where no line protocol carries them, they are no keys.
says "it has more than 32 fields" "$keyline" check --firmware firmware.bin --csv-header --csv-file fresh.csv --journal other

says "line 2: --confirm readback: keys of more than 32" "$keyline" check --firmware firmware.bin --deliver nvs --csv-file fresh.csv \
    --confirm readback --journal other

# Mistakes, by line and column.
python3 - <<'PY'
import csv
rows = list(csv.reader(open("fresh.csv", newline="")))
rows[1][1] = "x" * 4000
rows[2][4] = rows[2][4][:-1]
rows[3][5] = "x" * 17000
csv.writer(open("bad.csv", "w", newline=""), lineterminator="\n").writerows(rows)
PY
says "bad.csv line 2, column 2 (device/cert): the string is longer than 3999 bytes" "$keyline" nvs check --csv-file bad.csv
says "column 5 (cloud/blob): the value has an odd number" "$keyline" nvs check --csv-file bad.csv
says "it can't be a key: it is longer than 16383 bytes" "$keyline" nvs check --csv-file bad.csv
says "line 2, column 2 (device/cert)" "$keyline" check --firmware firmware.bin --deliver nvs --csv-file bad.csv --journal third
python3 - <<'PY'
import csv
with open("large.csv", "w", newline="") as f:
    csv.writer(f, lineterminator="\n").writerows([["label", "a/b:hex2bin"], ["dev-1", "5a" * 8000]])
PY
says "large.csv line 2, column 2 (a/b): the partition is too small" "$keyline" nvs check --csv-file large.csv --size 0x3000
ends 0 "$keyline" nvs check --csv-file large.csv
python3 - <<'PY'
import csv
with open("huge.csv", "w", newline="") as f:
    csv.writer(f, lineterminator="\n").writerows([["label"] + [f"a/b{i}:string" for i in range(5)], ["dev-1"] + [f"v{i}-3f" * 420 for i in range(5)]])
PY
ends 0 "$keyline" check --firmware firmware.bin --deliver nvs --csv-file huge.csv --journal fourth
python3 - <<'PY'
import csv
with open("huge.csv", "w", newline="") as f:
    csv.writer(f, lineterminator="\n").writerows([["label"] + [f"a/b{i}:string" for i in range(6)], ["dev-1"] + [f"v{i}-3f" * 420 for i in range(6)]])
PY
says "huge.csv line 2, column 7 (a/b5): the partition is too small" "$keyline" check --firmware firmware.bin --deliver nvs --csv-file huge.csv --journal fourth

exit "$failed"
