#!/usr/bin/env bash
# held_port.sh KEYLINE: see held_port.py.
set -euo pipefail
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; exit 77; }
exec python3 "$(dirname "${BASH_SOURCE[0]}")/held_port.py" "$1"
