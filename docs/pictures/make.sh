#!/usr/bin/env bash
# make.sh KEYLINE: the pictures of README.md and docs/operating.md, made anew from a demo in tmux.
# Each is taken when its situation comes; all of it takes about a minute.
set -eu
keyline=$1
here=$(dirname "$(readlink -f "$0")")
work=$(mktemp -d)
export TMUX_TMPDIR=$work LC_ALL=C.UTF-8
unset TMUX NO_COLOR

t() {
    tmux -L pictures -f /dev/null "$@"
}
trap 't kill-server 2>/dev/null || true; rm -rf "$work"' EXIT

shows() {
    t capture-pane -p -t =demo: | grep -E -c -e "$1" || true
}

# take NAME COUNT PATTERN [PATTERN]: when COUNT lines show it, and one shows the other
take() {
    for _ in $(seq 900); do
        if [ "$(shows "$3")" -ge "$2" ] && [ "$(shows "${4:-}")" -ge 1 ]; then
            t capture-pane -e -N -p -t =demo: >"$work/screen"
            "$here/render.py" "$work/screen" >"$here/$1.svg"
            return
        fi
        sleep 0.1
    done
    echo "never seen: $3" >&2
    exit 1
}

press() {
    t send-keys -t =demo: "$@"
}

t new-session -d -s demo -x 96 -y 26 "TERM=xterm-256color $keyline demo"
t set-option -g status off
t resize-window -t =demo: -x 96 -y 26
take running 2 '█[░]+.*█[░]+'
press Enter
take zoom 1 'PASS in'
press Escape
take result 1 '████ ████ ████' '███   █   ███ ███'
press K
take doubt 1 'Plug in the board'
press Escape
take low 1 'few keys left'
press p
take paused 1 'paused'
press P
press i
take figures 1 'fails by reason' 'never_asked'
press q
press w
take wall 1 'done [0-9]+ of' '███   █   ███ ███'
press q
press q
