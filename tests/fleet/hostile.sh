#!/usr/bin/env bash
# hostile.sh KEYLINE PROBE: somebody has a station's password, and psql. He gets what that station may have, and nothing else.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
pg_start a
fleet_pool a 50 good evil
join_station a evil --lease-cap 20
pg_sql a postgres "CREATE ROLE nobody_special LOGIN"
pg_sql a postgres "CREATE ROLE watcher LOGIN IN ROLE keyline_watch"
evil() { psql -X -q -A -t -h "$pg_folder/socket" -p "$(pg_port a)" -U evil -d keys "$@" 2>&1; }
probe a good <<<$'hello 0 1\nlease 1 10' >good
probe a evil <<<$'hello 0 1\nlease 2 10' >evil
mapfile -t mine < <(keys_of <evil)
mapfile -t theirs < <(keys_of <good)
before=$(sql a "SELECT md5(string_agg(k::text, ',' ORDER BY id)) FROM keyline.key k")
unchanged() { equals "$1" "$before" "$(sql a "SELECT md5(string_agg(k::text, ',' ORDER BY id)) FROM keyline.key k")"; }

# ---- tables and sequences, one by one ----

for table in $(sql a "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'keyline' AND c.relkind IN ('r', 'v', 'm', 'p')"); do
    t=keyline.$table
    wishes=("SELECT * FROM $t" "SELECT count(*) FROM $t" "DELETE FROM $t" "TRUNCATE $t" "INSERT INTO $t DEFAULT VALUES"
        "ALTER TABLE $t DISABLE TRIGGER ALL" "DROP TABLE $t CASCADE" "DO \$\$ BEGIN LOCK TABLE $t; END \$\$" "COPY $t TO STDOUT"
        "CREATE TRIGGER x BEFORE UPDATE ON $t EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()"
        "CREATE RULE r AS ON SELECT TO $t DO INSTEAD NOTHING" "CREATE POLICY p ON $t" "GRANT ALL ON $t TO evil"
        "COMMENT ON TABLE $t IS 'x'" "UPDATE $t SET ctid = ctid" "CREATE INDEX ON $t ((1))")
    asked=()
    for wish in "${wishes[@]}"; do asked+=(-c "$wish"); done
    said=$(evil "${asked[@]}")
    equals "every wish about $table is refused" ${#wishes[@]} "$(grep -cE '^ERROR: .*(permission denied|must be owner|system column "ctid")' <<<"$said")"
done
for sequence in $(sql a "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'keyline' AND c.relkind = 'S'"); do
    expect "$sequence" 'permission denied' "$(evil -c "SELECT nextval('keyline.$sequence')")"
    expect "$sequence" 'permission denied' "$(evil -c "SELECT setval('keyline.$sequence', 1)")"
done
expect "a table of his own there" 'permission denied' "$(evil -c 'CREATE TABLE keyline.x (a int)')"
expect "a function of his own there" 'permission denied' "$(evil -c "CREATE FUNCTION keyline.enter() RETURNS int LANGUAGE sql AS 'SELECT 1'")"

# ---- functions: only those that a station may call ----

allowed=" boards claim hand_back hello lease mine reassert report status "
while IFS='|' read -r name count; do
    said=$(evil -c "SELECT keyline.$name($(yes NULL | head -n "$count" | paste -sd,))")
    case "$allowed" in
    *" $name "*) lacks "$name is allowed" 'permission denied' "$said" ;;
    *) expect "$name is not" 'permission denied|trigger functions can only be called' "$said" ;;
    esac
done < <(sql a "SELECT p.proname, p.pronargs FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'keyline'")
equals "each of them fixes its search_path" 0 "$(sql a "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'keyline' AND NOT coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)")"
unchanged "nothing was changed so far"
got=$(psql -X -q -A -t -h "$pg_folder/socket" -p "$(pg_port a)" -U nobody_special -d keys -c "SELECT * FROM keyline.mine()" 2>&1)
expect "a user that is no station" 'permission denied' "$got"
got=$(psql -X -q -A -t -h "$pg_folder/socket" -p "$(pg_port a)" -U watcher -d keys -c "SELECT keyline.look('pool', '')" -c "SELECT keyline.lease(gen_random_uuid(), 1)" -c "SELECT * FROM keyline.key" 2>&1)
expect "a watcher looks" '"free": 30' "$got"
equals "and no more" 2 "$(grep -c 'permission denied' <<<"$got")"
lacks "nor sees boxes" 'box' "$got"

# ---- other names ----

for role in good owner postgres keyline_watch; do
    expect "becoming $role" 'permission denied' "$(evil -c "SET ROLE $role")"
    expect "becoming $role" 'permission denied' "$(evil -c "SET SESSION AUTHORIZATION $role")"
done
got=$(evil -c "SET ROLE keyline_station" -c "SELECT count(*) FROM keyline.mine()")
equals "its group is no station: it stays itself" 10 "$(tail -n 1 <<<"$got")"
expect "letting others in" 'must have admin option|permission denied' "$(evil -c "GRANT keyline_station TO nobody_special")"

# ---- other people's keys and boards ----

got=$(printf 'report 1 provisioned %s 02:00:00:00:00:01\nback %s\nclaim 02:00:00:00:00:02 %s\nheld 1 0 %s\n' "${theirs[0]}" "${theirs[*]}" "${theirs[1]}" "${theirs[2]}" | probe a evil)
expect "an alarm" 'alarm key-of-another-station' "$got"
expect "none given back" '^OK 0' "$got"
expect "no claim" 'REFUSED KL006' "$got"
unchanged "others' keys are as they were"
equals "good has all" 10 "$(probe a good <<<mine | keys_of | wc -l)"

