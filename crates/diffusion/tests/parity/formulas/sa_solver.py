"""SA-Solver (Xue et al. 2023, arXiv 2309.05019): a stochastic Adams predictor and corrector."""

import numpy as np

from formulas.quadrature import integral, lagrange


def sa_solver(
    model, points, x, predictor_order=2, corrector_order=2, tau=1, lower_order_final=False
):
    """Algorithm 1 in the prediction of x_0, tau constant. The variance-controlled SDE is solved by

        x_t = sigma_t/sigma_s e^{-tau^2 h} x_s
              + sigma_t * integral of (1+tau^2) e^{-tau^2 (lambda_t - lambda)} e^lambda x_0(lambda)
              + sigma_t sqrt(1 - e^{-2 tau^2 h}) z,

    with the Lagrange polynomial of x_0 through the last predictions. The predictor's polynomial is
    through `predictor_order` of them, from s back; the corrector's through `corrector_order`, from
    t back (0: there is no corrector), and takes the step again from the same x_s with the same z.
    Its x_t is where the next step starts; the prediction at t stays that of the predicted state.

    Both orders are lower while there is no history. The step that ends at the data returns x_0.
    With lower_order_final the predictor has at most as many predictions as there are steps left,
    this one included, and the corrector of the same step at most one more.
    """
    orders = predictor_order, corrector_order
    return solve(model, points, x, orders, tau, lower_order_final, exact)


def sa_solver_as_diffusers(
    model, points, x, predictor_order=2, corrector_order=2, tau=1, lower_order_final=False
):
    """The same with the weights of diffusers: two predictions have another first moment."""
    orders = predictor_order, corrector_order
    return solve(model, points, x, orders, tau, lower_order_final, shifted)


def solve(model, points, x, orders, tau, lower_order_final, weights):
    history = []  # (lam, x_0), latest first
    count = len(points) - 1
    left = None  # of the step before: all but its integral, its start, its corrector's order
    for position, (now, then) in enumerate(zip(points, points[1:])):
        x_0 = model(x, now).x_0
        history.insert(0, (now.lam, x_0))
        if left is not None and left[2] > 0:
            rest, begin, order = left
            x = rest + mean(history[:order], begin, now, tau, weights)
        if then.is_data:
            return x_0
        h = then.lam - now.lam
        rest = then.s / now.s * np.exp(-(tau**2) * h) * x
        if tau > 0:
            rest = rest + then.s * np.sqrt(-np.expm1(-2 * tau**2 * h)) * model.noise()
        predictor, corrector = min(orders[0], position + 1), min(orders[1], position + 2)
        if lower_order_final:
            predictor = min(predictor, count - position)
            corrector = min(corrector, count - position + 1)
        x = rest + mean(history[:predictor], now, then, tau, weights)
        left = (rest, now, corrector)
    return x


def mean(past, now, then, tau, weights):
    """The term of the integral, from `now` to `then`."""
    nodes = [lam for lam, _ in past]
    return sum(weight * x_0 for weight, (_, x_0) in zip(weights(nodes, now, then, tau), past))


def exact(nodes, now, then, tau):
    """sigma_t times the integrals of the Lagrange polynomials."""

    def factor(lam):
        return (1 + tau**2) * np.exp(lam - tau**2 * (then.lam - lam))

    bases = [lagrange(nodes, j) for j in range(len(nodes))]
    return [
        then.s * integral(lambda lam: factor(lam) * basis(lam), now.lam, then.lam)
        for basis in bases
    ]


def shifted(nodes, now, then, tau):
    """The same, but for two nodes the integral of e^{-k (lambda_t - lambda)} (lambda - lambda_s),
    k = 1 + tau^2, is h^2/2, its limit as h -> 0. "The added term is O(h^3)", says the code, and
    slightly improves images of few steps."""
    weights = exact(nodes, now, then, tau)
    if len(nodes) == 2:
        h, k = then.lam - now.lam, 1 + tau**2
        added = h**2 / 2 - (k * h + np.expm1(-k * h)) / k**2
        added = k * then.alpha * added / (nodes[0] - nodes[1])
        weights = [weights[0] + added, weights[1] - added]
    return weights
