"""The parts that measure the server: `evals`, `bound`, `latency` and `bulk`."""

import statistics
import time

import benchmark
from calls import CallError, Calls
from check import compare_draws
from checks import CheckError
from kit import BOUND, PartError
from programs import ProgramError
from serving import ServerError

# Evaluations of a sample whose latency is measured, and of each that is drawn in bulk.
STEPS = 10

# Calls that warm up before any counts.
WARM_UP = 20


def evals(kit, part):
    """Measures evaluations per second, for each graph and number of samples in flight."""
    def measure(graph, server, rows):
        measure_evals(kit, part, graph, server, rows)

    measure_graphs(kit, part, measure)


def measure_evals(kit, part, graph, server, rows):
    for batch in kit.size.batches:
        row = benchmark.measure(
            kit.programs, server, kit.size.model, batch, kit.size.seconds,
            kit.scratch("samples"), "--graph", graph,
        )
        rows.append({"graph": graph, **row})
        part.save()
        part.note(f"{graph}, batch {batch}: {row['evals_per_second_in_network']:.0f} evals/s "
                  f"in the network, {row['evals_per_second_served']:.0f} served")


def bound(kit, part):
    """Measures the same while samples stay on the device, once they agree with the host's."""
    def measure(graph, server, rows):
        tested, host = (kit.size.model, graph, BOUND), (kit.size.model, graph)
        flags = ("--count", 16, "--seed", 7, "--sampler", "ddim", "--steps", kit.size.steps)
        difference, remark = compare_draws(kit, tested, host, *flags)
        part.found.setdefault("differences", {})[graph] = difference
        part.note(f"{graph}: samples on the device and on the host: {remark}")
        measure_evals(kit, part, graph, kit.measured(graph, BOUND), rows)

    measure_graphs(kit, part, measure, BOUND)


def latency(kit, part):
    """Measures how long one sample takes, from its request to its last byte, on an open
    connection with nothing else to do."""
    def measure(graph, server, rows):
        row = {"graph": graph, "evals": STEPS, **time_calls(kit, server, graph)}
        rows.append(row)
        part.note(f"{graph}: median {row['median_ms']:.2f} ms, 95 % within {row['p95_ms']:.2f} ms")

    measure_graphs(kit, part, measure)


def time_calls(kit, server, graph):
    times = []
    with Calls(server.address, 60) as calls:
        for number in range(WARM_UP + kit.size.calls):
            begin = time.perf_counter()
            done = calls.generate(kit.size.model, graph, number, STEPS)
            times.append(1000 * (time.perf_counter() - begin))
            if done != STEPS:
                raise PartError(f"a sample took {done} evaluations instead of {STEPS}")
    times = sorted(times[WARM_UP:])
    return {
        "calls": len(times), "min_ms": times[0], "median_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * (len(times) - 1))],
    }


def bulk(kit, part):
    """Measures one large request, from the start of the client to its last byte on disk."""
    def measure(graph, server, rows):
        done, seconds = benchmark.sample(
            kit.programs, server, kit.size.model, kit.size.bulk, STEPS, kit.scratch("bulk"),
            "--graph", graph,
        )
        if done["samples"] != kit.size.bulk:
            raise PartError(f"{done['samples']} samples came instead of {kit.size.bulk}")
        rows.append({
            "graph": graph, "samples": done["samples"], "evals": done["evals"],
            "calls": done["ticks"], "seconds": seconds,
            "samples_per_second": done["samples"] / seconds,
            "evals_per_second": done["evals"] / seconds,
            "seconds_in_network": done["compute_seconds"],
        })
        part.note(f"{graph}: {done['samples']} samples in {seconds:.1f} s")

    measure_graphs(kit, part, measure)


def measure_graphs(kit, part, measure, *place):
    """Measures each graph on its server; one that fails takes nothing from the others.

    `measure` gets the graph, the server, and the rows to add to; `place` is BOUND or nothing.
    """
    rows, faults = part.found.setdefault("rows", []), []
    # The fast one first, in case the time is over before the other is done.
    for graph in reversed(kit.graphs_for(part)):
        try:
            measure(graph, kit.measured(graph, *place), rows)
        except (CallError, CheckError, PartError, ProgramError, ServerError, OSError) as error:
            faults.append(f"{graph}: {error}")
            part.note(f"{graph} failed: {error}")
            # Whatever it is doing, the next one gets the device for itself.
            kit.servers.kill()
        part.save()
    if faults:
        raise PartError("; ".join(faults))
