#!/usr/bin/env bash
# nvs.sh KEYLINE: images of NVS partitions as files: made, shown, checked, compared.
set -euo pipefail
keyline=$1
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cat >keys.csv <<'CSV'
label,provision/key1:string,provision/key2:hex2bin,lora/devEui:u64,lora/off:i8,provision/done:u8=1
dev-1,5ecretA1,aabbcc,0x1234,-3
dev-2,5ecretA2,aabbc,1,1
dev-3,5ecretA3,aa,99999999999999999999,1
dev-4,5ecretA4,bb,7,1,Provisioned
CSV

# Rows that can't be written are told with line and column, and never with a value.
ends 3 "$keyline" nvs check
says "keys.csv line 3, column 3 (provision/key2): the value has an odd number" "$keyline" nvs check
says "keys.csv line 4, column 4 (lora/devEui): the number does not fit" "$keyline" nvs check
says "4 rows, 2 can't be written" "$keyline" nvs check
lacks "5ecret" "$keyline" nvs check
lacks "99999" "$keyline" nvs check

# An image for one label: only its owner may read it, and it is never written over.
ends 0 "$keyline" nvs make --label dev-1 --out one.bin
[ "$(stat -c '%a %s' one.bin)" = "600 24576" ] || { echo "FAILED: mode or size of the image"; failed=1; }
ends 3 "$keyline" nvs make --label dev-1 --out one.bin
says "File exists" "$keyline" nvs make --label dev-1 --out one.bin
ends 3 "$keyline" nvs make --label dev-2 --out two.bin
[ ! -e two.bin ] || { echo "FAILED: an image for a row that can't be written"; failed=1; }
says "no row has the label dev-9" "$keyline" nvs make --label dev-9 --out nine.bin
says "a board has this key" "$keyline" nvs make --label dev-4 --out four.bin
ends 2 "$keyline" nvs make --label dev-1
ends 2 "$keyline" nvs make --label dev-1 --out small.bin --size 0x2000
ends 0 "$keyline" nvs make --label dev-1 --out small.bin --size 0x3000

# What an image holds; values only for who asks.
for words in "one.bin: sound, 0x6000 bytes" "lora             devEui           u64" "********"; do
    says "$words" "$keyline" nvs show one.bin
done
lacks 5ecret "$keyline" nvs show one.bin
lacks 5ecret "$keyline" nvs show --json one.bin
says 5ecretA1 "$keyline" nvs show --values one.bin
"$keyline" nvs show --values --json one.bin | python3 -c '
import json, sys
image = json.load(sys.stdin)
held = {(i["namespace"], i["key"]): i.get("value", i.get("hex")) for i in image["items"]}
assert held == {("provision", "key1"): "5ecretA1", ("provision", "key2"): "aabbcc", ("provision", "done"): 1,
                ("lora", "devEui"): 0x1234, ("lora", "off"): -3}, held' || failed=1
head -c 24576 /dev/zero | tr '\0' '\377' >blank.bin
says "empty" "$keyline" nvs show blank.bin
ends 0 "$keyline" nvs show blank.bin
head -c 4096 "$keyline" >foreign.bin
ends 3 "$keyline" nvs show foreign.bin
head -c 100 one.bin >cut.bin
ends 3 "$keyline" nvs show cut.bin
ends 3 "$keyline" nvs show absent.bin

# What differs.
ends 0 "$keyline" nvs diff one.bin small.bin
ends 1 "$keyline" nvs diff one.bin four.bin
says "~ provision/key1 string" "$keyline" nvs diff one.bin four.bin
lacks "provision/done" "$keyline" nvs diff one.bin four.bin
says "+ lora/devEui u64" "$keyline" nvs diff blank.bin one.bin
lacks 5ecret "$keyline" nvs diff one.bin four.bin

# The schema in Espressif's own form, beside a header that names the keys.
printf 'provision,namespace,\nkey1,data,string\nkey2,data,hex2bin\n' >schema.csv
printf 'label,key1,key2\ndev-1,5ecretA1,aabbcc\n' >named.csv
ends 0 "$keyline" nvs check --csv-file named.csv --nvs-schema schema.csv
ends 3 "$keyline" nvs check --csv-file named.csv
says "its header names no place" "$keyline" nvs check --csv-file named.csv
printf 'provision,namespace,\nkey9,data,string\n' >wrong.csv
says "wrong.csv line 2" "$keyline" nvs check --csv-file named.csv --nvs-schema wrong.csv

# What is not meant is not taken.
ends 2 "$keyline" nvs
ends 2 "$keyline" nvs show
ends 2 "$keyline" nvs show one.bin four.bin
ends 2 "$keyline" nvs diff one.bin
ends 2 "$keyline" nvs check --values

exit "$failed"
