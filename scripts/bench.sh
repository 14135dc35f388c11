#!/usr/bin/env bash
# Runs the benchmarks on this host: the library alone, the trace encoder, and lookups in the image's symbol table if there is an
# image. Then the line encoder and the heap profiler beside those of other crates, each in one run.
# usage: scripts/bench.sh [arguments of cargo bench]
set -euo pipefail
cd "$(dirname "$0")/.."
set -x
# The image has frame pointers; without them the heap profiler's stacks are empty. A separate target folder, so that other builds
# are not invalidated.
RUSTFLAGS="-C force-frame-pointers=yes" cargo bench -p monitoring --features talc --target-dir target/frames "$@"
cargo bench -p memtrace-writer "$@"
cargo bench -p symbols "$@"
cargo run --release --manifest-path monitoring/compare/Cargo.toml --target-dir target/compare
# Most of these profilers also walk stacks by frame pointers.
export RUSTFLAGS="-C force-frame-pointers=yes"
cargo build --release --manifest-path monitoring/compare-heap/plain-mimalloc/Cargo.toml --target-dir target/compare-heap
exec cargo run --release --manifest-path monitoring/compare-heap/Cargo.toml --target-dir target/compare-heap
