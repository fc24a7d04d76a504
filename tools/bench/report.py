"""The results of a benchmark run, with its conditions."""

import json

import page
from rounds import summary

# Evaluations per picture with the model's default sampler.
STEPS = 50

COLUMNS = ("batch", "PyTorch, NCHW", "PyTorch, channels_last", "server", "server ÷ PyTorch",
           f"pictures/s, {STEPS} steps", "overhead",
           "kernel and noise")


class Report:
    """Medians of quiet figures, or of all, marked as noisy, if too few are quiet."""

    def __init__(self, taken, args, versions):
        """`taken` is {(name, batch): [(figures, share used by others)]}; `versions` the server's."""
        self._rounds, self._seconds = args.rounds, args.seconds
        self._subjects = {key: summary(rows, args.rounds) for key, rows in taken.items()}
        self._conditions = page.conditions(versions)

    def json(self):
        rows = [{"subject": name, "batch": batch, **figures}
                for (name, batch), figures in self._subjects.items()]
        return json.dumps({**self._conditions, "rounds": self._rounds,
                           "seconds": self._seconds, "rows": rows}, indent=2)

    def markdown(self):
        batches = sorted({batch for name, batch in self._subjects if name == "server"})
        lines = [
            "Evaluations of the network per second, fp32: DDPM's UNet for CIFAR-10 (35.7 M "
            "parameters, 12.4 GFLOP per evaluation).", "",
            "| " + " | ".join(COLUMNS) + " |", "|" + "--:|" * len(COLUMNS),
            *map(self._row, batches), "", *self._toys(), "",
            *page.footer(self._conditions, self._subjects, self._rounds, self._seconds),
        ]
        return "\n".join(lines)

    def _row(self, batch):
        nchw, last, server = (
            self._subjects[name, batch] for name in ("nchw", "channels_last", "server")
        )
        best = max(nchw["evals_per_second"], last["evals_per_second"])
        cells = (
            str(batch),
            *(f"{figures['evals_per_second']:.1f}" for figures in (nchw, last, server)),
            f"{server['evals_per_second'] / best:.2f}",
            f"{server['evals_per_second'] / STEPS:.3f}",
            f"{100 * server['overhead']:.1f} %",
            f"{100 * server['kernel']:.1f} %",
        )
        return "| " + " | ".join(cells) + " |"

    def _toys(self):
        return [
            f"The embedded toy, {count} points together: {figures['evals_per_second']:,.0f} evals/s, "
            f"{figures['samples_per_second']:,.0f} points/s, {figures['evals_per_call']:.0f} evals per "
            f"call, overhead {100 * figures['overhead']:.1f} %, kernel and noise "
            f"{100 * figures['kernel']:.1f} %."
            for (name, count), figures in self._subjects.items() if name == "toy"
        ]

    def write(self, folder):
        """Writes the page of this machine and day and returns its path."""
        return page.write(folder, self._conditions, "", self.markdown())
