#!/usr/bin/env bash
# scale.sh KEYLINE DRIVER: a small fleet in a hurry: what holds for hundreds of stations holds for five, without seconds.
# scale.sh KEYLINE DRIVER bench [KEYS STATIONS SECONDS]: prints the tables of docs/performance.md, over a private
#   PostgreSQL that keeps what it says on disk (fsync). 10,000,000 keys take some 8 GB in the folder $TMPDIR (/tmp),
#   and minutes to be made.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" ""
driver=$2

# make_stations N: s0 …, as the owner would let them in, without their keys.
make_stations() {
    sql a "DO \$\$ BEGIN FOR i IN 0..$1 - 1 LOOP EXECUTE format('CREATE ROLE s%s LOGIN IN ROLE keyline_station', i); END LOOP; END \$\$"
    sql a "INSERT INTO keyline.station (name, role, public_key, lease_cap, told_system_identifier, told_timeline)
        SELECT 's' || i, 's' || i, decode(md5('a' || i) || md5('b' || i), 'hex'), 10000, f.system_identifier, f.timeline
        FROM generate_series(0, $1 - 1) i, keyline.fence() f"
}

# fill KEYS: into an empty pool, as one INSERT; indexes that it would slow are made behind it. A box has the size of a
# sealed key of two fields; nothing opens it.
fill() {
    PGOPTIONS="-c synchronous_commit=off -c maintenance_work_mem=400MB" pg_sql a keys "BEGIN;
        ALTER TABLE keyline.print DROP CONSTRAINT print_label, DROP CONSTRAINT print_fingerprint, DROP CONSTRAINT print_kin;
        ALTER TABLE keyline.free DROP CONSTRAINT free_pkey;
        INSERT INTO keyline.key (label, fingerprint, kin, epoch, box)
        SELECT 'SENSOR-' || lpad(i::text, 8, '0'), decode(md5('f' || i), 'hex'), decode(md5('k' || i), 'hex'), 1,
            decode(md5('b' || i) || md5('c' || i) || md5('d' || i) || md5('e' || i) || '0011223344556677', 'hex')
        FROM generate_series(1, $1) i;
        ALTER TABLE keyline.print ADD CONSTRAINT print_label UNIQUE (label),
            ADD CONSTRAINT print_fingerprint UNIQUE (fingerprint), ADD CONSTRAINT print_kin UNIQUE (kin);
        ALTER TABLE keyline.free ADD PRIMARY KEY (id);
        UPDATE keyline.pool SET fields = 2, total = $1;
        COMMIT"
}

# Lists, counts and keys agree, and each station's count is what it leased.
consistent() {
    invariants a
    equals "the list of free keys" "0 0" "$(sql a "SELECT (SELECT count(*) FROM keyline.key k WHERE k.state = 'free' AND NOT EXISTS
        (SELECT FROM keyline.free f WHERE f.id = k.id)) || ' ' || (SELECT count(*) FROM keyline.free f JOIN keyline.key k USING (id) WHERE k.state <> 'free')")"
    equals "every key is known" "$(sql a "SELECT count(*) FROM keyline.key")" "$(sql a "SELECT count(*) FROM keyline.key k JOIN keyline.print n
        ON n.key = k.id AND n.label = k.label AND n.fingerprint = k.fingerprint AND n.kin = k.kin")"
}

if [ "${3:-}" != bench ]; then
    pg_start a
    fleet_roles a
    owner a init p --plain >/dev/null || { fail "init"; exit; }
    fill 6000
    make_stations 5
    # A lease that hangs before its end holds up nobody.
    mkfifo hung
    psql -X -q -A -t -h "$pg_folder/socket" -p "$(pg_port a)" -U s4 -d keys <hung >hung.out 2>&1 &
    strays="$strays $!"
    exec {hung}>hung
    echo "BEGIN; SELECT count(*) FROM keyline.lease('00000000-0000-0000-0000-000000000001', 500);" >&"$hung"
    for ((i = 0; i < 1200; i++)); do
        if grep -qs 500 hung.out; then break; fi
        sleep 0.05
    done
    expect "one has keys, and hangs" '^500$' "$(cat hung.out)"
    until grep -q 500 hung.out; do sleep 0.02; done
    got=$("$driver" play "host=$pg_folder/socket port=$(pg_port a) dbname=keys" 4 36000 1 1500 0 50) || fail "the stations end"
    echo "ROLLBACK;" >&"$hung"
    exec {hung}>&-
    # An hour's keys would be 36,000: they begin with --lease-max, in parts.
    expect "each has its batch" 'keys 6000$|keys 5500$' "$(grep all-start <<<"$got")"
    expect "boards were served" '^boards [1-9]' "$got"
    equals "all are in the pool" "$(sed -n 's/^boards //p' <<<"$got")" "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'provisioned'")"
    consistent
    exit
