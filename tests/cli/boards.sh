# boards.sh: virtual boards for tests of the program as typed. Needs $keyline, and lib.sh before it.
boards=
boards_in=
stop_boards() {
    [ -z "$boards" ] || { kill "$boards" 2>/dev/null && wait "$boards" || true; }
    [ -z "$boards_in" ] || exec {boards_in}>&-
    boards=
    boards_in=
}
trap 'stop_boards; rm -rf "$folder"' EXIT

# start_boards N [options]: their ports go to `ports`, as options.
start_boards() {
    local n=$1 port
    shift
    : >boards.txt
    rm -f commands
    mkfifo commands
    exec {boards_in}<>commands
    "$keyline" virtual --boards "$n" --listen 127.0.0.1:0 --control "$@" >boards.txt 2>&1 <commands &
    boards=$!
    until grep -q '^ready' boards.txt; do
        kill -0 "$boards" || { cat boards.txt; exit 1; }
        read -rt 0.05 <> <(:) || true
    done
    ports=()
    while read -r port; do ports+=(--port "$port"); done < <(grep -o 'rfc2217://[^ ]*' boards.txt)
}

# command WORDS: to the boards; waits until it is done.
command() {
    local before
    before=$(grep -c '^stores ' boards.txt || true)
    printf '%s\nshow 1\n' "$1" >&"$boards_in"
    until [ "$(grep -c '^stores ' boards.txt)" -gt "$before" ]; do
        kill -0 "$boards" || { cat boards.txt; exit 1; }
        read -rt 0.02 <> <(:) || true
    done
}
