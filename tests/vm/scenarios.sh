#!/bin/sh
# The words of `station` are options, each a word of its own.
# shellcheck disable=SC2046
# What happens in the guest. Each scenario is a bench of its own; the first failure ends it all.
bench() {
    name=$1 chip=$2
    shift 2
    folder=/tmp/$name
    begin=$(cut -d. -f1 /proc/uptime)
    mkdir -p "$folder"
    usbbench make "$folder" "$chip" 100 || return 1
    echo "vm: scenario $name"
    if usbbench run --csv "$folder/keys.csv" --chip "$chip" "$@" >"$folder/log" 2>&1; then
        if grep -q verbose /proc/cmdline; then cat "$folder/log"; dmesg | grep -v "vhci"; else tail -2 "$folder/log"; fi
        echo "vm: $name passed in $(($(cut -d. -f1 /proc/uptime) - begin)) s"
    else
        cat "$folder/log"
        echo "vm: $name FAILED"
        return 1
    fi
}

# usage: station FOLDER WORD…: the program and its usual options
station() {
    echo "-- /bin/keyline --headless --csv-file $1/keys.csv --firmware $1/firmware.bin"
}

only=$(sed -n 's/.*scenario=\([a-z0-9]*\).*/\1/p' /proc/cmdline)
seed=$(sed -n 's/.*seed=\([0-9]*\).*/\1/p' /proc/cmdline)
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

if wanted eight; then
    bench eight esp32 --boards 8 $(station /tmp/eight) --once || exit 1
fi
if wanted replaced; then
    # Three kinds of adapter; every place gets a fresh board twice.
    bench replaced esp32 --boards 6 --kinds cp2102n,ch340,ft232r --total 18 --until-done \
        $(station /tmp/replaced) || exit 1
fi
if wanted moments; then
    # 50 moments: in the same socket or another.
    bench moments esp32 --boards 8 --total 20 --moments 50 --seed "$seed" --timeout 240 --until-done \
        $(station /tmp/moments) || exit 1
fi
if wanted hub; then
    bench hub esp32 --boards 8 --all 4 --swaps 6 --seed "$seed" --timeout 120 --until-done \
        $(station /tmp/hub) || exit 1
fi
if wanted held; then
    bench held esp32 --boards 3 --hold 4 --until-done $(station /tmp/held) || exit 1
    grep -q 'held by usbbench' /tmp/held/log || { echo "vm: nobody was told who holds the port"; exit 1; }
fi
if wanted jtag; then
    bench jtag esp32c3 --boards 2 --kinds jtag $(station /tmp/jtag) --once || exit 1
fi
if wanted check; then
    # The bench must notice: a key that is spent but not marked, and boards that got none.
    spoilt='keyline "$@"; sed -i "s/,Provisioned//" /tmp/check/keys.csv'
    if (bench check esp32 --boards 2 -- /bin/sh -c "$spoilt" keyline --headless --once \
        --csv-file /tmp/check/keys.csv --firmware /tmp/check/firmware.bin) >/tmp/out; then
        echo "vm: the custody check is blind"
        exit 1
    fi
    grep -q 'that is not marked' /tmp/check/log || exit 1
    echo "vm: check passed: it sees a missing mark"
fi
