#!/usr/bin/env bash
# screen.sh KEYLINE PROBE: `keyline fleet` on a real terminal: stations, one station's history, another size, a
# database that goes and comes back, and the shell's own screen at the end.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$here/station_lib.sh"
command -v tmux >/dev/null || { echo "SKIPPED: tmux is not installed"; exit 77; }
fleet_begin "$1" "$2"
export TMUX_TMPDIR=$work LC_ALL=C.UTF-8
unset TMUX NO_COLOR
t() { tmux -L "keyline-$$" -f /dev/null "$@"; }
trap 't kill-server 2>/dev/null; end_station; fleet_end' EXIT
pg_start a
fleet_pool a 30 north south west
probe a north <<<$'hello 0 1\nlease 1 4' >said
mapfile -t key < <(keys_of <said)
probe a north <<<"claim 02:00:00:00:00:01 ${key[0]}
report 1 provisioned ${key[0]} 02:00:00:00:00:01 readback
report 2 attempt 00 02:00:00:00:00:02 no_answer
status" >/dev/null

# The station behind a dashboard is a session of its own; its port is nobody else's.
end_station() {
    local pid
    [ -e z.boards ] || return 0
    for pid in $(pgrep -f -- "--port $(url z 1)"); do
        kill "$pid" 2>/dev/null
        while [ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
    done
}
screen() { t capture-pane -p -t =s:; }
# see TEXT, gone TEXT: until the screen has it, or not; at most 20 seconds.
see() {
    local i
    for ((i = 0; i < 400; i++)); do
        screen | grep -qE -- "$1" && return
        sleep 0.05
    done
    fail "not seen: $1; the screen: $(screen)"
}
gone() {
    local i
    for ((i = 0; i < 400; i++)); do
        screen | grep -qE -- "$1" || return
        sleep 0.05
    done
    fail "still there: $1"
}
press() { t send-keys -t =s: "$@"; }

t new-session -d -s s -x 130 -y 24 "PS1='prompt> ' exec sh"
t set-option -g status off >/dev/null
press -l "$(printf '%q fleet %q' "$keyline" "$(at a owner)")"
press Enter

# ---- all stations, and one ----

see 'pool p, not sealed'
see '26 of 30 keys free, 1 provisioned, 3 leased'
see '^ north +(on-line|away [0-9]+ s) +0 +0 +1 +1 +50% '
see '^ south +never '
press Enter
see 'north: what people did, then its last results, the newest first'
see 'attempt +02:00:00:00:00:02 +no_answer'
see 'provisioned +02:00:00:00:00:01 +K000001 +readback'
press Escape
gone 'what people did'
press Down
press Enter
see 'south: what people did'
press Escape
see '^ north '

# ---- another size ----

for size in 40x8 3x2 150x30; do
    t resize-window -t =s: -x "${size%x*}" -y "${size#*x}"
    [ "$size" = 3x2 ] || see '^ north '
done
see ' build *$'

# ---- the database goes, and comes back ----

pg_stop a immediate
press Enter # asks at once
see 'could not connect|terminat|closed the connection|not answer'
see '26 of 30 keys free' # as last heard
pg_go a
press Escape
gone 'could not connect|terminat|closed the connection|not answer'
see '^ south '
probe a south <<<$'hello 0 1\nlease 2 5\nstatus' >/dev/null
see '21 of 30 keys free' # it looks by itself
see '^ south +(on-line|away)'

# ---- and the end ----

press q
see '^prompt>$'
equals "the shell's own screen" 0 "$(t display-message -p -t =s: '#{alternate_on}')"
# ---- a station's first start while the database is away: it waits where one sees it ----

images
boards z 1 02:00:00:00:00:09
printf '[pool]\nhost=%s\nport=%s\ndbname=keys\nuser=west\n' "$pg_folder/socket" "$(pg_port a)" >service
start="XDG_STATE_HOME=$work/state-west PGSERVICEFILE=$work/service $keyline --pool pool --volatile --firmware firmware.bin --stub none --port $(url z 1)"
pg_stop a
press -l "clear; $start"
press Enter
see 'the first start needs the database of the pool pool: the database does not answer'
see 'waiting for it; Ctrl-C ends'
press C-c
see '^prompt>$'
press -l "clear; $start"
press Enter
see 'waiting for it; Ctrl-C ends'
pg_go a
see 'LEASED KEYS LEFT [0-9]+ +pool [0-9]+ free'
press q
see 'To stop it too'
# An answer counts only when its question stood for a while.
for ((i = 0; i < 400; i++)); do
    screen | grep -q 'To stop it too' || break
    press Enter
    sleep 0.05
done
see '^prompt>'
end_station
press -l 'stty -a | grep -qE -- "-(echo|icanon|opost)( |;|\$)" && echo terminal=broken || echo terminal=good'
press Enter
see '^terminal=good'
