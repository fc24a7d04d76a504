"""What the parts share: the programs, the packages that they serve, and running servers."""

import json
import shutil
from pathlib import Path

from checks import make_random
from programs import Programs

# The server on the CPU that others are compared with.
REFERENCE = "reference"

# The package of the embedded glyphs, which is served beside the one with random weights.
GLYPHS = "glyphs"

# Every graph that the kit asks about.
GRAPHS = ("portable", "cuda")

# What a server is called besides its package and graph if its samples stay on the device.
BOUND = "bound"


class PartError(Exception):
    """A part failed; the message says why."""


class Kit:
    """A kit that is unpacked, and how it is run.

    Attributes:
        folder: of the kit, with its manifest and its pieces.
        work: where it is unpacked, and where logs and caches lie.
        device: cuda or cpu.
        size: how much work the parts do.
        record: what was found.
        programs: the server, the client and the exporter.
        servers: those that run.
    """

    def __init__(self, folder, work, device, size, record):
        self.folder, self.work, self.device = Path(folder), Path(work), device
        self.size, self.record = size, record
        self.programs = Programs(self.work / "unpacked")
        self.servers = Servers(self)

    @property
    def architectures(self):
        """The GPU architectures that ONNX Runtime in this kit has code for."""
        return self.record.found["kit"]["architectures"]

    @property
    def graphs(self):
        """The graphs that run on the device."""
        return GRAPHS if self.device == "cuda" else ("portable",)

    def graphs_for(self, part):
        """Returns the same, and notes in the findings of a part why the others are left out."""
        for graph in GRAPHS:
            if graph not in self.graphs:
                part.leave_out(f"the graph {graph}", "no GPU")
        return self.graphs

    def measured(self, graph, *bound):
        """Returns the server of the network that is measured, in a graph; BOUND or nothing."""
        return self.servers.get((self.size.model, graph, *bound))

    def packages(self):
        """Returns the folder of the packages to serve, made when it is first asked for."""
        # Beside the programs, so that it goes when others are unpacked.
        folder = self.programs.folder / "packages" / self.size.model
        if not folder.is_dir():
            self._make_packages(folder)
        return folder

    def random_package(self):
        """Returns the folder of the network with random weights."""
        return self.packages() / self.size.model

    def scratch(self, name):
        """Returns a path of the work folder that does not exist."""
        folder = self.work / "scratch" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder

    def _make_packages(self, folder):
        """Makes the network with random weights, and the glyphs with a graph for CUDA."""
        self.record.note("making the packages")
        new = self.scratch("packages")
        new.mkdir()
        settings = new / f"{self.size.model.removesuffix('-random')}.json"
        settings.write_text(json.dumps(self.size.network.for_exporter()))
        make_random(self.programs, new / self.size.model, settings, "--with-weights",
                    "--graphs", "cuda")
        self.programs.exporter(
            "convert", self.programs.folder / "models" / GLYPHS, "--graphs", "cuda",
            "--output", new / GLYPHS,
        )
        folder.parent.mkdir(exist_ok=True)
        new.rename(folder)


class Servers:
    """The servers of this run, of which one is awake: idle ones would go on measuring.

    Each has one package in one graph on the device, so that a graph that does not run there takes
    nothing else with it; REFERENCE has all packages in the portable graph on the CPU. Samples stay
    on the device of those whose name ends with BOUND.
    """

    def __init__(self, kit):
        self._kit, self._running = kit, {}

    def get(self, name):
        """Wakes REFERENCE, or the server of a (package, graph) or (package, graph, BOUND); starts it
        if it does not run.

        Raises ServerError if it does not start: when the graph fails its golden gate, for example.
        """
        for other, server in self._running.items():
            if other != name:
                server.pause()
        if name not in self._running:
            self._running[name] = self._start(name)
        self._running[name].resume()
        return self._running[name]

    def _start(self, name):
        kit, packages = self._kit, self._kit.packages()
        flags = ["--cache-dir", kit.work / "costs"]
        if name == REFERENCE:
            flags += ["--models", packages, "--device", "cpu", "--graph", "portable"]
        else:
            package, graph, *bound = name
            flags += ["--samples-on", "device" if bound else "host"]
            flags += ["--models", packages / package, "--device", kit.device, "--graph", graph]
            # Every call has all samples that wait, so that figures are those of a batch.
            flags += ["--batch", max(kit.size.batches)]
        kit.record.note(f"starting a server: {' '.join(map(str, flags))}")
        try:
            return kit.programs.serve(*flags, log=self._log(name))
        except BaseException:
            self._keep_log(name)
            raise

    def stop(self, *names):
        """Drains servers, if they run; without names, all."""
        for name in names or list(self._running):
            server = self._running.pop(name, None)
            if server is not None:
                try:
                    server.resume()
                    server.stop()
                finally:
                    self._keep_log(name)

    def kill(self):
        """Kills all servers, whatever they are doing."""
        for name in list(self._running):
            self._running.pop(name).kill()
            self._keep_log(name)

    def _log(self, name):
        return self._kit.work / f"{name if name == REFERENCE else '-'.join(name)}.log"

    def _keep_log(self, name):
        """Copies a server's log into that of the run."""
        text = self._log(name).read_text(errors="replace")
        self._kit.record.log(f"{self._log(name).name}:\n{text}")
