#!/usr/bin/env bash
# mutations.sh BUILD: builds the core with one deliberate bug after the other (mutations.txt) and plays
# the simulation until it catches it. Exit status 1 if one survives.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
build=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
survivors=0
caught=0

# The simulation's link line, with the mutated core in place of the real one.
libraries=$(ninja -C "$build" -t commands tests/simulation | tail -1 | sed 's/.* -o tests\/simulation//; s/ && :$//')
objects=$(ninja -C "$build" -t commands tests/simulation | tail -1 | grep -oE 'tests/[^ ]*simulation[^ ]*\.o')

cp -r "$root/src/core" "$work/core"
while IFS='|' read -r file from to rule; do
    case "$file" in '' | '#'*) continue ;; esac
    name=$(basename "$file")
    # An escaped bar stands for one.
    line=$(grep -F "$rule" "$here/mutations.txt")
    line=${line//\\|/$'\x01'}
    IFS='|' read -r file from to rule <<<"$line"
    from=${from//$'\x01'/|} to=${to//$'\x01'/|}
    FROM=$from TO=$to perl -0pe '
        my ($f, $t) = @ENV{"FROM", "TO"};
        if ($f =~ s/^\^//) { $f =~ s/\$$//; $f =~ s/\\//g; }
        $t =~ s/\\&/&/g;
        s/\Q$f\E/$t/ or exit 3' "$root/$file" >"$work/core/$name" || { echo "STALE     $rule: $file no longer holds '$from'"; survivors=$((survivors + 1)); cp "$root/$file" "$work/core/$name"; continue; }
    if ! gcc -std=c11 -O1 -w -I"$root/include" -I"$work/core" -c "$work/core/$name" -o "$work/mutant.o" 2>"$work/log"; then
        echo "BROKEN    $rule"; cat "$work/log"
        survivors=$((survivors + 1))
    elif ! (cd "$build" && cp libkl_core.a "$work/libkl_core.a" && ar d "$work/libkl_core.a" "$name.o" &&
            ar r "$work/libkl_core.a" "$work/mutant.o" 2>/dev/null &&
            gcc -o "$work/simulation" $objects ${libraries//libkl_core.a/$work/libkl_core.a}) 2>"$work/log"; then
        echo "BROKEN    $rule"; cat "$work/log"
        survivors=$((survivors + 1))
    elif (timeout 300 "$work/simulation" --from 1 --lives 100000 >"$work/log") 2>/dev/null; then
        echo "SURVIVED  $rule"
        survivors=$((survivors + 1))
    elif seed=$(grep -m1 -oE '^seed [0-9]+' "$work/log" | cut -d' ' -f2) && ! "$build/tests/simulation" --seed "$seed" >/dev/null; then
        echo "UNPROVED  $rule: seed $seed fails without the bug, too"
        survivors=$((survivors + 1))
    else
        echo "caught    $rule: $(grep -m1 '^seed' "$work/log" | cut -c1-110)"
        caught=$((caught + 1))
    fi
    cp "$root/$file" "$work/core/$name"
done <"$here/mutations.txt"
echo "$caught caught, $survivors not"
[ "$survivors" = 0 ]
