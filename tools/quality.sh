#!/usr/bin/env bash
# Prints tables like those of docs/samplers/quality.md as Markdown.
#
#   tools/quality.sh [--auto]    with --auto: only what `auto` chooses
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
