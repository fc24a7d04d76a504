"""Ancestral sampling."""

import numpy as np


def ddpm(model, points, x, variance="fixed-small"):
    """Ho et al. 2020, algorithm 2 with the posterior of equations 6 and 7.

    The chain that visits only some timesteps: Nichol & Dhariwal 2021, section 4, with
    beta = 1 - abar_t/abar_s for the step t -> s. Variances: fixed-small is beta~ (equation 7),
    fixed-large is beta; learned is exp(v), v the raw variance channels; learned-range is
    exp(w ln beta + (1-w) ln beta~) with w = (v+1)/2 (Nichol & Dhariwal, equation 15). There is no
    noise in the step that ends at the data. A predicted mean is used as it is.
    """
    for now, then in zip(points, points[1:]):
        said = model(x, now)
        alpha_bar, alpha_bar_then = now.alpha**2, then.alpha**2
        alpha = alpha_bar / alpha_bar_then
        beta = 1 - alpha
        if said.mean is not None:
            mean = said.mean
        else:
            mean = (
                np.sqrt(alpha_bar_then) * beta / (1 - alpha_bar) * said.x_0
                + np.sqrt(alpha) * (1 - alpha_bar_then) / (1 - alpha_bar) * x
            )
        if then.is_data:
            return mean
        beta_tilde = (1 - alpha_bar_then) / (1 - alpha_bar) * beta
        if variance == "fixed-small":
            deviation = np.sqrt(beta_tilde)
        elif variance == "fixed-large":
            deviation = np.sqrt(beta)
        elif variance == "learned":
            deviation = np.exp(said.variance / 2)
        elif variance == "learned-range":
            w = (said.variance + 1) / 2
            deviation = np.exp((w * np.log(beta) + (1 - w) * np.log(beta_tilde)) / 2)
        else:
            raise ValueError(variance)
        x = mean + deviation * model.noise()
    return x
