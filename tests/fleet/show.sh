#!/usr/bin/env bash
# show.sh KEYLINE [auto]: ./run fleet: a private PostgreSQL with its standby, two stations on one pool, virtual boards, and a
# failover by hand. All of it lies in a temporary folder and ends with this script. Without a terminal, or
# with auto, it plays the story by itself and ends with 0 if it went as it should.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.sh"
set -uo pipefail
keyline=$(readlink -f "$1")
by_hand=1
{ [ -t 0 ] && [ -t 1 ] && [ "${2:-}" != auto ]; } || by_hand=
boards=4
pids="" failed=0
pg_found || { echo "PostgreSQL is not installed" >&2; exit 77; }
work=$(mktemp -d /tmp/keyline-fleet.XXXXXX)
chmod 755 "$work"
export KEYLINE_CONFIG=none XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset PGHOST PGPORT PGUSER PGDATABASE PGSERVICE PGPASSWORD

end() {
    local pid
    for pid in $pids; do kill -TERM "$pid"; done 2>/dev/null
    for pid in $pids; do wait "$pid"; done 2>/dev/null
    pg_end 2>/dev/null
    rm -rf "$work"
    [ "$failed" = 0 ] || exit 1
}
trap end EXIT
trap 'exit 1' INT TERM HUP

say() { printf '\n== %s\n' "$*"; }
quietly() { "$@" >>"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; exit 1; }; }
sql() { pg_sql "$1" "$2" "$3"; }
# Both servers in one service: libpq takes the one that can write.
service() {
    printf '[pool]\nhost=%s,%s\nport=%s,%s\ndbname=keys\nuser=%s\nconnect_timeout=2\n' "$pg_folder/socket" "$pg_folder/socket" \
        "$(pg_port main)" "$(pg_port standby)" "$1" >"$work/$1.service"
}
as() {
    local who=$1
    shift
    PGSERVICEFILE=$work/$who.service XDG_STATE_HOME=$work/$who "$keyline" "$@"
}
pool() { as owner pool "$@" --pool pool; }
fail() {
    echo "FAILED: $*"
    failed=1
}
count() { sql "$main" keys "SELECT count(*) FROM keyline.key WHERE state = '$1'" 2>/dev/null; }
# await WHAT COMMAND…
await() {
    local what=$1
    shift
    local until=$((SECONDS + 60))
    while [ "$SECONDS" -lt "$until" ]; do
        "$@" && return
        sleep 0.1
    done
    fail "it took too long: $what"
    exit 1
}

# ---- the database ----

say "a PostgreSQL and its synchronous standby, in $work"
pg_init "$work/pg" || exit 1
quietly pg_start main
main=main
quietly sql main postgres "CREATE ROLE owner LOGIN CREATEROLE"
quietly sql main postgres "CREATE DATABASE keys OWNER owner"
for s in north south; do quietly sql main postgres "CREATE ROLE $s LOGIN"; done
quietly pg_standby standby main
quietly sql main postgres "ALTER SYSTEM SET synchronous_standby_names = 'standby'"
quietly sql main postgres "SELECT pg_reload_conf()"
for s in owner north south; do service "$s"; done

# ---- the pool ----

say "the owner makes a pool, brings 200 keys, and lets two stations in"
awk 'BEGIN { srand(); for (i = 1; i <= 200; i++) { printf "SENSOR-%04d,", i; for (j = 0; j < 8; j++) printf "%04x", int(rand() * 65536); print "" } }' >"$work/keys.csv"
pool init demo --owner "$work/demo.owner" --recovery "$work/demo.recovery" || exit 1
pool import "$work/keys.csv" --owner "$work/demo.owner" || exit 1
for s in north south; do
    public=$(as "$s" pool join "$s" --pool pool 2>>"$work/log") || exit 1
    pool station "$s" --key "$public" --owner "$work/demo.owner" || exit 1
done

# ---- two benches ----

say "two stations with $boards virtual boards each"
quietly "$keyline" virtual --images "$work"
bench() {
    local name=$1 mac=$2 i ports=()
    mkfifo "$work/$name.control"
    "$keyline" virtual --boards "$boards" --listen 127.0.0.1:0 --mac "$mac" --control <"$work/$name.control" >"$work/$name.boards" 2>>"$work/log" &
    pids="$! $pids"
    exec {fd}>"$work/$name.control"
    eval "control_$name=$fd"
    await "virtual boards" grep -q '^ready' "$work/$name.boards"
    for i in $(seq "$boards"); do ports+=(--port "$(awk -v n="$i" '$1 == "board" && $2 == n { print $3; exit }' "$work/$name.boards")"); done
    PGSERVICEFILE=$work/$name.service XDG_STATE_HOME=$work/$name "$keyline" --pool pool --headless --volatile --lease-max 20 \
        --stub none --firmware "$work/firmware.bin" --events "$work/$name.events" "${ports[@]}" >"$work/$name.out" 2>&1 &
    pids="$! $pids"
}
bench north 24:6f:28:00:10:01
bench south 24:6f:28:00:20:01
# A station's first start needs the database.
greeted() { [ "$(sql main keys "SELECT count(*) FROM keyline.station WHERE token IS NOT NULL")" = 2 ]; }
await "the stations greet the pool" greeted
fresh=0
# Takes all boards away and plugs in others.
replace() {
    local name fd i
    fresh=$((fresh + 1))
    for name in north south; do
        eval "fd=\$control_$name"
        for i in $(seq "$boards"); do echo "replace $i" >&"$fd"; done
    done
}
done_are() { [ "$(count provisioned)" = "$1" ]; }
show() {
    pool status
    pool stations
}

fail_over() {
    say "power off: the primary is gone, with no word; the standby takes over"
    pg_kill "$main"
    pg_promote standby
    main=standby
    quietly sql standby postgres "ALTER SYSTEM RESET synchronous_standby_names"
    quietly sql standby postgres "SELECT pg_reload_conf()"
}

play() {
    say "eight boards get eight keys"
    await "eight keys" done_are 8
    show
    fail_over
    replace
    say "new boards wait: this database may have forgotten whose they are"
    fenced() { pool status 2>/dev/null | grep -q 'FAILED OVER' && ! pool status 2>/dev/null | grep -q 'not told yet'; }
    await "stations tell what they hold" fenced
    show
    done_are 8 || fail "a new board got a key from a database that may have forgotten"
    say "a person looks, and reopens"
    pool reopen --reason "the standby took over" --yes || fail "reopen"
    await "sixteen keys" done_are 16
    show
    [ "$(sql "$main" keys "SELECT count(DISTINCT mac) FROM keyline.key WHERE state = 'provisioned'")" = 16 ] || fail "a board has two keys"
    [ "$failed" = 0 ] && say "sixteen boards have sixteen keys; no key was given twice"
}

hand() {
    local key
    cat <<END

Look at a station from another terminal:
  export XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR; $keyline attach north     (or south)
Or be the pool's owner:
  export PGSERVICEFILE=$work/owner.service; $keyline fleet pool; $keyline pool status --pool pool
Here:  s status   n new boards   f fail over   r reopen   q quit
END
    while read -rsn1 -p '> ' key; do
        echo "$key"
        case $key in
        s) show ;;
        n) replace && echo "eight fresh boards are plugged in" ;;
        f) if [ "$main" = main ]; then fail_over && show; else echo "there is no standby any more"; fi ;;
        r) pool reopen --reason "by hand" --yes ;;
        q) return ;;
        *) echo "s, n, f, r or q" ;;
        esac
    done
}

if [ -n "$by_hand" ]; then hand; else play; fi
