"""Samplers of Karras et al. 2022 and what grew from them.

They are stated for x = x_0 + sigma n. A process with alpha < 1 is taken there by dividing its state
by alpha (Karras et al. 2022, equation 4), and brought back at the end.
"""

import numpy as np


def denoiser(model):
    """D(x; sigma) of Karras et al. in the coordinates x_0 + sigma n."""
    return lambda x, point: model(x * point.alpha, point).x_0


def euler(model, points, x):
    """Karras et al. 2022, algorithm 1 without its lines 6 to 8: dx/dsigma = (x - D(x; sigma))/sigma
    (equation 1 with equation 3) by Euler's method."""
    denoise, x = denoiser(model), x / points[0].alpha
    for now, then in zip(points, points[1:]):
        d = (x - denoise(x, now)) / now.sigma
        x = x + (then.sigma - now.sigma) * d
    return x * points[-1].alpha


def euler_ancestral(model, points, x, eta=1, s_noise=1):
    """Song et al. 2021 (score SDE), appendix F, ancestral sampling of the variance-exploding chain:
    noise of variance sigma_s^2 (sigma_t^2 - sigma_s^2)/sigma_t^2 after a step down to what is left.

    eta scales that noise, at most to sigma_s (k-diffusion's generalisation); eta = 1 is the paper.
    """
    denoise, x = denoiser(model), x / points[0].alpha
    for now, then in zip(points, points[1:]):
        a, b = now.sigma, then.sigma
        up = np.minimum(b, eta * np.sqrt(b**2 * (a**2 - b**2) / a**2))
        down = np.sqrt(b**2 - up**2)
        d = (x - denoise(x, now)) / a
        x = x + (down - a) * d
        if up > 0:
            x = x + s_noise * up * model.noise()
    return x * points[-1].alpha


def heun_step(denoise, x, now, then):
    """Karras et al. 2022, algorithm 1, lines 4 to 8."""
    step = then.sigma - now.sigma
    d = (x - denoise(x, now)) / now.sigma
    trial = x + step * d
    if then.is_data:
        return trial
    d_then = (trial - denoise(trial, then)) / then.sigma
    return x + step * (d / 2 + d_then / 2)


def heun(model, points, x):
    """Karras et al. 2022, algorithm 1."""
    denoise, x = denoiser(model), x / points[0].alpha
    for now, then in zip(points, points[1:]):
        x = heun_step(denoise, x, now, then)
    return x * points[-1].alpha


def edm_heun(model, points, x, s_churn=0, s_tmin=0, s_tmax=float("inf"), s_noise=1):
    """Karras et al. 2022, algorithm 2, with N the number of intervals."""
    denoise, x = denoiser(model), x / points[0].alpha
    count = len(points) - 1
    for now, then in zip(points, points[1:]):
        churns = s_tmin <= now.sigma <= s_tmax
        gamma = min(s_churn / count, np.sqrt(2) - 1) if churns else 0
        if gamma > 0:
            raised = model.process.at_sigma(now.sigma + gamma * now.sigma)
            x = x + np.sqrt(raised.sigma**2 - now.sigma**2) * s_noise * model.noise()
            now = raised
        x = heun_step(denoise, x, now, then)
    return x * points[-1].alpha


def edm_euler(model, points, x, s_churn=0, s_tmin=0, s_tmax=float("inf"), s_noise=1):
    """Karras et al. 2022, algorithm 2 without its lines 9 to 11, N the number of intervals."""
    denoise, x = denoiser(model), x / points[0].alpha
    count = len(points) - 1
    for now, then in zip(points, points[1:]):
        gamma = min(s_churn / count, np.sqrt(2) - 1) if s_tmin <= now.sigma <= s_tmax else 0
        if gamma > 0:
            raised = model.process.at_sigma(now.sigma + gamma * now.sigma)
            x = x + np.sqrt(raised.sigma**2 - now.sigma**2) * s_noise * model.noise()
            now = raised
        x = x + (then.sigma - now.sigma) * (x - denoise(x, now)) / now.sigma
    return x * points[-1].alpha


def restart(model, points, x, t_min, t_max, steps, repeats):
    """Xu et al. 2023, section 3.1, on top of Heun's method and with one restart interval.

    When the main grid first arrives at a sigma <= t_min (above 0), and still below t_max, this
    happens `repeats` times: noise takes the state up to t_max (the restart forward process), and
    `steps` Heun steps bring it back to that sigma (the restart backward process)
    on the grid of Karras et al. 2022, equation 5, with rho = 7 and both ends included.
    """
    denoise, x = denoiser(model), x / points[0].alpha
    restarted = False
    for now, then in zip(points, points[1:]):
        x = heun_step(denoise, x, now, then)
        if restarted or then.is_data or then.sigma > t_min:
            continue
        restarted = True
        real = model.process.real
        low, high = then.sigma ** (1 / real(7)), real(t_max) ** (1 / real(7))
        inner = [(high + real(j) / steps * (low - high)) ** 7 for j in range(steps)]
        path = [model.process.at_sigma(sigma) for sigma in inner] + [then]
        for _ in range(repeats):
            x = x + np.sqrt(real(t_max) ** 2 - then.sigma**2) * model.noise()
            for a, b in zip(path, path[1:]):
                x = heun_step(denoise, x, a, b)
    return x * points[-1].alpha
