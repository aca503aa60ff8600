#!/bin/sh
# golden.sh PROGRAM NAME ROWSxCOLS [--write]: draws a scenario and compares it with the screen kept
# for it, or writes that screen anew.
set -eu
here=$(dirname "$0")
program=$1 name=$2 size=$3
drawn=$(mktemp)
trap 'rm -f "$drawn"' EXIT
"$program" "$here/$name.scenario" "${size%x*}" "${size#*x}" >"$drawn"
if [ "${4:-}" = --write ]; then
    cp "$drawn" "$here/$name.$size.screen"
else
    diff -u "$here/$name.$size.screen" "$drawn"
fi
