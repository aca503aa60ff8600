# lib.sh: a terminal, virtual boards and a folder, all gone at the end. Nothing here waits for a
# time: `retry` looks until something is so, and fails the test after a minute and a half.

keyline=$1 write_images=$2
here=$(dirname "$0")
program=$(readlink -f "$keyline")

for tool in tmux pgrep ps python3; do
    command -v $tool >/dev/null || {
        echo "SKIPPED: $tool is not installed"
        exit 77
    }
done

dir=$(mktemp -d)
export TMUX_TMPDIR=$dir LC_ALL=C.UTF-8 TMPDIR=$dir XDG_STATE_HOME=$dir/state
unset TMUX NO_COLOR XDG_RUNTIME_DIR

t() {
    tmux -L "keyline-$$" -f /dev/null "$@" 9>&-
}

finish() {
    status=$?
    if [ $status -ne 0 ]; then
        echo "--- screens of $case"
        for s in $(t list-sessions -F '#S' 2>/dev/null); do
            echo "session $s"
            t capture-pane -p -t "=$s:" || true
        done
    fi
    t kill-server 2>/dev/null || true
    # shellcheck disable=SC2046
    kill $(station) 2>/dev/null # one that works, and one that only asks
    for _ in $(seq 600); do
        station >/dev/null || break
        sleep 0.1
    done
    [ -n "${boards_pid:-}" ] && kill "$boards_pid" 2>/dev/null
    [ -n "${peer_pid:-}" ] && kill "$peer_pid" 2>/dev/null
    wait
    rm -rf "$dir"
    exit $status
}
trap finish EXIT

fail() {
    echo "FAILED: $*"
    exit 1
}

# retry WHAT COMMAND…
retry() {
    local what=$1 i
    shift
    for i in $(seq 900); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    fail "not seen: $what"
}

not() {
    ! "$@"
}

# ---- boards, keys, a station ----------------------------------------------------------------------

# boards N [options of keyline virtual…]
boards() {
    mkfifo "$dir/control"
    "$keyline" virtual --boards "$@" --listen 127.0.0.1:0 --control \
        <"$dir/control" >"$dir/boards" &
    boards_pid=$!
    exec 9>"$dir/control"
    retry "the boards' ports" grep -q ^ready "$dir/boards"
    ports=$(awk '/^board/ && !seen[$2]++ { print "--port", $3 }' "$dir/boards" | tr '\n' ' ')
}

board() {
    echo "$*" >&9
}

stored_are() {
    [ "$(grep -c '^event [0-9]* stored' "$dir/boards")" -ge "$1" ]
}

keys() {
    seq "$1" | awk '{ printf "dev-%04d,0011%04x,aabb%04x\n", $1, $1, $1 }' >"$dir/keys.csv"
}

# Journals of keys: a test must not find those of another.
export XDG_STATE_HOME=$dir/state
"$write_images" "$dir" || exit 1
keys 30

# The words that start keyline on this test's files.
on_files="--csv-file $dir/keys.csv"
with_images="$on_files --volatile --firmware $dir/firmware.bin"

# The station is a session of its own, without a terminal.
station() {
    ps -eo pid=,sid=,tty=,args= | awk -v words="$keyline $with_images" \
        'index($0, words) && $1 == $2 && $3 == "?" && !/tmux/ { print $1; found = 1 } END { exit !found }'
}

station_gone() {
    ! station
}

# ---- the terminal ---------------------------------------------------------------------------------

# open NAME ROWS COLS COMMAND…: a shell in a terminal of its own, which then runs the command.
open() {
    local name=$1 rows=$2 cols=$3
    shift 3
    t new-session -d -s "$name" -x "$cols" -y "$rows" "PS1='prompt> ' exec sh"
    t set-option -g status off >/dev/null
    t resize-window -t "=$name:" -x "$cols" -y "$rows"
    [ $# -eq 0 ] || run "$name" "$*"
}

# run NAME TEXT: types a line.
run() {
    t send-keys -t "=$1:" -l "$2"
    t send-keys -t "=$1:" Enter
}

press() {
    local name=$1
    shift
    t send-keys -t "=$name:" "$@"
}

# press_until_gone NAME KEY TEXT: an answer counts only when its question stood for a while.
press_until_gone() {
    retry "the end of '$3' on $1" eval "t send-keys -t '=$1:' '$2'; not shows '$1' '$3'"
}

# leave NAME: q was pressed; Enter until the shell's screen is back
leave() {
    see "$1" "leave it running"
    retry "the shell on $1" eval \
        "t send-keys -t '=$1:' Enter; shows '$1' 'keyline attach --csv-file'"
}

# stop NAME: leaves, and stops the station
stop() {
    press "$1" q
    see "$1" "To stop it too"
    retry "'stop' typed on $1" eval \
        "t send-keys -t '=$1:' BSpace BSpace BSpace BSpace; t send-keys -t '=$1:' -l stop; sleep 0.1; shows '$1' 'stay    stop_'"
    press "$1" Enter
}

screen() {
    t capture-pane -p -t "=$1:"
}

shows() {
    screen "$1" | grep -qF -e "$2"
}

# see NAME TEXT
see() {
    retry "'$2' on $1" shows "$1" "$2"
}

gone() {
    retry "the end of '$2' on $1" not shows "$1" "$2"
}

shell_of() {
    t display-message -p -t "=$1:" '#{pane_pid}'
}

# The dashboard's parent: the shell's child.
parent() {
    pgrep -o -P "$(shell_of "$1")"
}

# The dashboard's worker: the child of the shell's child, in the terminal's own session.
worker() {
    pgrep -s "$(shell_of "$1")" -P "$(parent "$1")"
}

# What is typed before the dashboard's processes have ended is thrown away, so it is typed again. The quotes: the shell's echo of
# this is no answer.
answers() {
    run "$1" "stty -a | grep -qE -- '-(echo|icanon|opost|onlcr)( |;|\$)' && echo terminal=bro''ken || echo terminal=go''od"
    for _ in $(seq 20); do
        shows "$1" "terminal=good" && return
        sleep 0.1
    done
    return 1
}

usable() {
    retry "the shell's own screen" not alternate "$1"
    retry "'terminal=good' on $1" answers "$1"
    [ "$(t display-message -p -t "=$1:" '#{cursor_flag}')" = 1 ] || fail "no cursor"
    shows "$1" NDELAY && fail "the shell had to make its terminal blocking again"
    return 0
}

alternate() {
    [ "$(t display-message -p -t "=$1:" '#{alternate_on}')" = 1 ]
}
