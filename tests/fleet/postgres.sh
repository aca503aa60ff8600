# postgres.sh, for `source`: a private PostgreSQL of Debian's packages in a temporary folder, for tests and
# `./run fleet`. Sockets only, nobody's password, gone at the end.
#
#   pg_init FOLDER          everything of it is below FOLDER
#   pg_start NAME [TEXT]    a primary; TEXT is added to postgresql.conf
#   pg_standby NAME OF      a streaming standby of OF, synchronous if OF says synchronous_standby_names = 'NAME'
#   pg_stop NAME [MODE]     fast, immediate; pg_go NAME starts it again
#   pg_kill NAME            power off: SIGKILL to all of it
#   pg_signal SIG NAME      STOP, CONT: to all of it
#   pg_promote NAME
#   pg_sql NAME DB SQL      as the superuser `postgres`; prints unaligned rows
#   pg_port NAME            servers differ by their port in one socket folder
#   bouncer_start NAME ROLE…  pgbouncer in transaction mode before NAME, for these roles, at port pg_port + 1000
#   pg_end                  stops all of them and removes FOLDER

pg_names="" bouncers="" pg_next_port=6100

pg_found() {
    local folder
    for folder in /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && pg_bin=$folder
    done
    [ -n "${pg_bin:-}" ]
}

# PostgreSQL does not run as root.
if [ "$(id -u)" = 0 ]; then
    if id postgres >/dev/null 2>&1; then pg_user=postgres; else pg_user=nobody; fi
    as_pg() { setpriv --reuid="$pg_user" --regid="$(id -g "$pg_user")" --clear-groups env HOME="$pg_folder" LC_ALL=C "$@"; }
else
    as_pg() { env LC_ALL=C "$@"; }
fi

pg_init() {
    pg_folder=$1
    mkdir -p "$pg_folder/socket"
    if [ "$(id -u)" = 0 ]; then
        chmod 755 "$pg_folder"
        chown "$pg_user" "$pg_folder" "$pg_folder/socket"
    fi
    # A socket's path has 107 bytes.
    [ ${#pg_folder} -lt 80 ] || { echo "this folder's name is too long for sockets: $pg_folder" >&2; return 1; }
    as_pg "$pg_bin/initdb" -D "$pg_folder/template" -U postgres --no-sync -A trust -E UTF8 --locale=C >"$pg_folder/initdb.log" 2>&1 || {
        cat "$pg_folder/initdb.log" >&2
        return 1
    }
    as_pg tee -a "$pg_folder/template/postgresql.conf" >/dev/null <<END
listen_addresses = ''
unix_socket_directories = '$pg_folder/socket'
fsync = off
shared_buffers = 16MB
max_connections = 60
max_wal_senders = 4
wal_keep_size = 64MB
min_wal_size = 32MB
max_wal_size = 256MB
autovacuum_naptime = 5s
log_min_messages = warning
END
    as_pg tee "$pg_folder/template/pg_hba.conf" >/dev/null <<END
local all all trust
local replication all trust
END
}

pg_port() { cat "$pg_folder/$1.port"; }

pg_new() {
    pg_names="$pg_names $1"
    pg_next_port=$((pg_next_port + 1))
    echo "$pg_next_port" >"$pg_folder/$1.port"
}

pg_go() {
    as_pg "$pg_bin/pg_ctl" -D "$pg_folder/$1" -o "-p $(pg_port "$1")" -l "$pg_folder/$1.log" -w -t 60 start >"$pg_folder/ctl.log" 2>&1 || {
        tail -n 3 "$pg_folder/ctl.log" "$pg_folder/$1.log" >&2
        return 1
    }
}

pg_start() {
    pg_new "$1"
    as_pg cp -r "$pg_folder/template" "$pg_folder/$1"
    [ -z "${2:-}" ] || as_pg tee -a "$pg_folder/$1/postgresql.conf" >/dev/null <<<"$2"
    pg_go "$1"
}

pg_standby() {
    pg_new "$1"
    as_pg "$pg_bin/pg_basebackup" -h "$pg_folder/socket" -p "$(pg_port "$2")" -U postgres -D "$pg_folder/$1" -c fast -R --no-sync
    as_pg sed -i "s/^primary_conninfo = '/&application_name=$1 /" "$pg_folder/$1/postgresql.auto.conf"
    as_pg sed -i "/^synchronous_standby_names/d" "$pg_folder/$1/postgresql.conf"
    pg_go "$1"
}

pg_pid() { head -n 1 "$pg_folder/$1/postmaster.pid" 2>/dev/null; }

pg_stop() { as_pg "$pg_bin/pg_ctl" -D "$pg_folder/$1" -m "${2:-fast}" -w stop >/dev/null 2>&1; }

# pg_all NAME: the server and its children.
pg_all() {
    local pid
    pid=$(pg_pid "$1") && [ -n "$pid" ] && { echo "$pid"; pgrep -P "$pid"; }
}

pg_signal() {
    local pid
    for pid in $(pg_all "$2"); do kill -s "$1" "$pid" 2>/dev/null; done
    return 0
}

pg_kill() {
    local pids pid
    pids=$(pg_all "$1")
    for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
    for pid in $pids; do while [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.02; done; done
    # Its process may be a zombie still, which the next one would take for a server.
    as_pg rm -f "$pg_folder/$1/postmaster.pid" "$pg_folder/socket/.s.PGSQL.$(pg_port "$1")" "$pg_folder/socket/.s.PGSQL.$(pg_port "$1").lock"
    return 0
}

pg_promote() { as_pg "$pg_bin/pg_ctl" -D "$pg_folder/$1" -w promote >/dev/null; }

pg_sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 -h "$pg_folder/socket" -p "$(pg_port "$1")" -U postgres -d "$2" -c "$3"; }

bouncer_start() {
    local port name=$1
    port=$(($(pg_port "$name") + 1000))
    as_pg tee "$pg_folder/bouncer-$name.ini" >/dev/null <<END
[databases]
* = host=$pg_folder/socket port=$(pg_port "$name")
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $pg_folder/socket
auth_type = trust
auth_file = $pg_folder/bouncer.users
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
logfile = $pg_folder/bouncer-$name.log
pidfile = $pg_folder/bouncer-$name.pid
END
    shift
    printf '"%s" ""\n' "$@" | as_pg tee "$pg_folder/bouncer.users" >/dev/null
    as_pg "$(command -v pgbouncer || echo /usr/sbin/pgbouncer)" -q -d "$pg_folder/bouncer-$name.ini" || return 1
    bouncers="$bouncers $name"
    while [ ! -S "$pg_folder/socket/.s.PGSQL.$port" ]; do sleep 0.02; done
}

pg_end() {
    local name
    for name in $bouncers; do kill "$(cat "$pg_folder/bouncer-$name.pid")" 2>/dev/null; done
    for name in $pg_names; do
        pg_signal CONT "$name"
        [ -z "$(pg_pid "$name")" ] || pg_stop "$name" immediate
    done
    rm -rf "$pg_folder"
}
