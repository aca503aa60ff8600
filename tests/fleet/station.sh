#!/usr/bin/env bash
# station.sh KEYLINE PROBE: stations on one pool: no key twice, a board moved, a database that hangs, a
# station killed, and what goes back at the end.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/station_lib.sh"
fleet_begin "$1" "$2"
server=a
pg_start a
fleet_pool a 60 one two
images

# ---- two stations at once ----

boards x 3 24:6f:28:00:10:01
boards y 3 24:6f:28:00:20:01
station_start one --once --port "$(url x 1)" --port "$(url x 2)" --port "$(url x 3)"
station two --once --port "$(url y 1)" --port "$(url y 2)" --port "$(url y 3)" || fail "station two: $(tail -n 3 "$work/two.out")"
wait "$(station_pid one)" || fail "station one: $(tail -n 3 "$work/one.out")"
equals "boards with keys" 6 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'provisioned'")"
equals "of each station" "3 3" "$(sql a "SELECT string_agg(n::text, ' ') FROM (SELECT count(*) AS n FROM keyline.key WHERE state = 'provisioned' GROUP BY station) x")"
equals "unused keys go back" 0 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'leased'")"
expect "the summary names the pool" 'summary: 3 done.*pool p: ' "$(cat "$work/one.out")"
invariants a

# ---- a board moves to the other station ----

station two --once --erase --port "$(url x 1)"
equals "its exit status" 1 "$?"
expect "whose board it is" 'another station of the pool has this board \(station one has this board, with the key K0' "$(cat "$work/two.out")"
expect "its reason in the events" '"reason":"board_elsewhere"' "$(cat "$work/two.events")"
equals "no second key" 6 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'provisioned'")"
equals "nothing is kept for it" 0 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'leased'")"
station one --once --erase --port "$(url x 1)" || fail "back at its own station: $(tail -n 3 "$work/one.out")"
equals "the same key again" 6 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'provisioned'")"

# ---- the database hangs while a station works ----

: >"$work/one.events"
station_start one --warn-keys 60 --port "$(url x 2)" --port "$(url x 3)"
await "few keys are left, here and in the pool" '"event":"station".*5[0-9] keys left for this station \([0-9] leased, 5[0-9] to come' "$work/one.events"
await "recognised" '"what":"recognised"' "$work/one.events"
await "both" '"event":"result".*"already":true' "$work/one.events"
for i in $(seq 1200); do
    [ "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'leased'")" = 4 ] && break
    sleep 0.05
done
pg_signal STOP a
: >"$work/one.events"
command_board x replace 2
command_board x unplug 3
sleep 0.5
command_board x plug 3
await "a board with a key never notices" '"event":"result".*"result":"done".*"already":true' "$work/one.events"
await "a new board waits, and says why" '"what":"waiting".*(database|pool) ' "$work/one.events"
await "the bench says it" '"event":"station".*the pool: the pool' "$work/one.events"
lacks "no new key meanwhile" '"already":false' "$(grep '"result":"done"' "$work/one.events")"
pg_signal CONT a
await "it heals, and the board goes on" '"event":"result".*"result":"done".*"already":false' "$work/one.events"
await "the bench says that too" 'all is well again' "$work/one.events"

# ---- the dashboard of all stations ----

for i in $(seq 600); do
    got=$("$keyline" fleet "$(at a owner)")
    grep -q 'one  *on-line  *2 ' <<<"$got" && break
    sleep 0.1
done
expect "a station that is there" 'one +on-line +2 ' "$got"
expect "its build" ' [0-9a-f]{8} ' "$got"
expect "what is left" 'pool p: [0-9]+ of 60 keys free, 7 provisioned' "$got"
got=$("$keyline" fleet --json "$(at a owner)")
expect "as JSON" '"name": "two"' "$got"
expect "with the slots" '"slots": \{' "$got"
got=$("$keyline" fleet "host=$pg_folder/socket port=1 dbname=keys user=owner" 2>&1)
equals "a database that is not there" 6 "$?"

# ---- the station dies ----

command_board x replace 2
await "a third board at work" '"state":"(asking|reserving|sending|confirming)"' "$work/one.events"
kill -9 "$(station_pid one)"
wait "$(station_pid one)" 2>/dev/null
station one --once --port "$(url x 2)" --port "$(url x 3)" || fail "after the kill: $(tail -n 3 "$work/one.out")"
equals "every board has one key" 8 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'provisioned'")"
equals "no alarm" 0 "$(sql a "SELECT count(*) FROM keyline.alarm")"
invariants a

# ---- --offline: boards go on for a while, and are checked later ----

# wait_sql WHAT WANTED QUERY: for at most a minute.
wait_sql() {
    local i
    for i in $(seq 600); do
        [ "$(sql a "$3")" = "$2" ] && return
        sleep 0.1
    done
    equals "$1" "$2" "$(sql a "$3")"
}
: >"$work/one.events"
station_start one --offline 1h --port "$(url x 2)" --port "$(url x 3)"
wait_sql "keys for two slots" 4 "SELECT count(*) FROM keyline.key WHERE state = 'leased'"
pg_signal STOP a
: >"$work/one.events"
command_board x replace 2
await "an unknown board goes on" '"event":"result".*"result":"done".*"already":false' "$work/one.events"
await "and the bench says so" 'goes on while the pool.s database is silent' "$work/one.events"
pg_signal CONT a
wait_sql "it is told as such" 1 "SELECT count(*) FROM keyline.result WHERE offline AND what = 'provisioned'"
wait_sql "and checked" 0 "SELECT status->>'unchecked' FROM keyline.station WHERE name = 'one'"

# ---- it dies, and starts again while the database is away: it works with the keys that it holds ----

kill -9 "$(station_pid one)"
wait "$(station_pid one)" 2>/dev/null
pg_stop a
: >"$work/one.events"
command_board x replace 2
station_start one --offline 1h --port "$(url x 2)" --port "$(url x 3)"
await "a board of its own" '"event":"result".*"result":"done".*"already":true' "$work/one.events"
await "a new board" '"event":"result".*"result":"done".*"already":false' "$work/one.events"
pg_go a
wait_sql "the pool hears of it" 2 "SELECT count(*) FROM keyline.result WHERE offline AND what = 'provisioned'"
wait_sql "and checks it" 0 "SELECT status->>'unchecked' FROM keyline.station WHERE name = 'one'"
station_stop one || fail "the end: $(tail -n 3 "$work/one.out")"
equals "no alarm" 0 "$(sql a "SELECT count(*) FROM keyline.alarm")"
invariants a

# ---- the database is away from the start on ----

pg_sql a postgres "CREATE ROLE three LOGIN"
join_station a three
pg_stop a
station three --once --port "$(url x 1)"
equals "a station that never met the pool can't start" 6 "$?"
expect "and says why" 'the first start needs the database of the pool pool: the database does not answer' "$(cat "$work/three.out")"
lacks "no advice about a CSV" 'csv-file' "$(cat "$work/three.out")"
boards z 1 24:6f:28:00:30:01
station_start two --port "$(url z 1)"
await "it starts all the same" '"event":"state"' "$work/two.events"
await "and its board waits" '"what":"waiting"' "$work/two.events"
pg_go a
await "then it goes on" '"event":"result".*"result":"done"' "$work/two.events"
station_stop two || fail "the end: $(tail -n 3 "$work/two.out")"
equals "and gives the rest back" 0 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'leased'")"
invariants a
