#!/usr/bin/env bash
# dashboard.sh CASE KEYLINE WRITE_IMAGES: one end-to-end test of the dashboard in tmux.
set -u
case=$1
shift
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

start_bench() {
    boards "$@"
    open s 24 80 "$keyline $with_images $ports"
    see s "KEYS LEFT"
}

test_opens() {
    start_bench 4
    see s "blinky 2.3"
    see s "for ESP32"
    see s "done 4"
    see s "KEYS LEFT 26"
    see s "key dev-0001"
    [ "$(screen s | grep -cF '███   █   ███ ███')" -ge 2 ] || fail "no PASS in large letters"
    alternate s || fail "the shell's screen is overwritten"
    t resize-window -t =s: -x 80 -y 12
    retry "PASS in small letters" eval '[ "$(screen s | grep -c PASS)" -ge 2 ]'
    board unplug 1
    see s "empty"
    board replace 1
    see s "done 5"
    [ "$(stat -c %a "$dir/keys.csv.socket")" = 600 ] || fail "others can reach the station"
}

test_keys() {
    start_bench 2 --fault 2:never_asks
    see s "done 1"
    press s p
    see s "paused"
    press s P
    gone s "paused: nothing"
    press s '?'
    see s "this page"
    press s Escape
    gone s "this page"
    press s K
    see s "Keys in doubt"
    press s Escape
    gone s "Keys in doubt"
    press s l
    see s "Events"
    see s "PASS in"
    press s Escape
    gone s "Events"
    press s Enter
    see s "following"
    press s /
    run s "dev-0001"
    see s "lines below"
    press s End
    see s "following"
    press s Escape
    gone s "following"
    press s t
    gone s "│"
    press s t
    see s "│"
    press s 2
    see s ">2 "
    press s Left
    see s ">1 "
    press s 2
    see s ">2 "
    press s s
    see s "skipped"
    press s r
    gone s "skipped"
    press s e
    see s "it is at work"
    press s 1
    see s ">1 "
    press s e
    see s "Erase all flash"
    press_until_gone s Escape "Erase all flash"
    press s C-l
    see s "KEYS LEFT"
}

test_attach() {
    start_bench 1
    see s "done 1"
    press s q
    leave s
    usable s
    station >"$dir/first" || fail "the station did not go on"
    board replace 1
    retry "a board done with nobody watching" stored_are 2
    open again 24 80 "$keyline attach $on_files"
    see again "done 2"
    press again Enter
    see again "following"
    press again Home
    see again "lines below"
    press again End
    see again "PASS in"
    press again Escape
    # a second one at the same time; keyline itself finds the station too
    run s "clear; $keyline $with_images $ports"
    see s "done 2"
    [ "$(station)" = "$(cat "$dir/first")" ] || fail "a second station"
    press s q
    see s "leave it running"
    press_until_gone s Escape "leave it running"
    board replace 1
    see s "done 3"
    see again "done 3"
}

test_read_only() {
    start_bench 1
    see s "done 1"
    open watcher 24 80 "$keyline attach --read-only $on_files"
    see watcher "READ ONLY"
    press watcher p
    see watcher "read only: this dashboard can't command"
    press watcher s
    press watcher q
    see watcher "Leave the dashboard? The station goes on."
    press_until_gone watcher Escape "Leave the dashboard?"
    shows s "paused" && fail "a watcher paused the bench"
    board replace 1
    see watcher "done 2"
    see s "done 2"
}

test_resize() {
    local size
    start_bench 8
    see s "done 8"
    for size in 10x20 3x10 1x2 40x120 2x200 60x20 24x80; do
        t resize-window -t =s: -x "${size#*x}" -y "${size%x*}"
        retry "the new size" eval \
            '[ "$(t display-message -p -t =s: "#{pane_height}x#{pane_width}")" = '$size' ]'
        station >/dev/null || fail "the station is gone at $size"
        alternate s || fail "the dashboard is gone at $size"
        case $size in
        10x20 | 60x20) see s "KEYS LEFT" ;;
        40x120 | 24x80) see s "done 8" ;;
        esac
    done
    board replace 1
    see s "done 9"
}

test_killed() {
    start_bench 2
    see s "done 2"
    kill -KILL "$(worker s)"
    usable s
    board replace 1
    retry "the bench goes on" stored_are 3
    run s "clear; $keyline attach $on_files"
    see s "done 3"
    kill -TERM "$(worker s)"
    usable s
    # The parent that would have put the terminal in order is killed; this shell does not do it.
    run s "clear; $keyline attach $on_files"
    see s "KEYS LEFT"
    kill -KILL "$(parent s)"
    usable s
    station >/dev/null || fail "the station is gone"
}

