#!/usr/bin/env bash
# Checks licences, sources and bans of the dependencies, if cargo-deny is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo deny --version >/dev/null 2>&1; then
    cargo deny check licenses bans sources
else
    echo "cargo-deny is not installed, so dependencies were not checked: cargo install cargo-deny --locked" >&2
fi
