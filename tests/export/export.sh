#!/usr/bin/env bash
# export.sh KEYLINE: what becomes of provisioned keys: forms, files, the record of it, signatures.
set -euo pipefail
keyline=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../cli/lib.sh"
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; exit 77; }

boards='' station=''
cleanup() {
    for pid in $station $boards; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
    rm -rf "$folder"
}
trap cleanup EXIT
oops() { echo "FAILED: $*"; failed=1; }
is_absent() { for file in "$@"; do [ ! -e "$file" ] && [ ! -L "$file" ] || oops "$file is there"; done; }
wait_for() { # WORDS FILE PID
    local until=$((SECONDS + 120))
    until grep -q "$1" "$2" 2>/dev/null; do
        kill -0 "$3" && [ "$SECONDS" -lt "$until" ] || { echo "FAILED: no \"$1\":"; cat "$2"; exit 1; }
        read -rt 0.05 <> <(:) || true
    done
}
start_boards() { # N [options]: their ports go to `ports`
    local n=$1
    shift
    : >boards.txt # the last boards' word is no word of these
    "$keyline" virtual --boards "$n" --listen 127.0.0.1:0 "$@" >boards.txt 2>&1 &
    boards=$!
    wait_for '^ready' boards.txt "$boards"
    mapfile -t ports < <(grep -o 'rfc2217://[^ ]*' boards.txt | sed 's/^/--port=/')
}
stop_boards() { kill "$boards" && wait "$boards" || true; boards=''; }

"$keyline" virtual --images . >/dev/null
{
    echo "label,DevEUI,JoinEUI,AppKey"
    for i in 1 2 3 4 5; do echo "node-$i,70B3D57ED000000$i,70B3D57ED0000000,5ec4e7000102030405060708090A0B0$i"; done
} >keys.csv
secret=5ec4e7
bench=(--headless --firmware firmware.bin --csv-header --volatile)
start_boards 3 --mac 24:6f:28:00:00:01
ends 0 timeout 120 "$keyline" "${bench[@]}" --once "${ports[@]}"
stop_boards

export_() { "$keyline" keys export --csv-header "$@"; }
uuid=3f2504e0-4f89-11d3-9a0c-0305e82c3301
declare -A needs=(
    [tts]="--set lorawan_version=MAC_V1_0_2 --set frequency_plan_id=EU_863_870_TTN"
    [chirpstack]="--set application_id=$uuid --set device_profile_id=$uuid"
    [aws-lorawan]="--set destination=up --set device_profile_id=$uuid --set service_profile_id=$uuid"
    [aws-things]="--map Key=AppKey --set Type=sensor"
    [thingpark]="--set model_id=LORA/Generic"
)

# Each form: only for who says --secrets, only into a file, only for its owner, and never over another.
for form in "${!needs[@]}"; do
    read -ra options <<<"${needs[$form]}"
    ends 2 export_ --as "$form" "${options[@]}"
    ends 2 export_ --as "$form" "${options[@]}" -o "$form.out"
    ends 2 export_ --as "$form" "${options[@]}" --secrets
    ends 2 export_ --as "$form" "${options[@]}" --secrets --public -o "$form.out"
    is_absent "$form.out"
    (umask 0; ends 0 export_ --as "$form" "${options[@]}" --secrets -o "$form.out"; exit "$failed") || failed=1
    lacks "$secret" cat output
    [ "$(stat -c '%a %h' "$form.out")" = "600 1" ] || oops "mode of $form.out"
    "$here/validate.py" --count 3 "$form" "$form.out" || failed=1
    [ "$(grep -ci "$secret" "$form.out")" = 3 ] || oops "$form.out does not hold three keys"
    before=$(sha256sum "$form.out")
    ends 3 export_ --as "$form" "${options[@]}" --secrets -o "$form.out"
    says "exists, and is never written over" export_ --as "$form" "${options[@]}" --secrets -o "$form.out"
    [ "$before" = "$(sha256sum "$form.out")" ] || oops "$form.out was written over"
done
tts=(--as tts --set lorawan_version=MAC_V1_0_2)

# A link in the place, a folder, a terminal, a pipe.
ln -s elsewhere link.csv
ends 3 export_ "${tts[@]}" --secrets -o link.csv
is_absent elsewhere
mkdir place
ends 3 export_ "${tts[@]}" --secrets -o place
ends 3 export_ "${tts[@]}" --secrets -o /dev/stdout
mkfifo pipe
ends 3 timeout 120 "$keyline" keys export --csv-header "${tts[@]}" --secrets -o pipe

