#!/usr/bin/env python3
"""Serves the two embedded models and the page, draws samples of both into demo/, and keeps serving.

With DEMO_ONCE=1 it stops the server after drawing.
"""

import json
import os
import socket
import subprocess
import sys

import checkout
from serving import Server, ServerError, end_on_signals

# The default address of every client.
PREFERRED = ("127.0.0.1", 50051)

DEMO = checkout.ROOT / "demo"

# Arguments of `ddpm sample` by model, without the folder.
DRAWINGS = {
    # Four of each of the 16 classes.
    "glyphs": "--count 64 --seed 7 --sampler ddim --steps 50 --gif --apng --label "
    + ",".join(str(label) for label in range(16)),
    "toy": "--count 1000 --seed 7 --gif --apng",
}


def main():
    end_on_signals()
    client = checkout.binary("ddpm", "release")
    with start() as server:
        print(f"Watch: open {server.url}/ in a browser.")
        print(f"ddpm-server listens on {server.url}; its log is {shown(server.log)}")
        for model, flags in DRAWINGS.items():
            draw(client, server, model, flags.split())
        if os.environ.get("DEMO_ONCE", "") in ("", "0"):
            keep_serving(client, server)


def start():
    listen = PREFERRED if is_free(PREFERRED) else (PREFERRED[0], 0)
    if listen != PREFERRED:
        print(f"port {PREFERRED[1]} is taken; using another one")
    return Server(
        checkout.binary("ddpm-server", "release"),
        "--listen", "{}:{}".format(*listen),
        "--ort-lib", str(checkout.onnxruntime()),
        log=DEMO / "server.log",
    )


def is_free(address):
    with socket.socket() as probe:
        # As in the server; otherwise a port counts as taken for a minute after its last use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


def draw(client, server, model, flags):
    """Runs `ddpm sample` and prints the pictures that show all samples."""
    command = [client, "--server", server.url, "--json", "sample", model, "--out", DEMO / model]
    answer = subprocess.run([*command, *flags], check=True, stdout=subprocess.PIPE)
    report = json.loads(answer.stdout)
    work = report["completed"]
    print(f"{model}: {work['samples']} samples, {work['evals']} evals in {work['ticks']} ticks")
    for file in report["files"]:
        if file["kind"] in ("grid", "gif", "apng"):
            print(f"    {shown(file['path'])}")


def keep_serving(client, server):
    print(f"The server keeps running until Ctrl-C. Watch at {server.url}/, or try in another terminal:")
    # Omits the client's default.
    where = "" if server.address == "{}:{}".format(*PREFERRED) else f" --server {server.url}"
    for command in ("sample glyphs --label 3 --count 16 --gif", "sample toy --steps 20", "status"):
        print(f"    {shown(client)} {command}{where}")
    sys.stdout.flush()
    try:
        server.wait()
    except KeyboardInterrupt:
        print("\ndraining …")


def shown(path):
    return os.path.relpath(path)


if __name__ == "__main__":
    # Show each line at once, even through a pipe.
    sys.stdout.reconfigure(line_buffering=True)
    try:
        main()
    except ServerError as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {os.path.basename(error.cmd[0])} failed; see its message above")
    except KeyboardInterrupt:
        sys.exit(130)