test_closed() {
    local old
    start_bench 2
    see s "KEYS LEFT"
    old=$(worker s)
    t set-option -g exit-empty off >/dev/null
    t kill-session -t =s
    retry "the dashboard's end" not kill -0 "$old"
    board replace 1
    board replace 2
    retry "the bench goes on" stored_are 2
    station >/dev/null || fail "the station is gone"
    open again 24 80 "$keyline attach $on_files"
    see again "done"
    stop again
    retry "the station's end" station_gone
}

# Nobody reads from the socket; then a lot is told; then it is read again.
test_stalled_dashboard() {
    local pid round
    start_bench 8 --fault chatty
    pid=$(worker s)
    kill -STOP "$pid"
    retry "8 boards done" stored_are 8
    for round in 1 2; do
        for i in 1 2 3 4 5 6 7 8; do board replace $i; done
        retry "8 more boards done" stored_are $((8 + 8 * round))
    done
    kill -CONT "$pid"
    see s "done 24"
}

# The terminal takes nothing more: a pseudo-terminal that is not read.
test_stalled_terminal() {
    boards 8 --fault chatty
    python3 "$here/stalled.py" "$dir/stall" "$keyline" $with_images $ports &
    peer_pid=$!
    retry "a dashboard that nobody reads" test -e "$dir/stall"
    retry "8 boards done" stored_are 8
    for i in 1 2 3 4 5 6 7 8; do board replace $i; done
    retry "8 more boards done" stored_are 16
    open s 24 80 "$keyline attach $on_files"
    see s "done 16"
}

# A tmux client, as an SSH session would be, is stopped while boards run, and goes on.
test_stalled_client() {
    boards 8 --fault chatty
    open s 24 80 "$keyline $with_images $ports"
    see s "KEYS LEFT"
    open outer 24 80 "exec sh -c 'env -u TMUX tmux -L keyline-$$ attach -t =s; true'"
    see outer "KEYS LEFT"
    local client
    client=$(t list-clients -t =s -F '#{client_pid}')
    kill -STOP "$client"
    retry "8 boards done" stored_are 8
    for i in 1 2 3 4 5 6 7 8; do board replace $i; done
    retry "8 more boards done" stored_are 16
    kill -CONT "$client"
    see s "done 16"
    see outer "done 16"
}

has_colours() {
    t capture-pane -e -p -t =s: | grep -qE $'\x1b\\[([0-9;]*;)?(3[0-8]|4[0-8])[;m]'
}

# Terminals that can do less, and people who want less.
test_terminals() {
    local terminal
    boards 1
    open s 24 80
    for terminal in xterm-256color screen tmux linux vt100; do
        run s "clear; TERM=$terminal $keyline $with_images $ports"
        see s "done 1"
        see s "quit"
        case $terminal in
        vt100) has_colours && fail "colours on a vt100" ;;
        *) has_colours || fail "no colours on $terminal" ;;
        esac
        press s q
        leave s
    done
    for words in "NO_COLOR=1 $keyline attach" "$keyline attach --no-colour"; do
        run s "clear; $words $on_files"
        see s "┏"
        has_colours && fail "colours with $words"
        press s q
        leave s
    done
    for words in "LC_ALL=C $keyline attach" "$keyline attach --ascii"; do
        run s "clear; $words $on_files"
        see s "KEYS LEFT"
        screen s | LC_ALL=C grep -q '[^ -~]' && fail "more than ASCII with $words"
        press s q
        leave s
    done
    run s "clear; TERM=xterm-nonsense $keyline attach $on_files"
    see s "KEYS LEFT"
    see s "'xterm-nonsense' is not known here: it is taken for xterm"
    press s q
    leave s
    run s "clear; TERM=dumb $keyline attach $on_files"
    see s "PASS in"
    press s C-c
    see s "The station goes on: keyline attach --csv-file"
    usable s
}

# A port that sends what would clear, move, colour, retitle and ring, and wide characters.
test_hostile_board() {
    python3 "$here/hostile.py" >"$dir/peer" &
    peer_pid=$!
    retry "the hostile port" grep -q socket "$dir/peer"
    boards 1
    open s 24 80 "$keyline $with_images $ports --port $(cat "$dir/peer")"
    see s "done 1"
    see s "日本語"
    press s 2
    press s Enter
    see s "following"
    see s "日本語"
    see s "gotcha"
    see s "KEYS LEFT"
    see s "q back"
    [ "$(t display-message -p -t =s: '#{pane_title}')" != pwned ] || fail "a board set the title"
    [ "$(t display-message -p -t =s: '#{window_bell_flag}')" != 1 ] || fail "a board rang"
    [ "$(t display-message -p -t =s: '#{cursor_flag}')" = 0 ] || fail "a board showed the cursor"
    screen s | awk 'NR == 1 && !/keyline/ { exit 1 }' || fail "a board wrote on the header"
    press s q
    see s "q quit"
    press s q
    leave s
    usable s
}

