#!/usr/bin/env bash
# crash.sh KEYLINE PROBE: the connection, the server's process or the whole server ends at every message of a lease and
# of a report. Whoever says the same again, gets the same; nothing is given twice and nothing is lost.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; exit 77; }
pg_start a "max_connections = 20"
fleet_pool a 2000 one
port=$((pg_next_port + 500))
coproc PROXY { exec python3 "$here/proxy.py" "$pg_folder/socket/.s.PGSQL.$port" "$pg_folder/socket/.s.PGSQL.$(pg_port a)"; }
from_proxy=${PROXY[0]} to_proxy=${PROXY[1]}
strays="$strays $!"
until [ -S "$pg_folder/socket/.s.PGSQL.$port" ]; do sleep 0.02; done
through="host=$pg_folder/socket port=$port dbname=keys user=one"

# interrupted STEP VICTIM CALL: the call through the proxy; answers it in `said`, and whether it was cut in `cut`.
interrupted() {
    local word pid
    echo "$1" >&"$to_proxy"
    "$probe_program" "$through" 20000 <<<"$3" >said &
    read -r word pid <&"$from_proxy"
    cut=$word
    if [ "$word" = cut ]; then
        case "$2" in
        backend) kill -9 "$pid" ;;
        server) pg_kill a ;;
        esac
    fi
    [ "$1" = 0 ] || echo >&"$to_proxy"
    wait $!
    said=$(head -n 1 said)
    [ "$2" != server ] || [ "$cut" != cut ] || pg_go a
}

# again CALL: says it until the answer is certain.
again() {
    local try
    for try in $(seq 100); do
        said=$(probe a one 20000 <<<"$1" | head -n 1)
        case "$said" in DOUBT* | DOWN*) sleep 0.1 ;; *) return ;; esac
    done
    fail "no certain answer: $1: $said"
}

probe a one <<<'hello 0 1' >/dev/null
leases=0 seq=0
mapfile -t key < <(probe a one <<<'lease 9999 300' | keys_of)

# steps VICTIM STRIDE: until a call gets through whole.
steps() {
    local victim=$1 step=1 sure
    while :; do
        leases=$((leases + 1))
        interrupted "$step" "$victim" "lease $leases 3"
        [ "$cut" = cut ] || break
        case "$said" in OK* | DOUBT* | DOWN*) ;; *) fail "$victim at $step: $said" ;; esac
        # What was OK is so, and what was DOWN was not done.
        sure=$said
        if [ "$victim" = connection ] && [ "${sure%% *}" = DOWN ]; then
            equals "DOWN at $step" 0 "$(sql a "SELECT count(*) FROM keyline.lease WHERE request = '$(printf '00000000-0000-0000-0000-%012x' "$leases")'")"
        fi
        again "lease $leases 3"
        expect "$victim at $step" '^OK 3 ' "$said"
        [ "${sure%% *}" != OK ] || equals "the same keys after $victim at $step" "$sure" "$said"
        seq=$((seq + 1))
        interrupted "$step" "$victim" "report $seq provisioned ${key[$seq]} $(printf '02:00:00:00:%02x:%02x' $((seq / 256)) $((seq % 256))) readback"
        again "report $seq provisioned ${key[$seq]} $(printf '02:00:00:00:%02x:%02x' $((seq / 256)) $((seq % 256))) readback"
        equals "report, $victim at $step" "OK $seq" "$said"
        step=$((step + $2))
    done
    expect "$victim: whole at last" '^OK 3 ' "$said"
    [ "$step" -gt 25 ] || fail "$victim: only $step messages"
    echo "$victim: up to message $step"
}

steps connection 1
steps backend 5
steps server 11
equals "no lease twice, none lost" $((3 * leases + 300 - seq)) "$(sql a "SELECT count(*) FROM keyline.key WHERE state = 'leased'")"
equals "all reported once" "$seq $seq" "$(sql a "SELECT (SELECT count(*) FROM keyline.key WHERE state = 'provisioned') || ' ' || (SELECT count(*) FROM keyline.result)")"
equals "no alarm" 0 "$(sql a "SELECT count(*) FROM keyline.alarm")"
invariants a
