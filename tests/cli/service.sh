#!/usr/bin/env bash
# service.sh KEYLINE: see service.py.
set -euo pipefail
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; exit 77; }
exec python3 "$(dirname "${BASH_SOURCE[0]}")/service.py" "$1"
