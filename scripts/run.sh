#!/usr/bin/env bash
# Builds the image and the tool if needed, boots the image and shows its console and its metrics; Ctrl-C ends all.
# usage: scripts/run.sh [VM options] [-- application arguments]     (scripts/run.sh --help lists the options)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
artifacts=${CARGO_TARGET_DIR:-$root/target}
log=$artifacts/hermon-build.log

say() { printf 'run: %s\n' "$*" >&2; }
# Not optimized: that would take three times as long. `cargo install --path hermon` makes a faster one.
build_hermon() { cargo build --manifest-path "$root/Cargo.toml" -p hermon -p symbols --target-dir "$artifacts"; }

# Side by side: the tool needs only what is here already, the image needs packages and another compiler.
hermon=
if [[ ! -x $artifacts/debug/hermon ]] && command -v cargo cc >/dev/null; then
    say "the first build takes 2 to 4 minutes on 2 cores: packages, the kernel, the image, and beside them hermon ($log)"
    mkdir -p "$artifacts"
    build_hermon >"$log" 2>&1 &
    hermon=$!
    trap '[[ -z $hermon ]] || kill "$hermon" 2>/dev/null || true' EXIT
fi
"$root/scripts/setup.sh"
"$root/scripts/build.sh" >&2
if [[ -n $hermon ]]; then
    say "the image is ready, hermon is being built"
    wait "$hermon" || { cat "$log" >&2; say "hermon could not be built, see above"; exit 3; }
    hermon=
fi
build_hermon
# shellcheck source=/dev/null
. "$root/target/setup.env"
export QEMU
exec "$artifacts/debug/hermon" run --build "$root/scripts/build.sh" "$@"
