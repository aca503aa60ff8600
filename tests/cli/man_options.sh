#!/usr/bin/env bash
# man_options.sh KEYLINE [--write]: the options in the manual pages are the program's; --write puts them there.
set -euo pipefail
keyline=$1
pages=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/src/packaging/man
new=$(mktemp)
trap 'rm -f "$new"' EXIT
failed=0
for page in "$pages"/*.scd; do
    old=0
    while IFS= read -r line; do
        case $line in
        "; options: "*)
            echo "$line"
            # shellcheck disable=SC2086
            "$keyline" complete --man ${line#; options: }
            old=1
            ;;
        "; end") old=0 ;;&
        *) [ "$old" = 1 ] || printf '%s\n' "$line" ;;
        esac
    done <"$page" >"$new"
    if [ "${2:-}" = --write ]; then
        cmp -s "$new" "$page" || cp "$new" "$page"
    elif ! diff "$new" "$page"; then
        echo "FAILED: $(basename "$page") has other options than keyline: tests/cli/man_options.sh KEYLINE --write"
        failed=1
    fi
done
exit "$failed"
