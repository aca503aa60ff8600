#!/bin/sh
# keys.sh PROGRAM OPERATING.MD [--write]: the table of keys there is the program's own.
set -eu
program=$1 page=$2
drawn=$(mktemp)
trap 'rm -f "$drawn"' EXIT
"$program" --keys >"$drawn"
if [ "${3:-}" = --write ]; then
    awk -v table="$drawn" '
        /^\| key \| what it does \|$/ { while ((getline line < table) > 0) print line; skip = 1 }
        skip && !/^\|/ { skip = 0 }
        !skip' "$page" >"$page.new"
    mv "$page.new" "$page"
else
    awk '/^\| key \| what it does \|$/ { on = 1 } on && !/^\|/ { exit } on' "$page" | diff -u - "$drawn"
fi
