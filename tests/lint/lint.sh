#!/usr/bin/env bash
# lint.sh CHECK BUILD: one thing about the sources that a machine can judge. Prints what it finds
# and ends with 1; with 77 if the tool for it is not installed. BUILD holds compile_commands.json
# and libkl_core.a.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.." || exit
check=$1 build=${2:-build/release}

# A public header belongs to the lowest layer that has its .c file, but for these.
declare -A layer_of=([io]=core [exit]=core [words]=core [virtual_server]=virtual)
layers="core adapters virtual shell faces"
declare -A below=([core]="core" [adapters]="core adapters" [virtual]="core adapters virtual"
    [shell]="core adapters shell" [faces]="$layers")
for header in include/keyline/*.h; do
    name=$(basename "$header" .h)
    for layer in $layers; do
        [ -n "${layer_of[$name]:-}" ] && break
        [ -n "$(find "src/$layer" -name "$name*.c" -print -quit)" ] && layer_of[$name]=$layer
    done
done

# The headers that a layer may include, as a pattern.
seen_by() {
    local name
    for name in "${!layer_of[@]}"; do
        case " ${below[$1]} " in *" ${layer_of[$name]} "*) echo "$name" ;; esac
    done | paste -sd'|'
}

found=$(mktemp)
trap 'rm -f "$found"' EXIT

# finding TITLE: what comes in is what was found; nothing is fine.
finding() {
    local lines
    lines=$(cat)
    [ -z "$lines" ] || printf '%s\n%s\n\n' "$1" "$lines" | tee -a "$found"
}

need() {
    command -v "$1" >/dev/null && return
    echo "SKIPPED: $1 is not installed"
    exit 77
}

# All files that belong to the project, with these endings.
sources() {
    local pattern
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git ls-files -co --exclude-standard -- "$@"
    else
        for pattern in "$@"; do
            find . \( -name build -o -name .git \) -prune -o -name "$pattern" -printf '%P\n'
        done
    fi | grep -v '^tests/firmware/stand-in/' | while read -r file; do [ -e "$file" ] && echo "$file"; done
}

# ---- what may include what ---------------------------------------------------------------------

lint_layers() {
    local layer name
    for layer in $layers; do
        grep -nE '#include "keyline/' -r "src/$layer" | grep -vE "\"keyline/($(seen_by "$layer"))\.h\"" |
            finding "src/$layer includes a header of a layer above it (docs/architecture.md):"
        grep -nE '#include "' -r "src/$layer" | grep -vE '"keyline/' |
            while IFS= read -r line; do
                name=$(sed 's/.*"\(.*\)".*/\1/' <<<"$line")
                case "$name" in
                "$layer"/*) [ -e "src/$name" ] ;;
                *) [ -e "$(dirname "${line%%:*}")/$name" ] || [ -e "firmware/provisioning/$name" ] ;;
                esac || echo "$line"
            done | finding "src/$layer includes a private header of another layer, or not by its path:"
    done
    for name in "${!layer_of[@]}"; do
        grep -HnE '#include "keyline/' "include/keyline/$name.h" |
            grep -vE "\"keyline/($(seen_by "${layer_of[$name]}"))\.h\""
    done | finding "a header includes one of a layer above it:"
    for header in include/keyline/*.h; do
        name=$(basename "$header" .h)
        [ -n "${layer_of[$name]:-}" ] || echo "$header"
    done | finding "headers that no layer has a .c file for (see tests/lint/lint.sh):"
    find src -name '*.[ch]' -printf '%f\n' | sort | uniq -d | finding "two files have one name:"
    for name in "${!layer_of[@]}"; do
        [ "${layer_of[$name]}" = core ] && echo "include/keyline/$name.h"
    done | xargs grep -nE '#include <' -r src/core |
        grep -vE '<(limits|stdarg|stdbool|stddef|stdint|string)\.h>|^src/core/base\.c:[0-9]+:#include <stdio\.h>' |
        finding "core includes something beyond the C library's freestanding-style headers:"
    grep -nE '#include <(curses|ncurses|ncursesw)' -r src | grep -v '^src/faces/dashboard/terminal.c' |
        finding "ncurses outside of src/faces/dashboard/terminal.c:"
    grep -nE '#include <(sqlite3|libserialport|libdeflate|sodium)\.h' -r src | grep -v '^src/adapters/' |
        finding "a library of the adapters outside of them:"
    grep -nE '#include <sqlite3\.h|#include "(keyline/csv|.*(csv_|ledger).*)\.h"' -r src |
        grep -vE '^src/adapters/(store/|host/versions\.c)' |
        finding "only the store knows CSV rows and opens the ledger (keyline/store.h is for the others):"
    grep -nE '#include <libpq-fe\.h' -r src | grep -v '^src/adapters/fleet/pq\.h:' |
        finding "PostgreSQL outside of src/adapters/fleet/pq.h:"
    grep -nE '#include "keyline/|#include <(uv|stdio|stdlib|unistd)\.h' -r firmware/provisioning --include='*.[ch]' |
        finding "firmware/provisioning is not portable:"
}

# The core links nothing but the C library, and of that only what needs no operating system.
lint_core() {
    local cc=${CC:-cc} library=$build/libkl_core.a
    [ -e "$library" ] || { echo "$library is not built"; exit 1; }
    echo 'int main(void) { return 0; }' |
        "$cc" -x c - -o /dev/null -nodefaultlibs -Wl,--no-undefined -Wl,--whole-archive -x none "$library" \
            -Wl,--no-whole-archive -lc -lgcc 2>&1 | finding "the core does not link with libc alone:"
    nm -A "$library" | awk '
        $(NF-1) == "U" { wanted[$NF] = 1 }
        $(NF-1) ~ /^[TtDdBbRrCVW]$/ { have[$NF] = 1 }
        END { for (s in wanted) if (!(s in have)) print s }' |
        grep -vE '^(mem(cpy|set|cmp|move|chr)|str(len|cmp|ncmp|chr|str|nlen|rchr|spn|cspn)|vsnprintf|__vsnprintf_chk|__stack_chk_(fail|guard)|_GLOBAL_OFFSET_TABLE_|__(memcpy|memset|memmove)_chk|__aeabi_.*|__u?(div|mod)[a-z]*[0-9]|__popcount.*)$' |
        finding "the core needs symbols that are not plain C:"
    # Of stdio only the formatter that writes to a buffer, and that in one place.
    nm -A "$library" | awk '$(NF-1) == "U" && $NF ~ /printf/ { print $1, $NF }' |
        grep -vE ':base\.c\.o:? (__)?vsnprintf(_chk)?$' | finding "the core formats by kl_format() alone:"
}

# What a board says leaves the core through its console alone (src/core/console.h): only that masks,
# only those that judge lines see them whole, and nobody else makes a note or a fault of what was heard.
lint_text() {
    local library=$build/libkl_core.a
    [ -e "$library" ] || { echo "$library is not built"; exit 1; }
    nm -A "$library" | awk '$(NF-1) == "U" && $NF ~ /^kl_(mask_|harmless|said_|bootlog_line)/ { print $1, $NF }' |
        grep -vE ':(console|handover)\.c\.o:? ' | finding "only the console masks and judges what a board says:"
    nm -A "$library" | awk '$(NF-1) == "U" && $NF ~ /^kl_(mask_|harmless)/ { print $1, $NF }' |
        grep -vE ':console\.c\.o:? ' | finding "only the console shows what a board says:"
    nm -A "$library" | awk '$(NF-1) == "U" && $NF ~ /^kl_console_(detail|near_prompt|answer|refusal|next)$/ { print $1, $NF }' |
        grep -vE ':(board(_[a-z]+)?|delivery|loader_connect)\.c\.o:? ' | finding "only a board's life tells what its console shows:"
    grep -nE '\.(text|value|name|word)\b|->(text|value|name|word)\b' src/core/loader*.c src/core/board*.c src/core/station*.c src/core/delivery.c |
        grep -E '\bline(\.|->)' | finding "a line as it was heard, outside of the console:"
    grep -nE 'rx\.(data|size)' src/core/*.c | grep -vE 'kl_board_rx\(' | finding "bytes of a board go to its console only:"
}

# What lies in the process that holds keys. libpq and what it brings comes with the shared pool alone.
lint_libraries() {
    local program=$build/keyline module=$build/postgresql.so
    [ -x "$program" ] && [ -e "$module" ] || { echo "$program or $module is not built"; exit 1; }
    ldd "$program" | grep -E 'lib(pq|ssl|crypto|gssapi|krb5|k5crypto|ldap|lber|sasl|gnutls|p11-kit)' |
        finding "libraries of libpq in a program that may need no PostgreSQL (src/adapters/fleet/pq.h):"
    ldd "$module" | grep -q 'libpq\.so' || finding "a module that should have libpq:" <<<"$module"
    nm -D --defined-only "$module" | awk '$NF != "kl_pq_module" { print $NF }' |
        finding "the module exports more than its table:"
}

# ---- size and habit ----------------------------------------------------------------------------

lint_sizes() {
    sources '*.c' '*.h' | xargs awk '
        FNR == 1 { start = 0 }
        FNR == 801 { print FILENAME ": more than 800 lines" }
        /^\{/ { start = FNR }
        /^\}/ { if (start && FNR - start > 71) print FILENAME ":" start ": a function of " FNR - start - 1 " lines"; start = 0 }' |
        finding "too long (files 800 lines, functions 70):"
    grep -nwE 'TODO|FIXME|XXX|HACK' -r src include firmware --include='*.[ch]' | finding "left for later:"
    sources '*.c' '*.h' '*.sh' '*.md' | xargs grep -nP '\t' /dev/null | finding "tabs:"
    sources '*.c' '*.h' '*.sh' '*.md' '*.txt' '*.cmake' | xargs grep -nE ' +$' /dev/null |
        finding "blanks at the end of a line:"
    for file in $(sources '*.c' '*.h' '*.sh' '*.md' '*.txt' '*.cmake'); do
        [ -z "$(tail -c 1 "$file")" ] || echo "$file"
    done | finding "the last line does not end:"
}

# Calls with a better way, and what would break a promise (docs/custody.md, docs/architecture.md).
lint_calls() {
    local calls='gets|strcat|strcpy|stpcpy|strncpy|strncat|sprintf|vsprintf|strtok|ato[ifl]|atoll|s?rand|random|alloca|tmpnam|mktemp|tempnam|localtime|gmtime|ctime|asctime'
    grep -nE "(^|[^a-zA-Z0-9_])($calls)\(" -r src firmware/provisioning --include='*.[ch]' |
        grep -vE '^[^:]*:[0-9]+: *(/\*|\* |//)' | finding "calls that are not used here:"
    grep -nE '(^|[^a-zA-Z0-9_])(system|popen|execl?[vpe]*)\(' -r src --include='*.c' |
        grep -vE '^src/faces/(stream/hook|cli/cli_attach|cli/cli_demo|cli/cli_station)' | finding "starts another program:"
    grep -nE '(^|[^a-zA-Z0-9_])(malloc|calloc|realloc|free|printf|time|clock_gettime|getenv)\(' -r src/core |
        finding "the core allocates, prints or looks at the world:"
}

# The core's structs stay small enough to be seen whole, and its functions say what they rely on.
lint_rooms() {
    find src/core include/keyline -name '*.[ch]' | sort | xargs awk -f tests/lint/structs.awk |
        finding "structs of the core with more than 24 members or 6 flags:"
    awk '/^\{/ { functions++ }
        { asserts += gsub(/KL_ASSERT\(/, "") }
        END { if (asserts * 2 < functions) print functions " functions, " asserts " assertions" }' \
        src/core/*.c | finding "the core asserts in fewer than one of two functions:"
}

# Every public header can be read alone, and twice.
lint_headers() {
    local header cc=${CC:-cc}
    for header in include/keyline/*.h; do
        case "$header" in *_state.h) continue ;; esac # the inside of the header that includes it
        printf '#include "%s"\n#include "%s"\n' "${header#include/}" "${header#include/}" |
            "$cc" -std=c11 -D_GNU_SOURCE -Iinclude -Ifirmware/provisioning -fsyntax-only -Wall -Wextra \
                -Werror -x c - 2>&1 | head -3
    done | finding "headers that can't be read alone:"
}

lint_format() {
    need clang-format
    sources '*.c' '*.h' | xargs clang-format --dry-run 2>&1 | grep 'warning:' | head -20 |
        finding "not formatted (./run format):"
}

lint_scripts() {
    need shellcheck
    { echo run; echo .ci/run; sources '*.sh'; } | xargs shellcheck -x -s bash -S warning -e SC2034,SC2046,SC2154 | finding "shellcheck:"
}

# A Raspberry Pi of 32 bits: other sizes of long, size_t and off_t, the same warnings.
lint_arm() {
    need arm-linux-gnueabihf-gcc
    sed -n 's/^ *"command": "\(.*\)",$/\1/p' "$build/compile_commands.json" |
        grep -E ' -c [^ ]*/(src|firmware/provisioning)/[^ ]*\.c$' |
        sed -E 's/^[^ ]+/arm-linux-gnueabihf-gcc/; s/ -o [^ ]+//; s/\\"/"/g; s/\\\\/\\/g; s/$/ -o \/dev\/null -idirafter \/usr\/include/' |
        xargs -d '\n' -P"$(nproc)" -I{} bash -c '{}' 2>&1 | grep -E 'error|warning' | head -20 |
        finding "it does not compile for ARM of 32 bits:"
}

