"""Straight paths from data to noise."""


def flow_euler(model, points, x):
    """Liu et al. 2022 (rectified flow), equation 1 by Euler's method: dx/dtau = eps - x_0 on the path
    (1-tau) x_0 + tau eps.

    Any process is on that path after x/(alpha+s), at tau = s/(alpha+s).
    """
    for now, then in zip(points, points[1:]):
        total = now.alpha + now.s
        tau, tau_then = now.s / total, then.s / (then.alpha + then.s)
        x_0 = model(x, now).x_0
        on_path = x / total
        velocity = (on_path - x_0) / tau  # = eps - x_0
        x = (on_path + (tau_then - tau) * velocity) * (then.alpha + then.s)
    return x
