#!/usr/bin/env bash
# Trains the embedded models again, with the commands that produced the committed ones.
#
#   tools/train-models.sh [MODEL…]    toy, glyphs, or both if none is named
#
# An interrupted run continues where it stopped. The packages in models/ change only after
# training, export and verification have succeeded.
set -euo pipefail
cd "$(dirname "$0")/.."

# The recipes: the flags of `ddpm-exporter train`, after data and name.
declare -A recipe=(
    [toy]="--data gaussian8 --steps 20000"
    [glyphs]="--data glyphs:200000 --ch-multipliers 1,2 --prediction v --beta-schedule cosine --batch-size 64 --lr 1e-3 --warmup 200 --precision bf16 --steps 8000"
)

# Larger files belong neither in a binary nor in the history of a repository.
most_bytes=$((3 * 1024 * 1024))

main() {
    local model
    [ $# -gt 0 ] || set -- toy glyphs
    for model in "$@"; do
        [ -n "${recipe[$model]-}" ] || fail "there is no recipe for $model, only for: ${!recipe[*]}"
        train "$model"
        adopt "$model"
    done
}

train() {
    local run="runs/$1"
    if compgen -G "$run/checkpoints/step-*" >/dev/null; then
        exporter train --resume "$run" --no-weights
    else
        # Word splitting turns a recipe into flags.
        # shellcheck disable=SC2086
        exporter train ${recipe[$1]} --name "$1" --out "$run" --no-weights
    fi
}

# Replaces the embedded package by the new one.
adopt() {
    local package="runs/$1/package" file
    file=$(find "$package" -type f -size +"$most_bytes"c -print -quit)
    [ -z "$file" ] || fail "$file is larger than $most_bytes bytes; models/$1 stays as it was"
    rm -rf "models/$1"
    cp -r "$package" "models/$1"
    exporter verify "models/$1"
}

exporter() {
    cargo run --quiet --release -p ddpm-exporter -- "$@"
}

fail() {
    echo "error: $*" >&2
    exit 1
}

main "$@"