# ---- what the documents say --------------------------------------------------------------------

# Lines of code blocks, comments and prompts taken off.
commands() {
    sources '*.md' | grep -v '^docs/esp-serial-protocol.md' | xargs awk '
        /^ *```/ { code = !code; next }
        code { sub(/^ *\$ /, ""); sub(/ +#.*/, ""); print FILENAME ": " $0 }'
}

lint_docs() {
    local program=$build/keyline name verbs help
    sed -n '/define KL_STATES/,/CLOSING/s/.*X([A-Z]*, "\([a-z]*\)".*/\1/p' include/keyline/station.h |
        while read -r name; do grep -q "$name" docs/states.md || echo "$name"; done |
        finding "states that docs/states.md lacks:"
    sources '*.md' | while read -r name; do
        grep -oE '\]\([^)#:]+' "$name" | cut -c3- | while read -r link; do
            case "$link" in http*) continue ;; esac
            [ -e "$(dirname "$name")/$link" ] || echo "$name: $link"
        done
    done | finding "links to nowhere:"
    verbs=$(./run help | sed -n 's/^  \([a-z-]*\)  .*/\1/p' | tr '\n' '|')
    commands | grep -oE '^[^:]*:.*\./run [a-z-]+' | grep -vE "\./run (${verbs}help)$" |
        finding "documents tell of ./run verbs that do not exist:"
    [ -x "$program" ] || return
    diff <("$program" --list-faults) <(grep '^|' docs/faults.md) |
        finding "docs/faults.md is not what keyline --list-faults prints:"
    help=$({ "$program" --help; for name in virtual ports keys check attach demo doctor pool verify; do "$program" "$name" --help; done; } 2>&1)
    commands | grep -E '(^|[ /])keyline ' | while IFS= read -r line; do
        grep -oE -- ' --[a-z][a-z_-]*' <<<"$line" | while read -r name; do
            grep -qE -- "(^|[ ,])$name([ ,=]|\$)" <<<"$help" || echo "$line ($name)"
        done
    done | finding "documents tell of options that keyline does not have:"
}

# ---- analysers ---------------------------------------------------------------------------------

# clang-tidy again only over files that changed since it last found nothing in them.
tidy() {
    local file=$1 build=$2 stamp output
    stamp=$build/tidy/$({ cat "$file" include/keyline/*.h "$(dirname "$file")"/*.h .clang-tidy
        clang-tidy --version; } 2>/dev/null | sha256sum | cut -c1-32)
    [ -e "$stamp" ] && return
    output=$(clang-tidy -p "$build" --quiet "$file" 2>&1 | grep -E 'warning:|error:')
    if [ -z "$output" ]; then touch "$stamp"; else echo "$output"; fi
}
export -f tidy

lint_tidy() {
    need clang-tidy
    mkdir -p "$build/tidy"
    sources '*.c' | grep -E '^(src|firmware/provisioning)/' |
        xargs -P"$(nproc)" -I{} bash -c 'tidy "$@"' - {} "$build" | sort -u | finding "clang-tidy:"
}

lint_cppcheck() {
    need cppcheck
    mkdir -p "$build/cppcheck"
    # It does not see that KL_ASSERT ends the program, nor that sizeof does not follow a pointer.
    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
        --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
        --suppress=nullPointerArithmetic --suppress=nullPointerArithmeticRedundantCheck \
        --suppress=nullPointerRedundantCheck --suppress=ctunullpointer --suppress=uninitvar \
        --cppcheck-build-dir="$build/cppcheck" -j"$(nproc)" -D_GNU_SOURCE -Iinclude -Isrc -Ifirmware/provisioning \
        src firmware/provisioning 2>&1 | finding "cppcheck:"
}

if ! declare -F "lint_$check" >/dev/null; then
    echo "usage: lint.sh $(declare -F | sed -n 's/.* lint_//p' | paste -sd'|') BUILD" >&2
    exit 2
fi
"lint_$check"
[ ! -s "$found" ]
