# station_lib.sh, for `source` after lib.sh: stations as programs, on virtual boards and a real database.
#
#   boards NAME N MAC [OPTION…]  N virtual boards behind control; url NAME I, command NAME WORDS…
#   station NAME OPTION…         runs to its end: output in NAME.out, events in NAME.events
#   station_start NAME OPTION…   goes on; station_stop NAME ends it in order
#   await WHAT PATTERN FILE      until a line of the file has the pattern; fails after two minutes

images() {
    [ -f "$work/firmware.bin" ] || "$keyline" virtual --images "$work" >/dev/null || fail "images"
}

boards() {
    local name=$1 count=$2 mac=$3
    shift 3
    mkfifo "$work/$name.control"
    "$keyline" virtual --boards "$count" --listen 127.0.0.1:0 --mac "$mac" --control "$@" \
        <"$work/$name.control" >"$work/$name.boards" 2>&1 &
    strays="$strays $!"
    disown
    exec {control}>"$work/$name.control"
    eval "control_$name=$control"
    await "boards" '^ready' "$work/$name.boards"
}
url() { awk -v n="$2" '$1 == "board" && $2 == n { print $3; exit }' "$work/$1.boards"; }
command_board() {
    local name=$1 fd
    shift
    eval "fd=\$control_$name"
    echo "$*" >&"$fd"
}

await() {
    local i
    for ((i = 0; i < 2400; i++)); do
        grep -qE -- "$2" "$3" 2>/dev/null && return
        sleep 0.05
    done
    fail "$1: no line like $2 in $3: $(tail -n 5 "$3" 2>/dev/null)"
}

# Each station has a service file of its own: the role differs.
run_station() {
    local name=$1
    shift
    printf '[pool]\nhost=%s\nport=%s\ndbname=keys\nuser=%s\n' "$pg_folder/socket" "$(pg_port "$server")" "$name" \
        >"$work/$name.service"
    XDG_STATE_HOME=$work/state-$name PGSERVICEFILE=$work/$name.service exec "$keyline" --pool pool \
        --headless --volatile --firmware "$work/firmware.bin" --stub none --events "$work/$name.events" "$@"
}
station() {
    local name=$1
    (run_station "$@") >"$work/$name.out" 2>&1
}
station_start() {
    local name=$1
    : >"$work/$name.out"
    (run_station "$@") >"$work/$name.out" 2>&1 &
    eval "pid_$name=$!"
    strays="$strays $!"
}
station_pid() { eval "echo \$pid_$1"; }
station_stop() {
    local pid
    pid=$(station_pid "$1")
    kill -TERM "$pid"
    wait "$pid"
}