fi

# ---- the bench ----

keys=${4:-10000000} stations=${5:-200} seconds=${6:-60}
per_hour=2000
settings="shared_buffers = 1GB
max_connections = $((stations + 40))
max_wal_size = 4GB"

row() { printf '| %s |\n' "$(printf '%s | ' "$@" | sed 's/ | $//')"; }
cpu() { # hundredths of a second of all of the server that runs now
    local pid sum=0 a b
    for pid in $(pg_all a); do
        read -r _ _ _ _ _ _ _ _ _ _ _ _ _ a b _ < <(sed 's/(.*)/x/' "/proc/$pid/stat" 2>/dev/null) && sum=$((sum + a + b))
    done
    echo "$sum"
}
timed() { # milliseconds that a command takes, the least of five
    local begun took least=999999
    for _ in 1 2 3 4 5; do
        begun=$(date +%s%N)
        "$@" >/dev/null || fail "$*"
        took=$((($(date +%s%N) - begun) / 1000000))
        [ "$took" -ge "$least" ] || least=$took
    done
    echo "$least"
}
# table TITLE: the driver's lines as a table.
table() {
    echo "== $1"
    row call count "least ms" "p50 ms" "p99 ms" "max ms"
    row --- --- --- --- --- ---
    sed -n 's/ ms / /p' | while read -r what count least p50 p99 max; do row "$what" "$count" "$least" "$p50" "$p99" "$max"; done
}

echo "== a pool of $keys keys, $stations stations"
pg_start a "$settings"
# Only the rows' making goes without; the measuring does not.
begun=$SECONDS
fleet_roles a
owner a init p --plain >/dev/null || { fail "init"; exit; }
fill "$keys"
make_stations $((stations + 20))
sql a "VACUUM ANALYZE"
pg_stop a
as_pg sed -i 's/^fsync = off/fsync = on/; /^autovacuum_naptime/d' "$pg_folder/a/postgresql.conf"
pg_go a
echo "made in $((SECONDS - begun)) s"
row table "rows' size" "indexes' size"
row --- --- ---
for t in key print free; do
    row "$t" "$(sql a "SELECT pg_size_pretty(pg_relation_size('keyline.$t'))")" "$(sql a "SELECT pg_size_pretty(pg_indexes_size('keyline.$t'))")"
done
at="host=$pg_folder/socket port=$(pg_port a) dbname=keys"

"$driver" lease "$at" "$stations" 20 32 100 500 1000 2000 | table "leases by size, one after the other (fleet_scale lease … $stations 20 32 …)"

sql a "CHECKPOINT"
"$driver" play "$at" "$stations" "$per_hour" "$seconds" 10000 >play.out &
playing=$!
strays="$strays $playing"
until grep -q all-start play.out; do
    kill -0 "$playing" 2>/dev/null || { fail "the stations can't begin"; exit; }
    sleep 0.1
done
grep all-start play.out
used=$(cpu) wal=$(sql a "SELECT pg_current_wal_lsn()") begun=$(date +%s%N)
sleep $((seconds / 2))
echo "keyline pool status: $(timed owner a status) ms; keyline fleet --json: $(timed "$keyline" fleet --json "$at user=owner") ms"
sleep $((seconds - seconds / 2 - 3))
took=$((($(date +%s%N) - begun) / 1000000))
echo "the database: $((($(cpu) - used) * 1000 / took)) % of one processor, $(sql a "SELECT round(pg_wal_lsn_diff(pg_current_wal_lsn(), '$wal') / 1024 / ($took / 1000.0))") KiB of WAL a second"
wait "$playing" || fail "the stations"
table "$stations stations, $per_hour boards an hour each, $seconds s (fleet_scale play … $stations $per_hour $seconds 10000)" <play.out
grep -E '^(boards|waited)' play.out
# After a station was lost, all free keys wait for a new seal, and that is counted for the screen too.
sql a "UPDATE keyline.pool SET epoch = 2"
echo "with all keys under an old seal: keyline pool status: $(timed owner a status) ms"
sql a "UPDATE keyline.pool SET epoch = 1"
sql a "SELECT 'rows updated in place: ' || relname || ' ' || 100 * n_tup_hot_upd / greatest(n_tup_upd, 1) || ' %, dead ' || n_dead_tup
    FROM pg_stat_user_tables WHERE schemaname = 'keyline' AND n_tup_upd > 0 ORDER BY relname"
