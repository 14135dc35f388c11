#!/usr/bin/env bash
# All tests: on the host, then with the images booted under QEMU. Fails if any fails.
# usage: scripts/test.sh [FILTER]...     (the arguments of a cargo test: tests whose names contain FILTER)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3

# What is not built for this host: images.
readonly workspace=(--workspace --exclude guest --exclude minimal --exclude with-std)

# What a cold run leaves in target and needs beside it, in MiB: 5,900 were measured. A full disk fails somewhere else each time.
readonly space=7500
available=$(df --output=avail -BM . | tail -1 | tr -dc 0-9)
if [[ ! -d target && $available -lt $space ]]; then
    printf 'test: only %s MiB of disk space are free, and a first run needs %s; make room\n' "$available" "$space" >&2
    exit 3
fi

summary=()
failed=0
note() { # ok or not, the seconds, the name
    if (($1 == 0)); then
        summary+=("ok       $(printf '%4d s  %s' "$2" "$3")")
    else
        summary+=("FAILED   $(printf '%4d s  %s' "$2" "$3")")
        failed=1
    fi
}
step() {
    local name=$1 start=$SECONDS status=0
    shift
    printf '+ %s\n' "$*" >&2
    "$@" || status=$?
    note "$status" $((SECONDS - start)) "$name"
}
skip() { summary+=("SKIPPED          $1: $2"); }

# Images and other programs are built beside the host's tests. What they print is shown when they have ended, if they failed.
logs=target/test
mkdir -p "$logs"
record() { # a name for the log, then the command
    local log=$logs/$1.log status=0 start=$SECONDS
    shift
    printf '+ %s\n' "$*" >"$log"
    "$@" >>"$log" 2>&1 || status=$?
    echo "$status $((SECONDS - start)) $log $*" >>"$logs/beside"
}
beside() {
    record app-linked-list scripts/build.sh --heap linked-list
    record app scripts/build.sh --heap talc
    local package
    for package in guest minimal with-std; do record "$package" scripts/build.sh --package "$package"; done
    record deploy scripts/setup-deploy.sh
    if $fuzzes; then record fuzz scripts/fuzz.sh 13; fi
}

# Two minutes for all targets, in a run of all tests.
fuzzes=false
if (($# == 0)); then
    if command -v c++ >/dev/null; then fuzzes=true; else skip "fuzz" "there is no C++ compiler for libFuzzer"; fi
fi

step "setup" scripts/setup.sh --tests
rm -f "$logs/beside"
beside &
images=$!
trap 'kill $images 2>/dev/null' EXIT

step "build" cargo test -q "${workspace[@]}" --no-run
step "host tests" cargo test "${workspace[@]}" --exclude tests --no-fail-fast "$@"
# Without bus locks, as in an image; with std and both heaps.
step "one core" cargo test -p sync -p heap-profiler \
    --features sync/one-core,heap-profiler/one-core,heap-profiler/std,heap-profiler/talc,heap-profiler/linked-list "$@"
if cargo fmt --version >/dev/null 2>&1; then
    step "format" cargo fmt --all --check
else
    skip "format" "cargo fmt is not installed"
fi
if cargo clippy --version >/dev/null 2>&1; then
    step "clippy" cargo clippy --workspace --all-targets -- -D warnings
else
    skip "clippy" "cargo clippy is not installed"
fi
documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps; }
step "documentation" documentation
# The oldest compiler that Cargo.toml promises, if rustup has it: without this question rustup would download it.
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
toolchain=$(rustup toolchain list 2>/dev/null | grep -om1 "^${oldest//./\\.}[.0-9]*-[^ ]*")
if [[ -n $toolchain ]]; then
    step "MSRV" cargo "+$toolchain" check --workspace --locked
else
    skip "MSRV" "rustup has no toolchain $oldest"
fi
# Licences and bans of the workspace and of the kernel, which has its own lock file; deny.toml holds for both.
denied() {
    cargo deny --locked check licenses bans &&
        cargo deny --locked --config "$PWD/deny.toml" --manifest-path kernel/hermit/Cargo.toml check licenses bans
}
if cargo deny --version >/dev/null 2>&1; then
    step "licences and bans" denied
else
    skip "licences and bans" "cargo deny is not installed"
fi

wait "$images"
trap - EXIT
while read -r status seconds log command; do
    note "$status" "$seconds" "$command"
    ((status == 0)) || cat "$log" >&2
done <"$logs/beside"
for missing in target/deploy/*.missing; do
    if [[ -e $missing ]]; then skip "tests with $(basename "$missing" .missing)" "$(<"$missing")"; fi
done
# Two guests at a time: each takes a core under TCG.
step "boot tests" cargo test -p tests "$@" -- --test-threads=2

printf '\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
