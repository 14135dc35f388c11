#!/usr/bin/env bash
# Benchmarks of the library on this host: by itself, then the line encoder beside other crates' in one run.
# usage: scripts/bench.sh [arguments of cargo bench]
set -euo pipefail
cd "$(dirname "$0")/.."
set -x
cargo bench -p monitoring "$@"
exec cargo run --release --manifest-path monitoring/compare/Cargo.toml --target-dir target/compare
