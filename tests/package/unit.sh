#!/usr/bin/env bash
# unit.sh KEYLINE: the unit is as closed as the project promises (2.0), and starts the program with
# options that it has.
set -euo pipefail
keyline=$1
unit=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/src/packaging/systemd/keyline@.service
command -v systemd-analyze >/dev/null || { echo "SKIPPED: systemd-analyze is not installed"; exit 77; }
report=$(systemd-analyze security --offline=true --threshold=20 "$unit" 2>&1) || {
    echo "$report"
    echo "FAILED: the exposure is above 2.0"
    exit 1
}
help=$("$keyline" --help)
for option in $(sed -n 's/^ExecStart=//p' "$unit" | grep -oE -- '--[a-z-]+'); do
    grep -qE -- "^  $option( |\$)" <<<"$help" || { echo "FAILED: keyline has no $option"; exit 1; }
done
