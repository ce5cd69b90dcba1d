# shellcheck shell=bash disable=SC2154
# System packages: installed with apt-get as root on Debian and Ubuntu, named in a sentence everywhere else.

package_lists_are_fresh=

# can_install: whether this script may install system packages itself.
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_packages WHY PACKAGE…: installs them, or fails with what to do.
install_packages() {
    local why=$1
    shift
    if ! command -v apt-get >/dev/null; then
        fail "$why; install it with this system's package manager (Debian's packages are called: $*), then run 'make setup' again."
    fi
    if [ "$(id -u)" != 0 ]; then
        fail "$why; run 'sudo apt-get install $*', then 'make setup' again."
    fi
    try_packages "$@" || fail "$why, and apt-get could not install $*; see what it says above, correct that, then run 'make setup' again."
}

# try_packages PACKAGE…: installs them or returns a failure.
try_packages() {
    if [ -z "$package_lists_are_fresh" ]; then
        long_step "reading the lists of system packages" apt-update.log apt-get -o Acquire::Retries=3 update -q || return 1
        package_lists_are_fresh=yes
    fi
    long_step "installing $* with apt-get" apt-install.log \
        env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 install -q -y --no-install-recommends "$@"
}

# The C compiler that Rust links with, and that one crate of the tests (ring) compiles with.
find_compiler() {
    command -v cc >/dev/null || install_packages "There is no C compiler (cc)" gcc libc6-dev
}
