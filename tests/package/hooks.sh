#!/usr/bin/env bash
# hooks.sh KEYLINE: see hooks.py.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for tool in python3 jq nc; do
    command -v $tool >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 77; }
done
postgresql=$(find /usr/lib/postgresql -name initdb -printf '%h\n' 2>/dev/null | sort | tail -n 1)
exec python3 "$here/hooks.py" "$here/../../src/packaging/hooks" ${postgresql:+"$postgresql"}
