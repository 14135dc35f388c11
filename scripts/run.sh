#!/usr/bin/env bash
# Builds the image if needed, boots it and shows its console and its metrics; Ctrl-C ends all.
# usage: scripts/run.sh [VM options] [-- application arguments]     (scripts/run.sh --help lists the options)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

run() { printf '+ %s\n' "$*" >&2; "$@"; }

"$root/scripts/setup.sh"
# shellcheck source=/dev/null
. "$root/target/setup.env"
artifacts=${CARGO_TARGET_DIR:-$root/target}
run cargo build --release --manifest-path "$root/Cargo.toml" -p hermon --target-dir "$artifacts"
export QEMU
exec "$artifacts/release/hermon" run --build "$root/scripts/build.sh" "$@"
