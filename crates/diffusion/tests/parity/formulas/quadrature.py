"""Integrals of smooth functions, and polynomials through points."""

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)


def integral(f, start, end):
    """The integral of f from start to end by Gauss-Legendre: exact for polynomials, and to rounding
    for what samplers integrate over one step."""
    half = (end - start) / 2
    return half * sum(weight * f(start + half * (node + 1)) for node, weight in zip(NODES, WEIGHTS))


def lagrange(nodes, j):
    """The Lagrange polynomial that is 1 at nodes[j] and 0 at the others."""

    def polynomial(tau):
        value = 1
        for k, node in enumerate(nodes):
            if k != j:
                value = value * (tau - node) / (nodes[j] - node)
        return value

    return polynomial


def solve(matrix, right):
    """The solution of a small linear system, by elimination with row exchange."""
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    size = len(rows)
    for k in range(size):
        best = max(range(k, size), key=lambda i: abs(rows[i][k]))
        rows[k], rows[best] = rows[best], rows[k]
        for i in range(size):
            if i != k:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k])]
    return [rows[k][-1] / rows[k][k] for k in range(size)]
