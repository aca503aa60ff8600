#!/usr/bin/env bash
# mutations.sh: builds fleetsim with one deliberate bug after the other (mutations.txt). The fleets
# that it plays must catch each, in a tenth of the lives that the test simulation.fleets plays: so none
# is caught by luck. It prints how many lives each took. Exit status 1 if one survives.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
cd "$here/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
lives=$(sed -n 's/.*COMMAND fleetsim \([0-9]*\).*/\1/p' "$here/test.cmake")

sources="src/core/fleet.c src/core/base.c tests/fleetsim/database.c tests/fleetsim/station.c tests/fleetsim/fleetsim.c"
while IFS= read -r line; do
    case "$line" in '' | '#'*) continue ;; esac
    IFS='|' read -r file from to rule <<<"${line//\\|/$'\x01'}"
    files=${sources/$file/$work/mutant.c}
    FROM=${from//$'\x01'/|} TO=${to//$'\x01'/|} perl -0pe '
        my ($f, $t) = @ENV{"FROM", "TO"};
        s/\\n/\n/g for $f, $t;
        s/\Q$f\E/$t/ or exit 3' "$file" >"$work/mutant.c" || {
        echo "STALE     $rule: $file no longer holds '$from'"
        bad=1
        continue
    }
    # shellcheck disable=SC2086
    if ! gcc -std=c11 -O1 -w -Iinclude -Isrc -Itests/fleetsim $files -o "$work/fleetsim" 2>"$work/log"; then
        echo "BROKEN    $rule"
        cat "$work/log"
        bad=1
        continue
    fi
    if (timeout 120 "$work/fleetsim" $((lives / 10)) >"$work/log" 2>&1) 2>/dev/null || ! grep -qE '^seed|: ' "$work/log"; then
        echo "SURVIVED  $rule"
        bad=1
    else
        echo "caught    $rule: $(grep -m1 -E '^seed|: ' "$work/log")"
    fi
done <"$here/mutations.txt"
exit $bad
