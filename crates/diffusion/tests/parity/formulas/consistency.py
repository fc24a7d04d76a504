"""Samplers of networks that predict x_0 in one evaluation."""

import numpy as np


def consistency(model, points, x, sigma_min=0.002, precondition=None):
    """Song et al. 2023, algorithm 1 (multistep consistency sampling), epsilon = sigma_min.

    The consistency function is the network's own prediction of x_0; with `precondition=consistency`
    it is equation 5 with the boundary condition at sigma_min (their appendix C):
    c_skip = sd^2/((sigma-sigma_min)^2 + sd^2), c_out = sd (sigma-sigma_min)/sqrt(sd^2 + sigma^2).
    The result is the last x_0.
    """
    for now, then in zip(points, points[1:]):
        x_0 = consistent(model, x, now, sigma_min) if precondition else model(x, now).x_0
        if then.is_data:
            return x_0
        x = then.alpha * (x_0 + np.sqrt(then.sigma**2 - sigma_min**2) * model.noise())
    return x


def consistent(model, x, now, sigma_min):
    from network import DIM
    from process import clipped

    sd, sigma = model.process.sigma_data, now.sigma
    c_skip = sd**2 / ((sigma - sigma_min) ** 2 + sd**2)
    c_out = sd * (sigma - sigma_min) / np.sqrt(sd**2 + sigma**2)
    return clipped(c_skip * x + c_out * model.output(x, now)[:DIM], model.clip)


def lcm(model, points, x):
    """Luo et al. 2023 (latent consistency models), multistep sampling: equation 9 with
    c_skip = sd^2/(s^2 + sd^2), c_out = s/sqrt(s^2 + sd^2), s = 10 t, sd = 0.5, then noise again up to
    the next point. The last step adds none.
    """
    for now, then in zip(points, points[1:]):
        s, sd = 10 * now.t, 0.5
        c_skip, c_out = sd**2 / (s**2 + sd**2), s / np.sqrt(s**2 + sd**2)
        x_0 = c_skip * x + c_out * model(x, now).x_0
        if then.is_data:
            return x_0
        x = then.alpha * x_0 + then.s * model.noise()
    return x
