#!/usr/bin/env bash
# Finds or installs the programs for building and booting the image, and writes their paths to target/setup.env. If there is nothing
# to do, it prints nothing. Exit codes: 0 all is there; 3 something is missing, and one line says what to do.
#
# usage: scripts/setup.sh [--tests]      (--tests: also the programs that tests open results with, if available)
#
# RUSTUP_AUTO_INSTALL=0  download no toolchain with rustup
# QEMU=PROGRAM           use this QEMU and install none
set -euo pipefail
cd "$(dirname "$0")/.."

readonly oldest=91        # smoltcp 0.14 needs Rust 1.91
readonly install=1.96.0   # the version to install if there is none
readonly sources=lib/rustlib/src/rust/library/Cargo.lock

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$@"; exit 3; }
run() { printf '+ %s\n' "$*" >&2; "$@"; }
have() { command -v "$1" >/dev/null; }

as_root() {
    if ((EUID == 0)); then
        run "$@"
    else
        have sudo || die "needs root and there is no sudo: as root, run: $*"
        say "needs root, so with sudo:"
        run sudo "$@"
    fi
}

# Prints the minor version of a rustc or cargo, such as 96, or 0 for any other program.
minor() {
    local version
    version=$("$1" --version 2>/dev/null) || version=
    [[ $version =~ ^(rustc|cargo)\ 1\.([0-9]+)\. ]] && echo "${BASH_REMATCH[2]}" || echo 0
}

