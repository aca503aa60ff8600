#!/usr/bin/env bash
# completion.sh KEYLINE: Tab in bash, zsh and fish, and what keyline itself offers.
set -euo pipefail
keyline=$1
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/src/packaging/completion
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
mkdir -p bin files/folder
ln -s "$keyline" bin/keyline
PATH=$folder/bin:$PATH
touch files/keys.csv

# ---- what keyline offers -----------------------------------------------------------------------

says "attach" keyline complete -- ""
says "help" keyline complete -- ""
says "release" keyline complete -- keys ""
says "release" keyline complete -- --csv-file x keys r
lacks "status" keyline complete -- keys r
says "--csv-file" keyline complete -- --csv
says "--reason" keyline complete -- keys --re
lacks "--firmware" keyline complete -- keys --
says "readback" keyline complete -- --confirm ""
says "--confirm=ack" keyline complete -- --confirm=a
says ":files" keyline complete -- --csv-file ""
says ":folders" keyline complete -- --log-dir ""
says "esp32s3" keyline complete -- --chip esp32s
says "doctor" keyline complete -- help d
says "csv-file" keyline complete -- config csv-f
says "never_asks" keyline complete -- virtual --fault never
says "original" keyline complete -- virtual --firmware ori
says "nvs" keyline complete -- --deliver ""
says "merge" keyline complete -- --nvs ""
says ":files" keyline complete -- --nvs-schema ""
says "diff" keyline complete -- nvs ""
says ":files" keyline complete -- nvs show ""
says ":files" keyline complete -- nvs diff one.bin ""
says "reopen" keyline complete -- pool ""
says ":files" keyline complete -- pool import ""
says "spent" keyline complete -- pool settle --as ""
lacks "chirpstack" keyline complete -- pool settle --as ""
says "--as=chirpstack" keyline complete -- pool export --as=c
lacks "spent" keyline complete -- pool export --as ""
# A pool is a service of libpq; nothing else of it is known without its database, which is not asked.
printf '# mine\n[lamps]\nhost=192.0.2.1\n  [test]\n[broken\n' >services
export PGSERVICEFILE=$PWD/services
says "lamps" keyline complete -- pool status --pool ""
says "--pool=test" keyline complete -- --pool=t
says "lamps" keyline complete -- fleet ""
lacks "broken" keyline complete -- fleet ""
ends 0 keyline complete -- pool lost --pool lamps ""
ends 2 keyline complete
ends 0 keyline complete -- keys release ""
# Every option of every command is offered, and belongs to its help.
for command in $("$keyline" complete -- "" | cut -f1 | grep -vx help); do
    for option in $(keyline complete -- "$command" -- | cut -f1); do
        says "$option" keyline help "$command"
    done
done

# ---- bash --------------------------------------------------------------------------------------

# in_bash LINE: what Tab at its end offers.
in_bash() {
    bash --norc -c '
        source "$1/keyline.bash"
        compopt() { :; }
        COMP_LINE=$2 COMP_POINT=${#2}
        _keyline
        printf "%s\n" "${COMPREPLY[@]}"' - "$scripts" "$1"
}
# equals WHAT EXPECTED GOT
equals() {
    [ "$2" = "$3" ] && return
    printf 'FAILED: %s:\n  expected: %s\n  offered: %s\n' "$1" "$2" "$3"
    failed=1
}
equals "bash, a command" attach "$(in_bash "keyline att")"
equals "bash, a verb" release "$(in_bash "keyline --csv-file x keys rel")"
equals "bash, an option" --csv-header "$(in_bash "keyline check --csv-h")"
equals "bash, a word" readback "$(in_bash "keyline --confirm r")"
equals "bash, a word after =" readback "$(in_bash "keyline --confirm=r")"
equals "bash, a file" files/keys.csv "$(in_bash "keyline --csv-file files/k")"
equals "bash, a file after =" files/keys.csv "$(in_bash "keyline --csv-file=files/k")"
equals "bash, a folder" files/folder "$(in_bash "keyline --log-dir files/")"

# ---- zsh ---------------------------------------------------------------------------------------

if command -v zsh >/dev/null; then
    # Runs the function with what it would be given, and says what it adds.
    in_zsh() {
        zsh -f -c '
            words=("${@:2}") CURRENT=$#words
            compadd() { shift $#@-1; print -l -- "${(@P)1}" }
            compset() { : }
            _files() { print -- files "$@" }
            source "$1/_keyline"' - "$scripts" "$@" 2>&1
    }
    equals "zsh, a command" attach "$(in_zsh keyline att)"
    equals "zsh, a verb" release "$(in_zsh keyline --csv-file x keys rel)"
    equals "zsh, a word after =" --confirm=readback "$(in_zsh keyline --confirm=r)"
    equals "zsh, a file" files "$(in_zsh keyline --csv-file f)"
    equals "zsh, a folder" "files -/" "$(in_zsh keyline --log-dir f)"
else
    echo "zsh is not installed: not tried"
fi

# ---- fish --------------------------------------------------------------------------------------

if command -v fish >/dev/null; then
    in_fish() {
        fish --no-config -c 'source $argv[1]/keyline.fish; complete -C $argv[2] | string split -f1 \t' "$scripts" "$1"
    }
    equals "fish, a command" attach "$(in_fish "keyline att")"
    equals "fish, a verb" release "$(in_fish "keyline --csv-file x keys rel")"
    equals "fish, an option" --csv-header "$(in_fish "keyline check --csv-h")"
    equals "fish, a word" readback "$(in_fish "keyline --confirm r")"
    equals "fish, a file" files/keys.csv "$(in_fish "keyline --csv-file files/k")"
else
    echo "fish is not installed: not tried"
fi

exit "$failed"
