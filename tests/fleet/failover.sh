#!/usr/bin/env bash
# failover.sh KEYLINE PROBE: a primary with a synchronous standby; a commit that only one of them has; a wait that
# somebody cancels; promotion; what stations have to tell before the pool is open again.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
pg_start a
fleet_pool a 60 one two three
pg_standby b a
sql a "ALTER SYSTEM SET synchronous_standby_names = 'b'" >/dev/null
sql a "SELECT pg_reload_conf()" >/dev/null
until [ "$(sql a "SELECT sync_state FROM pg_stat_replication")" = sync ]; do sleep 0.05; done

got=$(probe a one <<<$'hello 0 1\nlease 1 4')
mapfile -t held < <(keys_of <<<"$got")
equals "leased with a standby" 4 "${#held[@]}"
got=$(probe a two <<<$'hello 0 1\nlease 2 3')
mapfile -t second < <(keys_of <<<"$got")
sql a "SELECT pg_switch_wal()" >/dev/null

# ---- the standby is away: no acknowledgement, and no answer that looks like one ----

# Until the standby has all that was committed.
until [ "$(sql a "SELECT replay_lsn >= pg_current_wal_lsn() FROM pg_stat_replication")" = t ]; do sleep 0.05; done
pg_stop b
# sent SERVER ROLE CALL: its answer; said again where this machine was so slow that it did not reach the server.
sent() {
    local got try
    for try in $(seq 40); do
        got=$(probe "$1" "$2" 1500 <<<"$3")
        case "$got" in DOWN*) ;; *) break ;; esac
    done
    echo "$got"
}
expect "no standby, no lease" '^DOUBT SLOW' "$(sent a one 'lease 3 4')"
equals "others don't see it" 53 "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'free'")"
# The backend still waits and holds the station's row: the same again does not get through, and says so.
expect "again" '^(DOUBT SLOW|DOWN (BUSY|SLOW))' "$(probe a one 1500 <<<'lease 3 4')"

# A cancelled wait succeeds, with a warning: that is no acknowledgement.
probe a two 20000 <<<'lease 4 2' >cancelled &
waiting=$!
until [ "$(sql a "SELECT count(*) FROM pg_stat_activity WHERE usename = 'two' AND wait_event = 'SyncRep'")" = 1 ]; do sleep 0.05; done
sql a "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'two' AND wait_event = 'SyncRep'" >/dev/null
wait "$waiting"
expect "a warning is a doubt" '^DOUBT WARNED' "$(cat cancelled)"
# It is committed here; the repetition is a write, and waits again.
expect "the repetition waits" '^DOUBT SLOW' "$(sent a two 'lease 4 2')"
equals "it is in this server" 2 "$(sql a "SELECT count(*) FROM keyline.key k JOIN keyline.station s ON s.id = k.station WHERE s.name = 'two' AND k.state = 'leased' AND k.request = '00000000-0000-0000-0000-000000000004'")"

# A terminated wait: the connection is lost.
probe a three 20000 <<<$'lease 5 2' >terminated &
waiting=$!
until [ "$(sql a "SELECT count(*) FROM pg_stat_activity WHERE usename = 'three' AND wait_event = 'SyncRep'")" = 1 ]; do sleep 0.05; done
sql a "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'three' AND wait_event = 'SyncRep'" >/dev/null
wait "$waiting"
expect "a lost connection is a doubt" '^DOUBT' "$(cat terminated)"
mapfile -t forgotten < <(sql a "SELECT encode(k.fingerprint, 'hex') FROM keyline.key k JOIN keyline.station s ON s.id = k.station WHERE s.name = 'two' AND k.request = '00000000-0000-0000-0000-000000000004'")

# ---- power off, and the standby takes over: it never had those commits ----

pg_kill a
pg_go b
expect "a standby says so" '^DOWN READ_ONLY' "$(probe b one <<<'lease 3 4')"
expect "reads too" '^DOWN READ_ONLY' "$(probe b one <<<'mine')"
pg_promote b
equals "the promoted one has forgotten" 7 "$(sql b "SELECT count(*) FROM keyline.key WHERE state = 'leased'")"
expect "the very key is free there" free "$(sql b "SELECT state FROM keyline.key WHERE fingerprint = '\\x${forgotten[0]}'")"
for role in one two three; do
    expect "no lease ($role)" 'REFUSED KL001' "$(probe b "$role" <<<'lease 3 4')"
done
expect "no hand-back" 'REFUSED KL001' "$(probe b one <<<"back ${held[0]}")"
expect "no claim" 'REFUSED KL001' "$(probe b one <<<"claim 02:00:00:00:00:01 ${held[0]}")"
expect "no heartbeat before it has told" 'REFUSED KL001' "$(probe b one <<<'status')"
expect "reports go on" '^OK 1' "$(probe b one <<<"report 1 provisioned ${held[0]} 02:00:00:00:00:01")"
got=$(owner b status)
expect "the owner is told" 'FAILED OVER OR RESTORED' "$got"
expect "who is missing" 'one, three, two' "$got"
expect "not open yet" 'one, three, two' "$(owner b reopen --reason failover --yes 2>&1)"

