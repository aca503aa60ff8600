#!/usr/bin/env bash
# tls.sh KEYLINE PROBE: a database over the network. A server that proves who it is, is spoken to; any other is not, and the
# text says what to do.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
fleet_begin "$1" "$2"
mkdir home
export HOME=$work/home
address=$(hostname -I 2>/dev/null | awk '{ print $1 }')
default_mode=""
[ -n "$address" ] || address=127.0.0.1 default_mode="sslmode=verify-full" # of this machine keyline asks no proof by itself

# Other tests on this machine may have a port; sockets are one's own.
for i in $(seq 10); do
    pg_next_port=$((10000 + RANDOM % 20000))
    pg_start "try$i" "listen_addresses = '$address'" 2>/dev/null && break
done
server=try$i
[ -n "$(pg_pid "$server")" ] || { echo "FAILED: no server"; exit 1; }
fleet_pool "$server" 5 one
port=$(pg_port "$server")
at_name() { echo "host=$1 hostaddr=$address port=$port dbname=keys user=one"; }
says() { "$probe_program" "$1" 20000 <<<'hello 0 1'; }

# ---- a server that can't prove who it is ----

for mode in "$default_mode" "$default_mode sslmode=prefer" sslmode=verify-full; do
    [ "$address" != 127.0.0.1 ] || mode=sslmode=verify-full
    expect "a server without TLS ($mode)" '^DOWN TLS: .*switch ssl on in that server' "$(says "$(at_name pool.test) $mode")"
done
# Who says so goes without; then this server's own rules refuse him.
expect "sslmode=disable" '^DOWN PASSWORD' "$(says "$(at_name pool.test) sslmode=disable")"
expect "PGSSLMODE" '^DOWN PASSWORD' "$(PGSSLMODE=disable says "$(at_name pool.test)")"
printf '[pool]\nhost=%s\nport=%s\ndbname=keys\nuser=one\nsslmode=disable\n' "$address" "$port" >service
expect "in the service" '^DOWN PASSWORD' "$(PGSERVICEFILE=$work/service says pool)"

command -v openssl >/dev/null || {
    [ "$failed" = 0 ] || exit 1
    echo "SKIPPED: openssl is not installed"
    exit 77
}

# ---- two authorities, and a certificate for pool.test ----

certificate() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "$@" 2>/dev/null; }
for ca in ours theirs; do
    certificate -x509 -subj "/CN=$ca" -keyout $ca.key -out $ca.crt || fail "the authority $ca"
done
certificate -subj /CN=pool.test -keyout server.key -out server.csr
openssl x509 -req -in server.csr -CA ours.crt -CAkey ours.key -CAcreateserial -days 30 -out server.crt \
    -extfile <(echo subjectAltName=DNS:pool.test) 2>/dev/null || fail "the server's certificate"
as_pg tee "$pg_folder/$server/server.crt" <server.crt >/dev/null
as_pg sh -c "umask 077; cat >'$pg_folder/$server/server.key'" <server.key
as_pg tee -a "$pg_folder/$server/pg_hba.conf" <<<"hostssl keys one all trust" >/dev/null
pg_sql "$server" postgres "ALTER SYSTEM SET ssl = on"
pg_sql "$server" postgres "SELECT pg_reload_conf()" >/dev/null
for i in $(seq 200); do # until the server has read it
    said=$(says "$(at_name pool.test) $default_mode")
    grep -q 'switch ssl on' <<<"$said" || break
    sleep 0.05
done
expect "no authority's certificate" '^DOWN TLS: .*put its authority.s certificate there, or say sslrootcert=FILE' "$said"
expect "where it is looked for" "$HOME/.postgresql/root.crt" "$said"
mkdir "$HOME/.postgresql"
cp ours.crt "$HOME/.postgresql/root.crt"
said=$(says "$(at_name pool.test) $default_mode")
expect "the right server" '^OK' "$said"
expect "as the service says" '^OK' "$(says "$(at_name pool.test) sslmode=verify-full")"
equals "and it is TLS" true "$(PGSSLMODE=verify-full psql -X -q -A -t "$(at_name pool.test)" -c "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()" | sed 's/^t$/true/')"

# ---- another name, another authority ----

said=$(says "$(at_name other.test) $default_mode")
expect "another name" '^DOWN TLS: .*host= has to be the name in its certificate' "$said"
expect "which names" 'pool.test.*other.test' "$said"
cp theirs.crt "$HOME/.postgresql/root.crt"
said=$(says "$(at_name pool.test) $default_mode")
expect "another authority" '^DOWN TLS: .*is not from the authority in root.crt.*somebody is in between' "$said"
expect "named in the connection" '^OK' "$(says "$(at_name pool.test) $default_mode sslrootcert=$work/ours.crt")"
