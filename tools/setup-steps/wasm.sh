# shellcheck shell=bash disable=SC2154
# Rust's WebAssembly targets: in the toolchain, else from rustup, else the standard library's source from Debian, built
# with each module. What was chosen goes to .tools/wasm.env, which tools/wasm-cargo reads.

wasm_targets=(wasm32-wasip1 wasm32-unknown-unknown)

# LLVM's linker in the version that Debian 12 and 13 and Ubuntu 24.04 have.
debian_linker=wasm-ld-19
debian_wasm_packages=(rustc-web cargo-web rust-web-src lld-19 wasi-libc libclang-rt-19-dev-wasm32)

find_wasm_target() {
    if targets_are_in_sysroot; then
        write_wasm_settings toolchain
    elif grep -qs '^# from: debian$' "$tools/wasm.env" && debian_is_complete; then
        return # rustup didn't have them last time: don't ask it at every start
    elif rust_is_from_rustup && add_targets_with_rustup && targets_are_in_sysroot; then
        write_wasm_settings toolchain
    elif debian_is_complete; then
        write_wasm_settings debian
    elif can_install && try_packages "${debian_wasm_packages[@]}" && debian_is_complete; then
        write_wasm_settings debian
    else
        fail "Rust's target wasm32-wasip1 is missing; run 'rustup target add ${wasm_targets[*]}', or on Debian 'sudo apt-get install ${debian_wasm_packages[*]}', then 'make setup' again."
    fi
}

targets_are_in_sysroot() {
    local target libraries
    libraries=$(rustc --print sysroot)/lib/rustlib
    for target in "${wasm_targets[@]}"; do
        compgen -G "$libraries/$target/lib/libstd-*.rlib" >/dev/null || return 1
    done
}

add_targets_with_rustup() {
    # It waits for ever for a server that never answers.
    long_step "adding ${wasm_targets[*]} with rustup" rustup-target.log timeout 180 rustup target add "${wasm_targets[@]}"
}

# Whether everything that building Rust's standard library for WebAssembly takes is installed.
debian_is_complete() {
    [ -x /usr/bin/cargo ] && rust_is_recent_enough /usr/bin/rustc && command -v "$debian_linker" >/dev/null &&
        [ -f /usr/lib/wasm32-wasi/libc.a ] &&
        [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

# write_wasm_settings toolchain|debian: touches the file only when it changes, since modules are rebuilt when it does.
write_wasm_settings() {
    local settings
    # Envoy's v8 has had SIMD since before 1.20; memchr and the like use it.
    local features=+simd128
    if [ "$1" = toolchain ]; then
        settings="# from: toolchain
wasm_cargo=cargo
build_std=
build_std_for_tests=
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS='-C target-feature=$features'"
    else
        settings="# from: debian
wasm_cargo=/usr/bin/cargo
build_std=-Zbuild-std=std,panic_abort
build_std_for_tests=-Zbuild-std=std,panic_abort,test
export RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_WASM32_WASIP1_LINKER=$debian_linker
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$debian_linker
export CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS='-C link-self-contained=no -L native=/usr/lib/wasm32-wasi -C target-feature=+crt-static,$features'"
    fi
    if [ "$settings" != "$(cat "$tools/wasm.env" 2>/dev/null)" ]; then
        echo "$settings" >"$tools/wasm.env"
        if [ "$1" = toolchain ]; then
            report "WebAssembly targets: those of $(rustc --version)"
        else
            report "WebAssembly targets: built from Debian's rust-web-src with $(/usr/bin/rustc --version)"
        fi
    fi
}
