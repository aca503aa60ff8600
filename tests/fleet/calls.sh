#!/usr/bin/env bash
# calls.sh KEYLINE PROBE: what a station may ask of a pool, and what becomes of it.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
pg_start a
fleet_pool a 100 one two
mac=02:00:00:00:00

# ---- a lease is one lease, however often it is asked for ----

got=$(probe a one <<<$'hello 0 1\nlease 7 5\nlease 7 5\nlease 7 99\nmine')
equals "the same id gives the same keys" 1 "$(sed -n 2,5p <<<"$got" | sort -u | wc -l)"
expect "five" '^OK 5 ' "$(sed -n 2p <<<"$got")"
mapfile -t key < <(sed -n 2p <<<"$got" | keys_of)
got=$(probe a two <<<$'hello 0 1\nlease 7 5\nlease 8 5\nmine')
expect "another station's id" 'REFUSED KL006' "$(sed -n 2p <<<"$got")"
mapfile -t other < <(sed -n 3p <<<"$got" | keys_of)
equals "no key has two stations" 10 "$(printf '%s\n' "${key[@]}" "${other[@]}" | sort -u | wc -l)"

# ---- a board and its key ----

got=$(probe a one <<<"claim $mac:01 ${key[0]}
claim $mac:01 ${key[0]}
claim $mac:01 ${key[1]}
claim $mac:02 ${key[0]}
claim $mac:02 ${other[0]}
claim $mac:02 00
report 1 reserved ${key[0]} $mac:01
report 2 provisioned ${key[0]} $mac:01 readback
report 2 provisioned ${key[0]} $mac:01 readback
report 3 attempt 00 $mac:09 no-answer
mine")
expect "new" '^OK new' "$(sed -n 1p <<<"$got")"
expect "again" '^OK ours' "$(sed -n 2p <<<"$got")"
expect "a second key for a board" 'REFUSED KL006' "$(sed -n 3p <<<"$got")"
expect "a second board for a key" 'REFUSED KL006' "$(sed -n 4p <<<"$got")"
expect "another station's key" 'REFUSED KL006' "$(sed -n 5p <<<"$got")"
expect "a key that is none" 'REFUSED KL006' "$(sed -n 6p <<<"$got")"
equals "reports" "OK 1 OK 2 OK 2 OK 3" "$(sed -n 7,10p <<<"$got" | tr '\n' ' ' | sed 's/ $//')"
expect "four left" '^OK 4 ' "$(sed -n 11p <<<"$got")"
got=$(probe a two <<<"claim $mac:01 ${other[0]}
claim $mac:01 ${other[0]} offline
status")
expect "a board of one" '^OK other station=one label=K000001' "$(sed -n 1p <<<"$got")"
expect "told as an alarm" 'alarm board-of-two-stations' "$got"
expect "to the other one too" 'alarm board-of-two-stations' "$(probe a one <<<status)"

# ---- contradictions become alarms, and no key is free again ----

got=$(probe a two <<<"report 1 provisioned ${key[0]} $mac:03
report 2 provisioned ${key[1]} $mac:04
report 3 provisioned 00 $mac:05
report 4 provisioned ${other[1]} $mac:01
report 4 provisioned ${other[2]} $mac:06")
expect "a key on two boards" 'alarm key-on-two-boards label=K000001 mac=02:00:00:00:00:03 other=one' "$got"
expect "a key of another station" 'alarm key-of-another-station label=K000002 .* other=one' "$got"
expect "no such key" 'alarm unknown-key' "$got"
expect "a board with two keys" 'alarm board-has-two-keys' "$got"
expect "other words under a number" 'alarm old-ledger' "$got"
equals "the second key of that board is lost" lost "$(sql a "SELECT state FROM keyline.key WHERE fingerprint = '\\x${other[1]}'")"
got=$(owner a status)
expect "the owner sees it" 'ALARM [0-9]+  key-on-two-boards' "$got"
expect "the pool's figures" '100: 90 free, 7 leased, 2 provisioned, 1 lost' "$got"
owner a settle --alarm 1 --reason "looked at it" >/dev/null || fail "settle an alarm"
owner a settle K000007 --as spent --reason "thrown away" >/dev/null || fail "settle a key"
lacks "settled" 'ALARM 1 ' "$(owner a status)"

# ---- hand back ----

got=$(probe a one <<<"back ${key[0]} ${key[1]} ${key[2]} ${other[3]}
back ${key[1]} ${key[2]}
claim $mac:0a ${key[3]}
back ${key[3]} ${key[4]}
mine")
equals "only one's own, never sent, unreported, and not what another station has told of" "OK 1 OK 0" "$(sed -n 1,2p <<<"$got" | tr '\n' ' ' | sed 's/ $//')"
expect "what is bound to a board stays" '^OK 1' "$(sed -n 4p <<<"$got")"
expect "two left" "^OK 2 .*${key[3]}" "$(sed -n 5p <<<"$got")"
expect "what another station has told of goes to no board" 'REFUSED KL006' "$(probe a one <<<"claim $mac:0d ${key[1]}")"

# ---- a key that was released unsent: its board may go to another station, at once ----

fresh=$(probe a one <<<'lease 60 1' | keys_of)
its=$(probe a two <<<'lease 61 1' | keys_of)
got=$(probe a one <<<"claim $mac:0b $fresh
report 4 reserved $fresh $mac:0b
claim $mac:0c $fresh
report 5 released ${key[3]} $mac:0b")
expect "claimed" '^OK new' "$(sed -n 1p <<<"$got")"
expect "for that board" 'REFUSED KL006' "$(sed -n 3p <<<"$got")"
expect "another key's release is none" '^OK other station=one' "$(probe a two <<<"claim $mac:0b $its")"
probe a one <<<"report 6 released $fresh $mac:0b" >/dev/null
expect "anybody's" '^OK new' "$(probe a two <<<"claim $mac:0b $its")"
got=$(probe a one <<<"claim $mac:0b $fresh
claim $mac:0c $fresh
report 6 released $fresh $mac:0b
report 7 released $fresh $mac:0c
claim $mac:0c $fresh
report 7 released $fresh $mac:0c
back $fresh
report 8 provisioned $fresh $mac:0c readback
report 9 released $fresh $mac:0c")
expect "the board has its new station" '^OK other station=two' "$(sed -n 1p <<<"$got")"
expect "the key serves another board" '^OK new' "$(sed -n 2p <<<"$got")"
expect "claimed once more" '^OK new' "$(sed -n 5p <<<"$got")"
equals "an old release that is said again unbinds nothing" "OK 0" "$(sed -n 7p <<<"$got")"
equals "nor does one after the proof" "provisioned $mac:0c" "$(sql a "SELECT state || ' ' || mac FROM keyline.key WHERE fingerprint = '\\x$fresh'")"
expect "its board stays" '^OK other station=one' "$(probe a two <<<"claim $mac:0c $its")"

# ---- copies ----

got=$(probe a one <<<$'hello 0 2\nsee\nhello 2 3\nhello 2 4\nhello 3 4')
expect "an old token" 'REFUSED KL008' "$(sed -n 4p <<<"$got")"
expect "the next token" '^OK' "$(sed -n 5p <<<"$got")"
expect "a used key that lies unused" 'REFUSED KL008' "$(probe a one <<<"hello 4 5 ${key[3]}")"
expect "leased again after use" 'REFUSED KL008' "$(probe a one <<<'lease 7 5')"

# ---- limits ----

pg_sql a postgres "CREATE ROLE three LOGIN"
join_station a three --lease-cap 4 --allot 6
got=$(probe a three <<<$'hello 0 1\nlease 30 99\nlease 31 1')
expect "the cap" '^OK 4 ' "$(sed -n 2p <<<"$got")"
expect "no more" 'REFUSED KL005' "$(sed -n 3p <<<"$got")"
mapfile -t key < <(sed -n 2p <<<"$got" | keys_of)
n=0
for k in "${key[@]}"; do n=$((n + 1)) && echo "report $n provisioned $k $mac:3$n"; done >reports
got=$( (cat reports && printf 'lease 32 99\n') | probe a three)
expect "the allotment" '^OK 2 ' "$(tail -n 1 <<<"$got")"
owner a close --reason lunch >/dev/null
expect "closed" 'REFUSED KL002: .*lunch' "$(probe a two <<<'lease 40 1')"
expect "reports go on" '^OK' "$(probe a two <<<'report 9 attempt 00 02:00:00:00:00:77 no-answer')"
expect "asked" 'say --yes' "$(owner a reopen --reason back 2>&1 </dev/null)"
owner a reopen --reason back --yes >/dev/null
expect "open" '^OK 1' "$(probe a two <<<'lease 40 1')"
expect "boards" "$mac:01=one" "$(probe a two <<<boards)"

# ---- a lost station's key is free again: so is the board that it was kept for ----

kept=$(probe a three <<<mine | keys_of | head -n 1)
probe a three <<<"claim $mac:40 $kept" >/dev/null
owner a lost three --reason "its disk died" --yes >/dev/null
expect "its board for now" '^OK other station=three' "$(probe a two <<<"claim $mac:40 $its")"
owner a settle "$(sql a "SELECT label FROM keyline.key WHERE fingerprint = '\\x$kept'")" --as free --reason "never left" --yes >/dev/null
expect "and anybody's then" '^OK new' "$(probe a two <<<"claim $mac:40 $(probe a two <<<'lease 41 1' | keys_of)")"

# ---- the database's own word ----

expect "no second owner" 'has an owner' "$(sql a "UPDATE keyline.key SET station = 2 WHERE label = 'K000001'" 2>&1)"
expect "provisioned stays" 'never becomes' "$(sql a "UPDATE keyline.key SET state = 'free', station = NULL, request = NULL, mac = NULL WHERE label = 'K000001'" 2>&1)"
expect "leased stays" 'never becomes' "$(sql a "UPDATE keyline.key SET state = 'free', station = NULL, request = NULL, mac = NULL WHERE state = 'leased'" 2>&1)"
expect "kept" 'kept for good' "$(sql a "DELETE FROM keyline.key" 2>&1)"
expect "one key for a board" 'key_board' "$(sql a "UPDATE keyline.key SET mac = '$mac:01' WHERE label = (SELECT label FROM keyline.key WHERE state = 'leased' LIMIT 1)" 2>&1)"
invariants a
