"""The results of a benchmark run, with its conditions."""

import json

import page
from rounds import summary

COLUMNS = ("batch", "PyTorch, NCHW", "PyTorch, channels_last", "OpenVINO, bf16",
           "server, portable", "server, int8", "portable ÷ PyTorch", "int8 ÷ portable",
           "int8 ÷ OpenVINO", "overhead: portable, int8")


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
        batches = sorted({batch for name, batch in self._subjects if name == "portable"})
        lines = [
            "Evaluations of the network per second: DDPM's UNet for CIFAR-10 (35.7 M parameters, "
            "12.4 GFLOP per evaluation), fp32 where nothing else is said.", "",
            "| " + " | ".join(COLUMNS) + " |", "|" + "--:|" * len(COLUMNS),
            *map(self._row, batches), "", self._bound(batches), "", *self._toys(), "",
            *page.footer(self._conditions, self._subjects, self._rounds, self._seconds),
        ]
        return "\n".join(lines)

    def _row(self, batch):
        names = ("nchw", "channels_last", "openvino", "portable", "int8")
        figures = [self._subjects[name, batch] for name in names]
        nchw, last, openvino, portable, int8 = (each["evals_per_second"] for each in figures)
        cells = (
            str(batch),
            *(f"{each:.1f}" for each in (nchw, last, openvino, portable, int8)),
            f"{portable / max(nchw, last):.2f}",
            f"{int8 / portable:.2f}",
            f"{int8 / openvino:.2f}",
            ", ".join(f"{100 * each['overhead']:.1f} %" for each in figures[3:]),
        )
        return "| " + " | ".join(cells) + " |"

    def _bound(self, batches):
        """Describes the servers that keep samples on the device, beside those that do not."""
        def speed(name, batch):
            return self._subjects[name, batch]["evals_per_second"]

        ratios = ", ".join(
            f"{speed('bound', batch) / speed('portable', batch):.2f}" for batch in batches
        )
        return (f"With `--samples-on device`, portable: {ratios} times the evals/s at batch "
                f"{', '.join(map(str, batches))}.")

    def _toys(self):
        names = {"toy": "The embedded toy", "bound toy": "The same with `--samples-on device`"}
        return [
            f"{names[name]}, {count} points together: "
            f"{figures['evals_per_second']:,.0f} evals/s, "
            f"{figures['samples_per_second']:,.0f} points/s, {figures['evals_per_call']:.0f} evals per "
            f"call, overhead {100 * figures['overhead']:.1f} %, kernel and noise "
            f"{100 * figures['kernel']:.1f} %."
            for (name, count), figures in self._subjects.items() if name in names
        ]

    def write(self, folder):
        """Writes the page of this machine and day and returns its path."""
        return page.write(folder, self._conditions, "", self.markdown())
