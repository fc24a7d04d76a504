"""The unified predictor-corrector framework."""

import numpy as np

from formulas.quadrature import integral, solve


def unipc(model, points, x, order=2, variant="bh2", lower_order_final=False):
    """UniPC-p of Zhao et al. 2023, data prediction (its appendix), B(h) = h (bh1) or e^h - 1 (bh2),
    which for data prediction is 1 - e^{-h}.

    A step from s to t with data differences D_k = m_k - m_s at lambda_s + r_k h is

        x_t = sigma_t/sigma_s x_s + alpha_t (1 - e^{-h}) m_s + alpha_t B(h) sum_k a_k/r_k D_k,

    and the a_k solve the order conditions of theorem 3.1,

        B(h) sum_k a_k r_k^{n-1} = h * integral from 0 to 1 of e^{-(1-tau) h} tau^n,   n = 1, 2, ...

    The predictor (UniP-p) has p-1 points of the history; the corrector (UniC-p) these and r = 1, the
    prediction at t, and corrects the state that the next step leaves from. With one unknown, both
    take a = 1/2 (the paper's choice for UniP-2 and UniC-1).

    The order is lower while there is no history, and 1 in the step that ends at the data, which is
    not corrected; with lower_order_final also p-1 in the last step but one, and so on.
    """
    history = []  # (lam, m), latest first
    count = len(points) - 1
    left = None  # the corrected state, point and order of the step before
    for position, (now, then) in enumerate(zip(points, points[1:])):
        m = model(x, now).x_0
        if left is not None:
            before, start, step_order = left
            nodes = [*history[1:step_order], (now.lam, m)]
            x = step(before, start, now, history[0], nodes, variant)
        history.insert(0, (now.lam, m))
        step_order = min(order, position + 1)
        if lower_order_final:
            step_order = min(step_order, count - position)
        if then.is_data:
            return m
        left = (x, now, step_order)
        x = step(x, now, then, history[0], history[1:step_order], variant)
    return x


def step(x, now, then, here, nodes, variant):
    """The update above, from `now` to `then`, with D_k from `nodes`."""
    lam, m = here
    h = then.lam - lam
    b_h = h if variant == "bh1" else -np.expm1(-h)
    result = then.s / now.s * x - then.alpha * np.expm1(-h) * m
    r = [(other - lam) / h for other, _ in nodes]
    if len(nodes) == 1:
        a = [0.5]
    else:
        size = range(len(nodes))
        moments = [
            h * integral(lambda tau: np.exp(-(1 - tau) * h) * tau ** (n + 1), x.dtype.type(0), 1)
            for n in size
        ]
        a = solve([[r[k] ** n for k in size] for n in size], [moment / b_h for moment in moments])
    for a_k, r_k, (_, m_k) in zip(a, r, nodes):
        result = result + then.alpha * b_h * a_k / r_k * (m_k - m)
    return result
