"""Diffusion processes and what a network's output means on them.

Every process is x = alpha x_0 + s eps. A point of it knows

* alpha and s; sigma = s/alpha; lam = ln(alpha/s), half the log signal-to-noise ratio;
* t, the timestep given to the network, and g, the number that the small network here makes of it;
* where in a schedule it is, for what only integer timesteps have.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from network import DIM, Network


class Schedule:
    """alphas_cumprod of a beta schedule, over t = 0 ... T-1."""

    def __init__(self, kind, timesteps, beta_start=None, beta_end=None, real=np.float64):
        self.timesteps, self.real = timesteps, real
        if kind == "linear":
            start, end = real(beta_start), real(beta_end)
            self.betas = start + (end - start) * np.arange(timesteps, dtype=real) / (timesteps - 1)
        elif kind == "cosine":
            # Nichol & Dhariwal 2021, equation 17 and the clip after it.
            k = np.arange(timesteps + 1, dtype=real) / timesteps
            f = np.cos((k + real(0.008)) / real(1.008) * half_pi(real)) ** 2
            self.betas = np.minimum(1 - f[1:] / f[:-1], real(0.999))
        else:
            raise ValueError(kind)
        self.alphas_cumprod = np.cumprod(1 - self.betas)
        self.sigmas = np.sqrt((1 - self.alphas_cumprod) / self.alphas_cumprod)
        self.log_sigmas = np.log(self.sigmas)

    def sigma_to_t(self, sigma):
        """The real-valued timestep: linear in ln sigma between trained timesteps, ends clamped."""
        log_sigma = np.log(sigma)
        low = np.clip(
            np.searchsorted(self.log_sigmas, log_sigma, "right") - 1, 0, self.timesteps - 2
        )
        below, above = self.log_sigmas[low], self.log_sigmas[low + 1]
        return low + np.clip((log_sigma - below) / (above - below), 0, 1)

    def t_to_sigma(self, t):
        """The inverse of sigma_to_t."""
        low = min(int(np.floor(t)), self.timesteps - 2)
        part = self.real(t) - low
        return np.exp((1 - part) * self.log_sigmas[low] + part * self.log_sigmas[low + 1])


def half_pi(real):
    return 2 * np.arctan(real(1))


@dataclass(frozen=True)
class Point:
    """A place on a process; see the module. Data is alpha = 1, s = 0."""

    t: float
    g: float
    alpha: float
    s: float

    @property
    def sigma(self):
        return self.s / self.alpha

    @property
    def lam(self):
        return np.log(self.alpha) - np.log(self.s)

    @property
    def is_data(self):
        return self.s == 0


class Discrete:
    """A chain of T trained timesteps, alpha^2 + s^2 = 1; the network is given x and t/1000."""

    def __init__(self, schedule):
        self.schedule, self.real = schedule, schedule.real

    def at_timestep(self, t):
        if t == int(t):
            alpha_bar = self.schedule.alphas_cumprod[int(t)]
            return Point(t, self.real(t) / 1000, np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar))
        return self.at_sigma(self.schedule.t_to_sigma(t))

    def at_sigma(self, sigma):
        t = self.schedule.sigma_to_t(self.real(sigma))
        alpha = 1 / np.sqrt(1 + self.real(sigma) ** 2)
        return Point(t, t / 1000, alpha, sigma * alpha)

    def input(self, x, point):
        return x


class Edm:
    """Karras et al. 2022: alpha = 1, s = sigma; the network is given c_in x and ln(sigma)/4."""

    def __init__(self, sigma_data, real=np.float64):
        self.sigma_data, self.real = real(sigma_data), real

    def at_sigma(self, sigma):
        sigma = self.real(sigma)
        time = np.log(sigma) / 4
        return Point(time, time, self.real(1), sigma)

    def input(self, x, point):
        return x / np.sqrt(point.sigma**2 + self.sigma_data**2)


class Flow:
    """Straight paths: alpha = 1 - tau, s = tau; the network is given x and the timestep 1000 tau."""

    def __init__(self, real=np.float64):
        self.real = real

    def at_timestep(self, t):
        tau = self.real(t) / 1000
        return Point(t, tau, 1 - tau, tau)

    def at_sigma(self, sigma):
        sigma = self.real(sigma)
        return self.at_timestep(1000 * sigma / (1 + sigma))

    def input(self, x, point):
        return x


def data(real):
    """The point where the process ends."""
    return Point(None, None, real(1), real(0))


@dataclass
class Predicted:
    """What a network said at a point."""

    x_0: np.ndarray  # after the clip
    unclipped: np.ndarray
    mean: np.ndarray  # of x_{t-1}, from a network that predicts it; never clipped
    variance: np.ndarray  # the raw variance channels


@dataclass
class Model:
    """The network under its parameterization and clip, and the noise of one run.

    * `prediction`: eps, x_0, mean, v, edm or flow.
    * `clip`: none, unit, or dynamic:QUANTILE:MAX.
    * `given_noise`: the draws to use; when they run out, or at first, `draw` makes them.
    """

    process: object
    prediction: str
    clip: str
    draw: object = None
    given_noise: list = field(default_factory=list)

    def __post_init__(self):
        self.used_noise, self.evaluated = [], []

    @cached_property
    def network(self):
        return Network(self.process.real)

    def noise(self):
        """The next standard normals, `[DIM]`."""
        position = len(self.used_noise)
        known = position < len(self.given_noise)
        self.used_noise.append(self.given_noise[position] if known else self.draw(DIM))
        return np.asarray(self.used_noise[-1]).astype(self.process.real)

    def output(self, x, point):
        """All output channels of the network at a point of the process."""
        self.evaluated.append(point)
        return self.network(self.process.input(x, point), point.g)

    def __call__(self, x, point):
        output = self.output(x, point)
        f, variance = output[:DIM], output[DIM:]
        mean = f if self.prediction == "mean" else None
        unclipped = self.x_0_of(x, f, point)
        return Predicted(clipped(unclipped, self.clip), unclipped, mean, variance)

    def x_0_of(self, x, f, point):
        """The x_0 that an output f at x stands for, before the clip."""
        alpha, s = point.alpha, point.s
        if self.prediction == "eps":  # Ho et al. 2020, below equation 15
            return (x - s * f) / alpha
        if self.prediction == "x_0":
            return f
        if self.prediction == "v":  # Salimans & Ho 2022, appendix D
            return alpha * x - s * f
        if self.prediction == "edm":  # Karras et al. 2022, equation 7 and table 1
            total = point.sigma**2 + self.process.sigma_data**2
            c_skip = self.process.sigma_data**2 / total
            c_out = point.sigma * self.process.sigma_data / np.sqrt(total)
            return c_skip * x + c_out * f
        if self.prediction == "flow":  # f is the velocity eps - x_0
            return x - s * f
        if self.prediction == "mean":  # Ho et al. 2020, equation 7, solved for x_0
            schedule, t = self.process.schedule, int(point.t)
            beta, alpha_bar = schedule.betas[t], schedule.alphas_cumprod[t]
            before = schedule.alphas_cumprod[t - 1] if t > 0 else self.process.real(1)
            of_x_0 = np.sqrt(before) * beta / (1 - alpha_bar)
            of_x_t = np.sqrt(1 - beta) * (1 - before) / (1 - alpha_bar)
            return (f - of_x_t * x) / of_x_0
        raise ValueError(self.prediction)


def clipped(x_0, rule):
    """x_0 kept in the data's range.

    dynamic:QUANTILE:MAX is the dynamic thresholding of Saharia et al. 2022 (Imagen), section 2.3,
    where the quantile interpolates linearly between sorted values and s stays in 1 ... MAX.
    """
    if rule == "none":
        return x_0
    if rule == "unit":
        return np.clip(x_0, -1, 1)
    name, quantile, most = rule.split(":")
    assert name == "dynamic"
    ordered = np.sort(np.abs(x_0))
    place = float(quantile) * (len(ordered) - 1)
    low = int(np.floor(place))
    high = min(low + 1, len(ordered) - 1)
    s = ordered[low] + (place - low) * (ordered[high] - ordered[low])
    s = np.clip(s, 1, float(most))
    return np.clip(x_0, -s, s) / s
