#!/usr/bin/env bash
# Installs the browser that tests and benchmarks of the page drive: Chromium and its driver, of Debian's packages.
#
# Does nothing if both are there. Where it may not install, it says what to install and fails.
set -euo pipefail

packages="chromium chromium-driver"

main() {
    is_installed && return
    may_install ||
        fail "Chromium and chromedriver are missing: on Debian, \`apt install $packages\`; elsewhere, put programs named" \
            "chromium and chromedriver of one version on the PATH."
    echo "Installing $packages …" >&2
    export DEBIAN_FRONTEND=noninteractive
    # Packages are wanted as they are now; an old list names versions that are gone.
    # shellcheck disable=SC2086
    { apt-get update --quiet=2 && apt-get install --quiet=2 --yes --no-install-recommends $packages; } >&2 ||
        fail "apt-get could not install $packages; see its message above."
    is_installed || fail "$packages are installed, and chromium or chromedriver is not on the PATH."
}

is_installed() {
    command -v chromium >/dev/null && command -v chromedriver >/dev/null
}

may_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

fail() {
    echo "error: $*" >&2
    exit 1
}

main
