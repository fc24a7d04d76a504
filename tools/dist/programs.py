"""The programs of a folder that `make dist` or `make gpu-kit` made, and how to call them.

Uses only the standard library.
"""

import json
import subprocess
from pathlib import Path

from serving import Server

# Lines of what a failed program wrote that its error shows.
SHOWN_LINES = 12


class ProgramError(Exception):
    """A program failed; the message has the end of what it wrote."""


class Programs:
    """The server, the client and the exporter in `bin/` of a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def serve(self, *flags, log):
        """Starts the server on a free port of this machine; `log` is its log file.

        Raises ServerError if it does not accept requests.
        """
        words = ("--listen", "127.0.0.1:0", *flags)
        return Server(self._path("ddpm-server"), *map(str, words), log=log)

    def ask(self, server, *words):
        """Runs the client and returns its JSON document."""
        return json.loads(self.run("ddpm", *words, "--server", server.url, "--json"))

    def exporter(self, *words):
        """Runs the exporter and returns what it printed."""
        return self.run("ddpm-exporter", *words)

    def run(self, name, *words):
        """Runs a program to its end and returns its standard output.

        Raises ProgramError if it fails.
        """
        running = self.start(name, *words)
        try:
            return running.output()
        finally:
            running.end()

    def start(self, name, *words):
        """Starts a program."""
        return Running(self._path(name), words)

    def _path(self, name):
        return self.folder / "bin" / name


class Running:
    """A program that runs."""

    def __init__(self, path, words):
        self._name = f"{path.name} {words[0]}"
        self._process = subprocess.Popen(
            [path, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )

    def output(self):
        """Waits for the end and returns the standard output.

        Raises ProgramError if the program failed.
        """
        output, errors = self._process.communicate()
        if self._process.returncode != 0:
            end = "\n".join(errors.strip().splitlines()[-SHOWN_LINES:])
            raise ProgramError(f"{self._name} exits with {self._process.returncode}\n{end}")
        return output

    def end(self):
        """Kills the program if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
