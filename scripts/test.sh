#!/usr/bin/env bash
# All tests: on the host, then with the images booted under QEMU. Fails if any fails.
# usage: scripts/test.sh [FILTER]...     (the arguments of a cargo test: tests whose names contain FILTER)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 3

summary=()
failed=0
step() {
    local name=$1
    shift
    printf '+ %s\n' "$*" >&2
    if "$@"; then
        summary+=("ok       $name")
    else
        summary+=("FAILED   $name")
        failed=1
    fi
}
skip() { summary+=("SKIPPED  $1: $2"); }

step "setup" scripts/setup.sh --tests
step "host tests" cargo test "$@"
for features in talc linked-list; do
    step "monitoring with $features" cargo test -p monitoring --features "$features" "$@"
done
step "monitoring with all features" cargo test -p monitoring --all-features "$@"
# The ring and the live set in all orders of three tasks, on loom's atomics: another build of the library, 15 s to run.
loom() { RUSTFLAGS="--cfg loom" cargo test -p monitoring --release --lib --target-dir target/loom loom; }
step "heap profiler with loom" loom
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
        cargo deny --locked --manifest-path kernel/hermit/Cargo.toml check --config "$PWD/deny.toml" licenses bans
}
if cargo deny --version >/dev/null 2>&1; then
    step "licences and bans" denied
else
    skip "licences and bans" "cargo deny is not installed"
fi
step "image with linked-list" scripts/build.sh --heap linked-list
step "image with talc" scripts/build.sh --heap talc
step "image for tests" scripts/build.sh --package guest
for example in minimal with-std; do
    step "example $example" scripts/build.sh --package "$example"
done
step "programs for deploy/" scripts/setup-deploy.sh
for missing in target/deploy/*.missing; do
    if [[ -e $missing ]]; then skip "tests with $(basename "$missing" .missing)" "$(<"$missing")"; fi
done
# Two guests at a time: each takes a core under TCG.
step "boot tests" cargo test -p tests "$@" -- --test-threads=2

printf '\n'
printf '%s\n' "${summary[@]}"
exit "$failed"
