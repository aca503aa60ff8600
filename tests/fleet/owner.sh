#!/usr/bin/env bash
# owner.sh KEYLINE PROBE: keyline pool, from init to export, with sealed keys; who can open what; a stolen station.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
pg_start a
fleet_roles a one two three
# Somebody who may make things in `public` has put his own there: they are never called.
pg_sql a keys "GRANT CREATE ON SCHEMA public TO three"
for f in "encode(bytea, text) RETURNS text" "to_regclass(unknown text) RETURNS regclass" "count(integer) RETURNS bigint" "coalesce_all(text) RETURNS text" \
    "unnest(text, text) RETURNS text" "decode(varchar, text) RETURNS bytea" "encode(bytea, varchar) RETURNS text"; do
    psql -X -q -h "$pg_folder/socket" -p "$(pg_port a)" -U three -d keys -c "CREATE FUNCTION public.$f LANGUAGE plpgsql AS \$\$ BEGIN RAISE EXCEPTION 'somebody else''s'; END \$\$" 2>/dev/null
done
# ends STATUS WHAT ARGUMENT…
ends() {
    local wanted=$1 what=$2 status
    shift 2
    owner a "$@" >said 2>&1
    status=$?
    [ "$status" = "$wanted" ] || fail "$what: ended with $status, not $wanted: $(cat said)"
}
tells() { expect "$1" "$2" "$(cat said)"; }

# ---- init ----

ends 7 "no pool yet" status
tells "says so" 'no keyline pool'
ends 2 "no files named" init p
ends 2 "no name" init --owner o.key --recovery r.key
ends 3 "no name at all" init 'a b' --owner o.key --recovery r.key
[ ! -e o.key ] || fail "a file is left behind"
ends 0 "init" init p --owner o.key --recovery r.key
equals "private" "600 600" "$(stat -c %a o.key r.key | tr '\n' ' ' | sed 's/ $//')"
ends 7 "twice" init p --owner o2.key --recovery r2.key
[ ! -e o2.key ] || fail "files for nothing"
ends 0 "the same schema again" init --upgrade

# ---- import ----

list 40 >keys.csv
sed '3s/$/,Provisioned/' keys.csv >marked.csv
ends 2 "without the key" import marked.csv
ends 0 "import" import marked.csv --owner o.key
tells "what came" '40 rows: 39 new keys, 1 used before, 0 in the pool already'
ends 0 "twice does no harm" import marked.csv --owner r.key
tells "known" '0 new keys, 0 used before, 40 in the pool already'
equals "a used key is not free" spent "$(sql a "SELECT state FROM keyline.key WHERE label = 'K000003'")"
sed '5s/,Prov.*//; 5s/$/,Provisioned/' keys.csv >later.csv
ends 7 "used elsewhere meanwhile" import later.csv --owner o.key
tells "set aside" '1 keys were free in the pool but are used'
equals "so it is nobody's" lost "$(sql a "SELECT state FROM keyline.key WHERE label = 'K000005'")"
printf 'K000001,ffffffffffffffffffffffffffffffff\nK000099,eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\n' >other.csv
ends 7 "one label, two keys" import other.csv --owner o.key
tells "which" 'K000001 .* another secret'
equals "all or none" 0 "$(sql a "SELECT count(*) FROM keyline.key WHERE label = 'K000099'")"
sed 's/^K/L/' keys.csv | head -2 >relabelled.csv
ends 7 "one key, two labels" import relabelled.csv --owner o.key
{ cat keys.csv; echo '"open quote,1'; } >bad.csv
ends 3 "a list that is none" import bad.csv --owner o.key
head -1 keys.csv | sed 's/$/,field/' >fields.csv
ends 3 "another number of fields" import fields.csv --owner o.key
printf 'S1,%032d\nS1,%032d\n' 1 2 >double.csv
ends 3 "one label for two keys" import double.csv --owner o.key
tells "which lines" 'lines 1 and 2 have one label and different keys'
printf 'S1,%032x\nS2,%032x\n' 171 171 >twin.csv
ends 3 "one secret under two labels" import twin.csv --owner o.key
ends 3 "though it is accepted" import twin.csv --owner o.key --accept repeated
tells "which lines" 'lines 1 and 2 have one secret under two labels'
ends 3 "somebody else's key" import keys.csv --owner <(true)
"$keyline" pool join x --pool other >/dev/null 2>&1
ends 3 "a station's key is not the owner's" import keys.csv --owner "$XDG_STATE_HOME/keyline/pools/other/station.key"
equals "keys" 40 "$(sql a "SELECT count(*) FROM keyline.key")"
while IFS=, read -r label secret; do echo "$secret"; done <keys.csv >secrets
pg_dump_all() { as_pg "$pg_bin/pg_dump" -h "$pg_folder/socket" -p "$(pg_port a)" -U postgres keys; }
equals "the database holds no secret" 0 "$(pg_dump_all | grep -ciF -f secrets)"
equals "in no spelling" 0 "$(pg_dump_all | grep -ciF -f <(while read -r s; do printf %s "$s" | xxd -p -c 200; done <secrets))"

