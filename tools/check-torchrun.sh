#!/usr/bin/env bash
# Trains with two processes under a real torchrun, kills one of them, and checks that the run continues
# from its last checkpoint to its end.
#
#   tools/check-torchrun.sh [TORCHRUN]     default: torchrun from the PATH
#
# CI does not run it, because it needs a Python with PyTorch.
set -euo pipefail
cd "$(dirname "$0")/.."
torchrun=${1:-torchrun}
exporter=${CARGO_TARGET_DIR:-target}/debug/ddpm-exporter

fail() {
    echo "check-torchrun: $1" >&2
    [ -f "$folder/log" ] && sed 's/^/  /' "$folder/log" >&2
    exit 1
}

folder=$(mktemp -d)
launcher=
trap '[ -z "$launcher" ] || kill "$launcher" 2>/dev/null || true; rm -rf "$folder"' EXIT
command -v "$torchrun" >/dev/null || fail "no torchrun: pass its path, such as that in a virtual environment"
[ -x "$exporter" ] || fail "no $exporter: run \`cargo build -p ddpm-exporter\`"

OMP_NUM_THREADS=1 "$torchrun" --no-python --nproc_per_node 2 --max-restarts 1 "$exporter" train --distributed \
    --data gaussian8:500 --batch-size 50 --steps 3000 --checkpoint-every 200 --sample-every 0 \
    --out "$folder/run" --device cpu --no-export >"$folder/log" 2>&1 &
launcher=$!

until compgen -G "$folder/run/checkpoints/step-*" >/dev/null; do
    kill -0 "$launcher" 2>/dev/null || fail "torchrun ended before the first checkpoint"
    sleep 0.2
done
victim=$(pgrep -P "$launcher" -f "ddpm-exporter train" | tail -n 1) || fail "torchrun started no process"
kill -9 "$victim"
wait "$launcher" || fail "the run did not continue"
launcher=

grep -q "lost the others" "$folder/log" || fail "the surviving rank did not report it"
grep -Eq "from step [1-9][0-9]* to 3000" "$folder/log" || fail "the run did not continue from a checkpoint"
[ -d "$folder/run/checkpoints/step-0003000" ] || fail "the run did not reach its end"
echo "torchrun: a killed rank ended the other, and the run continued $(grep -Eo "from step [1-9][0-9]* to 3000" "$folder/log")"
