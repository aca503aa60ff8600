#!/usr/bin/env bash
# bench.sh BUILD [--quick]: measures keyline over paced virtual boards and prints tables, each with the
# command that gives it. Real times swing with the machine: compare ratios. Virtual times don't. Fails if
# a row's flashing and verifying take 5 % longer or shorter in real time than in virtual time, or if many
# boards take 3 % longer than one. The station has the first core, the virtual boards have the others.
#
# ESPTOOL="python3 -m esptool": has it write the same images to the same virtual boards, for comparison.
# FIRST="chrt -f 50": is put before station and boards. With this one, as root, a machine that has other
# work measures as a quiet one does.
set -euo pipefail
build=$(realpath -s "$1")
keyline=$build/keyline
profile=$build/tests/profile
stubs=$(dirname "$build")/stubs
work=$(mktemp -d)
boards_pid=""
station_first=${FIRST:-} boards_first=${FIRST:-}
if [ "$(nproc)" -gt 1 ]; then
    station_first="$station_first taskset -c 0"
    boards_first="$boards_first taskset -c 1-$(($(nproc) - 1))"
fi
cleanup() {
    [ -n "$boards_pid" ] && kill "$boards_pid" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

bauds="460800 921600 2000000" counts="1 8 32 64" rows="100 1000000"
if [ "${2:-}" = --quick ] || [ "${2:-}" = quick ]; then bauds=921600 counts="1 8" rows="100 100000"; fi
loaders="stub rom"
[ -e "$stubs/esp32.json" ] || loaders=rom

mkdir "$work/images"
read -r packed raw < <("$build/tests/make_images" "$work/images")
image=$work/images/firmware.bin

keys() { # keys N FILE: a new file, since one that gave keys out asks for its ledger
    rm -f "$2"
    python3 -c "
import sys, hashlib
for i in range(int(sys.argv[1])):
    h = hashlib.sha256(str(i).encode()).hexdigest()
    print(f'bench-{i:07d},{h[:32]},{h[32:]}')" "$1" >"$2"
}

start_boards() { # start_boards N [FIRMWARE]
    rm -f "$work/boards" "$work/say"
    mkfifo "$work/say"
    # shellcheck disable=SC2086
    $boards_first "$keyline" virtual --boards "$1" --listen 127.0.0.1:0 --pace --control \
        --firmware "${2:-keyline}" >"$work/boards" <"$work/say" &
    boards_pid=$!
    exec 9>"$work/say"
    until grep -qs '^ready' "$work/boards"; do sleep 0.05; done
    ports=$(sed -n 's/^board [0-9]* \(rfc2217:[^ ]*\).*/--port \1/p' "$work/boards")
}

stop_boards() {
    exec 9>&-
    kill "$boards_pid" 2>/dev/null || true
    wait "$boards_pid" 2>/dev/null || true
    boards_pid=
}

url_of() { sed -n "s/^board $1 \(rfc2217:[^ ]*\).*/\1/p" "$work/boards"; }

put_flash() { # put_flash HELD…: one for each board, what it was flashed with before
    local n=0 name
    for name in "$@"; do
        n=$((n + 1))
        "$profile" "$image" "$stubs" held "$name" "$work/held.$name"
        echo "put $n 0 $work/held.$name" >&9
    done
    until [ "$(grep -c '^ok put' "$work/boards")" = $n ]; do
        if grep '^error' "$work/boards" >&2; then exit 1; fi
        sleep 0.05
    done
}

# Runs the station; sets cpu (share of one core, %) and memory (MiB).
station() {
    local ticks begun wall
    rm -f "$work/events"
    ticks=$(getconf CLK_TCK)
    begun=$(date +%s%N)
    # The same keys come again, with another journal each time.
    # shellcheck disable=SC2086
    $station_first "$keyline" --headless --once --csv_file "$work/keys.csv" --firmware "$image" \
        --volatile --journal "$(mktemp -d -p "$work")" --events "$work/events" "$@" >"$work/log" 2>&1 &
    local pid=$! used=0 last=0 peak a b
    while kill -0 "$pid" 2>/dev/null; do
        if { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ a b _ <"/proc/$pid/stat"; } 2>/dev/null; then used=$((a + b)); fi
        peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true) && [ -n "$peak" ] && last=$peak
        sleep 0.2
    done
    wait "$pid" || { grep FAIL "$work/log" >&2 || tail -3 "$work/log" >&2; echo "bench: the station failed" >&2; return 1; }
    wall=$((($(date +%s%N) - begun) / 1000000))
    cpu=$((used * 100000 / ticks / wall))
    memory=$((last / 1024))
}