test_stop() {
    start_bench 2
    see s "done 2"
    stop s
    retry "the station's end" station_gone
    usable s
    see s "2 provisioned"
    "$keyline" keys status $on_files | grep -qE "^ +2  provisioned" || fail "the ledger says otherwise"
}

# Text and bytes that nobody typed: whatever they hold, no board changes its state and nothing is
# answered, with brackets around them and without.
test_pasted() {
    local screen
    start_bench 3
    see s "done 3"
    press s 3
    see s ">3 "
    seq 800 | awk '{ printf "keyline keys status e3 y stop %d\r\n", $1 }' | head -c 10000 >"$dir/text"
    head -c 10000 /dev/urandom >"$dir/bytes"
    for screen in "" Enter l K '?' e q n /; do
        [ -z "$screen" ] || press s "$screen"
        t load-buffer -b text "$dir/text"
        t load-buffer -b bytes "$dir/bytes"
        t paste-buffer -p -b text -t =s:
        t paste-buffer -b text -t =s:
        t paste-buffer -r -b bytes -t =s:
        retry "the bench after a paste on '$screen'" eval \
            "t send-keys -t =s: Escape; sleep 0.3; shows s 'done 3' && shows s '>3 ' && shows s PASS"
        shows s "paused" && fail "a paste paused the bench on '$screen'"
    done
    [ "$(grep -c '^event [0-9]* stored' "$dir/boards")" = 3 ] || fail "a board was erased"
    station >/dev/null || fail "the station is gone"
}

# The same on a terminal whose bytes come in pieces, as over a slow line.
test_pasted_in_pieces() {
    boards 3
    open s 24 80 "$keyline $with_images $ports --events $dir/events"
    see s "done 3"
    python3 "$here/pieces.py" "$dir/events" "$keyline" attach $on_files || fail "not typed, and done"
    [ "$(grep -c '^event [0-9]* stored' "$dir/boards")" = 3 ] || fail "a board was erased"
}

# However a dashboard ends, its last line says what goes on and how to come back.
test_says_what_goes_on() {
    start_bench 2
    see s "done 2"
    press s C-c
    see s "The station goes on, 0 boards at work: keyline attach --csv-file"
    usable s
    run s "clear; $keyline attach $on_files"
    see s "KEYS LEFT"
    press s 'C-\'
    see s "The station goes on, 0 boards at work"
    usable s
    run s "clear; $keyline attach $on_files"
    see s "KEYS LEFT"
    kill -KILL "$(worker s)"
    see s "The dashboard was killed. The station goes on: keyline attach"
    usable s
}

# What the station tried again by itself is one turn, there as on the dashboard.
test_report() {
    start_bench 1 --fault write_fails
    see s "failed 1"
    tries=$("$program" keys history --csv-file "$dir/keys.csv" | grep -c "failed: write_failed")
    [ "$tries" -gt 1 ] || fail "it was not tried again"
    "$program" report --csv-file "$dir/keys.csv" >"$dir/report"
    grep -Eq ' 1 +0 +1 +0% .*write_failed 1$' "$dir/report" || fail "all tries are one turn: $(cat "$dir/report")"
    "$program" report --csv-file "$dir/keys.csv" >/dev/full && fail "a report that nobody got"
    "$program" list >/dev/full && fail "a list that nobody got"
    stop s
    retry "the station's end" station_gone
}

# Another build or other options, and a station that works on this CSV already: it is asked about.
test_restart() {
    start_bench 2
    see s "done 2"
    press s q
    leave s
    usable s
    run s "clear; $keyline $with_images $ports"
    see s "KEYS LEFT" # the same: shown without a question
    "$write_images" "$dir" 2.4 || fail "no images"
    see s "NOT the file on disk"
    press s q
    leave s
    station >"$dir/first"
    run s "clear; $keyline $with_images $ports --retries 3"
    see s "it flashes    firmware.bin blinky 2.3"
    see s "on disk now   firmware.bin blinky 2.4"
    see s "--retries"
    see s "asked for now 3"
    press s Enter
    usable s
    [ "$(station)" = "$(cat "$dir/first")" ] || fail "Enter did something"
    run s "clear; $keyline --headless $with_images $ports"
    see s "on disk now   firmware.bin blinky 2.4"
    see s "Show it as it is: keyline attach"
    run s "clear; $keyline $with_images $ports --retries 3"
    see s "finish it, then start anew"
    run s f
    see s "blinky 2.4"
    see s "KEYS LEFT"
    retry "another station" eval '[ "$(station)" != "$(cat "$dir/first")" ]'
    stop s
    retry "the station's end" station_gone
}

