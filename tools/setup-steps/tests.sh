# shellcheck shell=bash disable=SC2154
# What only the tests need: Node and wasm-bindgen's test runner, which run the policies inside a WebAssembly VM.

find_node() {
    command -v node >/dev/null || install_packages "There is no Node (node), in which the policies are tested as WebAssembly" nodejs
}

# The runner must be of the very version of the library that is linked into the tests.
find_wasm_bindgen_runner() {
    local version runner=$tools/bin/wasm-bindgen-test-runner
    version=$(awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' "$root/Cargo.lock")
    [ -n "$version" ] || fail "Cargo.lock names no wasm-bindgen; run 'git checkout Cargo.lock', then 'make setup' again."
    if [ "$("$runner" --version 2>/dev/null)" = "wasm-bindgen-test-runner $version" ]; then return; fi
    # With the dependencies that it was released with, or, where the registry lacks one of those, with their newest versions.
    install_wasm_bindgen_runner --quiet "$version" --locked || install_wasm_bindgen_runner "" "$version" ||
        fail "wasm-bindgen's test runner $version can't be installed with cargo; check the network, then run 'make setup' again."
    rm -rf "$tools/wasm-bindgen-build"
}

# install_wasm_bindgen_runner --quiet|"" VERSION [OPTION…]
# Unoptimised: that compiles in half the time, and it runs for about a second in each crate. Without TLS: the tests run in
# Node, so it has no browser's driver to fetch.
install_wasm_bindgen_runner() {
    local quiet=$1 version=$2
    shift 2
    # shellcheck disable=SC2086 # an empty $quiet is no argument
    long_step $quiet "building wasm-bindgen's test runner $version (takes a minute or two)" wasm-bindgen.log \
        cargo install wasm-bindgen-cli --version "$version" --bin wasm-bindgen-test-runner --no-default-features "$@" \
        --debug --config profile.dev.debug=0 --config profile.dev.opt-level=0 \
        --root "$tools" --target-dir "$tools/wasm-bindgen-build" --force --no-track
}
