#!/usr/bin/env bash
# Builds the image and the tool if needed, boots the image and shows its console and its metrics; Ctrl-C ends all.
# usage: scripts/run.sh [VM options] [-- application arguments]     (scripts/run.sh --help lists the options)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
artifacts=${CARGO_TARGET_DIR:-$root/target}

say() { printf 'run: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null; }
# In a profile that compiles in 50 s; `cargo install --path hermon` makes a faster tool in 130.
build_hermon=(cargo build --profile tool --manifest-path "$root/Cargo.toml" -p hermon -p symbols --target-dir "$artifacts")

# The first time, hermon is built beside the image. It needs only what is here already; the image needs packages and another compiler.
hermon=
if [[ ! -x $artifacts/tool/hermon ]] && have cargo && have cc; then
    log=$artifacts/hermon-build.log
    say "the first build takes 2 to 4 minutes on 2 cores: packages, the kernel and the image, and beside them hermon (see $log)"
    mkdir -p "$artifacts"
    # The image takes longer, so it goes first.
    nice -n 10 "${build_hermon[@]}" >"$log" 2>&1 &
    hermon=$!
    trap 'kill "$hermon" 2>/dev/null || true' EXIT
fi
"$root/scripts/setup.sh"
if [[ -n $hermon ]]; then
    # An image that the user names, or help, needs no build.
    case " ${*%% -- *} " in
        *" --image"* | *" --help "* | *" -h "* | *" --heap"*) ;;
        *) "$root/scripts/build.sh" >&2 ;;
    esac
    kill -0 "$hermon" 2>/dev/null && say "waiting for hermon"
    wait "$hermon" || { cat "$log" >&2; say "hermon was not built, see above"; exit 3; }
    trap - EXIT
fi
"${build_hermon[@]}"
# shellcheck source=/dev/null
. "$root/target/setup.env"
export QEMU
exec "$artifacts/tool/hermon" run --build "$root/scripts/build.sh" "$@"