# ---- stations ----

ends 2 "which key" station one --owner o.key
ends 3 "a bad key" station one --key kl1abc --owner o.key
public=$(XDG_STATE_HOME=$work/state-one "$keyline" pool join one --pool pool 2>/dev/null)
equals "join again gives the same" "$public" "$(XDG_STATE_HOME=$work/state-one "$keyline" pool join one --pool pool 2>/dev/null)"
ends 7 "no such role" station one --key "$public" --role none --owner o.key
tells "how to make one" 'createuser'
ends 7 "a role that may do more" station one --key "$public" --role owner --owner o.key
ends 0 "station" station one --key "$public" --owner o.key
ends 0 "its limits" station one --key "$public" --owner o.key --lease-cap 9
equals "limits" 9 "$(sql a "SELECT lease_cap FROM keyline.station")"
ends 7 "its key under another name" station other --key "$public" --role two --owner o.key
public2=$(XDG_STATE_HOME=$work/state-two "$keyline" pool join two --pool pool 2>/dev/null)
ends 0 "two" station two --key "$public2" --owner o.key
expect "told its pool key" 'keys=1 ' "$(probe a one <<<'hello 0 1')"
got=$(probe a one <<<'lease 1 9')
mapfile -t key < <(keys_of <<<"$got")
equals "as many as it may" 9 "${#key[@]}"
probe a one >/dev/null <<<"claim 02:00:00:00:00:01 ${key[0]}
report 1 provisioned ${key[0]} 02:00:00:00:00:01 readback
claim 02:00:00:00:00:02 ${key[1]}"
ends 0 "stations" stations
tells "one" 'one +on line +8 +1 '
ends 0 "as JSON" stations --json
tells "one" '"provisioned": 1'

# ---- who got what ----

ends 0 "export" export
tells "the list" 'K000001,02:00:00:00:00:01'
lacks "no secret" "$(paste -sd'|' secrets)" "$(cat said)"
ends 2 "secrets to a terminal" export --as tts --secrets --map dev_eui=2
printf '%%keyline-template raw\n%%row\n{label} {field:key}\n' >template
ends 2 "without the owner's key" export --as template --template template --map key=2 --secrets -o x
"$keyline" keys sign-key --no-password -o sign >said 2>&1 || fail "sign-key: $(cat said)"
ends 0 "signed" export -o given.csv --signed --sign-key sign.key
"$keyline" verify given.csv -p sign.pub >said 2>&1 || fail "verify: $(cat said)"

# ---- stolen ----

