#!/usr/bin/env bash
# bench.sh BUILD [--quick]: measures keyline over paced virtual boards and prints tables, each with the
# command that gives it. Real times swing with the machine: compare ratios. Virtual times don't. Fails if
# one board's flashing takes 5 % longer or shorter in real time than in virtual time.
#
# ESPTOOL="python3 -m esptool": has it write the same images to the same virtual boards, for comparison.
set -euo pipefail
build=$(realpath -s "$1")
keyline=$build/keyline
profile=$build/tests/profile
stubs=$(dirname "$build")/stubs
work=$(mktemp -d)
boards_pid=""
pin=""
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

keys() { # keys N FILE
    python3 -c "
import sys, hashlib
for i in range(int(sys.argv[1])):
    h = hashlib.sha256(str(i).encode()).hexdigest()
    print(f'bench-{i:07d},{h[:32]},{h[32:]}')" "$1" >"$2"
}

start_boards() { # start_boards N
    rm -f "$work/boards"
    "$keyline" virtual --boards "$1" --listen 127.0.0.1:0 --pace >"$work/boards" &
    boards_pid=$!
    until grep -qs '^ready' "$work/boards"; do sleep 0.05; done
    ports=$(sed -n 's/^board [0-9]* \(rfc2217:[^ ]*\).*/--port \1/p' "$work/boards")
}

# Runs the station; sets cpu (share of one core, %) and memory (MiB).
station() {
    local ticks begun wall
    rm -f "$work/events"
    ticks=$(getconf CLK_TCK)
    begun=$(date +%s%N)
    # The same keys come again, with another journal each time.
    $pin "$keyline" --headless --once --csv_file "$work/keys.csv" --firmware "$image" \
        --volatile --journal "$(mktemp -d -p "$work")" --events "$work/events" "$@" >"$work/log" 2>&1 &
    local pid=$! used=0 last=0 peak a b
    while kill -0 "$pid" 2>/dev/null; do
        if { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ a b _ <"/proc/$pid/stat"; } 2>/dev/null; then used=$((a + b)); fi
        peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true) && [ -n "$peak" ] && last=$peak
        sleep 0.2
    done
    wait "$pid" || { grep FAIL "$work/log" >&2; echo "bench: the station failed" >&2; return 1; }
    wall=$((($(date +%s%N) - begun) / 1000000))
    cpu=$((used * 100000 / ticks / wall))
    memory=$((last / 1024))
}

bench() { # bench BOARDS STATION-OPTION...: boards come and go
    local n=$1
    shift
    rm -f "$work"/keys.csv.*
    start_boards "$n"
    # shellcheck disable=SC2086
    station $ports "$@"
    kill "$boards_pid"
    wait "$boards_pid" 2>/dev/null || true
    boards_pid=
}

