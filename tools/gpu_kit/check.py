"""The part `check`: every program uses the device, and computes there what the CPU computes.

A step is a row with an outcome of its own, and a step that fails skips only those that need it.
"""

from calls import CallError, Calls
from checks import CheckError, Checks, Drawing, compare, compare_half, draw, export, train
from kit import GLYPHS, REFERENCE, PartError
from programs import ProgramError

# Requests that run at the same time, and how often they may miss each other.
TOGETHER = 6
ATTEMPTS = 5

# How samples of a graph are compared with those of the portable graph on the CPU.
COMPARE = {"portable": compare, "cuda": compare_half}


def check(kit, part):
    checks = Checks(added=lambda: note(part, checks.rows))
    device = kit.device
    run = checks.run(f"train the glyphs on {device}", train, kit.programs, kit.scratch("run"),
                     device, kit.size.train_data, kit.size.train_steps, *kit.size.train_flags)
    checks.run(f"export them, verify on {device}", export, kit.programs, kit.scratch("trained"),
               run, device)
    reference = checks.run("golden gate on the cpu, to compare with", gate, kit, REFERENCE, "cpu")
    part.found["samplers"] = {}
    for graph in kit.graphs_for(part):
        for model in (kit.size.model, GLYPHS):
            check_model(kit, part, checks, model, graph, reference)
    kit.servers.stop(REFERENCE)
    if checks.failed():
        raise PartError(f"{len(checks.failed())} of {len(checks.rows)} checks failed: "
                        + "; ".join(checks.failed()))


def note(part, rows):
    name, outcome, remark = rows[-1]
    part.note(f"{outcome}: {name}: {remark}")
    part.found["checks"] = [
        {"name": name, "outcome": outcome, "remark": remark} for name, outcome, remark in rows
    ]
    part.save()


def check_model(kit, part, checks, model, graph, reference):
    """Checks a model in a graph; `reference` is None if there is nothing to compare with."""
    tested = checks.run(f"{model}: golden gate of {graph} on {kit.device}", gate, kit,
                        (model, graph), kit.device)
    checks.run(f"{model}: {graph} agrees with the cpu", agrees, kit, tested, reference)
    checks.run(f"{model}: {graph}, together as alone", together_as_alone, kit, tested)
    if model == GLYPHS:
        found = checks.run(f"{model}: samplers of {graph}", samplers, kit, tested)
        for name, encodes in (found or {}).items():
            checks.run(f"{name}: {graph} agrees with the cpu", sampler_agrees, kit, part, name,
                       encodes, tested, reference)
        # Nothing measures it.
        kit.servers.stop((model, graph))


def gate(kit, name, device):
    """Starts a server, which accepts a graph only if it reproduces its golden outputs.

    Returns its name, and a remark.
    """
    server = kit.servers.get(name)
    chosen = kit.programs.ask(server, "status")["device"]
    if not chosen["name"].startswith(device):
        raise CheckError(f"the server chose {chosen['name']}: {chosen['reason']}")
    graphs = {model["graph"] for model in kit.programs.ask(server, "models")}
    wanted = "portable" if name == REFERENCE else name[1]
    if graphs != {wanted}:
        raise CheckError(f"the server serves {', '.join(sorted(graphs))} instead of {wanted}")
    return name, f"{chosen['name']}: the golden outputs are reproduced"


def agrees(kit, tested, reference):
    """Compares sixteen samples with the CPU's."""
    flags = ("--count", 16, "--seed", 7, "--sampler", "ddim", "--steps", kit.size.steps)
    difference, remark = compare_draws(kit, tested, reference, *flags)
    return difference, f"16 samples of {kit.size.steps} steps: {remark}"


def compare_draws(kit, tested, reference, *flags):
    """Draws the same samples from two servers and compares them."""
    model, graph, *_ = tested
    out = kit.scratch("samples")
    got, _ = draw(kit.programs, kit.servers.get(tested), model, out, "--graph", graph, *flags)
    want, _ = draw(kit.programs, kit.servers.get(reference), model, out, *flags)
    return COMPARE[graph](got, want)


def together_as_alone(kit, tested):
    """Compares requests that share calls of the network with the same requests alone.

    The bits must be equal where the server promises that; otherwise they must be alike.
    """
    server, (model, graph) = kit.servers.get(tested), tested
    requests = mixed_requests(kit, server, model)
    alone = [draw(kit.programs, server, model, kit.scratch("alone"), "--graph", graph, *request)
             for request in requests]
    together = share_calls(kit, server, tested, requests)
    pairs = [(got, want) for (got, _), (want, _) in zip(together, alone)]
    equal = sum(got == want for got, want in pairs)
    strict = promises_equal_bits(kit, server, model, graph)
    if strict and equal < len(pairs):
        raise CheckError(f"the server promises equal bits, but {len(pairs) - equal} of "
                         f"{len(pairs)} requests have others than alone")
    difference = max(COMPARE[graph](got, want)[0] for got, want in pairs)
    calls_alone = sum(report["completed"]["ticks"] for _, report in alone)
    return difference, (
        f"{equal} of {len(pairs)} requests have equal bits "
        f"({'promised' if strict else 'not promised'}), largest difference {difference:.1e}; "
        f"{calls_of(together)} calls instead of {calls_alone}"
    )