ends 2 "asked" lost one --reason stolen --owner o.key
tells "how" 'say --yes'
ends 0 "lost" lost one --reason stolen --owner o.key --yes
tells "how many" '8 keys that it had not reported'
tells "a new pool key" '29 free keys were sealed under the new pool key'
equals "no free key under the old one" "2 29" "$(sql a "SELECT min(epoch) || ' ' || count(*) FROM keyline.key WHERE state = 'free'")"
equals "the thief has no part in the new one" 1 "$(sql a "SELECT count(*) FROM keyline.sealed s JOIN keyline.station t ON t.public_key = s.public_key WHERE t.name = 'one'")"
expect "out" 'REFUSED KL003' "$(probe a one <<<'lease 2 1')"
expect "two has both pool keys" 'keys=2 ' "$(probe a two <<<'hello 0 1')"
expect "and leases" '^OK 3' "$(probe a two <<<'lease 3 3')"
ends 7 "back under its name" station one --key "$(XDG_STATE_HOME=$work/state-new "$keyline" pool join one --pool pool 2>/dev/null)" --owner o.key
tells "not so" 'another name'
ends 0 "with a new key and name" station one-b --key "$(XDG_STATE_HOME=$work/state-new "$keyline" pool join one --pool pool 2>/dev/null)" --role one --owner o.key
expect "it opens old and new" 'keys=2 ' "$(probe a one <<<'hello 0 1')"
# On the machine that comes back after all: what it had is kept, and it is another station.
had=$public
now=$(XDG_STATE_HOME=$work/state-one "$keyline" pool join one --pool pool --anew --yes 2>said) || fail "anew: $(cat said)"
[ "$had" != "$now" ] || fail "the same key again"
equals "put aside" 1 "$(find "$work/state-one/keyline/pools" -path '*aside-*/station.key' | wc -l)"
# Without the owner's key at hand: out at once, and a new pool key is due.
public3=$(XDG_STATE_HOME=$work/state-three "$keyline" pool join three --pool pool 2>/dev/null)
ends 0 "three" station three --key "$public3" --owner o.key
ends 0 "lost, in a hurry" lost three --reason "gone too" --yes
tells "due" 'keyline pool rekey'
ends 0 "seen" status
tells "due" 'a lost station knows the pool key'
ends 0 "rekey with the recovery key" rekey --owner r.key
tells "all" '26 free keys'
equals "the third pool key" 3 "$(sql a "SELECT epoch FROM keyline.pool")"
lacks "nothing due" 'rekey' "$(owner a status)"

# ---- settle ----

ends 0 "which are lost" settle
tells "a board that it was kept for" 'K000002 +02:00:00:00:00:02 +one +station one is lost'
equals "all of them" "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'lost'")" "$(grep -c '^K' said)"
ends 2 "why" settle K000002 --as spent
ends 2 "how" settle K000002 --reason x
ends 7 "not lost" settle K000001 --as spent --reason x
ends 0 "the board that it was kept for" settle K000002 --as provisioned --reason "the board was found"
equals "its board" "provisioned 02:00:00:00:00:02" "$(sql a "SELECT state || ' ' || mac FROM keyline.key WHERE label = 'K000002'")"
ends 7 "on a board that has one" settle K000004 --as provisioned --mac 02:00:00:00:00:02 --reason x
ends 0 "spent" settle K000004 K000006 --as spent --reason "the card burnt"
ends 2 "free is asked about" settle K000007 --as free --reason "never left"
ends 0 "free" settle K000007 --as free --reason "never left" --yes
equals "free" free "$(sql a "SELECT state FROM keyline.key WHERE label = 'K000007'")"
ends 0 "it is leased under its old pool key" status
expect "history keeps all" '^[0-9]+$' "$(sql a "SELECT count(*) FROM keyline.event WHERE what LIKE 'settled%'")"
expect "two gets it" '^OK' "$(probe a two <<<'lease 4 20')"

# ---- all keys open with the recovery key ----

mapfile -t key < <(sql a "SELECT encode(fingerprint, 'hex') FROM keyline.key WHERE state = 'leased' ORDER BY id")
n=0
for k in "${key[@]}"; do n=$((n + 1)) && printf 'report %d provisioned %s 02:00:00:00:01:%02x\n' "$n" "$k" "$n"; done >reports
probe a two <reports >/dev/null
ends 0 "with the recovery key" export --as template --template template --map key=2 --secrets --owner r.key -o all.txt
equals "private" 600 "$(stat -c %a all.txt)"
ends 0 "with the owner's key" export --as template --template template --map key=2 --secrets --owner o.key -o all2.txt
cmp -s all.txt all2.txt || fail "the two keys open different things"
equals "each key is what it was" "" "$(awk -F'[ ,]' 'NR == FNR { secret[$1] = $2; next } secret[$1] != $2' keys.csv all.txt)"
[ "$(wc -l <all.txt)" -gt 20 ] || fail "only $(wc -l <all.txt) keys"
expect "who exported is kept" 'with their secrets' "$(sql a "SELECT text FROM keyline.event WHERE what = 'export'")"

