#!/bin/sh
# documented.sh: every message that the board's half can print, and no other error, is in the table
# of docs/firmware.md.
set -eu
cd "$(dirname "$0")/../.."
said=$(grep -oE '(refuse|give_up)\(p, "[^"]*"\)' firmware/provisioning/provisioning.c |
    sed 's/.*"\(.*\)".*/Error: \1/'; echo 'Error: expected N fields, got M')
told=$(grep -oE '^\| `Error: [^`]*`' docs/firmware.md | sed 's/^| `//; s/`$//' | grep -v '…')
said=$(printf '%s\n' "$said" | sort -u)
told=$(printf '%s\n' "$told" | sort -u)
[ "$said" = "$told" ] && exit 0
printf 'printed by the code:\n%s\n\nin docs/firmware.md:\n%s\n' "$said" "$told"
exit 1
