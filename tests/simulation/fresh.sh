#!/bin/sh
# fresh.sh SIMULATION LIVES: plays seeds that no commit before this one has played: they are counted
# from the commit's own name, so that a run can be repeated by whoever has the commit.
# Needle beds are left to ./run simulate and the kept seeds: seed 3247994999831 shows a skipped board
# there that is not noticed when another one takes its place.
set -eu
simulation=$(realpath "$1")
cd "$(dirname "$0")"
name=$(git rev-parse --short=8 HEAD 2>/dev/null || date +%s)
exec "$simulation" --without-beds --lives "$2" --from "$(printf '%d' "0x$name")000"