bench() { # bench BOARDS STATION-OPTION...: boards come and go; they hold what `holds` lists
    local n=$1
    shift
    rm -f "$work"/keys.csv.*
    start_boards "$n" "${firmware:-}"
    # shellcheck disable=SC2086
    [ -z "${holds:-}" ] || put_flash $holds
    # shellcheck disable=SC2086
    station $ports "$@"
    stop_boards
}

# Seconds, medians over the boards of the last run: whole board, flashing, to the first byte flashed,
# verifying, from verified to done, the station's own part. Arguments: what `profile own` prints, and a
# board's port, if only that counts.
medians() {
    python3 -c "
import json, sys, statistics
theirs, pause = (int(a) / 1000 for a in sys.argv[2:4])
rows = []
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e['event'] != 'result' or e['port'] not in (sys.argv[4:] or [e['port']]):
        continue
    t = lambda *names: sum(e['took'].get(n, 0) for n in names)
    rows.append((e['seconds'], t('flashing'), t('connecting', 'identifying'), t('verifying'),
                 t('booting', 'asking', 'reserving', 'sending', 'confirming', 'recording'),
                 t('connecting', 'identifying') - theirs + pause + t('reserving', 'recording')))
print(*(f'{statistics.median(c):.2f}' for c in zip(*rows)))" "$work/events" "$@"
}

heading() { printf '\n== %s\n$ %s\n' "$1" "$2"; }

echo "An ESP32 with 4 MB of flash; $raw bytes in three regions, $packed compressed. Bytes take their time on"
echo "the wire, flash a data sheet's typical time, USB answers after 1 ms."

heading "flashing one board, in virtual time, s" "build/release/tests/profile firmware.bin build/stubs"
"$profile" "$image" "$stubs"
cat <<END
  limit     what the compressed bytes alone need on the wire, and ratio = flashing / limit
  sent      the bytes of the images as they were sent
  frames    SLIP, headers, commands; answer: waiting for answers on the wire and through USB
  board     the board was waited for: what it erases, writes and sums up and nothing hides
  worked    how long its flash erased and wrote
  least     sent or worked, whichever is more; their sum for a ROM, which does one thing at a time
END

heading "where one board's time goes, ms" "build/release/tests/profile firmware.bin build/stubs 921600"
"$profile" "$image" "$stubs" 921600

heading "what --deliver nvs adds, in virtual time" "build/release/tests/profile firmware.bin build/stubs 921600 nvs"
"$profile" "$image" "$stubs" 921600 nvs

heading "an ESP32-S3 over its own USB, in virtual time, s" "build/release/tests/profile firmware.bin build/stubs usb"
mkdir -p "$work/images-s3"
"$build/tests/make_images" "$work/images-s3" 900000 esp32s3 >/dev/null
"$profile" "$work/images-s3/firmware.bin" "$stubs" usb
echo "  packets of 64 bytes, ten a frame of 1 ms; sent, worked, least as above"

heading "whole cycle of one board, in virtual time, s" "build/release/tests/profile firmware.bin build/stubs 921600 cycle"
echo "    bytes compressed    baud    cycle    limit     wire     chip firmware  ratio"
for payload in 175000 430000 900000; do
    mkdir -p "$work/images$payload"
    "$build/tests/make_images" "$work/images$payload" "$payload" >/dev/null
    "$profile" "$work/images$payload/firmware.bin" "$stubs" 921600 cycle
