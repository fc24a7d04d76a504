#!/usr/bin/env bash
# Checks the dependencies' licences, sources and the banned ones, where cargo-deny is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo deny --version >/dev/null 2>&1; then
    cargo deny check licenses bans sources
else
    echo "cargo-deny is not installed, so licences were not checked: cargo install cargo-deny --locked" >&2
fi