# ---- somebody changed the database ----

sql a "ALTER TABLE keyline.key DISABLE TRIGGER guard; UPDATE keyline.key SET box = (SELECT box FROM keyline.key WHERE label = 'K000002') WHERE label = 'K000001'" >/dev/null
ends 7 "a moved box does not open" export --as template --template template --map key=2 --secrets --owner o.key -o moved.txt
tells "which" 'K000001 can.t be opened'
[ ! -e moved.txt ] || fail "it was written all the same"
invariants a

# ---- a pool of version 1 ----

# Its tables as they were, with a key of each state: `init --upgrade` goes on from there.
pg_sql a postgres "CREATE DATABASE old OWNER owner"
old() { psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$pg_folder/socket" -p "$(pg_port a)" -d old "$@"; }
sed -n '/^-- @migration 1/,/^-- @migration 2/p' "$here/../../src/adapters/fleet/schema.sql" | old -U owner -f - || fail "version 1"
pg_sql a postgres "CREATE ROLE oldie LOGIN IN ROLE keyline_station"
old -U postgres -c "INSERT INTO keyline.pool (version, id, name, plain, epoch, system_identifier, timeline, fields, total, aside)
    SELECT 1, gen_random_uuid(), 'old', true, 1, c.system_identifier, 1, 2, 6, 1 FROM pg_control_system() c" || fail "its pool"
old -U postgres -c "INSERT INTO keyline.unsealed VALUES (1, decode(repeat('ab', 32), 'hex'));
    INSERT INTO keyline.station (name, role, public_key, told_system_identifier, told_timeline, leased, provisioned)
    SELECT 'north', 'oldie', decode(repeat('01', 32), 'hex'), p.system_identifier, 1, 1, 1 FROM keyline.pool p;
    INSERT INTO keyline.lease (request, station, asked, granted) VALUES ('00000000-0000-0000-0000-000000000005', 1, 2, 2);
    INSERT INTO keyline.key (label, fingerprint, kin, epoch, box, state, station, request, mac, note)
    SELECT 'O' || i, decode(md5('f' || i), 'hex'), decode(md5('k' || i), 'hex'), 1, '\\x00', CASE i WHEN 1 THEN 'leased' WHEN 2 THEN 'provisioned'
        WHEN 3 THEN 'spent' ELSE 'free' END, CASE WHEN i < 3 THEN 1 END, CASE WHEN i < 3 THEN '00000000-0000-0000-0000-000000000005'::uuid END,
        CASE i WHEN 2 THEN '02:00:00:00:00:02'::macaddr END, CASE i WHEN 3 THEN 'used' END FROM generate_series(1, 6) i" || fail "its keys"
old_pool="host=$pg_folder/socket port=$(pg_port a) dbname=old"
expect "upgraded" 'had version 1' "$("$keyline" pool init --upgrade --pool "$old_pool user=owner" 2>&1)"
expect "its figures" '6: 3 free, 1 leased, 1 provisioned' "$("$keyline" pool status --pool "$old_pool user=owner" 2>&1)"
got=$("$probe_program" "$old_pool user=oldie" 30000 <<<$'mine\nlease 6 2\nlease 7 9')
equals "its lease, and new ones" "OK 1 OK 2 OK 1" "$(cut -d' ' -f1,2 <<<"$got" | tr '\n' ' ' | sed 's/ $//')"
equals "each key once" 4 "$(keys_of <<<"$got" | sort -u | wc -l)"
expect "one key, one label" 'print_label' "$(old -U owner -c "INSERT INTO keyline.key (label, fingerprint, kin, epoch, box) VALUES ('O1', decode(md5('x'), 'hex'), decode(md5('y'), 'hex'), 1, '\\x00')" 2>&1)"
expect "no station that is not there" "is not there" "$(old -U owner -c "INSERT INTO keyline.key (label, fingerprint, kin, epoch, box, state, station, request)
    VALUES ('O9', decode(md5('x'), 'hex'), decode(md5('y'), 'hex'), 1, '\\x00', 'leased', 77, '00000000-0000-0000-0000-000000000005')" 2>&1)"
expect "stations stay" 'kept for good' "$(old -U owner -c "DELETE FROM keyline.station" 2>&1)"
