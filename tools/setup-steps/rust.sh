# shellcheck shell=bash disable=SC2154
# Rust: an installed cargo of a sufficient version, from rustup or from Debian's packages.

# The oldest Rust that the workspace builds with.
needed_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)

# Debian's Rust for web browsers is the one that its stable releases keep up to date.
debian_rust=(rustc-web cargo-web)

# rust_is_recent_enough RUSTC: whether that compiler is of the needed version or newer.
rust_is_recent_enough() {
    local version
    version=$("$1" --version 2>/dev/null | awk '{print $2}')
    [ -n "$version" ] && [ "$(printf '%s\n' "$needed_rust" "$version" | sort -V | head -n 1)" = "$needed_rust" ]
}

find_rust() {
    # rustup's folder may not be on the path of a non-login shell.
    PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
    export PATH
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        if can_install && try_packages "${debian_rust[@]}"; then
            hash -r
        else
            fail "There is no Rust; install $needed_rust or newer with rustup (https://rustup.rs), or on Debian with 'sudo apt-get install ${debian_rust[*]}', then run 'make setup' again."
        fi
    fi
    if ! rust_is_recent_enough rustc; then
        if command -v rustup >/dev/null; then
            fail "$(rustc --version 2>/dev/null || echo 'This rustc') is older than the $needed_rust that Sluice needs; run 'rustup update stable' and 'rustup default stable', then 'make setup' again."
        fi
        fail "$(rustc --version 2>/dev/null || echo 'This rustc') is older than the $needed_rust that Sluice needs; install a newer one with rustup (https://rustup.rs), then run 'make setup' again."
    fi
}

# The formatter and the linter, which `make lint` runs.
find_lints() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
    if rust_is_from_rustup && long_step "adding clippy and rustfmt" rustup-component.log rustup component add clippy rustfmt; then
        return
    fi
    if rust_is_from_debian; then
        install_packages "Rust's linter or formatter is missing" rust-web-clippy rustfmt-web
        return
    fi
    fail "Rust's linter or formatter is missing; run 'rustup component add clippy rustfmt', then 'make setup' again."
}

# Whether the cargo in use is rustup's stand-in for the active toolchain's.
rust_is_from_rustup() {
    command -v rustup >/dev/null && rustup which rustc >/dev/null 2>&1 &&
        [ "$(rustc --print sysroot)" -ef "$(dirname "$(dirname "$(rustup which rustc)")")" ]
}

rust_is_from_debian() { [ "$(rustc --print sysroot)" -ef /usr ]; }
