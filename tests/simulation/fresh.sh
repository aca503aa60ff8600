#!/bin/sh
# fresh.sh SIMULATION LIVES [OPTION...]: plays seeds that no commit before this one has played: they
# are counted from the commit's own name, so that a run can be repeated by whoever has the commit.
set -eu
simulation=$(realpath "$1")
lives=$2
shift 2
cd "$(dirname "$0")"
name=$(git rev-parse --short=8 HEAD 2>/dev/null || date +%s)
exec "$simulation" --lives "$lives" --from "$(printf '%d' "0x$name")000" "$@"
