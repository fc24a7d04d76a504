"""PyTorch in a process of its own, which measures whenever it is told to.

    peer.py SETTINGS    a JSON document: "kind" is evals or loop, the rest its arguments

Prints {"ready": {…}} once everything is warm. Then each line that it reads, a batch and a number
of seconds, is answered by {"per_second": …}. Many of them can get ready at the same time, which
matters because torch.compile takes a minute, and then be measured one after another.
"""

import json
import os
import sys

import torch

from eager import Eager
from loops import Loop
from unet import UNet

# Pictures in memory, as many as the exporter's data set has.
PICTURES = 10_000


def main():
    # What PyTorch prints must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Shapes stay the same, so trying algorithms pays off; the exporter does it too.
    torch.backends.cudnn.benchmark = True
    settings = json.loads(sys.argv[1])
    about, measure = KINDS[settings.pop("kind")](**settings)
    answer(answers, ready={"torch": torch.__version__, **about})
    for line in sys.stdin:
        batch, seconds = line.split()
        answer(answers, per_second=measure(int(batch), float(seconds)))


def answer(answers, **document):
    print(json.dumps(document), file=answers, flush=True)


def evals(package, device, batches, compiled, network):
    """Evaluations of the package's network, in bf16 with channels last."""
    peer = Eager(package, "channels_last", device, torch.bfloat16, compiled, **network)
    for batch in batches:
        peer.evals_per_second(batch, 0)
    return {"difference": peer.difference}, peer.evals_per_second


def loop(device, batches, compiled, network):
    """Training steps under autocast to bf16, with channels last and updates of all tensors at
    once."""
    batch, = batches
    data = torch.randint(0, 256, (PICTURES, 3, 32, 32), dtype=torch.uint8)
    steps = Loop(
        UNet(dropout=0.1, **network), data, torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64),
        batch=batch, lr=2e-4, warmup=5000, tuned=True, channels_last=True, device=device,
        autocast=torch.bfloat16, compiled=compiled,
    )
    steps.items_per_second(0)
    return {}, lambda _batch, seconds: steps.items_per_second(seconds)


KINDS = {"evals": evals, "loop": loop}


if __name__ == "__main__":
    main()