# ---- huge, odd and sharp arguments ----

expect "not more than he may have" '^OK 10 ' "$(probe a evil <<<'lease 3 4000000000')"
expect "and then none" 'as many keys as it may have' "$(evil -c "SELECT count(*) FROM keyline.lease(gen_random_uuid(), 2147483647)")"
evil -c "SELECT keyline.hand_back((SELECT jsonb_agg(encode(fingerprint, 'hex')) FROM (SELECT * FROM keyline.mine() OFFSET 10) x))" >/dev/null
expect "negative" 'a lease needs' "$(evil -c "SELECT keyline.lease(gen_random_uuid(), -1)")"
expect "null" 'a lease needs' "$(evil -c "SELECT keyline.lease(NULL, NULL)")"
expect "too many results" 'at most 500' "$(evil -c "SELECT keyline.report((SELECT jsonb_agg(i) FROM generate_series(1, 501) i))")"
expect "no result" 'array of objects' "$(evil -c "SELECT keyline.report('[1]')")"
expect "no array" 'at most 500' "$(evil -c "SELECT keyline.report('{}')")"
expect "a status that is too large" 'at most 8 KiB' "$(evil -c "SELECT keyline.status(jsonb_build_object('x', repeat('x', 10000)))")"
expect "a broken cursor" 'anew|invalid' "$(evil -c "SELECT keyline.boards('a/b/c/d', 1000000000)")"
long=$(printf 'x%.0s' $(seq 5000))
evil -c "SELECT keyline.report(jsonb_build_array(jsonb_build_object('seq', 7, 'wall', 1, 'what', 'attempt', 'how', '$long', 'slot', '$long', 'reason', '$long')))" >/dev/null
equals "long texts are cut" "64 64 255" "$(sql a "SELECT length(how) || ' ' || length(slot) || ' ' || length(reason) FROM keyline.result WHERE seq = 7")"
sharp="'); DROP TABLE keyline.key CASCADE; --"
evil -v sharp="$sharp" <<<"SELECT keyline.report(jsonb_build_array(jsonb_build_object('seq', 8, 'wall', 1, 'what', 'attempt', 'how', :'sharp', 'slot', :'sharp')))" >/dev/null
equals "text stays text" "$sharp" "$(sql a "SELECT how FROM keyline.result WHERE seq = 8")"
expect "JSON is no row" 'invalid|OK|malformed|no result|cannot' "$(evil -c "SELECT keyline.report('[{\"seq\": \"1; DROP\", \"what\": \"attempt\"}]')")"

# A list with a label that is SQL; the owner's own import.
printf '%s,aabbccddeeff00112233445566778899\n"'"'"' OR 1=1 --",11bbccddeeff00112233445566778899\n' "\$\$; DROP SCHEMA keyline CASCADE; --" >sharp.csv
owner a import sharp.csv --accept odd >said 2>&1 || fail "import sharp labels: $(cat said)"
equals "labels stay labels" 2 "$(sql a "SELECT count(*) FROM keyline.key WHERE label LIKE '%DROP SCHEMA%' OR label LIKE '%OR 1=1%'")"

# ---- things of his own that stand in for others ----

got=$(evil <<'END'
SET search_path = pg_temp, public, pg_catalog;
CREATE TEMP TABLE pool AS SELECT 1 AS one;
CREATE TEMP TABLE station AS SELECT 'good'::text AS name;
CREATE TEMP TABLE key AS SELECT 1 AS id;
CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2000-01-01'::timestamptz $$;
CREATE FUNCTION pg_temp.decode(text, text) RETURNS bytea LANGUAGE sql AS $$ SELECT '\x00'::bytea $$;
CREATE FUNCTION pg_temp.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.eq);
CREATE FUNCTION pg_temp.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION pg_temp.jsonb_to_recordset(jsonb) RETURNS SETOF record LANGUAGE sql AS $$ SELECT 1 $$;
SET keyline.act = 'hand back';
SELECT 'mine ' || count(*) FROM keyline.mine();
SELECT 'status ' || (keyline.status('{}')->>'leased');
SET keyline.act = 'settle';
SELECT 'back ' || keyline.hand_back('[]');
END
)
lacks "no trick works" 'mine (0|[0-9]{3,})' "$got"
expect "he stays himself" 'mine [1-9]' "$got"
expect "and hands nothing back by it" 'back 0' "$got"
equals "good has all still" 10 "$(probe a good <<<mine | keys_of | wc -l)"

# ---- getting in others' way ----

# A session that sits on what it may touch: others go on, and the owner gets rid of it.
evil <<<$'BEGIN; SELECT count(*) FROM keyline.lease(gen_random_uuid(), 3); SELECT pg_sleep(600);' >/dev/null &
strays="$strays $!"
until [ "$(sql a "SELECT count(*) FROM pg_stat_activity WHERE usename = 'evil' AND wait_event = 'PgSleep'")" = 1 ]; do sleep 0.05; done
expect "good leases" '^OK 1 ' "$(probe a good <<<'lease 50 1')"
pg_sql a postgres "GRANT pg_signal_backend TO owner"
owner a lost evil --reason "its password was stolen" --yes >/dev/null 2>said || fail "lost: $(cat said)"
expect "he is out" 'declared lost' "$(evil -c "SELECT keyline.lease(gen_random_uuid(), 1)")"
expect "in every way" 'REFUSED KL003' "$(probe a evil <<<"report 9 provisioned ${mine[0]} 02:00:00:00:00:09")"
equals "what he had is nobody's" 0 "$(sql a "SELECT count(*) FROM keyline.key k JOIN keyline.station s ON s.id = k.station WHERE s.name = 'evil' AND k.state IN ('leased', 'free')")"
invariants a
