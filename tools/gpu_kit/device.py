"""The part `device`: what the machine is, and whether the programs start on it."""

import subprocess

import environment
import machine
from kit import PartError
from programs import ProgramError

PROGRAMS = ("ddpm-server", "ddpm", "ddpm-exporter")

# What nvidia-smi is asked, and the names in the findings.
QUERIES = {
    "name": "name", "compute_cap": "capability", "driver_version": "driver",
    "memory.total": "memory_mib",
    "clocks.sm": "sm_mhz", "clocks.mem": "memory_mhz", "temperature.gpu": "celsius",
    "power.draw": "watts", "power.limit": "watts_limit", "utilization.gpu": "busy_percent",
}


def device(kit, part):
    part.found |= {"machine": machine.describe(), "versions": environment.versions()}
    part.save()
    faults = []
    if kit.device == "cuda":
        try:
            part.found["gpu"] = gpu()
            part.note(", ".join(f"{name} {value}" for name, value in part.found["gpu"].items()))
            check_capability(kit, part.found["gpu"]["capability"])
        except PartError as error:
            faults.append(str(error))
    if not environment.libraries():
        faults.append("this Python has no PyTorch, whose libraries the exporter needs: start "
                      "`run` with one that has PyTorch 2.11")
    part.found["programs"] = {}
    for name in PROGRAMS:
        try:
            part.found["programs"][name] = kit.programs.run(name, "--version").strip()
        except (ProgramError, OSError) as error:
            faults.append(str(error))
    part.save()
    if faults:
        raise PartError("; ".join(faults))


def check_capability(kit, capability):
    """Raises PartError if ONNX Runtime in this kit has no code for the GPU."""
    known = [f"{number // 10}.{number % 10}" for number in kit.architectures]
    if capability not in known:
        wanted = capability.replace(".", "")
        raise PartError(
            f"the GPU has compute capability {capability}, and this kit has code for "
            f"{', '.join(known) or 'no GPU'}: make it with `make gpu-kit ARGS=\"--arch {wanted}\"`"
        )


def gpu_or_reason():
    """Returns what the driver says now, or why it does not: no reason to lose a figure."""
    try:
        return gpu()
    except PartError as error:
        return str(error)


def gpu():
    """Returns what the driver says of the first GPU now.

    Raises PartError if there is none.
    """
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERIES)}", "--format=csv,noheader,nounits",
               "--id=0"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise PartError("there is no nvidia-smi, so no NVIDIA driver; `--device cpu --small` "
                        "rehearses without a GPU") from None
    if answer.returncode != 0:
        raise PartError(f"nvidia-smi exits with {answer.returncode}: "
                        f"{(answer.stderr or answer.stdout).strip()}")
    values = answer.stdout.strip().split(", ")
    return dict(zip(QUERIES.values(), values))
