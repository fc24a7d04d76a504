"""DPM-Solver-2 (Lu et al. 2022, arXiv 2206.00927), singlestep, and DPM-Solver++ (Lu et al. 2022,
arXiv 2211.01095)."""

import numpy as np

from formulas.quadrature import integral, lagrange


def lowered(order, position, count, then, lower_order_final):
    """The order of a step: as much as the history allows; 1 where it ends at the data."""
    order = min(order, position + 1)
    if lower_order_final:
        order = min(order, count - position)
    return 1 if then.is_data else order


def midpoint(model, now, then):
    """The point halfway in lambda."""
    return model.process.at_sigma(np.exp(-(now.lam + then.lam) / 2))


def dpm_solver_2_step(model, x, now, then):
    """DPM-Solver-2 (arXiv 2206.00927), algorithm 1, r_1 = 1/2."""
    middle, h = midpoint(model, now, then), then.lam - now.lam
    eps = (x - now.alpha * model(x, now).x_0) / now.s
    u = middle.alpha / now.alpha * x - middle.s * np.expm1(h / 2) * eps
    eps = (u - middle.alpha * model(u, middle).x_0) / middle.s
    return then.alpha / now.alpha * x - then.s * np.expm1(h) * eps


def dpm_solver_2(model, points, x):
    """DPM-Solver-2; the step that ends at the data, where lambda has no end, is of order 1."""
    for now, then in zip(points, points[1:]):
        if then.is_data:
            return model(x, now).x_0
        x = dpm_solver_2_step(model, x, now, then)
    return x


def with_fresh_noise(step, model, points, x, eta, s_noise):
    """Steps of the ODE to a lower sigma, and noise up to the next one: Song et al. 2021 (score SDE),
    appendix F, with eta as in k-diffusion; see euler_ancestral."""
    for now, then in zip(points, points[1:]):
        if then.is_data:
            return model(x, now).x_0
        up = eta * then.sigma * np.sqrt(1 - (then.sigma / now.sigma) ** 2)
        down = model.process.at_sigma(np.sqrt(then.sigma**2 - up**2))
        x = step(model, x, now, down) / down.alpha
        if up > 0:
            x = x + s_noise * up * model.noise()
        x = then.alpha * x
    return x


def dpm_solver_2_ancestral(model, points, x, eta=1, s_noise=1):
    """DPM-Solver-2 with fresh noise; the step that ends at the data is of order 1."""
    return with_fresh_noise(dpm_solver_2_step, model, points, x, eta, s_noise)


def dpm_plus_plus_2s_step(model, x, now, then, r=0.5):
    """DPM-Solver++(2S) (arXiv 2211.01095), algorithm 1; `midpoint` is r = 1/2."""
    middle, h = midpoint(model, now, then), then.lam - now.lam
    m = model(x, now).x_0
    u = middle.s / now.s * x - middle.alpha * np.expm1(-r * h) * m
    d = (1 - 1 / (2 * r)) * m + 1 / (2 * r) * model(u, middle).x_0
    return then.s / now.s * x - then.alpha * np.expm1(-h) * d


def dpm_plus_plus_2s_ancestral(model, points, x, eta=1, s_noise=1):
    """DPM-Solver++(2S) with fresh noise; the step that ends at the data is of order 1."""
    return with_fresh_noise(dpm_plus_plus_2s_step, model, points, x, eta, s_noise)


def dpm_plus_plus(model, points, x, order=2, form="midpoint", lower_order_final=False):
    """DPM-Solver++(1), (2M) and (3M): the exact solution of proposition 4.1,

        x_t = sigma_t/sigma_s x_s + sigma_t * integral of e^lambda x_0(lambda) d lambda,

    with x_0 expanded around s: D0 + D1 (lambda - lambda_s) + ...; the (2M) step is algorithm 2 with
    D1/2 for the second term (midpoint), or the integral of that term (heun). (3M) is printed with
    DPM-Solver-3's multistep differences: D1 and D2 as below and the integrals of the three terms,
    where the one of D2 lacks a factor of 2: see dpm_plus_plus_3_corrected.

    The order is lower while there is no history, and 1 in the step that ends at the data; with
    lower_order_final also 2 in the last step but one and 1 in the last, whatever their number.
    """
    history = []
    count = len(points) - 1
    for position, (now, then) in enumerate(zip(points, points[1:])):
        history.insert(0, (now.lam, model(x, now).x_0))
        step_order = lowered(order, position, count, then, lower_order_final)
        m0 = history[0][1]
        if then.is_data:
            return m0
        h = then.lam - now.lam
        phi_1 = np.expm1(-h)
        result = then.s / now.s * x - then.alpha * phi_1 * m0
        if step_order >= 2:
            r0 = (now.lam - history[1][0]) / h
            first = (m0 - history[1][1]) / r0
            d1 = first
        if step_order == 3:
            r1 = (history[1][0] - history[2][0]) / h
            second = (history[1][1] - history[2][1]) / r1
            d1 = first + r0 / (r0 + r1) * (first - second)
            d2 = (first - second) / (r0 + r1)
            result = result - then.alpha * ((phi_1 + h) / h**2 - 0.5) * d2
        if step_order == 3 or (step_order == 2 and form == "heun"):
            result = result + then.alpha * (phi_1 / h + 1) * d1
        elif step_order == 2:
            result = result - 0.5 * then.alpha * phi_1 * d1
        x = result
    return x


