#!/usr/bin/env bash
# Measures the tables of docs/samplers/quality.md, as Markdown on stdout.
#
#   tools/quality.sh [--auto]    with --auto: what `auto` chooses, instead of all samplers
set -euo pipefail
cd "$(dirname "$0")/.."

main() {
    for package in models/toy tests/fixtures/toys/edm tests/fixtures/toys/flow; do
        measure "$package" --count 4096 --seeds 1,2,3 --evals 5,10,20,50,100 "$@"
    done
    measure models/glyphs --count 512 --seeds 1 --evals 5,10,20,50 "$@"
}

measure() {
    echo
    cargo run --quiet --release -p ddpm-exporter --example sampler_quality -- "$@"
}

main "$@"
