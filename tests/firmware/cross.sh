#!/bin/sh
# cross.sh LIMIT COMPILER FLAG...: compiles firmware/provisioning for a bare board, prints its size,
# and fails if it is LIMIT bytes or more, has variables of its own, or needs anything of the C
# library but string.h. Exit status 77 (skipped) if the compiler is not installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$here/../../firmware/provisioning
limit=$1 compiler=$2
shift 2

if ! command -v "$compiler" >/dev/null; then
    echo "skipped: no $compiler (Debian: gcc-${compiler%-gcc})"
    exit 77
fi
tools=${compiler%gcc}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

for file in "$source"/*.c; do
    "$compiler" "$@" -Os -std=c99 -ffreestanding -Wall -Wextra -Wpedantic -Wconversion \
        -Wno-sign-conversion -Werror -isystem "$here/stand-in/libc" \
        -c "$file" -o "$out/$(basename "$file" .c).o"
done

"${tools}size" -t "$out"/*.o
code=$("${tools}size" -t "$out"/*.o | awk 'END { print $1 }')
variables=$("${tools}size" -t "$out"/*.o | awk 'END { print $2 + $3 }')
foreign=$("${tools}nm" -u "$out"/*.o | awk '$1 == "U" { print $2 }' | sort -u |
    grep -vE '^(memchr|memcpy|memmove|memset|strlen|__u(div|mod)si3|__lshrdi3|kl_prov_[a-z0-9_]*)$' || true)

echo "$compiler $*: $code bytes of code and constants, $limit allowed"
[ "$code" -lt "$limit" ] || { echo "too large"; exit 1; }
[ "$variables" -eq 0 ] || { echo "has variables: $variables bytes"; exit 1; }
[ -z "$foreign" ] || { echo "needs: $foreign"; exit 1; }
