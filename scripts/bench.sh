#!/usr/bin/env bash
# Benchmarks of the library on this host. usage: scripts/bench.sh [arguments of cargo bench]
set -euo pipefail
cd "$(dirname "$0")/.."
set -x
exec cargo bench -p monitoring "$@"
