#!/usr/bin/env bash
# mutations.sh BUILD: builds the core or the store with one deliberate bug after the other (mutations.txt). The
# simulation plays until it catches it; else a test of the station's rules must. Exit status 1 if one survives.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
build=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
survivors=0
caught=0

# link PROGRAM: as its build does it, with the mutated library in place of the real one.
link() {
    local line
    line=$(ninja -C "$build" -t commands "tests/$1" | tail -1)
    local libraries=${line#* -o tests/"$1"} objects
    objects=$(grep -oE 'tests/[^ ]*simulation[^ ]*\.o' <<<"$line")
    libraries=${libraries% && :}
    gcc -o "$work/$1" $objects ${libraries//$library/$work/$library}
}

# simulate PROGRAM [SEED]: plays until something is broken, or that seed alone. Bugs of the store show
# only with people at the files.
simulate() {
    case "$library ${2-}" in
    "libkl_core.a ") timeout 200 "$1" --from 1 --lives 60000 ;;
    libkl_core.a*) timeout 200 "$1" --seed "$2" ;;
    *" ") timeout 200 "$1" --people 150 --from 1 ;;
    *) timeout 200 "$1" --people 1 --from "$2" ;;
    esac
}

cp -r "$root/src/core" "$root/src/adapters/store" "$work"
while IFS='|' read -r file from to rule; do
    case "$file" in '' | '#'*) continue ;; esac
    name=$(basename "$file")
    folder=$work/$(basename "$(dirname "$file")")
    library=libkl_core.a
    case "$file" in src/adapters/*) library=libkl_adapters.a ;; esac
    # An escaped bar stands for one.
    line=$(grep -F "$rule" "$here/mutations.txt")
    line=${line//\\|/$'\x01'}
    IFS='|' read -r file from to rule <<<"$line"
    from=${from//$'\x01'/|} to=${to//$'\x01'/|}
    FROM=$from TO=$to perl -0pe '
        my ($f, $t) = @ENV{"FROM", "TO"};
        if ($f =~ s/^\^//) { $f =~ s/\$$//; $f =~ s/\\//g; }
        $t =~ s/\\&/&/g;
        s/\Q$f\E/$t/ or exit 3' "$root/$file" >"$folder/$name" || { echo "STALE     $rule: $file no longer holds '$from'"; survivors=$((survivors + 1)); cp "$root/$file" "$folder/$name"; continue; }
    if ! gcc -std=c11 -O1 -w -I"$root/include" -I"$folder" -I"$root/src" -D_GNU_SOURCE -c "$folder/$name" -o "$work/mutant.o" 2>"$work/log"; then
        echo "BROKEN    $rule"; cat "$work/log"
        survivors=$((survivors + 1))
    elif ! (cd "$build" && cp "$library" "$work/$library" && ar d "$work/$library" "$name.o" &&
            ar r "$work/$library" "$work/mutant.o" 2>/dev/null &&
            link simulation && link test_station && link test_beds) 2>"$work/log"; then
        echo "BROKEN    $rule"; cat "$work/log"
        survivors=$((survivors + 1))
    elif (simulate "$work/simulation" >"$work/log" 2>&1) 2>/dev/null; then
        # Rare on a random bench: there is a test for it.
        if grep -q '^SKIPPED' "$work/log"; then
            echo "SKIPPED   $rule: people can't do here what shows it"
        elif (timeout 60 "$work/test_station" >"$work/log" 2>&1 && timeout 60 "$work/test_beds" >"$work/log" 2>&1) 2>/dev/null; then
            echo "SURVIVED  $rule"
            survivors=$((survivors + 1))
        else
            echo "caught    $rule: $(grep -oE '(RUN|FAILED ) +\] [a-z_]+' "$work/log" | tail -1)"
            caught=$((caught + 1))
        fi
    elif seed=$(grep -m1 -oE '^(seed|repeat .* --from) [0-9]+' "$work/log" | grep -oE '[0-9]+$') &&
        ! simulate "$build/tests/simulation" "$seed" >/dev/null; then
        echo "UNPROVED  $rule: seed $seed fails without the bug, too"
        survivors=$((survivors + 1))
    else
        echo "caught    $rule: $(grep -m1 -E '^(seed|people:)' "$work/log" | cut -c1-110)"
        caught=$((caught + 1))
    fi
    cp "$root/$file" "$folder/$name"
done <"$here/mutations.txt"
echo "$caught caught, $survivors not"
[ "$survivors" = 0 ]
