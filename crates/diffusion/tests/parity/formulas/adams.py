"""Linear multistep methods over past noise predictions."""

import numpy as np

from formulas.quadrature import integral, lagrange


def noise_of(model, x, point):
    """The predicted noise that goes with the (clipped) x_0."""
    return (x - point.alpha * model(x, point).x_0) / point.s


def deis(model, points, x, order=3):
    """tAB-DEIS of Zhang & Chen 2022, equations 14 and 15, with the polynomial in ln rho, rho = sigma:

        x_t/alpha_t = x_s/alpha_s + sum_j C_j eps_j,   C_j = integral of l_j(ln rho) d rho,

    l_j the Lagrange polynomials over the last points. The order is lower while there is no history,
    and 1 in a step that ends at the data, where ln rho has no end.
    """
    history = []
    for now, then in zip(points, points[1:]):
        history.insert(0, (now, noise_of(model, x, now)))
        if then.is_data:
            return x / now.alpha - now.sigma * history[0][1]
        past = history[:order]
        nodes = [np.log(point.sigma) for point, _ in past]
        total = x / now.alpha
        for j, (_, eps) in enumerate(past):
            basis = lagrange(nodes, j)
            # u = ln rho, d rho = e^u du
            weight = integral(lambda u: basis(u) * np.exp(u), nodes[0], np.log(then.sigma))
            total = total + weight * eps
        x = then.alpha * total
    return x


ADAMS_BASHFORTH = [([1], 1), ([3, -1], 2), ([23, -16, 5], 12), ([55, -59, 37, -9], 24)]


def combined(outputs, order):
    """The Adams-Bashforth mean of equal steps over the last outputs, latest first."""
    numerators, denominator = ADAMS_BASHFORTH[min(order, len(outputs)) - 1]
    return sum(n * output for n, output in zip(numerators, outputs)) / denominator


def ipndm(model, points, x, order=4):
    """iPNDM (Zhang & Chen 2022, appendix on improved PNDM): the classical Adams-Bashforth mean of the
    last noise predictions, order rising from 1, in d(x/alpha)/d sigma = eps; also in the last step.
    """
    outputs = []
    x = x / points[0].alpha
    for now, then in zip(points, points[1:]):
        outputs.insert(0, noise_of(model, now.alpha * x, now))
        x = x + (then.sigma - now.sigma) * combined(outputs, order)
    return points[-1].alpha * x


def lms(model, points, x, order=4):
    """Linear multistep over sigma as in k-diffusion: Adams-Bashforth with the steps as they are,

        x' = x + sum_j d_j * integral of l_j(tau) d tau,   d = (x - D(x; sigma))/sigma,

    for x = x_0 + sigma n; order rising from 1, and kept in the last step.
    """
    history = []
    x = x / points[0].alpha
    for now, then in zip(points, points[1:]):
        d = (x - model(now.alpha * x, now).x_0) / now.sigma
        history.insert(0, (now.sigma, d))
        past = history[:order]
        nodes = [sigma for sigma, _ in past]
        for j, (_, d_j) in enumerate(past):
            x = x + integral(lagrange(nodes, j), now.sigma, then.sigma) * d_j
    return points[-1].alpha * x


def pndm(model, points, x):
    """PNDM of Liu et al. 2022 in its linear multistep (PLMS) form, without the Runge-Kutta start:
    the first step is taken, the network is evaluated where it ends, and the step is taken again with
    the mean of the two outputs; then the order rises to 4. The outputs at the end of the first trial
    step do not enter the history, so the network is evaluated once more there.
    """
    outputs = []
    for position, (now, then) in enumerate(zip(points, points[1:])):
        outputs.insert(0, noise_of(model, x, now))
        if position == 0 and not then.is_data:
            trial = transfer(x, outputs[0], now, then)
            again = noise_of(model, trial, then)
            x = transfer(x, (outputs[0] + again) / 2, now, then)
        else:
            x = transfer(x, combined(outputs, 4), now, then)
    return x


def transfer(x, eps, now, then):
    """The transfer part phi(x_t, eps, t, s) of PNDM."""
    a, b = now.alpha**2, then.alpha**2
    return (
        np.sqrt(b / a) * x
        - (b - a) / (np.sqrt(a) * (np.sqrt((1 - b) * a) + np.sqrt((1 - a) * b))) * eps
    )
