#!/usr/bin/env bash
# Builds the self-booting image and prints its path last.
# usage: scripts/build.sh [--heap talc|linked-list] [--package app|guest|minimal|with-std] [--no-symbols]
#   --no-symbols     no table of names and lines in the image's memory; the ELF file keeps its debugging information
#   --package guest  an image for the boot tests; minimal and with-std: those of examples/, whose heap is their own
set -euo pipefail
cd "$(dirname "$0")/.."

bad() { printf 'build: %s; usage: scripts/build.sh [--heap talc|linked-list] [--package app|guest|minimal|with-std] [--no-symbols]\n' "$*" >&2; exit 2; }
run() { printf '+ %s\n' "$*" >&2; "$@" >&2; }

heap=talc
package=app
symbols=yes
while (($#)); do
    case $1 in
        --heap) (($# > 1)) || bad "--heap needs a value"; heap=$2; shift 2 ;;
        --heap=*) heap=${1#*=}; shift ;;
        --no-symbols) symbols=no; shift ;;
        --package) (($# > 1)) || bad "--package needs a value"; package=$2; shift 2 ;;
        --package=*) package=${1#*=}; shift ;;
        *) bad "unknown argument '$1'" ;;
    esac
done
[[ $heap == talc || $heap == linked-list ]] || bad "unknown heap '$heap'"
[[ $package =~ ^(app|guest|minimal|with-std)$ ]] || bad "unknown package '$package'"

scripts/setup.sh >&2
# shellcheck source=/dev/null
. target/setup.env
export RUSTC=$GUEST_RUSTC RUSTC_BOOTSTRAP=1

library=core,alloc
features=(--no-default-features --features "$heap")
name=$package-$heap
case $package in
    minimal) features=(); name=$package ;;
    with-std) features=(); name=$package; library=std,panic_abort ;;
esac
unstable=("-Zbuild-std=$library" -Zbuild-std-features=compiler-builtins-mem)
# From 1.95 on cargo wants to be told that a target may be a JSON file; before, it does not know the flag.
if "$GUEST_CARGO" -Z help | grep -q json-target-spec; then unstable+=(-Zjson-target-spec); fi

# Two builds at a time would write the same files.
mkdir -p target/hermit
exec 9>target/hermit/lock
flock 9

artifacts=${CARGO_TARGET_DIR:-target}
run "$GUEST_CARGO" build -p "$package" --bin "$package" --profile guest --target x86_64-unknown-hermit.json \
    --target-dir "$artifacts" "${unstable[@]}" "${features[@]}"

linked=$artifacts/x86_64-unknown-hermit/guest/$package
image=target/hermit/$name.elf
if [[ $symbols == yes ]]; then
    # For this host and with its compiler, in the profile of scripts/run.sh: what the two share is built once.
    run env -u RUSTC -u RUSTC_BOOTSTRAP cargo build -p symbols --profile tool --target-dir "$artifacts"
    run "$artifacts/tool/symbols" "$linked" "$image.new"
else
    cp "$linked" "$image.new"
fi

# Under its own name for the tests, which need both, and under the one that people use. In one step each, and only when
# it is another, so that a running QEMU never reads half an image.
replace() { if cmp -s "$1" "$2"; then rm "$1"; else mv "$1" "$2"; fi; }
replace "$image.new" "$image"
cp "$image" "target/hermit/$package.elf.new"
replace "target/hermit/$package.elf.new" "target/hermit/$package.elf"
echo "$PWD/target/hermit/$package.elf"
