#!/usr/bin/env bash
# fuzz.sh BUILD [SECONDS [TARGET]]: runs libFuzzer over each target for a while; new inputs go to
# BUILD/corpus, a crash to tests/fuzz/regression/TARGET, where it is replayed from then on.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
build=$1 seconds=${2:-60} only=${3:-}
for program in "$build"/tests/fuzz_*; do
    name=$(basename "$program")
    [ -x "$program" ] && [ -f "$program" ] || continue
    [ -z "$only" ] || [ "$only" = "$name" ] || [ "fuzz_$only" = "$name" ] || continue
    mkdir -p "$build/corpus/$name" "$here/corpus/$name" "$here/regression/$name"
    echo "== $name, $seconds s"
    "$program" -max_total_time="$seconds" -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$here/regression/$name/" "$build/corpus/$name" "$here/corpus/$name" \
        "$here/regression/$name" 2>&1 | grep -E 'stat::number_of_executed|ERROR|SUMMARY|cov:' | tail -4
    rmdir --ignore-fail-on-non-empty "$here/corpus/$name" "$here/regression/$name"
done