# Which stations there are, and what became of their boards.
test_stations() {
    start_bench 2
    see s "done 2"
    press s q
    leave s
    usable s
    run s "clear; cd / && $program list"
    see s "$dir/keys.csv"
    see s "2 slots, 0 busy, 28 keys left, blinky 2.3, since "
    run s "clear; $program attach" # the only one there is
    see s "done 2"
    press s i
    see s "fails by reason"
    press s q
    press s w
    see s "done 2 of 30"
    press s q
    see s "KEYS LEFT"
    stop s
    retry "the station's end" station_gone
    see s "2 boards: 2 done, 0 failed; 100% done at the first try"
    run s "clear; $program list"
    see s "no station of this user runs"
    run s "clear; $program report --csv-file $dir/keys.csv"
    see s "2 boards: 2 done, 0 failed"
}

# The phrase comes from a file or a prompt; on the command line every user could read it.
test_locked() {
    echo xyzzy >"$dir/phrase"
    chmod 600 "$dir/phrase"
    boards 1
    open s 24 80 "$keyline $with_images $ports --lock $dir/phrase"
    see s "LOCKED (L)"
    see s "done 1"
    press s e
    see s "locked: only retry and skip"
    press s L
    see s "Unlock:"
    retry "the phrase typed" eval 't send-keys -t =s: BSpace BSpace BSpace BSpace BSpace; t send-keys -t =s: -l xyzzy; sleep 0.1; shows s "Unlock: *****_"'
    press s Enter
    gone s "LOCKED"
    press s q
    leave s
    usable s
    run s "clear; $keyline attach $on_files --lock ask"
    see s "Phrase that will unlock"
    run s "plugh"
    see s "LOCKED (L)"
    press s C-c
    usable s
    run s "clear; $keyline attach $on_files --lock-phrase plugh"
    see s "belongs into a config file"
}

# A key in doubt tells its story, and is released on the spot, with a reason that is kept.
test_in_doubt() {
    boards 1 --fault ack_lost=9
    open s 24 90 "$keyline $with_images $ports --ack-timeout 0.5 --retries 0"
    see s "FAIL"
    board unplug 1
    see s "in doubt 1 (K)"
    press s K
    see s "> dev-0001"
    press s Enter
    see s "The story of key dev-0001"
    see s "reserved dev-0001"
    see s "attempt dev-0001 in slot"
    see s "Its board is not on the bench."
    press s q
    see s "u releases it"
    press s u
    see s "Release key dev-0001?"
    retry "a reason typed" eval 't send-keys -t =s: BSpace BSpace; t send-keys -t =s: -l ok; sleep 0.1; shows s "ok_"'
    press s Enter
    see s "None."
    "$program" keys history $on_files | grep -q "release .* by .*: ok" || fail "not recorded"
}

# A scanner types a label within milliseconds; the board in the chosen slot gets that key.
test_scanned() {
    boards 1 --fault slow_boot=12000 # the time for all this
    open s 24 80 "$keyline $with_images $ports"
    see s "ESP32  4 MB"
    press s b
    see s "scan it"
    sleep 0.4
    t send-keys -t =s: -l 'dev-0017
'
    see s "key dev-0017"
    see s "done 1"
    press s l
    see s "binds a label to the board: dev-0017"
}

# A terminal that nothing is known about: the station must not have begun without a dashboard.
test_unknown_terminal() {
    boards 1
    open s 24 80
    run s "TERM=xterm-ghostty TERMINFO=/nowhere TERMINFO_DIRS=/nowhere $keyline $with_images $ports"
    see s "is not known here"
    see s "KEYS LEFT"
    see s "done 1"
    stop s
    retry "the station's end" station_gone
}

test_traffic() {
    boards 16 --pace
    keys 64
    python3 "$here/traffic.py" "$dir" "$keyline" $with_images $ports >"$dir/traffic" 2>&1
    local status=$?
    cat "$dir/traffic"
    [ $status -eq 0 ] || fail "the terminal gets too much"
}

# Any of these keys ends a demo at once and for good.
test_demo() {
    local key
    for key in q Escape C-c; do
        open "demo-$key" 24 80 "$keyline demo"
        see "demo-$key" "flashing"
        press "demo-$key" "$key"
        usable "demo-$key"
        retry "the boards' end" eval '! pgrep -f "^keyline --csv-file $dir/keyline-demo-"'
        retry "the folder's end" eval '! ls -d "$dir"/keyline-demo-*'
        t kill-session -t "=demo-$key"
    done
}

"test_$case"
exit 0
