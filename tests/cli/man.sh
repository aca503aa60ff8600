#!/usr/bin/env bash
# man.sh KEYLINE: the manual pages are well formed, and say what the program says.
set -euo pipefail
keyline=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pages=$here/../../src/packaging/man
for tool in scdoc mandoc; do
    command -v $tool >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 77; }
done
"$here/man_options.sh" "$keyline"
source "$here/lib.sh"
for source in "$pages"/*.scd; do
    page=$(basename "$source" .scd)
    scdoc <"$source" | awk -f "$pages/tidy.awk" >"$page"
    mandoc -T lint "$page" || failed=1
done
# Every exit status, every command and every variable is told.
text=$(mandoc -T ascii -O width=200 keyline.1 | sed 's/.\x08//g')
for command in $("$keyline" complete -- "" | cut -f1); do
    grep -q "keyline $command" <<<"$text" || { echo "FAILED: keyline(1) lacks $command"; failed=1; }
done
for name in $(grep -rhoE 'getenv\("[A-Z_]+"\)' "$here/../../src" --include='*.c' | sed 's/.*"\(.*\)".*/\1/' | sort -u); do
    case $name in TERM | SSH_* | LOGNAME | SUDO_USER | USER) continue ;; esac
    grep -q "$name" <<<"$text" || { echo "FAILED: keyline(1) lacks the variable $name"; failed=1; }
done
for status in $(sed -n 's/.*KL_EXIT_[A-Z_]* = \([0-9]\).*/\1/p' "$here/../../include/keyline/exit.h"); do
    sed -n '/^EXIT STATUS/,/^SIGNALS/p' <<<"$text" | grep -xE " +$status" >/dev/null || { echo "FAILED: keyline(1) lacks the exit status $status"; failed=1; }
done
exit "$failed"