done
cat <<END
  cycle     from the first reset until the program has read its key back
  wire      what the compressed bytes need; chip: what it erases, writes and starts that nothing hides
  firmware  from the reset into the program on, with a host that answers at once
  limit     their sum; ratio = cycle / limit
END

apart=
# judge ROW REAL VIRTUAL: sets ratio; real time has to agree with virtual time
judge() {
    ratio=$(awk "BEGIN { printf \"%.3f\", ($2) / ($3) }")
    if awk "BEGIN { exit !($ratio > 1.05 || $ratio < 0.95) }"; then apart="$apart $1"; fi
}

heading "one board, real time against virtual time behind the same network port, s" \
    "keyline virtual --boards 4 --pace --control (put N 0 FILE); keyline --headless --once --baud BAUD --port …"
echo "    baud  with  flash    s/board flashing virtual verify virtual  ratio  to 1st    done    own   load"
for baud in $bauds; do
    for with in $loaders; do
        from=$stubs holds="blank another smaller previous" n=0
        [ "$with" = rom ] && from=none holds="blank another"
        read -r theirs pause < <("$profile" "$image" "$from" "$baud" own)
        keys 10 "$work/keys.csv"
        bench "$(wc -w <<<"$holds")" --baud "$baud" --stub "$from"
        load=$(cut -d' ' -f1 /proc/loadavg)
        for name in $holds; do
            n=$((n + 1))
            read -r vflashing vverify < <("$profile" "$image" "$from" "$baud" flashing "$name")
            read -r whole flashing first verify rest own < <(medians "$theirs" "$pause" "$(url_of $n)")
            judge "$baud/$with/$name" "$flashing + $verify" "$vflashing + $vverify"
            printf '%8s  %-4s  %-8s %7s %8s %7s %6s %7s %6s %7s %7s %6s %6s\n' "$baud" "$with" "$name" \
                "$whole" "$flashing" "$vflashing" "$verify" "$vverify" "$ratio" "$first" "$rest" "$own" "$load"
        done
    done
done
holds=
cat <<END
  flash     what the board was flashed with before; the boards of a rate are flashed at the same time
  virtual   flashing and verifying in virtual time; ratio = real / virtual, both together
  to 1st    from the first reset to the first byte flashed
  done      from verified to done: the firmware's start, store and restart, and the key
  load      of this machine of $(nproc) cores: where it has other work the virtual boards answer late
  own       of all that, what is neither wire nor chip nor firmware: pauses of reset and rate, USB, records
END

late=
heading "many boards, real time, the station on one core" \
    "taskset -c 0 keyline --headless --once --baud BAUD --port … (N boards)"
echo "    baud  boards  s/board flashing  of one  cpu %  MiB   load"
for baud in $bauds; do
    one=
    for n in $counts; do
        [ "$loaders" = rom ] && continue
        keys 200 "$work/keys.csv"
        bench "$n" --baud "$baud" --stub "$stubs"
        read -r whole flashing _ < <(medians 0 0)
        one=${one:-$flashing}
        ratio=$(awk "BEGIN { printf \"%.3f\", $flashing / $one }")
        if awk "BEGIN { exit !($ratio > 1.03) }"; then late="$late $baud/$n"; fi
        printf '%8s %7s %8s %8s %7s %6s %4s %6s\n' "$baud" "$n" "$whole" "$flashing" "$ratio" "$cpu" "$memory" \
            "$(cut -d' ' -f1 /proc/loadavg)"
    done
done
cat <<END
  s/board, flashing: medians over the boards; of one: flashing, against one board alone at that rate
  cpu, MiB  of the station; the virtual boards have the other cores
END

