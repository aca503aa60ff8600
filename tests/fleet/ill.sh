#!/usr/bin/env bash
# ill.sh KEYLINE PROBE: a database that hangs, is slow, refuses, is full or read-only, was restarted, or lies behind a pooler. Every
# answer comes in time and says what is wrong, and it heals by itself.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
pg_start a
fleet_pool a 100 one two
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# in_time MS CALL: the answer, and that it came in that time and a little.
in_time() {
    local start took
    start=$(now_ms)
    said=$("$probe_program" "${2}" "$1" <<<"$3")
    took=$(($(now_ms) - start))
    # One deadline for connecting, one for the call, and a machine that has other things to do; without deadlines it would hang.
    [ "$took" -lt $((2 * $1 + 30000)) ] || fail "$3 took $took ms of $1"
}

# One process lives through all of it.
coproc LIVE { exec "$probe_program" "$(at a one)" 1500; }
# bash unsets LIVE and LIVE_PID as soon as it has seen the end of the coproc.
live_pid=$! from_live=${LIVE[0]} to_live=${LIVE[1]}
strays="$strays $live_pid"
live() {
    echo "$1" >&"$to_live"
    read -r said <&"$from_live"
}
# becomes WHAT PATTERN CALL: says it until the answer is that, as a station repeats its calls.
becomes() {
    local i
    for i in $(seq 60); do
        live "$3"
        grep -qE -- "$2" <<<"$said" && return
    done
    fail "$1: wanted $2, got: $said"
}
healed() { becomes "healed" '^OK 2' "$1"; }
becomes "hello" '^OK' "hello 0 1"
healed "lease 1 2"

# ---- it hangs ----

pg_signal STOP a
live "lease 2 2"
expect "a server that hangs" '^DOUBT SLOW' "$said"
in_time 1000 "$(at a two)" "lease 3 2"
expect "nor lets anybody in" '^DOWN (SLOW|UNREACHABLE)' "$said"
pg_signal CONT a
healed "lease 2 2"

# ---- a lock ----

psql -X -q -h "$pg_folder/socket" -p "$(pg_port a)" -U postgres -d keys -c "BEGIN; LOCK TABLE keyline.key IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)" >/dev/null 2>&1 &
locker=$!
strays="$strays $locker"
until [ "$(sql a "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = 'key' AND l.mode = 'AccessExclusiveLock' AND l.granted")" = 1 ]; do sleep 0.05; done
becomes "a lock" '^DOWN (BUSY|SLOW)|^DOUBT SLOW' "lease 4 2"
sql a "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()" >/dev/null
healed "lease 4 2"

# ---- read-only ----

pg_sql a postgres "ALTER DATABASE keys SET default_transaction_read_only = on"
in_time 20000 "$(at a two)" "lease 5 2"
expect "read-only" '^DOWN READ_ONLY' "$said"
pg_sql a postgres "ALTER DATABASE keys RESET default_transaction_read_only"

# ---- full: the disk says so where a table grows ----

sql a "CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device'; END \$\$; CREATE TRIGGER full_disk BEFORE INSERT ON keyline.lease EXECUTE FUNCTION public.full()"
becomes "full" '^DOWN FULL' "lease 6 2"
sql a "DROP TRIGGER full_disk ON keyline.lease"
healed "lease 6 2"

# ---- no room for one more ----

pg_sql a postgres "ALTER ROLE two CONNECTION LIMIT 0"
in_time 20000 "$(at a two)" "lease 5 2"
expect "too many" '^DOWN BUSY' "$said"
pg_sql a postgres "ALTER ROLE two CONNECTION LIMIT -1"
pg_sql a postgres "ALTER ROLE two NOLOGIN"
in_time 20000 "$(at a two)" "lease 5 2"
expect "not let in" '^DOWN PASSWORD' "$said"
pg_sql a postgres "ALTER ROLE two LOGIN"

# ---- restarted, and away ----

pg_stop a
live "lease 7 2"
expect "away" '^(DOWN|DOUBT) UNREACHABLE' "$said"
becomes "still" '^DOWN UNREACHABLE' "lease 7 2"
pg_go a
healed "lease 7 2"
pg_stop a && pg_go a
healed "lease 8 2"

# ---- slow by two seconds ----

exec {to_live}>&-
wait "$live_pid"

if command -v python3 >/dev/null; then
    port=$((pg_next_port + 500))
    coproc PROXY { exec python3 "$here/proxy.py" "$pg_folder/socket/.s.PGSQL.$port" "$pg_folder/socket/.s.PGSQL.$(pg_port a)" 2; }
    to_proxy=${PROXY[1]}
    strays="$strays $!"
    until [ -S "$pg_folder/socket/.s.PGSQL.$port" ]; do sleep 0.02; done
    echo 0 >&"$to_proxy"
    in_time 20000 "host=$pg_folder/socket port=$port dbname=keys user=two" "lease 9 2"
    expect "slow, and one round trip" '^OK 2' "$said"
fi

# ---- behind a pooler, in transaction mode ----

if [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null; then
    bouncer_start a one two
    bouncer="host=$pg_folder/socket port=$(($(pg_port a) + 1000)) dbname=keys user"
    for i in $(seq 5); do
        "$probe_program" "$bouncer=one" <<<"lease 2$i 1" >"pooled-$i" &
        "$probe_program" "$bouncer=two" <<<"lease 3$i 1" >"pooled-2$i" &
        pooled[$i]=$! pooled[10 + $i]=$!
    done
    wait "${pooled[@]}"
    for i in $(seq 5); do
        said=$("$probe_program" "$bouncer=one" <<<"lease 2$i 1")
        expect "leased through a pooler" '^OK 1' "$said"
        case "$(cat "pooled-$i")" in OK*) equals "the same" "$said" "$(cat "pooled-$i")" ;; esac
    done
    equals "nothing is left behind in its sessions" "on 0" "$(sql a "SELECT current_setting('synchronous_commit') || ' ' || (SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction')")"
    expect "a refusal through it" 'REFUSED KL006' "$("$probe_program" "$bouncer=two" <<<"lease 21 1")"
    expect "and the session is of use" '^OK' "$("$probe_program" "$bouncer=two" <<<"status")"
fi
invariants a
