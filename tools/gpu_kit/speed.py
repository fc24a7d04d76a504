"""The parts that measure the server: `evals`, `latency` and `bulk`."""

import statistics
import time

import benchmark
from calls import CallError, Calls
from kit import TESTED, PartError

# Evaluations of a sample whose latency is measured, and of each that is drawn in bulk.
STEPS = 10

# Calls that warm up before any counts.
WARM_UP = 20


def evals(kit, part):
    """Measures evaluations per second, for each graph and number of samples in flight."""
    server, rows = kit.servers.get(TESTED), part.found.setdefault("rows", [])
    for graph in kit.graphs_for(part):
        for batch in kit.size.batches:
            row = benchmark.measure(
                kit.programs, server, kit.size.model, batch, kit.size.seconds,
                kit.scratch("samples"), "--graph", graph,
            )
            rows.append({"graph": graph, **row})
            part.save()
            part.note(f"{graph}, batch {batch}: {row['evals_per_second_in_network']:.0f} evals/s "
                      f"in the network, {row['evals_per_second_served']:.0f} served")


def latency(kit, part):
    """Measures how long one sample takes, from its request to its last byte, on an open
    connection with nothing else to do."""
    server, rows = kit.servers.get(TESTED), part.found.setdefault("rows", [])
    for graph in kit.graphs_for(part):
        row = {"graph": graph, "evals": STEPS, **time_calls(kit, server, graph)}
        rows.append(row)
        part.save()
        part.note(f"{graph}: median {row['median_ms']:.2f} ms, 95 % within {row['p95_ms']:.2f} ms")


def time_calls(kit, server, graph):
    times = []
    try:
        with Calls(server.address, 60) as calls:
            for number in range(WARM_UP + kit.size.calls):
                begin = time.perf_counter()
                done = calls.generate(kit.size.model, graph, number, STEPS)
                times.append(1000 * (time.perf_counter() - begin))
                if done != STEPS:
                    raise PartError(f"a sample took {done} evaluations instead of {STEPS}")
    except CallError as error:
        raise PartError(str(error)) from None
    times = sorted(times[WARM_UP:])
    return {
        "calls": len(times), "min_ms": times[0], "median_ms": statistics.median(times),
        "p95_ms": times[int(0.95 * (len(times) - 1))],
    }


def bulk(kit, part):
    """Measures one large request, from the start of the client to its last byte on disk."""
    server, rows = kit.servers.get(TESTED), part.found.setdefault("rows", [])
    for graph in kit.graphs_for(part):
        out = kit.scratch("bulk")
        done, seconds = benchmark.sample(
            kit.programs, server, kit.size.model, kit.size.bulk, STEPS, out, "--graph", graph
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
        part.save()
        part.note(f"{graph}: {done['samples']} samples in {seconds:.1f} s")
