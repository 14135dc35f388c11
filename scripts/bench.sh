#!/usr/bin/env bash
# Benchmarks on this host: each crate alone, lookups in the image's symbol table if there is an image, then the line
# encoder and the heap profiler beside other crates', each in one run.
# usage: scripts/bench.sh [arguments of cargo bench]
set -euo pipefail
cd "$(dirname "$0")/.."
set -x
# With frame pointers and for one core, as the image is built: without the first, the heap profiler's stacks are empty. A separate
# folder, so that nothing else is built again.
RUSTFLAGS="-C force-frame-pointers=yes" cargo bench -p heap-profiler -p logging -p memtrace-writer -p metrics \
    --features heap-profiler/talc,sync/one-core --target-dir target/frames "$@"
cargo bench -p symbols "$@"
cargo run --release --manifest-path monitoring/metrics/compare/Cargo.toml --target-dir target/compare
# Most of these profilers too find their stacks by frame pointers.
export RUSTFLAGS="-C force-frame-pointers=yes"
readonly heap=monitoring/heap-profiler/compare
cargo build --release --manifest-path $heap/plain-mimalloc/Cargo.toml --target-dir target/compare-heap
exec cargo run --release --manifest-path $heap/Cargo.toml --target-dir target/compare-heap
