"""The findings of a run as Markdown, for a page in docs/benchmarks."""

import textwrap

# Longest text of a cell; results.json has the rest.
WIDTH = 300

# What PyTorch's columns are called, by the subjects of the parts.
PEERS = {"eager": "PyTorch eager", "torch.compile": "torch.compile"}


def markdown(found):
    """Returns the page of a run, complete or not."""
    parts = {part["name"]: part.get("found", {}) for part in found["parts"]}
    sections = [
        title(found, parts["device"]), conditions(found, parts["device"]), evals(parts),
        bound(parts["bound"]), latency(parts["latency"]), bulk(parts["bulk"]),
        training(parts["train"]), checks(parts["check"]), samplers(parts["check"]), outcomes(found),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def title(found, about):
    name = about.get("gpu", about.get("machine", {}).get("cpu", "unknown machine"))
    name = name["name"] if isinstance(name, dict) else name
    return f"# {name}, {found['started'][:10]}" + (", a rehearsal" if found["small"] else "")


def conditions(found, about):
    kit = found["kit"]
    lines = [f"* {found['started'][:10]}, kit of commit {kit['commit']}: `{found['command']}`; "
             f"ONNX Runtime {kit['onnxruntime']}."]
    if "gpu" in about:
        gpu = about["gpu"]
        lines.append(f"* GPU: {gpu['name']}, {gpu['memory_mib']} MiB, at most "
                     f"{gpu['watts_limit']} W, driver {gpu['driver']}.")
    if "machine" in about:
        machine = about["machine"]
        lines.append(f"* Machine: {machine['cpu']}, {machine['cores']} cores, "
                     f"{machine['memory_gib']} GiB; {machine['system']}.")
    if "versions" in about:
        lines.append("* " + ", ".join(f"{name} {v}" for name, v in about["versions"].items()) + ".")
    if found["small"]:
        lines.append("* A rehearsal: a tiny network for a moment, so no figure means anything.")
    return "\n".join(lines)


def evals(parts):
    """The server's graphs and PyTorch, by batch."""
    served = {(row["graph"], row["batch"]): row for row in parts["evals"].get("rows", [])}
    peers = {(row["subject"], row["batch"]): row for row in parts["pytorch"].get("rows", [])}
    batches = sorted({batch for _, batch in [*served, *peers]})
    if not batches:
        return ""
    rows = []
    for batch in batches:
        graphs = [served.get((graph, batch)) for graph in ("portable", "cuda")]
        others = [peers.get((name, batch), {}).get("evals_per_second") for name in PEERS]
        best = max((speed for speed in others if speed), default=None)
        fused = graphs[1] and graphs[1]["evals_per_second_in_network"]
        rows.append([
            batch, *(served_number(row, "evals_per_second_in_network") for row in graphs),
            *(served_number(row, "evals_per_second_served") for row in graphs),
            *map(number, others), f"{fused / best:.2f}" if fused and best else "–",
        ])
    return section("Evaluations of the network per second", (
        "`portable` is fp32 without TF32, `cuda` fp16, PyTorch bf16 with channels last, compiled "
        "in mode `reduce-overhead`. The server's calls copy inputs and outputs, PyTorch's stay on "
        "the GPU. *Served* counts everything from the start of the client to its last byte on disk."
    ), ["batch", "portable", "cuda", "portable, served", "cuda, served", *PEERS.values(),
        "cuda ÷ best PyTorch"], rows)


def bound(found):
    """The server whose samples stay on the device."""
    rows = [
        [row["graph"], row["batch"], served_number(row, "evals_per_second_in_network"),
         served_number(row, "evals_per_second_served")] for row in found.get("rows", [])
    ]
    differences = ", ".join(f"{graph} {difference:.1e}"
                            for graph, difference in found.get("differences", {}).items())
    return section("Evaluations per second while samples stay on the device", (
        f"`ddpm-server --samples-on device`. Difference from samples that the host holds: "
        f"{differences or 'not compared'}."
    ), ["graph", "batch", "in the network", "served"], rows)


def latency(found):
    rows = [[row["graph"], row["calls"], *(f"{row[name]:.2f}" for name in
             ("min_ms", "median_ms", "p95_ms"))] for row in found.get("rows", [])]
    evals = next((row["evals"] for row in found.get("rows", [])), 0)
    return section("Latency of one sample, in ms", (
        f"{evals} evaluations one after another, from the request to the last byte, on an open "
        "connection (gRPC-web)."
    ), ["graph", "calls", "least", "median", "95 % within"], rows)


def bulk(found):
    rows = [
        [row["graph"], f"{row['samples']:,}", f"{row['evals']:,}", f"{row['seconds']:.1f}",
         number(row["samples_per_second"]), number(row["evals_per_second"]),
         f"{row['seconds_in_network']:.1f}"]
        for row in found.get("rows", [])
    ]
    return section("One large request", (
        "From the start of the client to the last byte on disk."
    ), ["graph", "samples", "evals", "seconds", "samples/s", "evals/s", "seconds in the network"],
        rows)


def training(found):
    rows = found.get("rows", [])
    loops = [row["images_per_second"] for row in rows if row["subject"] in PEERS]
    best = max(loops, default=None)
    return section("Training, pictures per second", (
        "Whole steps in bf16: a batch in memory, flips, noise, the loss, the backward pass, "
        "clipping, Adam, a moving average, reading the loss. Medians, in turns."
    ), ["", "batch", "pictures/s", "÷ best PyTorch"], [
        [PEERS.get(row["subject"], row["subject"]), row["batch"], number(row["images_per_second"]),
         f"{row['images_per_second'] / best:.2f}" if best else "–"]
        for row in rows
    ])


def checks(found):
    """The checks, without those of single samplers that passed: they have a table."""
    names = found.get("samplers", {})
    rows = [
        [check["name"], check["outcome"], shorten(check["remark"])]
        for check in found.get("checks", [])
        if check["outcome"] != "ok" or check["name"].split(": ")[0] not in names
    ]
    return section("Checks", "", ["check", "outcome", "what was seen"], rows)


def samplers(found):
    rows = [
        [name, row["steps"], row["rows"], *(f"{row[graph]:.1e}" if graph in row else "–"
                                            for graph in ("portable", "cuda"))]
        for name, row in found.get("samplers", {}).items()
    ]
    return section("Samplers", (
        "The embedded glyphs, compared with the portable graph on the CPU: the largest difference "
        "of the portable graph, in the samples' scale of -1 to 1; of the graph for CUDA the root "
        "mean square, relative to the samples'."
    ), ["sampler", "steps", "rows", "portable", "cuda"], rows)


def outcomes(found):
    rows = [[part["name"], part["outcome"], f"{part['seconds']:.0f}", remark(part)]
            for part in found["parts"]]
    return section("Parts", (
        f"At most {found['budget_seconds']:.0f} s for all of them."
    ), ["part", "outcome", "seconds", "why"], rows)


def remark(part):
    left_out = part.get("found", {}).get("not_run", {})
    reasons = [part["reason"], *(f"{what} not run: {why}" for what, why in left_out.items())]
    return shorten("; ".join(filter(None, reasons))) or "–"


def shorten(text):
    """Returns a text as one line that fits into a table."""
    return textwrap.shorten(text, WIDTH, placeholder=" …")


def section(title, text, columns, rows):
    """Formats a section with a table; nothing, if there are no rows."""
    if not rows:
        return ""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n\n".join(filter(None, [f"## {title}", text, "\n".join(lines)]))


def cell(value):
    return str(value).replace("|", "\\|")


def served_number(row, unit):
    """Spells a speed of the server, with the size of its calls if they were not of the batch."""
    if row is None:
        return number(None)
    calls = row["evals_per_call"]
    is_whole = abs(calls - row["batch"]) <= 0.05 * row["batch"]
    return number(row[unit]) + ("" if is_whole else f" (calls of {calls:.0f})")


def number(value):
    """Spells a speed with three digits or more."""
    if not value:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