def share_calls(kit, server, tested, requests):
    """Draws all requests at the same time, again if none of them met another."""
    for _ in range(ATTEMPTS):
        together = draw_together(kit, server, tested, requests)
        if overlap([report["completed"] for _, report in together]):
            return together
    raise CheckError(f"the requests shared no call of the network in {ATTEMPTS} attempts")


def calls_of(drawn):
    """Returns the calls of the network from the first of some runs to the last."""
    runs = [report["completed"] for _, report in drawn]
    return 1 + max(run["last_tick"] for run in runs) - min(run["first_tick"] for run in runs)


def mixed_requests(kit, server, model):
    """Returns flags of requests with different samplers, steps, seeds and counts."""
    names = [name for name, encodes in list_samplers(server, model).items() if not encodes]
    chosen = names[::max(1, len(names) // TOGETHER)][:TOGETHER]
    return [
        ("--sampler", name, "--steps", 5 * kit.size.steps + number, "--seed", 100 + number,
         "--count", 1 + number % 3)
        for number, name in enumerate(chosen)
    ]


def draw_together(kit, server, tested, requests):
    """Draws all requests at the same time; returns their elements and reports, in order."""
    running, (model, graph) = [], tested
    try:
        for number, request in enumerate(requests):
            out = kit.scratch(f"together-{number}")
            running.append(Drawing(kit.programs, server, model, out, "--graph", graph, *request))
        return [drawing.finish() for drawing in running]
    finally:
        for drawing in running:
            drawing.end()


def overlap(completed):
    """Returns whether any two runs shared calls."""
    spans = sorted((done["first_tick"], done["last_tick"]) for done in completed)
    return any(later[0] <= earlier[1] for earlier, later in zip(spans, spans[1:]))


def promises_equal_bits(kit, server, model, graph):
    described = kit.programs.ask(server, "models", model)
    return next(info["strict"] for info in described["graphs"] if info["name"] == graph)


def samplers(kit, tested):
    found = list_samplers(kit.servers.get(tested), GLYPHS)
    return found, f"the server offers {len(found)}"


def list_samplers(server, model):
    """Returns {name: whether it encodes pictures} of the samplers that the server offers."""
    try:
        with Calls(server.address, 60) as calls:
            return calls.samplers(model)
    except CallError as error:
        raise CheckError(str(error)) from None


def sampler_agrees(kit, part, name, encodes, tested, reference):
    """Compares samples of one sampler, with about as many rows as the size says."""
    server = kit.servers.get(reference)
    start = pictures(kit, server) if encodes else ("--count", 4, "--label", "0,1,2,3")
    steps, rows = steps_of_rows(kit, server, name, start if encodes else ())
    flags = ("--sampler", name, "--steps", steps, "--seed", 7, *start)
    difference, remark = compare_draws(kit, tested, reference, *flags)
    row = part.found["samplers"].setdefault(name, {"steps": steps, "rows": rows})
    row[tested[1]] = difference
    return difference, f"{rows} rows in {steps} steps: {remark}"


def pictures(kit, server):
    """Returns flags that start from two pictures, for samplers that encode."""
    report = kit.programs.ask(server, "sample", GLYPHS, "--count", 2, "--seed", 7, "--steps", 20,
                              "--format", "png", "--no-grid", "--out", kit.scratch("pictures"))
    paths = [file["path"] for file in report["files"] if file["kind"] == "sample"]
    return [word for path in paths for word in ("--image", path)]


def steps_of_rows(kit, server, name, flags):
    """Returns steps whose program has the wanted rows, or as near as it was found, and its rows."""
    wanted = steps = kit.size.rows
    tried = {}
    while steps not in tried:
        try:
            tried[steps] = count_rows(kit, server, name, steps, flags)
        except ProgramError:
            if not tried:
                raise
            break  # the sampler needs more steps than that
        steps = max(1, round(wanted * steps / tried[steps]))
    return min(tried.items(), key=lambda item: abs(item[1] - wanted))


def count_rows(kit, server, name, steps, flags):
    program = kit.programs.ask(server, "program", GLYPHS, "--sampler", name, "--steps", steps,
                               *flags)
    return len(program["rows"])
