#!/bin/bash
# machine_scenario.sh: runs in the emulated machine of machine.sh, at each boot.
exec 2>&1
export LC_ALL=C.UTF-8
bench=/var/lib/keyline/bench

fail() {
    echo "FAILED: $*"
    systemctl status --no-pager -l keyline@bench boards | sed 's/^/   /'
    journalctl -b --no-pager -n 40 -o cat -u keyline@bench | sed 's/^/   /'
    systemctl poweroff -ff
    exit 1
}

# until_true WHAT COMMAND...
until_true() {
    local what=$1 i
    shift
    for ((i = 0; i < 900; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    fail "not seen: $what"
}

journal() {
    journalctl -b --no-pager -o cat -u keyline@bench "$@"
}

in_journal() {
    local words=$1
    shift
    journal "$@" | grep -q -- "$words"
}

prepare() {
    cat >/etc/systemd/system/boards.service <<'END'
[Unit]
Description=virtual boards
[Service]
Type=exec
DynamicUser=yes
ExecStart=/usr/bin/keyline virtual --boards 2 --listen 127.0.0.1:47110 --replace auto
[Install]
WantedBy=multi-user.target
END
    install -d -o keyline -g keyline -m 700 $bench
    for i in $(seq 200); do echo "dev-$i,aa$i,bb$i"; done >$bench/keys.csv
    chown keyline:keyline $bench/keys.csv
    chmod 600 $bench/keys.csv
    install -d /srv/firmware
    keyline virtual --images /srv/firmware >/dev/null
    cat >/etc/keyline/bench.conf <<'END'
csv-file = keys.csv
firmware = /srv/firmware/firmware.bin
port = rfc2217://127.0.0.1:47110
port = rfc2217://127.0.0.1:47111
port = /dev/ttyS1
events = events.json
metrics = keyline.prom
log-dir = logs
on-result = jq -r .label >>printed; date >>/tmp/hook
END
    useradd -m -G keyline member
    useradd -m stranger
}

first_boot() {
    echo "-- the unit starts a bench"
    prepare
    systemctl daemon-reload
    systemctl enable -q --now boards keyline@bench || fail "systemctl enable --now keyline@bench"
    [ "$(systemctl is-active keyline@bench)" = active ] || fail "it is not active"
    until_true "a board that is done" in_journal PASS
    until_true "the status" sh -c 'systemctl show -p StatusText keyline@bench | grep -q "3 slots, .* keys left"'
    systemctl show -p StatusText keyline@bench | sed 's/^/   /'

    echo "-- what its sandbox has to allow"
    in_journal "ttyS1 *opened" || in_journal "ttyS1.*connecting" || fail "the serial port is not opened: $(journal | grep ttyS1)"
    in_journal "no permission" && fail "a port is denied"
    until_true "the hook" test -s $bench/printed
    grep -q dev- $bench/printed || fail "the hook has no label"
    [ -s $bench/events.json ] && [ -d $bench/logs ] || fail "events and logs"
    until_true "the metrics" grep -q '^keyline_keys{state="provisioned"}' $bench/keyline.prom
    grep -q ',Provisioned' $bench/keys.csv || fail "the CSV is not marked"
    [ "$(stat -c %U $bench/keys.csv.ledger)" = keyline ] || fail "the ledger is not keyline's"

    # It gets as far as to this machine's part of the pool only if it may load what speaks to PostgreSQL.
    sed '/^csv-file/d; /^port/d' /etc/keyline/bench.conf >/etc/keyline/shared.conf
    printf 'pool = host=/nowhere dbname=keys\nport = rfc2217://127.0.0.1:47119\n' >>/etc/keyline/shared.conf
    systemctl start keyline@shared && fail "a bench starts that is no station of its pool"
    until_true "a shared pool" sh -c "journalctl -b --no-pager -o cat -u keyline@shared | grep -q 'is no station of the pool'"
    systemctl stop keyline@shared
    systemctl reset-failed keyline@shared

    echo "-- and what it has to forbid"
    [ ! -e /tmp/hook ] || fail "its /tmp is everybody's"
    pid=$(systemctl show -p MainPID --value keyline@bench)
    grep -q '^NoNewPrivs:.*1' "/proc/$pid/status" || fail "it may get privileges"
    grep -q '^CapBnd:.*0000000000000000' "/proc/$pid/status" || fail "it has capabilities"
    [ "$(stat -c %U "/proc/$pid")" != root ] || [ "$(ps -o user= -p "$pid" 2>/dev/null)" != root ] || fail "it is root"
    systemd-analyze security --no-pager keyline@bench | tail -n 1 | sed 's/^/   /'

    echo "-- the journal has levels"
    in_journal PASS -p info || fail "PASS is no information"
    in_journal PASS -p notice && fail "PASS is more than information"

    echo "-- attaching"
    runuser -u stranger -- keyline attach bench >/tmp/attach 2>&1 && fail "a stranger attaches"
    grep -q "not in the group" /tmp/attach || fail "a stranger is not told why: $(cat /tmp/attach)"
    runuser -u member -- keyline complete -- --csv-file /run/keyline/bench.socket --port "" >/tmp/complete
    grep -q '127.0.0.1:47110' /tmp/complete || fail "a member sees nothing"

    echo "-- a loop that hangs is noticed"
    mkdir -p /etc/systemd/system/keyline@bench.service.d
    printf '[Service]\nWatchdogSec=4\n' >/etc/systemd/system/keyline@bench.service.d/test.conf
    systemctl daemon-reload
    systemctl restart keyline@bench || fail "restart"
    pid=$(systemctl show -p MainPID --value keyline@bench)
    kill -STOP "$pid"
    until_true "the watchdog" sh -c "[ \"\$(systemctl show -p MainPID --value keyline@bench)\" != $pid ] && [ \"\$(systemctl is-active keyline@bench)\" = active ]"
    journalctl -b --no-pager -u keyline@bench | grep -qi watchdog || fail "the journal does not tell of the watchdog"

    echo "-- stopping"
    systemctl stop keyline@bench || fail "stop"
    [ "$(systemctl show -p Result --value keyline@bench)" = success ] || fail "stopping: $(systemctl show -p Result keyline@bench)"
    in_journal "summary:" || fail "no last words"
    [ ! -e /run/keyline/bench.socket ] || fail "its socket stays"
    keyline keys status --csv-file $bench/keys.csv | sed 's/^/   /'

    echo "-- wrong settings are not tried again and again"
    echo 'prot = x' >>/etc/keyline/bench.conf
    systemctl start keyline@bench && fail "it starts with wrong settings"
    in_journal "bench.conf:.*is port meant" -p err || fail "the journal does not say what is wrong"
    [ "$(systemctl is-failed keyline@bench)" = failed ] || fail "it is tried again"
    sed -i '/^prot/d' /etc/keyline/bench.conf
    systemctl reset-failed keyline@bench
    touch /rebooted
    sync
    echo "-- rebooting"
    systemctl --no-block reboot
}

second_boot() {
    echo "-- after the reboot"
    until_true "the bench, without anybody" sh -c "[ \"\$(systemctl is-active keyline@bench)\" = active ]"
    until_true "the next board" in_journal PASS
    sync
    echo "MACHINE OK"
    systemctl --no-block poweroff
}

if [ -e /rebooted ]; then second_boot; else first_boot; fi