# Station two had kept the keys of the cancelled wait, say: it tells of them, and they are its own again.
expect "one tells" '^OK' "$(probe b one <<<"held 1 1 ${held[0]}=02:00:00:00:00:01! ${held[1]} ${held[2]} ${held[3]}")"
got=$(printf 'hello 0 9\nheld 1 0 %s\nheld 0 1 %s\nstatus\n' "${second[*]}" "${forgotten[*]}" | probe b two)
expect "two is asked to tell" 'told=0 fence=0' "$got"
expect "it has told" 'told=1 fence=0' "$(tail -n 1 <<<"$got")"
lacks "no alarm" alarm "$got"
expect "still closed" 'REFUSED KL001' "$(probe b two <<<'lease 9 1')"
# Station three does not come back, and was declared lost after the failover: what it may have is set aside.
owner b lost three --reason "burnt down" --yes >/dev/null || fail "lost"
expect "set aside" '--set-aside|set aside the next 10000' "$(owner b reopen --reason failover --yes 2>&1)"
owner b reopen --reason failover --yes --set-aside 10 >/dev/null || fail "reopen"
got=$(probe b one <<<'lease 10 5')
mapfile -t fresh < <(keys_of <<<"$got")
equals "leases again" 5 "${#fresh[@]}"
equals "and no key that anybody held" 0 "$(printf '%s\n' "${fresh[@]}" | grep -cxF -f <(printf '%s\n' "${held[@]}" "${second[@]}" "${forgotten[@]}"))"
equals "three's two are among those set aside" 10 "$(sql b "SELECT count(*) FROM keyline.key WHERE state = 'lost' AND station IS NULL")"
invariants b

# ---- a hand-back that is forgotten ----

# Another failover, to a copy from before: one gave a key back, two got it, and this database knows of neither.
pg_standby c b
expect "one gives back" 'OK 1' "$(probe b one <<<"back ${fresh[0]}")"
until [ "$(sql c "SELECT state FROM keyline.key WHERE fingerprint = '\\x${fresh[0]}'")" = free ]; do sleep 0.05; done
got=$(probe b two <<<'lease 11 1')
equals "two gets that very key" "${fresh[0]}" "$(keys_of <<<"$got")"
pg_stop c
pg_sql b keys "UPDATE keyline.station SET seen = seen WHERE false" >/dev/null
pg_kill b
pg_go c
# What `c` lost is played by hand: the owner's own tables, without the guard.
pg_promote c
sql c "ALTER TABLE keyline.key DISABLE TRIGGER guard; UPDATE keyline.key SET state = 'leased', station = (SELECT id FROM keyline.station WHERE name = 'one'), request = '00000000-0000-0000-0000-00000000000a' WHERE fingerprint = '\\x${fresh[0]}'; ALTER TABLE keyline.key ENABLE TRIGGER guard" >/dev/null
got=$(probe c two <<<"held 1 1 ${second[*]} ${forgotten[*]} ${fresh[0]}")
expect "two tells of one's key" 'alarm key-of-another-station' "$got"
probe c one <<<"held 1 1 ${held[0]}=02:00:00:00:00:01! ${held[1]} ${held[2]} ${held[3]} ${fresh[1]} ${fresh[2]} ${fresh[3]} ${fresh[4]}" >/dev/null
equals "one has not: so it is two's" two "$(sql c "SELECT s.name FROM keyline.key k JOIN keyline.station s ON s.id = k.station WHERE k.fingerprint = '\\x${fresh[0]}' AND k.state = 'leased'")"
lacks "the alarm is settled" 'key-of-another-station' "$(owner c status)"
owner c reopen --reason "failover again" --yes >/dev/null || fail "reopen again"
invariants c

# ---- an old copy of the server's folder, on the same timeline ----

# It forgot a lease and a release, and looks the same. The probe says the numbers that a station compares.
pg_stop c
pg_new d
as_pg cp -r "$pg_folder/c" "$pg_folder/d"
pg_go c
got=$(probe c one <<<$'hello 0 21\nsee\nlease 21 1\nstatus')
mine=$(keys_of <<<"$got")
expect "leased" '^OK 1 ' "$(sed -n 3p <<<"$got")"
probe c one <<<"claim 02:00:00:00:00:21 $mine
report 21 reserved $mine 02:00:00:00:00:21
report 22 released $mine 02:00:00:00:00:21" >/dev/null
pg_stop c
pg_go d
expect "no result behind what it has forgotten" 'told=1 fence=1' "$(probe d one <<<$'hello 0 22' | head -n 1)"
got=$(probe d one <<<"hello 0 22
see
hello 22 23 $mine
lease 22 1")
expect "a key that is free here shows it" 'told=0 fence=0' "$(sed -n 3p <<<"$got")"
expect "nobody leases" 'REFUSED KL001' "$(sed -n 4p <<<"$got")"
expect "nobody else either" 'REFUSED KL001' "$(probe d two <<<'lease 23 1')"
expect "an alarm" 'database-went-back' "$(owner d status)"
expect "who is missing" 'one, two' "$(owner d reopen --reason copy --yes 2>&1)"
invariants d
