# lib.sh, for `source`: a pool in a private PostgreSQL, and stations that talk to it.
#
#   fleet_begin KEYLINE PROBE   77 if PostgreSQL is not installed
#   fleet_pool SERVER KEYS STATION…   a plain pool `p` in database `keys` of that server, with stations
#   at SERVER ROLE              a connection text
#   probe SERVER ROLE [MS]      calls from stdin
#   owner SERVER ARGUMENT…      keyline pool as the owner
#   expect WHAT PATTERN TEXT    fails unless TEXT has the (extended) pattern
#   equals WHAT WANTED GOT
#   invariants SERVER           what must hold in the pool, whatever happened

set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/postgres.sh"
failed=0
strays=""

fleet_begin() {
    keyline=$1 probe_program=$2
    if ! pg_found; then
        echo "SKIPPED: PostgreSQL is not installed"
        exit 77
    fi
    work=$(mktemp -d /tmp/kl-fleet.XXXXXX)
    chmod 755 "$work" # the server runs as another user where this is root
    trap fleet_end EXIT
    export XDG_STATE_HOME=$work/state KEYLINE_CONFIG=none
    unset PGHOST PGPORT PGUSER PGDATABASE PGSERVICE PGSSLMODE PGPASSWORD
    pg_init "$work/pg" || exit 1
    cd "$work" || exit 1
}

fleet_end() {
    local pid status=$?
    for pid in $strays; do
        kill -9 "$pid"
        wait "$pid"
    done 2>/dev/null
    cd /
    pg_end
    rm -rf "$work"
    [ "$status" = 0 ] || exit "$status"
    [ "$failed" = 0 ] || exit 1
}

at() { echo "host=$pg_folder/socket port=$(pg_port "$1") dbname=keys user=$2"; }
probe() { "$probe_program" "$(at "$1" "$2")" "${3:-30000}"; }
owner() {
    local server=$1 verb=$2
    shift 2
    "$keyline" pool "$verb" "$@" --pool "$(at "$server" owner)"
}
sql() { pg_sql "$1" keys "$2"; }

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=1
}
expect() { grep -qE -- "$2" <<<"$3" || fail "$1: wanted $2, got: $3"; }
lacks() { ! grep -qE -- "$2" <<<"$3" || fail "$1: did not want $2, got: $3"; }
equals() { [ "$2" = "$3" ] || fail "$1: wanted $2, got: $3"; }

# list N [FIRST]: keys as a CSV.
list() {
    awk -v n="$1" -v first="${2:-1}" 'BEGIN {
        srand(7 + first)
        for (i = first; i < first + n; i++) {
            printf "K%06d,", i
            for (j = 0; j < 8; j++) printf "%04x", int(rand() * 65536)
            printf "\n"
        }
    }'
}

fleet_roles() {
    local server=$1 role
    shift
    pg_sql "$server" postgres "CREATE ROLE owner LOGIN CREATEROLE"
    pg_sql "$server" postgres "CREATE DATABASE keys OWNER owner"
    for role in "$@"; do pg_sql "$server" postgres "CREATE ROLE $role LOGIN"; done
}

# join_station SERVER NAME [OPTION…]: with a role of its name.
join_station() {
    local server=$1 name=$2 public
    shift 2
    public=$(XDG_STATE_HOME=$work/state-$name "$keyline" pool join "$name" --pool pool 2>/dev/null) || fail "join $name"
    owner "$server" station "$name" --key "$public" "$@" >/dev/null || fail "station $name"
}

fleet_pool() {
    local server=$1 keys=$2 name
    shift 2
    fleet_roles "$server" "$@"
    owner "$server" init p --plain >/dev/null || fail "init"
    list "$keys" >"$work/list.csv"
    owner "$server" import "$work/list.csv" >/dev/null || fail "import"
    for name in "$@"; do join_station "$server" "$name"; done
}

# Keys behind "OK n": one on each line.
keys_of() { tr ' ' '\n' | grep -E '^[0-9a-f]{32}$'; }

invariants() {
    equals "keys with two owners" 0 "$(sql "$1" "SELECT count(*) FROM (SELECT fingerprint FROM keyline.key GROUP BY 1 HAVING count(*) > 1) x")"
    equals "boards with two keys" 0 "$(sql "$1" "SELECT count(*) FROM (SELECT mac FROM keyline.key WHERE mac IS NOT NULL GROUP BY 1 HAVING count(*) > 1) x")"
    equals "free keys that somebody has" 0 "$(sql "$1" "SELECT count(*) FROM keyline.key WHERE state = 'free' AND (station IS NOT NULL OR mac IS NOT NULL OR request IS NOT NULL)")"
    equals "free keys, counted and kept" "$(sql "$1" "SELECT count(*) FROM keyline.key WHERE state = 'free'")" "$(sql "$1" "SELECT keyline.free_keys()")"
    equals "leased keys, counted and kept" "$(sql "$1" "SELECT coalesce(string_agg(station || ':' || n, ' ' ORDER BY station), '') FROM (SELECT station, count(*) AS n FROM keyline.key WHERE state = 'leased' GROUP BY 1) x")" \
        "$(sql "$1" "SELECT coalesce(string_agg(id || ':' || leased, ' ' ORDER BY id), '') FROM keyline.station WHERE leased > 0")"
}
