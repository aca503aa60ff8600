#!/usr/bin/env bash
# blocks.sh KEYLINE: see blocks.py.
set -euo pipefail
for tool in python3 jq; do
    command -v $tool >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 77; }
done
exec python3 "$(dirname "${BASH_SOURCE[0]}")/blocks.py" "$1"