# A full disk leaves nothing, and no record of what was not written.
entries() { "$keyline" keys history | grep -c ' export ' || true; }
before=$(entries)
says "full.csv: can't be written, so nothing is: File too large" \
    bash -c 'ulimit -f 0; exec "$@"' - "$keyline" keys export --csv-header "${tts[@]}" --secrets -o full.csv
is_absent full.csv
[ -z "$(find . -name '*.new')" ] || oops "something half written is left"
[ "$before" = "$(entries)" ] || oops "what was not written is recorded"

# The record: what, who, how many, where to; and no key in it.
says "tts, 3 keys with their secrets, to $PWD/tts.out" "$keyline" keys history
says "by $(id -un)" "$keyline" keys history
[ "$(entries)" = 5 ] || oops "five exports, but $(entries) entries"
grep -rqaiF "$secret" keys.csv.ledger* state && oops "the record holds a key"
lacks "$secret" "$keyline" keys history --json

# Without secrets: to a terminal too, and nobody finds a key in it.
for form in tts chirpstack; do
    read -ra options <<<"${needs[$form]}"
    export_ --as "$form" "${options[@]}" --public >"$form.public"
    "$here/validate.py" --count 3 "$form" "$form.public" || failed=1
done
export_ --public --set profile_id=AABB1122 >list.public
export_ --public --json --set profile_id=AABB1122 >json.public
"$here/validate.py" --count 3 list list.public || failed=1
"$here/validate.py" --count 3 list-json json.public || failed=1
grep -q "LW:D0:70B3D57ED0000000:70B3D57ED0000001:AABB1122" list.public || oops "no text for a QR code"
grep -qi "$secret" ./*.public && oops "a public list holds a key"
[ "$(entries)" = 5 ] || oops "a public list is recorded as an export of secrets"
ends 2 export_ --as thingpark --set model_id=m --public

# A template, public and secret.
printf '%%keyline-template json\n%%header\n[\n%%row\n{"n":"{label}","m":"{mac}"}\n%%between\n,\n%%footer\n]\n' >t.public
export_ --as template --template t.public | python3 -c '
import json, sys
assert sorted(d["n"] for d in json.load(sys.stdin)) == ["node-1", "node-2", "node-3"]' || oops "template"
printf '%%keyline-template csv\n%%row\n{label};{field:AppKey};{field:4}\n' >t.secret
ends 2 export_ --as template --template t.secret
ends 0 export_ --as template --template t.secret --secrets -o t.out
[ "$(stat -c %a t.out)$(grep -c "$secret" t.out)" = 6003 ] || oops "t.out"

# Rows that don't fit: line and column, no value, nothing written.
says "keys.csv line 2, column 3 (app_key): it is not 32 hexadecimal digits" \
    export_ "${tts[@]}" --map app_key=3 --secrets -o bad.csv
lacks 70B3D57ED0000000 export_ "${tts[@]}" --map app_key=3 --secrets -o bad.csv
ends 3 export_ "${tts[@]}" --map app_key=3 --secrets -o bad.csv
is_absent bad.csv
cp keys.csv keys.kept
sed -i '/^node-2,/d' keys.csv
says "lacks the row of node-2" export_ "${tts[@]}" --secrets -o bad.csv
ends 3 export_ "${tts[@]}" --secrets -o bad.csv
is_absent bad.csv
cp keys.kept keys.csv

# The same is told of rows that no board has yet.
lint() { "$keyline" keys lint --csv-header "$@"; }
ends 0 lint "${tts[@]}"
says "5 keys can be exported as tts" lint "${tts[@]}"
says "keys.csv line 6, column 3 (app_key): it is not 32 hexadecimal digits" lint "${tts[@]}" --map app_key=3
ends 3 lint "${tts[@]}" --map app_key=3
ends 2 lint --as chirpstack
printf 'label,DevEUI,JoinEUI,AppKey\na,70B3D57ED0000001,70B3D57ED0000000,%s01\nb,70B3D57ED0000001,70B3D57ED0000000,%s02\n' \
    ${secret}000102030405060708090A0B ${secret}000102030405060708090A0B >double.csv
says "double.csv lines 2 and 3 have one dev_eui" lint "${tts[@]}" double.csv
ends 3 lint "${tts[@]}" double.csv
lacks "$secret" lint "${tts[@]}" --map app_key=3

# A copy elsewhere is no place to export from: its ledger is not the one that counts.
mkdir copy
cp keys.csv keys.csv.ledger copy
ends 7 export_ --csv-file copy/keys.csv "${tts[@]}" --secrets -o copy.csv
is_absent copy.csv
says "warning" export_ --csv-file copy/keys.csv "${tts[@]}" --public
ends 0 export_ --csv-file copy/keys.csv "${tts[@]}" --public

# While a station runs it keeps the record; if it can't be asked, nothing is exported.
start_boards 1 --mac 24:6f:28:00:00:09
"$keyline" "${bench[@]}" --events events.jsonl "${ports[@]}" >station.txt 2>&1 &
station=$!
wait_for 'PASS' station.txt "$station"
ends 0 export_ "${tts[@]}" --secrets -o running.csv
"$here/validate.py" --count 4 tts running.csv || failed=1
says "tts, 4 keys with their secrets, to $PWD/running.csv" "$keyline" keys history
wait_for '"command":"export"' events.jsonl "$station"
grep -qi "$secret" events.jsonl station.txt && oops "the events hold a key"
socket=$(find . -name '*.sock*' | head -1)
[ -n "$socket" ] || oops "no socket"
mv "$socket" aside
ends 4 export_ "${tts[@]}" --secrets -o unasked.csv
is_absent unasked.csv
kill "$station" && wait "$station" || true
station=''
stop_boards

# None of that makes the ledger doubtful: the next station starts without a question.
ends 0 "$keyline" keys audit --csv-header
start_boards 1 --mac 24:6f:28:00:00:0b
ends 0 timeout 120 "$keyline" "${bench[@]}" --once "${ports[@]}"
stop_boards

# Only what was made since the last export.
ends 2 export_ "${tts[@]}" --public --since yesterday
ends 3 export_ "${tts[@]}" --public --since 2099-01-01 -o nothing.csv
is_absent nothing.csv
mapfile -t times < <(export_ --public 2>/dev/null | cut -d, -f4) # the first is the header's
first=${times[1]} last=${times[-1]}
export_ "${tts[@]}" --public --since "$last" >since.public
grep -q node-5 since.public || oops "what was made in that second is left out"
[ "$first" != "$last" ] && grep -q node-1 since.public && oops "what was made before is not left out"

# Signed: list and signature together, or neither.
ends 2 "$keyline" keys sign-key
ends 0 "$keyline" keys sign-key -o mine --no-password
[ "$(stat -c %a mine.key)" = 600 ] || oops "mode of mine.key"
ends 3 "$keyline" keys sign-key -o mine --no-password
ends 2 export_ --signed -o signed.csv
ends 2 export_ --signed --sign-key mine.key
ends 2 export_ "${tts[@]}" --secrets --signed --sign-key mine.key -o signed.csv
ends 0 export_ --signed --sign-key mine.key -o signed.csv
ends 0 "$keyline" keys export --signed --sign-key mine.key --json -o signed.jsonl
ends 0 export_ "${tts[@]}" --public --signed --sign-key mine.key -o tts.signed
"$here/validate.py" --count 5 list signed.csv || failed=1
"$here/validate.py" --count 5 list-json signed.jsonl || failed=1
"$here/validate.py" --count 5 tts tts.signed || failed=1
for file in signed.csv signed.jsonl tts.signed; do
    ends 0 "$keyline" verify "$file" -p mine.pub
    ends 0 "$keyline" verify "$file" -P "$(tail -n 1 mine.pub)"
    says "count:5" "$keyline" verify "$file" -p mine.pub
    says "file:$file" "$keyline" verify "$file" -p mine.pub
done
grep -qi "$secret" signed.* tts.signed* && oops "a signed list holds a key"
touch lone.minisig
ends 3 export_ --signed --sign-key mine.key -o lone
is_absent lone

# What is not as it was signed.
cp signed.csv changed.csv
sed 's/node-1/node-9/' signed.csv >changed.csv
ends 1 "$keyline" verify changed.csv -x signed.csv.minisig -p mine.pub
says "NOT VERIFIED: the signature is good, but for other contents" \
    "$keyline" verify changed.csv -x signed.csv.minisig -p mine.pub
ends 1 "$keyline" verify signed.csv -x signed.jsonl.minisig -p mine.pub
says "file:signed.jsonl" "$keyline" verify signed.csv -x signed.jsonl.minisig -p mine.pub
ends 0 "$keyline" keys sign-key -o other --no-password
ends 1 "$keyline" verify signed.csv -p other.pub
says "was made with the key" "$keyline" verify signed.csv -p other.pub
head -c 150 signed.csv.minisig >cut.minisig
ends 1 "$keyline" verify signed.csv -x cut.minisig -p mine.pub
says "line 2 should be a signature" "$keyline" verify signed.csv -x cut.minisig -p mine.pub
sed 's/count:5/count:6/' signed.csv.minisig >forged.minisig
ends 1 "$keyline" verify signed.csv -x forged.minisig -p mine.pub
ends 3 "$keyline" verify absent.csv -p mine.pub
ends 3 "$keyline" verify signed.csv -p absent.pub
ends 3 "$keyline" verify signed.csv -P RWQx
ends 2 "$keyline" verify signed.csv
exit "$failed"
