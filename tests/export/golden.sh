#!/usr/bin/env bash
# golden.sh: the texts that test_export compares with are such as the networks take.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; exit 77; }
cd "$here/golden"
failed=0
for form in tts chirpstack aws-lorawan aws-things thingpark; do
    "$here/validate.py" --count 2 "$form" "$form"[-.]* || failed=1
done
"$here/validate.py" --count 2 list list*.csv || failed=1
"$here/validate.py" --count 2 list-json list*.jsonl || failed=1

# A validator that lets everything pass proves nothing.
bad=$(mktemp)
trap 'rm -f "$bad"' EXIT
refuses() { # FORM GOLDEN SED
    sed "$3" "$2" >"$bad"
    if "$here/validate.py" "$1" "$bad" >/dev/null; then
        echo "FAILED: the validator of $1 takes $2 after $3"
        failed=1
    fi
}
refuses tts tts-1.0.csv 's/,[0-9A-F]*$/,/'
refuses tts tts-1.0.csv 's/^dev_eui/deveui/'
refuses tts tts-1.1.csv 's/MAC_V1_1/MAC_V1_0_2/'
refuses tts tts-1.0.csv 's/70B3D57ED0000002/70B3D57ED0000001/'
refuses chirpstack chirpstack-1.0.jsonl 's/nwkKey/appKey/'
refuses chirpstack chirpstack-1.0.jsonl 's/"devEui":"70b3d57ed0000002","nwk/"devEui":"70b3d57ed0000001","nwk/'
refuses aws-lorawan aws-lorawan-1.1.jsonl 's/,"NwkKey":"[0-9a-f]*"//'
refuses aws-lorawan aws-lorawan-1.0.2.jsonl 's/keyline-[0-9a-f]*/same/'
refuses aws-things aws-things.jsonl 's/"ThingName":"24/"ThingName":"2 4/'
refuses thingpark thingpark.csv 's/CREATE_OTAA,\([^,]*\),,/CREATE_OTAA,\1,/'
refuses list list-qr.csv 's/LW:D0:\([^:]*\):\([^:]*\)/LW:D0:\2:\1/'
exit "$failed"