# Prints every compiler here that is new enough and has its library's source, best first: releases before others (a nightly may not
# fit the kernel), newer before older.
compilers() {
    local rustc version release sysroot
    {
        printf '%s\n' "${RUSTUP_HOME:-$HOME/.rustup}"/toolchains/*/bin/rustc
        type -aP rustc || true
    } | while read -r rustc; do
        # In rustup's own folder rustc is only a proxy for one of the toolchains above.
        [[ -x $rustc && ! -e $(dirname "$rustc")/rustup ]] || continue
        version=$(minor "$rustc")
        ((version >= oldest)) || continue
        sysroot=$("$rustc" --print sysroot)
        [[ -e $sysroot/$sources ]] || continue
        release=1
        [[ $("$rustc" --version) =~ ^rustc\ [0-9.]+-(nightly|beta|dev) ]] && release=0
        printf '%s\t%s\t%s\n' "$release" "$version" "$rustc"
    done | sort -s -k1,1nr -k2,2nr | cut -f3
}

candidate() { LC_ALL=C apt-cache policy "$1" | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

refreshed=no
refresh() {
    [[ $refreshed == yes ]] && return
    refreshed=yes
    as_root apt-get update -q >&2 || say "apt-get update failed, going on with the lists that are here"
}

# Installs packages; returns 1 if their dependencies cannot be met. If that removes or downgrades packages, it lists them first, and
# asks at a terminal.
apt_install() {
    local plan harm answer
    plan=$(LC_ALL=C apt-get -s install --no-install-recommends --allow-downgrades "$@" 2>&1) || return 1
    harm=$(awk '/^Remv /{ print "removes " $2 } /DOWNGRADED/{ down = 1; next } down && /^  /{ print "replaces by an older version:" $0; next } { down = 0 }' <<<"$plan")
    if [[ -n $harm ]]; then
        say "installing $* also"
        printf '         %s\n' "$harm" >&2
        if [[ -t 0 ]]; then
            read -r -p 'setup: go on? [y/N] ' answer
            [[ $answer == [yY]* ]] || die "nothing was changed"
        fi
        set -- --allow-downgrades "$@"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}

debian() { [[ -e /etc/debian_version ]] && have apt-get; }

install_compiler() {
    if have rustup && [[ ${RUSTUP_AUTO_INSTALL:-1} != 0 ]]; then
        run rustup toolchain install "$install" --profile minimal --component rust-src --no-self-update >&2
        return
    fi
    debian || return 0
    refresh
    local version
    version=$(candidate rustc-web)
    if [[ $version =~ ^1\.([0-9]+)\. ]] && ((BASH_REMATCH[1] >= oldest)); then
        say "there is no Rust compiler with its library's source: installing Debian's, some 20 s"
        apt_install rustc-web rust-web-src || say "apt-get cannot install rustc-web and rust-web-src"
    else
        say "Debian's rustc-web ${version:-(not offered)} does not fit, Rust 1.$oldest or newer is needed"
    fi
}

install_qemu() {
    say "there is no QEMU for x86-64: installing Debian's, some 10 s"
    refresh
    apt_install qemu-system-x86 && return
    # An installed qemu-utils of another source may block the packages that the two share. Try its version of QEMU, then QEMU's
    # version of it, then remove it.
    local installed
    installed=$(dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null || true)
    [[ -n $installed ]] || die "apt-get cannot install qemu-system-x86: see what 'apt-get -s install qemu-system-x86' says"
    say "qemu-utils $installed is in the way of qemu-system-x86 $(candidate qemu-system-x86)"
    apt_install "qemu-system-x86=$installed" "qemu-system-common=$installed" && return
    apt_install qemu-system-x86 "qemu-utils=$(candidate qemu-system-x86)" && return
    apt_install qemu-system-x86 qemu-utils- && return
    die "apt-get cannot install qemu-system-x86 beside it: install QEMU by hand"
}

[[ $(uname -m) == x86_64 ]] || die "only x86-64 hosts are supported, this is $(uname -m)"

# A QEMU that the user names is accepted or refused before anything is installed.
qemu=
if [[ -n ${QEMU:-} ]]; then
    qemu=$(type -P "$QEMU" || true)
    [[ -f $qemu ]] || die "QEMU=$QEMU cannot be executed: name another, or unset QEMU"
    [[ $(timeout 10 "$qemu" --version 2>&1 </dev/null || true) == *QEMU* ]] ||
        die "QEMU=$QEMU is not QEMU, by what it says to --version: name another, or unset QEMU"
fi

packages=()
have ld && have objcopy && have ar || packages+=(binutils)
have cc || packages+=(gcc libc6-dev)
if ((${#packages[@]})); then
    debian || die "needs GNU ld, objcopy and ar (binutils) and a C compiler to link with (gcc): install them"
    refresh
    apt_install "${packages[@]}" || die "apt-get cannot install ${packages[*]}"
fi

guest_rustc=$(compilers | head -n 1)
if [[ -z $guest_rustc ]]; then
    install_compiler
    guest_rustc=$(compilers | head -n 1)
fi
[[ -n $guest_rustc ]] || die "needs Rust 1.$oldest or newer with its library's source: rustup toolchain install $install --profile minimal --component rust-src"

# The compiler's own cargo, else any that is new enough.
guest_cargo=$(dirname "$guest_rustc")/cargo
[[ -x $guest_cargo && ! -e $(dirname "$guest_rustc")/rustup ]] || guest_cargo=$(type -P cargo || true)
[[ -n $guest_cargo ]] || die "needs cargo: install Rust with rustup, see rustup.rs"
(($(minor "$guest_cargo") >= oldest)) || die "$guest_cargo is older than 1.$oldest or does not run: rustup update stable"

[[ -n $qemu ]] || qemu=$(type -P qemu-system-x86_64 || true)
if [[ -z $qemu ]]; then
    debian || die "needs QEMU for x86-64 (qemu-system-x86_64): install it with the package manager of this system"
    install_qemu
    qemu=$(type -P qemu-system-x86_64) || die "qemu-system-x86 is installed, but there is no qemu-system-x86_64"
fi

mkdir -p target
found=$(printf '%s=%q\n' GUEST_RUSTC "$guest_rustc" GUEST_CARGO "$guest_cargo" QEMU "$qemu")
if [[ ! -e target/setup.env || $found != "$(<target/setup.env)" ]]; then
    say "the guest's compiler is $guest_rustc ($("$guest_rustc" --version)), QEMU is $qemu"
    printf '%s\n' "$found" >target/setup.env.new
    mv target/setup.env.new target/setup.env
fi

# Programs that tests open their results with. Without one its tests print SKIPPED, so a missing one is not an error here.
browser() { have chromium || have chromium-browser || have google-chrome; }
wanted=()
if [[ ${1:-} == --tests ]]; then
    browser || wanted+=(chromium fonts-dejavu-core)
    have heaptrack_print || wanted+=(heaptrack)
    [[ -e /usr/libexec/valgrind/dh_view.js || -e /usr/lib/valgrind/dh_view.js ]] || wanted+=(valgrind)
fi
if ((${#wanted[@]})); then
    if debian && ((EUID == 0)); then
        refresh
        apt_install "${wanted[@]}" || say "apt-get cannot install ${wanted[*]}: tests with them are skipped"
    else
        say "tests want ${wanted[*]}: install them, or those tests are skipped"
    fi
fi
