# lib.sh: for tests of the program as typed. Needs $keyline.
folder=$(mktemp -d)
export XDG_STATE_HOME=$folder/state # journals of keys: not those of other tests
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit
export HOME=$folder XDG_CONFIG_HOME=$folder/config XDG_STATE_HOME=$folder/state
unset KEYLINE_CONFIG NO_COLOR
failed=0

# says WORDS COMMAND...: what it prints holds these words, on whichever of the two outputs.
says() {
    local words=$1 output
    shift
    output=$("$@" 2>&1 </dev/null) || true
    case "$output" in *"$words"*) return ;; esac
    printf 'FAILED: "%s" does not say "%s":\n%s\n' "$*" "$words" "$output"
    failed=1
}

lacks() {
    local words=$1 output
    shift
    output=$("$@" 2>&1 </dev/null) || true
    case "$output" in *"$words"*) printf 'FAILED: "%s" says "%s":\n%s\n' "$*" "$words" "$output"; failed=1 ;; esac
}

# ends STATUS COMMAND...
ends() {
    local status=$1 got=0
    shift
    "$@" >output 2>&1 </dev/null || got=$?
    [ "$got" = "$status" ] && return
    printf 'FAILED: "%s" ends with %s, not %s:\n' "$*" "$got" "$status"
    cat output
    failed=1
}