def dpm_plus_plus_3_corrected(model, points, x, lower_order_final=False):
    """The third-order step with the quadratic through the last three predictions integrated exactly.

    Put lambda = lambda_s + tau h, tau from 0 to 1. Proposition 4.1 says

        x_t = sigma_t/sigma_s x_s + alpha_t h * integral over tau of e^{-(1-tau) h} x_0(tau).

    The three predictions are at tau = 0, -r0, -(r0+r1). Their quadratic in Newton's form is

        m0 + first tau + (first - second)/(r0+r1) tau (tau + r0)
        = m0 + D1 tau + D2 tau^2,   first = (m0-m1)/r0, second = (m1-m2)/r1,
        D1 = first + r0/(r0+r1) (first - second),   D2 = (first - second)/(r0+r1).

    With I_n = h * integral of e^{-(1-tau) h} tau^n and integration by parts, I_n = 1 - n/h I_{n-1}:

        I_0 = 1 - e^{-h},   I_1 = 1 + (e^{-h}-1)/h,   I_2 = 1 - 2 I_1/h = -2 ((e^{-h}-1+h)/h^2 - 1/2),

    so the weight of D2 is twice that of the printed (3M), which has -((e^{-h}-1+h)/h^2 - 1/2): there
    D2 stands for half the second derivative where its integral expects the whole. Both have the
    local order of the second-order step at least; only this one has order 3. The warm-up steps are
    the lines and constants through fewer points, integrated in the same way: order 2 is `heun`.
    """
    history = []
    count = len(points) - 1
    for position, (now, then) in enumerate(zip(points, points[1:])):
        history.insert(0, (now.lam, model(x, now).x_0))
        step_order = lowered(3, position, count, then, lower_order_final)
        if then.is_data:
            return history[0][1]
        nodes = [lam for lam, _ in history[:step_order]]
        total = 0
        for j in range(step_order):
            basis = lagrange(nodes, j)
            weight = integral(lambda lam: np.exp(lam - then.lam) * basis(lam), now.lam, then.lam)
            total = total + weight * history[j][1]
        x = then.s / now.s * x + then.alpha * total
    return x


def sde_dpm_plus_plus(model, points, x, order=2, form="midpoint", eta=1):
    """SDE-DPM-Solver++(1) and (2M): the diffusion SDE's linear part solved exactly,

        x_t = sigma_t/sigma_s e^{-h} x_s + alpha_t (1-e^{-2h}) x_0 + sigma_t sqrt(1-e^{-2h}) z,

    and its second-order term in the two forms of the ODE. eta scales the SDE's noise (k-diffusion):
    e^{-h} becomes e^{-eta h}, e^{-2h} of x_0 e^{-(1+eta) h}, and that of z e^{-2 eta h}; eta = 1 is
    the paper. In the step that ends at the data the result is x_0.
    """
    before = None
    for now, then in zip(points, points[1:]):
        m0 = model(x, now).x_0
        if then.is_data:
            return m0
        h = then.lam - now.lam
        whole = (1 + eta) * h
        result = then.s / now.s * np.exp(-eta * h) * x - then.alpha * np.expm1(-whole) * m0
        if order == 2 and before is not None:
            r0 = (now.lam - before[0]) / h
            d1 = (m0 - before[1]) / r0
            if form == "heun":
                result = result + then.alpha * (np.expm1(-whole) / whole + 1) * d1
            else:
                result = result - 0.5 * then.alpha * np.expm1(-whole) * d1
        if eta > 0:
            result = result + then.s * np.sqrt(-np.expm1(-2 * eta * h)) * model.noise()
        before = (now.lam, m0)
        x = result
    return x


def sde_dpm_plus_plus_3(model, points, x, eta=1):
    """The third order of the above as k-diffusion has it (3M SDE): the terms of dpm_plus_plus' order 3
    over (1+eta) h, and the form `heun` while there are two predictions. No paper prints it."""
    history = []
    for position, (now, then) in enumerate(zip(points, points[1:])):
        history.insert(0, (now.lam, model(x, now).x_0))
        m0 = history[0][1]
        if then.is_data:
            return m0
        h = then.lam - now.lam
        whole = (1 + eta) * h
        phi_1 = np.expm1(-whole)
        result = then.s / now.s * np.exp(-eta * h) * x - then.alpha * phi_1 * m0
        if position >= 1:
            r0 = (now.lam - history[1][0]) / h
            first = (m0 - history[1][1]) / r0
            d1 = first
        if position >= 2:
            r1 = (history[1][0] - history[2][0]) / h
            second = (history[1][1] - history[2][1]) / r1
            d1 = first + r0 / (r0 + r1) * (first - second)
            d2 = (first - second) / (r0 + r1)
            result = result - then.alpha * ((phi_1 + whole) / whole**2 - 0.5) * d2
        if position >= 1:
            result = result + then.alpha * (phi_1 / whole + 1) * d1
        if eta > 0:
            result = result + then.s * np.sqrt(-np.expm1(-2 * eta * h)) * model.noise()
        x = result
    return x
