#!/usr/bin/env bash
# Fuzzes everything that reads bytes from outside, guided by coverage, with libFuzzer.
# usage: scripts/fuzz.sh [SECONDS] [TARGET]...     (SECONDS for each target; by default 1800 for each of all targets)
# What it learns stays in target/fuzz/corpus; an input that fails is left in target/fuzz and its path is printed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly triple=x86_64-unknown-linux-gnu
bad() { printf 'fuzz: %s; usage: scripts/fuzz.sh [SECONDS] [TARGET]...\n' "$*" >&2; exit 2; }

seconds=${1:-1800}
[[ $seconds =~ ^[1-9][0-9]{0,6}$ ]] || bad "not a number of seconds: '$seconds'"
targets=("${@:2}")
if ((${#targets[@]} == 0)); then mapfile -t targets < <(ls tests/fuzz/corpus); fi
for target in "${targets[@]}"; do
    [[ -n $target && -d tests/fuzz/corpus/$target ]] || bad "unknown target '$target', want one of $(ls tests/fuzz/corpus | tr '\n' ' ')"
done
command -v c++ >/dev/null || { printf 'fuzz: there is no C++ compiler for libFuzzer: install g++\n' >&2; exit 3; }

# What cargo-fuzz gives to a compiler of any channel. An explicit target keeps the flags from build scripts.
export RUSTFLAGS="--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table
    -C llvm-args=-sanitizer-coverage-trace-compares"
cargo build -q --release --locked --manifest-path tests/fuzz/Cargo.toml --target "$triple" --target-dir target/fuzz

status=0
for target in "${targets[@]}"; do
    learnt=target/fuzz/corpus/$target log=target/fuzz/$target.log
    mkdir -p "$learnt"
    # An input may take seconds on a busy machine. The targets limit their memory themselves (tests/fuzz/src/memory.rs).
    if TARGET=$target "target/fuzz/$triple/release/fuzz" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1024 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="target/fuzz/$target-" "$learnt" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
        printf 'fuzz: %s: %s\n' "$target" "$(grep -E '^#[0-9]+.*DONE' "$log" | tr -s '\t ' ' ')"
    else
        status=1
        grep -E -A3 'panicked at|ERROR: libFuzzer|Test unit written' "$log" >&2 || tail -20 "$log" >&2
        printf 'fuzz: %s: FAILED; see %s\n' "$target" "$log" >&2
    fi
done
exit "$status"
