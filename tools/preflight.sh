#!/usr/bin/env bash
# Checks that this machine has the required tools, and reports a missing one in one sentence.
#
#   tools/preflight.sh WHAT…    WHAT is rust, c++, python or node
set -euo pipefail

main() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "this is $(uname -sm), but the pinned libraries support only Linux on x86-64."
    local what
    for what in "$@"; do
        "need_${what/c++/cxx}"
    done
}

need_rust() {
    command -v cargo >/dev/null ||
        fail "cargo is missing: install Rust 1.92 or newer from https://rustup.rs, and open a new shell."
    cargo --version >/dev/null || fail "cargo does not start; see its message above."
}

need_cxx() {
    command -v "${CXX:-c++}" >/dev/null ||
        fail "a C++ compiler is missing: on Debian and Ubuntu, \`apt install g++\`."
}

need_python() {
    command -v python3 >/dev/null ||
        fail "python3 is missing: on Debian and Ubuntu, \`apt install python3 python3-pip\`."
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "python3 has no pip: on Debian and Ubuntu, \`apt install python3-pip\`."
}

need_node() {
    command -v node >/dev/null && command -v npm >/dev/null ||
        fail "node or npm is missing: on Debian and Ubuntu, \`apt install nodejs npm\`; only who changes the page's bundle needs them."
}

fail() {
    echo "error: $*" >&2
    exit 1
}

main "$@"
