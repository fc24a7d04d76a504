"""Denoising diffusion implicit models, forwards and backwards."""

import numpy as np


def ddim(model, points, x, eta=0, clip_rule="recompute-eps"):
    """Song et al. 2020, equations 12 and 16 (that paper writes alpha for abar).

    Where x_0 is clipped, the predicted noise is that of the clipped x_0 (recompute-eps) or the
    network's own (keep-eps).
    """
    for now, then in zip(points, points[1:]):
        said = model(x, now)
        x_0_of_noise = said.x_0 if clip_rule == "recompute-eps" else said.unclipped
        eps = (x - now.alpha * x_0_of_noise) / now.s
        alpha_bar, alpha_bar_then = now.alpha**2, then.alpha**2
        deviation = (
            eta
            * np.sqrt((1 - alpha_bar_then) / (1 - alpha_bar))
            * np.sqrt(1 - alpha_bar / alpha_bar_then)
        )
        direction = np.sqrt(np.maximum(then.s**2 - deviation**2, 0)) * eps
        x = np.sqrt(alpha_bar_then) * said.x_0 + direction
        if deviation > 0:
            x = x + deviation * model.noise()
    return x


def ddim_inverse(model, points, x):
    """Song et al. 2020, section 4.3: the ODE of equation 13, run towards the noise.

    `points` are latest first as everywhere; x is the state at the earliest of them, and the result
    the state at the latest. Each step is equation 12 with eta = 0 and its two times exchanged: the
    network is evaluated at the point that the step leaves. The end of the last interval is not used.
    """
    walked = points[-2::-1]
    for now, then in zip(walked, walked[1:]):
        x_0 = model(x, now).x_0
        eps = (x - now.alpha * x_0) / now.s
        x = then.alpha * x_0 + then.s * eps
    return x
