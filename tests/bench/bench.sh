#!/usr/bin/env bash
# bench.sh BUILD [quick]: measures keyline over paced virtual boards and prints a table, each row with
# the command that gives it. Figures swing with the machine: compare ratios, not absolute times.
set -euo pipefail
build=$(realpath -s "$1")
keyline=$build/keyline
stubs=$(dirname "$build")/stubs
work=$(mktemp -d)
boards_pid=
cleanup() {
    [ -n "$boards_pid" ] && kill "$boards_pid" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

mkdir "$work/images"
read -r packed raw < <("$build/tests/make_images" "$work/images")

keys() { # keys N FILE
    python3 -c "
import sys, hashlib
for i in range(int(sys.argv[1])):
    h = hashlib.sha256(str(i).encode()).hexdigest()
    print(f'bench-{i:07d},{h[:32]},{h[32:]}')" "$1" >"$2"
}

start_boards() { # start_boards N OPTION...
    local n=$1
    shift
    rm -f "$work/boards"
    "$keyline" virtual --boards "$n" --listen 127.0.0.1:0 --pace "$@" >"$work/boards" &
    boards_pid=$!
    until grep -qs '^ready' "$work/boards"; do sleep 0.05; done
    ports=$(sed -n 's/^board [0-9]* \(rfc2217:[^ ]*\).*/--port \1/p' "$work/boards")
}

# Runs the station; sets wall, cpu (share of one core, %) and memory (MiB).
station() {
    local ticks begun ended
    rm -f "$work/events"
    ticks=$(getconf CLK_TCK)
    begun=$(date +%s%N)
    "$keyline" --headless --once --csv_file "$work/keys.csv" --firmware "$work/images/firmware.bin" \
        --events "$work/events" "$@" >"$work/log" 2>&1 &
    local pid=$! used=0 peak=0 a b
    while kill -0 "$pid" 2>/dev/null; do
        if { read -r _ _ _ _ _ _ _ _ _ _ _ _ _ a b _ <"/proc/$pid/stat"; } 2>/dev/null; then used=$((a + b)); fi
        peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true) && [ -n "$peak" ] && last=$peak
        sleep 0.1
    done
    wait "$pid" || { tail -5 "$work/log" >&2; echo "bench: the station failed" >&2; return 1; }
    ended=$(date +%s%N)
    wall=$(((ended - begun) / 1000000))
    cpu=$((used * 100000 / ticks / wall))
    memory=$((last / 1024))
}

# Medians over the boards of the last run, from the event stream.
median() { # median FIELD
    python3 -c "
import json, sys, statistics
values = []
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e['event'] == 'result':
        t = e['took']
        values.append({'board': e['seconds'], 'flashing': t.get('flashing', 0),
                       'own': sum(t.get(k, 0) for k in ('connecting', 'identifying', 'reserving', 'recording')),
                       'to_first_byte': t.get('connecting', 0) + t.get('identifying', 0),
                       'recording': t.get('recording', 0)}[sys.argv[2]])
print(f'{statistics.median(values):.2f}')" "$work/events" "$1"
}

row() { # row BOARDS BAUD STUB
    keys 200 "$work/keys.csv"
    rm -f "$work"/keys.csv.*
    start_boards "$1"
    # shellcheck disable=SC2086
    station $ports --baud "$2" --stub "$3"
    kill "$boards_pid"
    wait "$boards_pid" 2>/dev/null || true
    boards_pid=
    local limit ratio
    limit=$(awk "BEGIN { printf \"%.2f\", $packed * 10 / $2 }")
    ratio=$(awk "BEGIN { printf \"%.2f\", $(median flashing) / $limit }")
    printf '%6s %8s %5s %8s %9s %8s %7s %7s %7s %6s %6s\n' "$1" "$2" "$4" "$(median board)" \
        "$(median flashing)" "$limit" "$ratio" "$(median to_first_byte)" "$(median recording)" "$cpu" "$memory"
}

echo "images: $raw bytes, $packed compressed; each board is an ESP32 with 4 MB, paced: bytes take their"
echo "time on the wire, flash takes datasheet time, USB answers after 1 ms"
echo
echo "boards     baud  with  s/board  flashing   limit  ratio  to 1st  record  cpu %  MiB"
bauds="460800 921600 2000000" counts="1 8 32 64"
[ "${2:-}" = quick ] && bauds=921600 counts="1 8"
for baud in $bauds; do
    for count in $counts; do
        if [ -e "$stubs/esp32.json" ]; then row "$count" "$baud" "$stubs" stub; fi
    done
    row 1 "$baud" none rom
done
cat <<END

  s/board   median from connecting to done
  flashing  median time in the state: MD5 of what is there, erasing, writing
  limit     what the compressed bytes alone need on the wire at that rate; ratio = flashing / limit
  to 1st    median from the first reset to the first byte flashed
  record    median from proof to durable record
  command   keyline virtual --boards N --pace; keyline --headless --once --baud BAUD --port …

END
echo "a CSV of a million rows beside one of a hundred: start-up, memory, cost of one board"
echo "    rows  start s  s/board  record  MiB"
for rows in 100 1000000; do
    keys "$rows" "$work/keys.csv"
    rm -f "$work"/keys.csv.*
    begun=$(date +%s%N)
    "$keyline" keys status --csv_file "$work/keys.csv" >/dev/null
    loaded=$(awk "BEGIN { printf \"%.2f\", ($(date +%s%N) - $begun) / 1e9 }")
    start_boards 4
    # shellcheck disable=SC2086
    station $ports --baud 921600
    kill "$boards_pid"
    wait "$boards_pid" 2>/dev/null || true
    boards_pid=
    printf '%8s %8s %8s %7s %4s\n' "$rows" "$loaded" "$(median board)" "$(median recording)" "$memory"
done