# Seconds, medians over the boards of the last run: whole board, flashing, to the first byte flashed,
# verifying, from verified to done, the station's own part. Arguments: what `profile own` prints.
medians() {
    python3 -c "
import json, sys, statistics
theirs, pause = (int(a) / 1000 for a in sys.argv[2:4])
rows = []
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e['event'] != 'result':
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

heading "real time" "keyline virtual --boards N --pace; keyline --headless --once --baud BAUD --port …"
apart=
echo "    baud  with  boards  s/board flashing virtual  ratio  of one  to 1st verify    done    own  cpu %  MiB   load"
for baud in $bauds; do
    for with in $loaders; do
        from=$stubs these=$counts one=
        [ "$with" = rom ] && from=none these=1
        read -r theirs pause < <("$profile" "$image" "$from" "$baud" own)
        virtual=$("$profile" "$image" "$from" "$baud" flashing)
        for n in $these; do
            keys 200 "$work/keys.csv"
            bench "$n" --baud "$baud" --stub "$from"
            read -r whole flashing first verify rest own < <(medians "$theirs" "$pause")
            one=${one:-$flashing}
            if [ "$n" = 1 ] && awk "BEGIN { r = $flashing / $virtual; exit !(r > 1.05 || r < 0.95) }"; then
                apart="$apart $baud/$with"
            fi
            printf '%8s  %-4s  %6s %8s %8s %7s %6s %7s %7s %6s %7s %6s %6s %4s %6s\n' "$baud" "$with" "$n" \
                "$whole" "$flashing" "$virtual" "$(awk "BEGIN { printf \"%.3f\", $flashing / $virtual }")" \
                "$(awk "BEGIN { printf \"%.3f\", $flashing / $one }")" "$first" "$verify" "$rest" "$own" \
                "$cpu" "$memory" "$(cut -d' ' -f1 /proc/loadavg)"
        done
    done
done
cat <<END
  up to own all are medians over the boards, in seconds
  virtual   flashing in virtual time, behind a network port too; ratio = flashing / virtual
  of one    flashing, against one board alone at that rate
  to 1st    from the first reset to the first byte flashed
  done      from verified to done: the firmware's start, store and restart, and the key
  load      of this machine of $(nproc) cores: where it has other work the virtual boards answer late
  own       of all that, what is neither wire nor chip nor firmware: pauses of reset and rate, USB, records
END

if [ "$counts" != "1 8" ] && [ "$(nproc)" -gt 1 ]; then
    heading "many boards, the station on one core, 2000000 baud" \
        "taskset -c 0 keyline --headless --once --baud 2000000 --port … (64 boards)"
    echo "  boards flashing  of one  cpu %  MiB   load"
    one=
    for n in 1 64; do
        keys 200 "$work/keys.csv"
        pin="taskset -c 0"
        bench "$n" --baud 2000000 --stub "$stubs"
        pin=""
        read -r _ flashing _ < <(medians 0 0)
        one=${one:-$flashing}
        printf '%8s %8s %7s %6s %4s %6s\n' "$n" "$flashing" "$(awk "BEGIN { printf \"%.3f\", $flashing / $one }")" \
            "$cpu" "$memory" "$(cut -d' ' -f1 /proc/loadavg)"
    done
    echo "  the virtual boards have the other cores"
fi

# against_esptool FOLDER: one blank board with these images, once by esptool, once by keyline
against_esptool() {
    local url begun theirs ours folder=$1
    start_boards 1
    url=$(sed -n 's/^board 1 \(rfc2217:[^ ]*\).*/\1/p' "$work/boards")
    begun=$(date +%s%N)
    # shellcheck disable=SC2086
    $ESPTOOL --chip esp32 --baud 921600 --port "$url" write_flash 0x1000 "$folder/bootloader.bin" \
        0x8000 "$folder/partitions.bin" 0x10000 "$folder/firmware.bin" >"$work/esptool" 2>&1 ||
        { tail -3 "$work/esptool" >&2; echo "bench: esptool failed" >&2; apart="$apart esptool"; }
    theirs=$(awk "BEGIN { printf \"%.2f\", ($(date +%s%N) - $begun) / 1e9 }")
    kill "$boards_pid"
    wait "$boards_pid" 2>/dev/null || true
    boards_pid=
    keys 10 "$work/keys.csv"
    image=$folder/firmware.bin
    bench 1 --baud 921600 --stub "$stubs"
    image=$work/images/firmware.bin
    ours=$(python3 -c "
import json, sys
for e in map(json.loads, open(sys.argv[1])):
    if e['event'] == 'result':
        t = e['took']
        print('%.2f' % sum(t.get(n, 0) for n in ('connecting', 'identifying', 'flashing', 'verifying')), '%.2f' % e['seconds'])" "$work/events")
    printf '%8s %8s %8s %13s %6s\n' "$(stat -c %s "$folder/firmware.bin")" "$theirs" "${ours% *}" "${ours#* }" \
        "$(awk "BEGIN { printf \"%.2f\", $theirs / ${ours% *} }")"
}

if [ -n "${ESPTOOL:-}" ]; then
    heading "against esptool: one blank board, 921600 baud, real time, s" \
        "\$ESPTOOL --chip esp32 --baud 921600 --port rfc2217://… write_flash …; keyline --headless --once …"
    echo " program  esptool  keyline  with its key  ratio"
    for payload in 175000 430000 900000; do
        against_esptool "$work/images$payload"
    done
    echo "  esptool connects, identifies, writes and verifies, and starts anew for each board; keyline does the same,"
    echo "  then boots the program and hands a key over"
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

if [ -n "$apart" ]; then
    echo "bench: real and virtual time differ by more than 5 % in:$apart (has this machine other work?)" >&2
    exit 1
fi
