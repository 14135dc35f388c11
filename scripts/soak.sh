#!/usr/bin/env bash
# Two images with everything on for MINUTES (20 by default), under attack, with a link that goes down and up; prints a report of one page.
# usage: scripts/soak.sh [MINUTES]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh >&2
cargo build --profile tool -p hermon
exec cargo run -q -p tests --bin soak -- "$@"
