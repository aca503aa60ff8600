#!/usr/bin/env bash
# lint.sh BUILD: everything about the sources that a machine can judge. BUILD holds
# compile_commands.json. Exit status 1 if anything is found.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=$1
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT

sources() { git ls-files -co --exclude-standard "$@" | grep -v '^tests/firmware/stand-in/' | xargs -r ls 2>/dev/null; }
found() { # found TITLE: fails if there is any input
    local lines
    lines=$(cat)
    [ -z "$lines" ] && return
    printf '%s\n%s\n\n' "$1" "$lines" | tee -a "$findings"
}

sources '*.c' '*.h' | xargs clang-format --dry-run 2>&1 | grep 'warning:' | head -20 |
    found "not formatted (./run format):"

# Layers: each includes only itself, those below, and what docs/architecture.md grants it.
grep -nE '^#include' src/core/*.[ch] |
    grep -vE '<(limits|stdarg|stdbool|stddef|stdint|string)\.h>|"keyline/(base|board|bootlog|bundle|chip|fault|handover|handover_state|io|key|loader|loader_state|mask|pool|slip|station)\.h"|"[a-z_]+\.h"' |
    found "core includes something that is not the core's:"
grep -nE '#include <(curses|ncurses|ncursesw)' -r src --include='*.[ch]' | grep -v '^src/faces/terminal.c' |
    found "ncurses outside of src/faces/terminal.c:"
grep -nE '#include <(sqlite3|libserialport)' -r src --include='*.[ch]' | grep -v '^src/adapters/' |
    found "SQLite or libserialport outside of the adapters:"
grep -nE '#include "keyline/(cli|dashboard|view|wire|shell)\.h"' src/adapters/*.[ch] src/virtual/*.[ch] 2>/dev/null |
    found "a lower layer includes a higher one:"

# The core links nothing but the C library.
library=$(find "$build" -maxdepth 1 -name libkl_core.a)
nm -A "$library" 2>/dev/null | awk '
    $(NF-1) == "U" { wanted[$NF] = 1 }
    $(NF-1) ~ /^[TtDdBbRrCVW]$/ { have[$NF] = 1 }
    END { for (s in wanted) if (!(s in have)) print s }' |
    grep -vE '^(mem(cpy|set|cmp|move|chr)|str(len|cmp|ncmp|chr|str|nlen|rchr|cpy)|__stack_chk_fail|__asan_.*|__ubsan_.*|_GLOBAL_OFFSET_TABLE_|__(memcpy|memset|memmove|strcpy|strcat)_chk)$' |
    found "the core needs symbols that are not plain C:"

# Size: a module has one job, a function fits a screen.
sources '*.c' '*.h' | grep -E '^(src|include|firmware)/' | xargs wc -l |
    awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines" }' | found "files past 800 lines:"
sources '*.c' | grep -E '^(src|firmware)/' | xargs awk '
    FNR == 1 { start = 0 }
    /^\{/ { start = FNR }
    /^\}/ { if (start && FNR - start > 71) print FILENAME ":" start ": " FNR - start - 1 " lines"; start = 0 }' |
    found "functions past 70 lines:"

grep -nE 'TODO|FIXME|XXX|HACK' -r src include firmware --include='*.[ch]' | found "left for later:"
grep -nP '\t' -r src include firmware --include='*.[ch]' | found "tabs:"

# Every public header can be read alone.
for header in include/keyline/*.h; do
    case "$header" in *_state.h) continue ;; esac
    echo "#include \"${header#include/}\"" |
        clang -std=c11 -D_GNU_SOURCE -Iinclude -Ifirmware/provisioning -fsyntax-only -Wall -x c - 2>&1 | head -3
done | found "headers that do not compile alone:"

# Every fault is documented.
if [ -e docs/faults.md ]; then
    sed -n 's/^ *X([A-Z0-9_]*, *"\([a-z_0-9]*\)".*/\1/p' include/keyline/fault.h | grep -v '^none$' |
        while read -r name; do grep -q "$name" docs/faults.md || echo "$name"; done |
        found "faults that docs/faults.md lacks:"
fi

# clang-tidy, only over files that changed since it last found nothing.
mkdir -p "$build/tidy"
tidy() {
    local file=$1 stamp
    stamp=$2/tidy/$( { cat "$file" include/keyline/*.h .clang-tidy; clang-tidy --version; } | sha256sum | cut -c1-32)
    [ -e "$stamp" ] && return 0
    if output=$(clang-tidy -p "$2" --quiet "$file" 2>/dev/null) && [ -z "$(grep -E 'warning:|error:' <<<"$output")" ]; then
        touch "$stamp"
    else
        grep -E 'warning:|error:' <<<"$output"
    fi
}
export -f tidy
sources '*.c' | grep -E '^(src|firmware/provisioning)/' |
    xargs -P"$(nproc)" -I{} bash -c 'tidy {} '"$build" | sort -u | found "clang-tidy:"

cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches -j2 -Iinclude -Isrc/core -Ifirmware/provisioning \
    --error-exitcode=0 src firmware/provisioning 2>&1 | found "cppcheck:"

[ -s "$findings" ] && exit 1
echo "lint: nothing found"
