#!/bin/sh
# What happens in the guest. Each scenario is a bench of its own; the first failure ends it all.
# The words of `station` are options, each a word of its own.
# shellcheck disable=SC2046

only=$(sed -n 's/.*scenario=\([a-z0-9,]*\).*/\1/p' /proc/cmdline)
seed=$(sed -n 's/.*seed=\([0-9]*\).*/\1/p' /proc/cmdline)
verbose='' stub='' no_stub=--no-stub
grep -q verbose /proc/cmdline && verbose=yes
[ -d /stubs ] && stub="--stub /stubs" no_stub=

why() {
    grep 'WRONG' "/tmp/$name/log"
    echo "vm: $name FAILED: $*"
}

# The reason comes first and last: whoever shows a failure often cuts the middle out.
fails() {
    if [ -z "$verbose" ]; then
        why "$@"
        cat "/tmp/$name/log"
        dmesg | tail -40
        echo "vm: the end of the log again"
        tail -60 "/tmp/$name/log"
    fi
    why "$@"
    exit 1
}

# bench CHIP OPTION…: the scenario's own folder, images and keys, and a run of usbbench.
bench() {
    chip=$1
    shift
    mkdir -p "/tmp/$name"
    usbbench make "/tmp/$name" "$chip" 150 || fails "no images"
    : >"/tmp/$name/log"
    chown -R 1000:1000 "/tmp/$name"
    [ -z "$verbose" ] || tail -f "/tmp/$name/log" &
    usbbench run --csv "/tmp/$name/keys.csv" --chip "$chip" --seed "$seed" "$@" >"/tmp/$name/log" 2>&1
}

passes() {
    [ -n "$verbose" ] || grep '^bench: \|^custody\|^touch' "/tmp/$name/log"
    rm -r "/tmp/$name"
}

# station WORD…: the program on this scenario's files.
station() {
    echo "-- /bin/keyline --csv-file /tmp/$name/keys.csv --firmware /tmp/$name/firmware.bin" \
        "--volatile --journal /tmp/$name/journal --events /tmp/$name/events $stub $*"
}

# event PATTERN…: some event has all of them.
event() {
    cp "/tmp/$name/events" "/tmp/$name/found"
    for pattern in "$@"; do
        grep -e "$pattern" "/tmp/$name/found" >"/tmp/$name/left"
        mv "/tmp/$name/left" "/tmp/$name/found"
    done
    [ -s "/tmp/$name/found" ] || fails "no event has $*"
}

results() {
    grep '"event":"result"' "/tmp/$name/events" | grep -c "$1"
}

# ---- the scenarios ------------------------------------------------------------------------------

# The station behind a dashboard on a terminal; three kinds of adapter; each board replaced twice.
scenario_dashboard() {
    bench esp32 --boards 8 --kinds cp2102n,ch340,ft232r --total 24 --latency --terminal \
        --until-done $(station) || fails
    [ "$(results '"result":"done"')" = 24 ] || fails "not 24 boards passed"
}

# 50 pulled plugs, in all phases, back in the same socket or another; all adapters have one serial
# number.
scenario_moments() {
    bench esp32 --boards 8 --total 8 --moments 50 --serial 0001 $no_stub --until-done \
        $(station --headless) || fails
}

# All eight lost at once, and two boards swapped; ttyUSB numbers move.
scenario_hub() {
    bench esp32 --boards 8 --all 2 --swaps 4 --moved 2 --until-done $(station --headless) || fails
}

scenario_many() {
    bench esp32 --boards 32 --kinds cp2102n,ch340,ft232r --until-done $(station --headless) ||
        fails
    [ "$(results '"result":"done"')" = 32 ] || fails "not 32 boards passed"
}

# Another program holds a port, and lets it go when the station has said so.
scenario_held() {
    bench esp32 --boards 2 --events "/tmp/$name/events" --held port_busy --until-done \
        $(station --headless --retries 20) || fails
    event '"reason":"port_busy"' 'held by usbbench'
}

# The ports are root's alone; when a board has failed for that, everybody may open them.
scenario_denied() {
    bench esp32 --boards 2 --user 1000 --events "/tmp/$name/events" --rights port_denied \
        --until-done $(station --headless) || fails
    event '"reason":"port_denied"' 'add this user to the group dialout'
}

# The first board never says a word.
scenario_mute() {
    bench esp32 --boards 3 --mute 1 --status 1 $(station --headless --once --retries 0) || fails
    event '"result":"failed"' '"reason":"no_sync"' 'check power and cable'
    [ "$(results '"result":"done"')" = 2 ] || fails "the others did not pass"
}

# One adapter answers nothing any more while its board is flashed, for as long as seven others take
# and closing its port would.
scenario_frozen() {
    bench esp32 --boards 4 --total 8 --freeze --events "/tmp/$name/events" --until-done \
        $(station --headless) || fails
    grep -q 'the others are done beside' "/tmp/$name/log" || fails "nothing froze"
    [ "$(results '"tries":1,')" -ge 7 ] || fails "the others were disturbed"
    event '"reason":"link_stuck"' 'unplug the adapter'
}

# A chip's own USB-Serial/JTAG leaves the bus at every reset.
scenario_jtag() {
    bench esp32c3 --boards 2 --kinds jtag $(station --headless --once) || fails
}

# Boards that run are not reset by their ports being opened and closed.
scenario_lines() {
    after="$(station --headless --once)"
    bench esp32 --boards 3 --kinds cp2102n,ch340,ft232r -- /bin/sh -c \
        "${after#-- } && sleep 1 && exec usbbench touch 5" || fails
}

# The host is wrong in all ways, is put right by udev, and serves a plain user (doctor.sh).
scenario_doctor() {
    bench esp32 --boards 2 --kinds ft232r,cp2102n -- /bin/sh /doctor.sh "/tmp/$name" || fails
}

# The bench must notice: a key that is spent but not marked.
scenario_check() {
    spoilt="$(station --headless --once)"
    bench esp32 --boards 2 -- /bin/sh -c \
        "${spoilt#-- }; sed -i 's/,Provisioned//' /tmp/$name/keys.csv" &&
        fails "the custody check is blind"
    grep -q 'that is not marked' "/tmp/$name/log" || fails "it does not say why"
}

for name in dashboard moments hub many held denied mute frozen jtag lines doctor check; do
    case ",$only," in ,, | *",$name,"*) ;; *) continue ;; esac
    begin=$(cut -d. -f1 /proc/uptime)
    echo "vm: scenario $name"
    "scenario_$name"
    passes
    echo "vm: $name passed in $(($(cut -d. -f1 /proc/uptime) - begin)) s"
done
