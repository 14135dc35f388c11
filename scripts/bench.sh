#!/usr/bin/env bash
# Benchmarks on this host: the library by itself, the trace encoder, lookups in the image's symbol table if there is an image, then the line
# encoder and the heap profiler beside other crates', each in one run.
# usage: scripts/bench.sh [arguments of cargo bench]
set -euo pipefail
cd "$(dirname "$0")/.."
set -x
# With frame pointers, as the image has them: without, the heap profiler's stacks are empty. A folder of its own, so that nothing else
# is built again.
RUSTFLAGS="-C force-frame-pointers=yes" cargo bench -p monitoring --features talc --target-dir target/frames "$@"
cargo bench -p memtrace-writer "$@"
cargo bench -p symbols "$@"
cargo run --release --manifest-path monitoring/compare/Cargo.toml --target-dir target/compare
# Most of these profilers too find their stacks by frame pointers.
export RUSTFLAGS="-C force-frame-pointers=yes"
cargo build --release --manifest-path monitoring/compare-heap/plain-mimalloc/Cargo.toml --target-dir target/compare-heap
exec cargo run --release --manifest-path monitoring/compare-heap/Cargo.toml --target-dir target/compare-heap
