"""The small nonlinear network that every sampler runs on.

    F(x, g)_k = sum_j w2[k][j] tanh(sum_i w1[j][i] x_i + b1[j] + wt[j] g) + sum_i w3[k][i] x_i

The first `dim` outputs are the prediction, the other `dim` the variance channels; a case without
learned variance ignores the latter. w3 is near the identity, as a good prediction of eps is at the
noisy end; the weights are small enough that samplers stay tame, and large enough that predictions
leave [-1, 1], so that clips act.
"""

import numpy as np

DIM, HIDDEN = 6, 8


class Network:
    """F, in the precision `real` (numpy's float64 or longdouble)."""

    def __init__(self, real=np.float64):
        draw = np.random.default_rng(20_240_607).standard_normal
        self.weights = {
            "w1": 0.3 * draw((HIDDEN, DIM)),
            "b1": 0.3 * draw(HIDDEN),
            "wt": 0.6 * draw(HIDDEN),
            "w2": 0.25 * draw((2 * DIM, HIDDEN)),
            "w3": 0.06 * draw((2 * DIM, DIM)) + 0.8 * np.eye(2 * DIM, DIM),
        }
        # Rounded, so that the file shows all there is to them.
        self.weights = {name: np.round(value, 6) for name, value in self.weights.items()}
        for name, value in self.weights.items():
            setattr(self, name, value.astype(real))

    def __call__(self, x, g):
        """2 * DIM outputs for the input x, `[DIM]`, and the time g."""
        hidden = np.tanh(self.w1 @ x + self.b1 + self.wt * g)
        return self.w2 @ hidden + self.w3 @ x

    def to_json(self):
        lists = {name: value.tolist() for name, value in self.weights.items()}
        return {"dim": DIM, "hidden": HIDDEN, **lists}
