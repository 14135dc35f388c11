#!/usr/bin/env bash
# Gets the programs that the tests of deploy/ run, into target/deploy: Telegraf, InfluxDB 1, VictoriaMetrics, and the generator of
# the dashboards. It installs nothing on the system and starts no service. It reports a program that is not available, and the tests
# of that program are skipped. Exit code: 0; 3 if something is missing under CI=true on a machine with Go, where all programs must
# be there.
#
# The programs are kept in ${XDG_CACHE_HOME:-~/.cache}/hermit-monitoring, so that a clean clone finds them again.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly telegraf=1.37.2  # needs Go 1.25.5
readonly go_minor=25
# Only the plugins that deploy/telegraf.conf uses: 80 s of processor time to compile.
readonly plugins=custom,inputs.socket_listener,inputs.internal,parsers.influx,outputs.influxdb,outputs.influxdb_v2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/hermit-monitoring
out=$PWD/target/deploy
missing=()

run() { printf '+ %s\n' "$*" >&2; "$@" >&2; }
have() { command -v "$1" >/dev/null; }
found() { ln -sfn "$2" "$out/$1"; rm -f "$out/$1.missing"; }
lack() { printf '%s\n' "$2" >"$out/$1.missing"; rm -f "$out/$1"; missing+=("$1: $2"); }

get_telegraf() {
    local program version
    # Another choice of plugins gets another file.
    program=$cache/telegraf-$telegraf-$(cksum <<<"$plugins" | cut -d ' ' -f 1)
    if [[ ! -x $program ]]; then
        have go || { lack telegraf "there is no Go to build it with"; return; }
        version=$(go env GOVERSION)
        [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= go_minor)) ||
            { lack telegraf "building it needs Go 1.$go_minor.5, this is ${version#go}"; return; }
        CGO_ENABLED=0 GOBIN=$cache/new run go install -p 2 -trimpath -tags "$plugins" \
            -ldflags "-s -w -X github.com/influxdata/telegraf/internal.Version=$telegraf" \
            "github.com/influxdata/telegraf/cmd/telegraf@v$telegraf" || { lack telegraf "go install failed, see above"; return; }
        mv "$cache/new/telegraf" "$program"
    fi
    found telegraf "$program"
}

# Gets a program from a Debian package, which is unpacked and not installed.
get_packaged() {
    local program=$1 package=$2 folder=$cache/$2
    # InfluxDB 2's server has the same name.
    if have "$program" && [[ $program != influxd || $(influxd version 2>&1) == "InfluxDB v1."* ]]; then
        found "$program" "$(command -v "$program")"
        return
    fi
    if [[ ! -x $folder/usr/bin/$program ]]; then
        have apt-get && have dpkg || { lack "$program" "it comes from Debian's package $package, and this is not Debian"; return; }
        rm -rf "$cache/new" && mkdir -p "$cache/new"
        if ! (cd "$cache/new" && run apt-get download -q "$package"); then
            if ((EUID == 0)); then run apt-get update -q || true; fi
            (cd "$cache/new" && run apt-get download -q "$package") ||
                { lack "$program" "apt-get cannot download $package; as root: apt-get update"; return; }
        fi
        run dpkg -x "$cache/new/$package"_*.deb "$cache/new/root"
        rm -rf "$folder" && mv "$cache/new/root" "$folder"
    fi
    found "$program" "$folder/usr/bin/$program"
}

# Node's packages are beside the generator, where its compiler looks for them.
get_generator() {
    local folder=deploy/grafana/generate
    have npm && have node || { lack generate "it needs Node and npm"; return; }
    if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/.of"; then
        run npm ci --prefix "$folder" --no-audit --no-fund || { lack generate "npm ci failed, see above"; return; }
        cp "$folder/package-lock.json" "$folder/node_modules/.of"
    fi
    found generate "$PWD/$folder"
}

mkdir -p "$cache" "$out"
get_telegraf
get_packaged influxd influxdb
get_packaged victoria-metrics victoria-metrics
get_generator

((${#missing[@]} == 0)) && exit 0
printf 'setup-deploy: missing: %s\n' "${missing[@]}" >&2
if [[ ${CI:-} == true ]] && have go; then exit 3; fi