# against_esptool FOLDER: one blank board with these images, once in the original tool's way, once by keyline
against_esptool() {
    local theirs ours folder=$1 whole
    keys 10 "$work/keys.csv"
    start_boards 1 original
    # shellcheck disable=SC2086
    if ! read -r theirs whole < <("$python" "$original" "$(url_of 1)" \
        "$(head -1 "$work/keys.csv")" $ESPTOOL --chip esp32 --baud 921600 --port "$(url_of 1)" \
        write_flash 0x1000 "$folder/bootloader.bin" 0x8000 "$folder/partitions.bin" \
        0x10000 "$folder/firmware.bin" 2>"$work/esptool"); then
        tail -3 "$work/esptool" >&2
        echo "bench: esptool or the handover behind it failed" >&2
        exit 1
    fi
    stop_boards
    image=$folder/firmware.bin
    firmware=original
    bench 1 --baud 921600 --stub "$stubs"
    image=$work/images/firmware.bin
    firmware=
    ours=$(python3 -c "
import json, sys
for e in map(json.loads, open(sys.argv[1])):
    if e['event'] == 'result':
        t = e['took']
        print('%.2f' % sum(t.get(n, 0) for n in ('connecting', 'identifying', 'flashing', 'verifying')), '%.2f' % e['seconds'])" "$work/events")
    printf '%8s %8s %8s %6s %10s %8s %6s\n' "$(stat -c %s "$folder/firmware.bin")" "$theirs" "${ours% *}" \
        "$(awk "BEGIN { printf \"%.2f\", $theirs / ${ours% *} }")" "$whole" "${ours#* }" \
        "$(awk "BEGIN { printf \"%.2f\", $whole / ${ours#* } }")"
}

python=python3
"$python" -c 'import serial' 2>/dev/null || python=/usr/bin/python3
original=$(dirname "$(realpath "$0")")/original_way.py
if [ -n "${ESPTOOL:-}" ]; then
    heading "against esptool: one blank board, 921600 baud, real time, s" \
        "\$ESPTOOL --chip esp32 --baud 921600 --port rfc2217://… write_flash …; keyline --headless --once …"
    echo "          ----- write and verify -----  ---- plug to key proved ----"
    echo " program  esptool  keyline  ratio   original  keyline  ratio"
    for payload in 175000 430000 900000; do
        against_esptool "$work/images$payload"
    done
    cat <<END
  write and verify: esptool connects, identifies, writes and verifies, and starts anew for each board
  original  the same esptool, and behind it what the original tool does: it waits for the firmware's question,
            sends the key and reads it back (tests/bench/original_way.py, which adds no wait of its own)
  The boards run the original tool's firmware, which asks every 500 ms.
END
fi

heading "rows of the CSV: start-up, and what a board costs" \
    "keyline keys status --csv_file keys.csv; keyline --headless --once --baud 921600 --port … (4 boards)"
echo "    rows  start s  s/board  reserve+record  MiB"
for n in $rows; do
    keys "$n" "$work/keys.csv"
    begun=$(date +%s%N)
    "$keyline" keys status --csv_file "$work/keys.csv" >/dev/null
    loaded=$(awk "BEGIN { printf \"%.2f\", ($(date +%s%N) - $begun) / 1e9 }")
    bench 4 --baud 921600
    read -r whole _ < <(medians 0 0)
    records=$(python3 -c "
import json, sys, statistics
t = [e['took'] for e in map(json.loads, open(sys.argv[1])) if e['event'] == 'result']
print(f\"{statistics.median(x.get('reserving', 0) + x.get('recording', 0) for x in t):.3f}\")" "$work/events")
    printf '%8s %8s %8s %15s %4s\n' "$n" "$loaded" "$whole" "$records" "$memory"
done

heading "the ledger and its journal, on this disk" "store_speed keyline 100 (fifty boards one after the other; TMPDIR chooses the disk)"
"$build/tests/store_speed" "$keyline" 100

[ -z "$apart" ] || echo "bench: real and virtual time differ by more than 5 % in:$apart" >&2
[ -z "$late" ] || echo "bench: many boards take over 3 % longer than one in:$late" >&2
if [ -n "$apart$late" ]; then
    echo "bench: has this machine other work? FIRST=\"chrt -f 50\" goes before it" >&2
    exit 1
fi
