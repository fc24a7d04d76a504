"""How much work the parts do: in full on a GPU, and little to rehearse them anywhere."""

from typing import NamedTuple


class Network(NamedTuple):
    """Settings of a UNet, for the exporter and for PyTorch."""

    image_size: int
    hidden: int
    multipliers: tuple
    blocks: int
    attention: tuple

    def for_exporter(self):
        """Returns the settings as the exporter's file of a network."""
        return {
            "kind": "unet", "image_size": 2 * [self.image_size], "in_channels": 3,
            "out_channels": 3,
            "hid_channels": self.hidden, "ch_multipliers": self.multipliers,
            "num_res_blocks": self.blocks, "apply_attn": self.attention, "drop_rate": 0.1,
        }

    def for_pytorch(self):
        """Returns the settings as arguments of bench's UNet, which takes any size."""
        return {
            "hidden": self.hidden, "multipliers": self.multipliers, "blocks": self.blocks,
            "attention": self.attention,
        }

    def for_training(self):
        """Returns the settings as flags of the exporter's `train`; the size is the data's."""
        return (
            "--hid-channels", self.hidden, "--ch-multipliers", spell(self.multipliers),
            "--num-res-blocks", self.blocks, "--apply-attn", spell(self.attention),
        )


def spell(values):
    return ",".join(str(value).lower() for value in values)


class Size(NamedTuple):
    """How much work the parts do.

    Attributes:
        network: what is measured, with random weights.
        model: the name of its package.
        train_data, train_steps: glyphs to train on before they are exported, and for how long.
        train_flags: more flags of that run.
        steps: of the samples that are compared.
        rows: of the samples of each sampler, about.
        batches: samples in flight together.
        seconds: of one figure.
        rounds, turn: figures of each kind, and seconds of one, where several programs take turns.
        calls: samples drawn one after another for the latency.
        bulk: samples drawn in one request.
        training_batch: pictures per training step.
        log_every: training steps between two lines of the exporter's log.
    """

    network: Network
    model: str
    train_data: str
    train_steps: int
    train_flags: tuple
    steps: int
    rows: int
    batches: tuple
    seconds: float
    rounds: int
    turn: float
    calls: int
    bulk: int
    training_batch: int
    log_every: int


FULL = Size(
    network=Network(32, 128, (1, 2, 2, 2), 2, (False, True, False, False)),
    model="cifar10-random", train_data="glyphs:1000", train_steps=200, train_flags=(), steps=10,
    rows=50, batches=(1, 8, 64, 256), seconds=3.0, rounds=3, turn=2.0, calls=200, bulk=10_000,
    training_batch=128, log_every=20,
)

SMALL = Size(
    network=Network(16, 32, (1, 2), 1, (False, True)), model="small-random",
    train_data="glyphs:64", train_steps=20,
    train_flags=("--batch-size", 8, "--timesteps", 20, "--hid-channels", 16, "--num-groups", 4),
    steps=2, rows=6, batches=(1, 2), seconds=0.2, rounds=1, turn=0.2, calls=5, bulk=20,
    training_batch=4, log_every=1,
)
