#!/usr/bin/env bash
# metrics.sh KEYLINE: --metrics, judged by promtool where it is installed.
set -euo pipefail
keyline=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
grafana=$here/docs/grafana.json
PATH=$PATH:$here/build/tools # ./run test unpacks promtool there
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v python3 >/dev/null || { echo "SKIPPED: python3 is not installed"; exit 77; }
export KEYLINE_CONFIG=none

# until_true WHAT COMMAND...
until_true() {
    local what=$1 i
    shift
    for ((i = 0; i < 600; i++)); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    echo "FAILED: not seen: $what"
    exit 1
}

printf 'dev-1,aa,bb\ndev-2,cc,dd\ndev-3,ee,ff\n' >keys.csv
"$keyline" virtual --images . >/dev/null
mkfifo hold
"$keyline" virtual --boards 2 --listen 127.0.0.1:0 --fault 2:flash_encrypted --control <hold >boards 2>&1 &
boards=$!
exec 9>hold
trap 'kill $boards ${station:-} 2>/dev/null; rm -rf "$folder"' EXIT
until_true "the boards" grep -q ready boards
mapfile -t urls < <(sed -n 's/^board [0-9]* \([^ ]*\) .*/\1/p' boards)
"$keyline" --headless --stub none --warn-keys 0 --metrics bench.prom --port "${urls[0]}" --port "${urls[1]}" >station 2>&1 &
station=$!

# line TEXT: the file has this line.
line() {
    grep -qxF -- "$1" bench.prom
}
first=${urls[0]#*://} second=${urls[1]#*://}
until_true "the board that is done" line "keyline_results_total{result=\"done\",reason=\"\",slot=\"$first\"} 1"
until_true "the board that failed" line "keyline_results_total{result=\"failed\",reason=\"flash_encrypted\",slot=\"$second\"} 1"
until_true "the keys" line 'keyline_keys{state="provisioned"} 1'
for text in 'keyline_keys{state="free"} 2' 'keyline_slots{state="failed"} 1' 'keyline_slots{state="done"} 1' \
    'keyline_ports 2' 'keyline_store_trouble 0' 'keyline_board_seconds_count 1' \
    'keyline_board_seconds_bucket{le="+Inf"} 1' 'keyline_stage_seconds_count{stage="flashing"} 1'; do
    line "$text" || { echo "FAILED: no line $text"; failed=1; }
done
[ "$(stat -c %a bench.prom)" = 644 ] || { echo "FAILED: the exporter can't read it"; failed=1; }
# A file that can't be written is told, once, and again when it can be.
until rm -f bench.prom && mkdir bench.prom 2>/dev/null; do :; done # the station may just write it
touch bench.prom/x
echo "replace 1" >&9
until_true "the trouble" grep -q -- '--metrics bench.prom: ' station
rm -r bench.prom
until_true "the end of the trouble" grep -q 'the metrics file is written again' station
[ "$(grep -c -- '--metrics bench.prom: ' station)" = 1 ] || { echo "FAILED: the trouble is told twice"; failed=1; }
kill "$station"
wait "$station" || { echo "FAILED: the station ends with $?"; failed=1; }
line 'keyline_paused 1' || { echo "FAILED: the last words are missing"; failed=1; }
[ ! -e bench.prom.new ] || { echo "FAILED: something is left over"; failed=1; }
if command -v promtool >/dev/null; then
    promtool check metrics <bench.prom || { echo "FAILED: promtool finds something"; failed=1; }
else
    echo "promtool is not installed: not judged by it"
fi
# The dashboard asks for what there is; what it asks is PromQL.
python3 - "$grafana" bench.prom <<'END' || failed=1
import json, re, shutil, subprocess, sys
there = set(re.findall(r"^(keyline_\w+)", open(sys.argv[2]).read(), re.M))
asked = [t["expr"] for p in json.load(open(sys.argv[1]))["panels"] for t in p["targets"]]
for name in {n for expr in asked for n in re.findall(r"keyline_\w+", expr)}:
    if name not in there:
        sys.exit("FAILED: the dashboard asks for " + name)
if shutil.which("promtool"):
    rules = {"groups": [{"name": "dashboard", "rules": [
        {"record": "r%d" % i, "expr": e.replace("$instance", ".*")} for i, e in enumerate(asked)]}]}
    json.dump(rules, open("rules.yml", "w"))
    subprocess.run(["promtool", "check", "rules", "rules.yml"], check=True, stdout=subprocess.DEVNULL)
END
! grep -E 'aa|bb|cc|dd|dev-' bench.prom || { echo "FAILED: a key or a label"; failed=1; }
exit "$failed"
