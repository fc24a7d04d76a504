"""Which points a run of n evaluations visits, latest first, as the field's packages and papers say."""

import numpy as np


def leading(timesteps, n, offset=0):
    """Lin et al. 2024 (Common diffusion noise schedules ...), table 2."""
    return [k * (timesteps // n) + offset for k in reversed(range(n))]


def trailing(timesteps, n):
    """Lin et al. 2024, table 2."""
    return [round(timesteps - k * timesteps / n) - 1 for k in range(n)]


def linspace(timesteps, n):
    """Lin et al. 2024, table 2: both ends of the schedule are visited."""
    return [round(k * (timesteps - 1) / (n - 1)) for k in reversed(range(n))]


def linspace_open(timesteps, n):
    """What diffusers' multistep solvers call linspace: n + 1 such points without the lowest."""
    return linspace(timesteps, n + 1)[:-1]


def leading_open(timesteps, n):
    """What diffusers' multistep solvers call leading: n + 1 such points without the lowest."""
    return leading(timesteps, n + 1)[:-1]


def karras(sigma_min, sigma_max, n, rho=7):
    """Karras et al. 2022, equation 5, without the 0 at its end."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return [float((high + k / (n - 1) * (low - high)) ** rho) for k in range(n)]


def exponential(sigma_min, sigma_max, n):
    """Even in ln sigma, which is even in the log signal-to-noise ratio (Lu et al. 2022)."""
    low, high = np.log(sigma_min), np.log(sigma_max)
    return [float(np.exp(high + k / (n - 1) * (low - high))) for k in range(n)]


def vp(n, beta_d=19.9, beta_min=0.1, eps_s=1e-3):
    """Karras et al. 2022, table 1, column VP: t even from 1 to eps_s."""
    t = np.array([1 + k / (n - 1) * (eps_s - 1) for k in range(n)])
    return [float(s) for s in np.sqrt(np.exp(beta_d * t**2 / 2 + beta_min * t) - 1)]


def flow(n, shift=1):
    """Flow times even from 1 to 1/n, shifted (Esser et al. 2024, equation 23), times 1000."""
    times = [1 - k / n for k in range(n)]
    return [1000 * shift * tau / (1 + (shift - 1) * tau) for tau in times]


def flow_open(n, shift=1):
    """The same from 0.999 on: diffusers' use_flow_sigmas for 1000 timesteps."""
    times = [(1 - k / n) * 0.999 for k in range(n)]
    return [1000 * shift * tau / (1 + (shift - 1) * tau) for tau in times]


def flow_unipc(n):
    """diffusers' UniPCMultistepScheduler with use_flow_sigmas: from 1 - 1e-6 on, even to 1/1000."""
    times = [1 + k / n * (0.001 - 1) for k in range(n)]
    return [1000 * min(tau, 1 - 1e-6) for tau in times]


def sections(timesteps, counts):
    """improved-diffusion's space_timesteps: equal sections of the chain, the first ones longer by one
    where it does not divide; in each, `count` timesteps spread evenly over it, both ends included."""
    size, longer = divmod(timesteps, len(counts))
    result, start = [], 0
    for section, count in enumerate(counts):
        length = size + (section < longer)
        assert count <= length
        width = (length - 1) / (count - 1) if count > 1 else 1
        # Added up, as they do: the rounding of the sum decides ties.
        at = 0.0
        for _ in range(count):
            result.append(start + round(at))
            at += width
        start += length
    return sorted(set(result), reverse=True)


def stride(timesteps, n):
    """improved-diffusion's `ddimN`: the first whole stride from 0 that gives exactly n timesteps."""
    for width in range(1, timesteps):
        if len(range(0, timesteps, width)) == n:
            return list(range(0, timesteps, width))[::-1]
    raise ValueError(f"no whole stride gives {n} of {timesteps}")


# ── what the packages make ──


def expected(schedules, process_of):
    """The table of grids: ours, and the largest relative difference from it of the package's, which
    runs in float64 (as shipped, several are tables in float32)."""
    from packages import in_float64

    with in_float64():
        return compared(schedules, process_of)


def compared(schedules, process_of):
    from packages import module_of, sampling

    linear = schedules["linear"]
    sigmas = process_of(linear).schedule.sigmas
    low, high = float(sigmas[0]), float(sigmas[-1])
    options = {key: linear[key] for key in ("beta_start", "beta_end")}

    def diffusers(name, n, **extra):
        known = {} if name.startswith(("EDM", "FlowMatch")) else options
        scheduler = getattr(module_of(name), name)(**known, **extra)
        scheduler.set_timesteps(n)
        return scheduler

    entries = []

    def add(grid, schedule, kind, values, package, source, remark=""):
        entry = {
            "grid": grid,
            "schedule": schedule,
            "num_steps": len(values),
            "expect": {kind: values},
        }
        difference = None
        if package is not None and not remark:
            package = [float(v) for v in package]
            assert len(package) == len(values), (grid, source)
            difference = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(package, values))
            assert difference <= 1e-9, (grid, source, difference)
        entry |= {"source": source, "tolerance": 1e-9, "difference": difference}
        entries.append(
            entry | {"agrees": None if package is None else not remark, "remark": remark}
        )

    for n in (10, 20, 50, 30, 7):
        for text, ours, extra in [
            ("leading", leading(1000, n), {"timestep_spacing": "leading"}),
            (
                "leading:offset=1",
                leading(1000, n, 1),
                {"timestep_spacing": "leading", "steps_offset": 1},
            ),
            ("trailing", trailing(1000, n), {"timestep_spacing": "trailing"}),
            ("linspace", linspace(1000, n), {"timestep_spacing": "linspace"}),
        ]:
            theirs = diffusers("DDIMScheduler", n, **extra).timesteps
            add(text, "linear", "timesteps", ours, theirs, "diffusers.DDIMScheduler")
    theirs = diffusers("DDIMScheduler", 61, timestep_spacing="trailing").timesteps
    assert len(theirs) == 62 and theirs[-1] == -1
    remark = "numpy.arange with a step of 1000/61 runs one too far: 62 timesteps, the last one -1."
    add(
        "trailing",
        "linear",
        "timesteps",
        trailing(1000, 61),
        theirs,
        "diffusers.DDIMScheduler",
        remark,
    )
    for n in (5, 12, 18):
        edm = {"kind": "edm", "sigma_min": 0.002, "sigma_max": 80, "sigma_data": 0.5}
        theirs = sampling.get_sigmas_karras(n, 0.002, 80.0)[:-1]
        ours = karras(0.002, 80.0, n)
        add("karras:rho=7", edm, "sigmas", ours, theirs, "k-diffusion.get_sigmas_karras")
        theirs = diffusers("EDMEulerScheduler", n).sigmas[:-1]
        add("karras:rho=7", edm, "sigmas", ours, theirs, "diffusers.EDMEulerScheduler")
        theirs = sampling.get_sigmas_exponential(n, 0.002, 80.0)[:-1]
        ours = exponential(0.002, 80.0, n)
        add("exponential", edm, "sigmas", ours, theirs, "k-diffusion.get_sigmas_exponential")
        theirs = sampling.get_sigmas_vp(n)[:-1]
        add("vp", edm, "sigmas", vp(n), theirs, "k-diffusion.get_sigmas_vp")
        theirs = diffusers("DPMSolverMultistepScheduler", n, use_karras_sigmas=True).sigmas[:-1]
        source = "diffusers.DPMSolverMultistepScheduler, use_karras_sigmas"
        add("karras:rho=7", "linear", "sigmas", karras(low, high, n), theirs, source)
        theirs = diffusers("DPMSolverMultistepScheduler", n, use_exponential_sigmas=True).sigmas[
            :-1
        ]
        source = "diffusers.DPMSolverMultistepScheduler, use_exponential_sigmas"
        add("exponential", "linear", "sigmas", exponential(low, high, n), theirs, source)
        theirs = diffusers("DPMSolverMultistepScheduler", n, use_lu_lambdas=True).sigmas[:-1]
        source = "diffusers.DPMSolverMultistepScheduler, use_lu_lambdas"
        add("log-snr", "linear", "sigmas", exponential(low, high, n), theirs, source)
    for n in (4, 10):
        for shift in (1, 3):
            scheduler = module_of(
                "FlowMatchEulerDiscreteScheduler"
            ).FlowMatchEulerDiscreteScheduler(shift=shift)
            scheduler.set_timesteps(sigmas=np.linspace(1, 1 / n, n))
            text = "flow" if shift == 1 else f"flow:shift={shift}"
            source = "diffusers.FlowMatchEulerDiscreteScheduler, sigmas=linspace(1, 1/n, n)"
            add(text, {"kind": "flow"}, "timesteps", flow(n, shift), scheduler.timesteps, source)
    source = "improved-diffusion space_timesteps (formula)"
    add("sections:10-15-20", "linear", "timesteps", sections(1000, [10, 15, 20]), None, source)
    add("sections:3-4-5-6", "short", "timesteps", sections(100, [3, 4, 5, 6]), None, source)
    for n in (21, 23):
        add(f"sections:{n}", "linear", "timesteps", sections(1000, [n]), None, source)
    for n in (25, 50, 100):
        add(f"ddim:{n}", "linear", "timesteps", stride(1000, n), None, source)
    return entries
