"""Computes the measures of metrics_features.safetensors with other programs.

Writes reference.json and the .npz files. Shares no code with the crate. See README.md.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import prdc
import scipy.linalg
import scipy.stats
import torch
from safetensors.numpy import load_file

HERE = Path(__file__).parent


def main():
    vectors = load_file(HERE / "metrics_features.safetensors")
    real = vectors["A_real"].astype(np.float64)
    generated = vectors["B_generated"].astype(np.float64)
    reference = {
        "versions": {"numpy": np.__version__, "scipy": scipy.__version__,
                     "torch": torch.__version__.split("+")[0],
                     "prdc": "0.2", "torch-fidelity": "0.4.0"},
        "mean": real.mean(0).tolist(),
        "variance": real.var(0, ddof=1).tolist(),
        "frechet": [frechet(real, generated, *counts)
                    for counts in [(200, 180), (40, 40), (65, 12), (2, 2)]],
        "kid": kid(real, generated),
        "neighbours": [neighbours(real, generated, k) for k in (1, 3, 5)],
        "binary16": [binary16(vectors["A_real"], vectors["B_generated"], k) for k in (1, 3, 5)],
        "sliced": sliced(real, generated),
        "histogram": histogram(),
        "classifier_score": classifier_score(vectors["B_generated"]),
    }
    # One line per measure; NaN becomes null.
    lines = [f"{json.dumps(name)}: {json.dumps(value).replace('NaN', 'null')}"
             for name, value in reference.items()]
    (HERE / "reference.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    statistics_files(real)


def frechet(real, generated, n, m):
    """By scipy's sqrtm, by numpy's eigh of the symmetric form, and from the centred features."""
    x, y = real[:n], generated[:m]
    means = np.sum((x.mean(0) - y.mean(0)) ** 2)
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    traces = means + np.trace(s) + np.trace(t)
    values, vectors = np.linalg.eigh(s)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    symmetric = np.linalg.eigvalsh(root @ t @ root)
    # tr sqrt(S T) is the nuclear norm of X Yᵀ: no covariance is computed, so no digit is lost.
    centred = (x - x.mean(0)) @ (y - y.mean(0)).T / np.sqrt((n - 1) * (m - 1))
    return {
        "n": n,
        "m": m,
        "sqrtm": traces - 2 * np.trace(scipy.linalg.sqrtm(s @ t)).real,
        "eigh": traces - 2 * np.sum(np.sqrt(np.maximum(symmetric, 0))),
        "nuclear": traces - 2 * np.sum(np.linalg.svd(centred, compute_uv=False)),
    }


def classifier_score(logits, splits=10):
    """exp(E KL(p(y|x) || p(y))) over ten parts, with the features as logits of 64 classes."""
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    parts = [p[i * len(p) // splits : (i + 1) * len(p) // splits] for i in range(splits)]
    scores = [np.exp(np.mean(np.sum(part * np.log(part / part.mean(0)), axis=1))) for part in parts]
    uneven = [p[i * 177 // 7 : (i + 1) * 177 // 7] for i in range(7)]
    uneven = [np.exp(np.mean(np.sum(part * np.log(part / part.mean(0)), axis=1)))
              for part in uneven]
    return {"mean": np.mean(scores), "stdev": np.std(scores), "mean_177_in_7": np.mean(uneven)}


def kid(real, generated):
    x, y = real, generated

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def unbiased(a):
        k = kernel(a, a)
        return (k.sum() - np.trace(k)) / (len(a) * (len(a) - 1))

    whole = unbiased(x) + unbiased(y) - 2 * kernel(x, y).mean()
    module = torch_fidelity_kid()
    options = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3,
               "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    # It compares only sets of equal size.
    return {"numpy": whole, "torch_fidelity_180": float(module.kernel_mmd(x[:180], y, **options))}


def torch_fidelity_kid():
    """Imports metric_kid.py alone: the package as a whole needs torchvision."""
    folder = Path(importlib.util.find_spec("torch_fidelity").submodule_search_locations[0])
    package = types.ModuleType("torch_fidelity")
    package.__path__ = [str(folder)]
    sys.modules["torch_fidelity"] = package
    utils = types.ModuleType("torch_fidelity.utils")
    for name in ("create_feature_extractor", "extract_featuresdict_from_input_id_cached",
                 "resolve_feature_extractor", "resolve_feature_layer_for_metric"):
        setattr(utils, name, None)
    sys.modules["torch_fidelity.utils"] = utils
    return importlib.import_module("torch_fidelity.metric_kid")


def distances(a, b):
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def neighbours(real, generated, k):
    """By definition, and by prdc, whose balls exclude their border."""
    radii = lambda a: np.sort(distances(a, a), axis=1)[:, k]
    cross, r, g = distances(real, generated), radii(real)[:, None], radii(generated)[None]
    return {
        "k": k,
        "precision": (cross <= r).any(0).mean(),
        "recall": (cross <= g).any(1).mean(),
        "density": (cross < r).sum() / (k * len(generated)),
        "coverage": (cross.min(1) < r[:, 0]).mean(),
        "prdc": {name: float(value)
                 for name, value in prdc.compute_prdc(real, generated, k).items()},
        "real_radii": radii(real).tolist(),
    }


def binary16(real, generated, k):
    """torch's distances in half precision, as in ddpm-torch."""
    a, b = torch.tensor(real).half(), torch.tensor(generated).half()
    cdist = lambda x, y: torch.cdist(x[None], y[None])[0].float()
    radii = lambda x: cdist(x, x).kthvalue(k + 1, dim=1).values
    cross, r, g = cdist(a, b), radii(a)[:, None], radii(b)[None]
    return {
        "k": k,
        "precision": (cross <= r).any(0).double().mean().item(),
        "recall": (cross <= g).any(1).double().mean().item(),
        "density": (cross < r).sum().item() / (k * len(b)),
        "coverage": (cross.min(1).values < r[:, 0]).double().mean().item(),
        "real_radii": r[:, 0].tolist(),
    }


def sliced(real, generated):
    """scipy's distance on the line per direction; for p = 2, quantiles on a common grid."""
    rng = np.random.default_rng(7)
    directions = rng.normal(size=(8, real.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lines = [(real @ d, generated @ d) for d in directions]
    first = np.mean([scipy.stats.wasserstein_distance(u, v) for u, v in lines])
    grid = np.lcm(len(real), len(generated))
    repeat = lambda u: np.repeat(np.sort(u), grid // len(u))
    second = np.sqrt(np.mean([np.mean((repeat(u) - repeat(v)) ** 2) for u, v in lines]))
    return {"directions": directions.ravel().tolist(), "first": first, "second": second}


def histogram():
    """numpy's histogram2d with ddpm-torch's bins and range, on points of a fixed formula."""
    i = np.arange(1200)
    spiral = lambda turn, shift: np.stack(
        [i / 1200 * np.cos(i * turn) + shift, i / 1200 * np.sin(i * turn)], axis=1).round(3)
    texts = spiral(0.37, 0.0), spiral(0.41, 0.05)
    data, samples = (points.astype(np.float32) for points in texts)
    low, high = data.astype(np.float64).min(0), data.astype(np.float64).max(0)
    margin = 0.05 * (high - low)
    ranges = list(zip(low - margin, high + margin))

    def shares(points):
        counts = np.histogram2d(*points.astype(np.float64).T, bins=54, range=ranges)[0]
        return counts / (counts.sum() + 1e-9)

    def kl(p, q):
        return float(np.sum(p * (np.log(p + 1e-9) - np.log(q + 1e-9))))

    return {
        "data": texts[0].ravel().tolist(),
        "samples": texts[1].ravel().tolist(),
        "whole": kl(shares(data), shares(samples)),
        "first_400": kl(shares(data[:400]), shares(samples)),
    }


def statistics_files(real):
    few = real[:, :6]
    mu, sigma = few.mean(0), np.cov(few, rowvar=False)
    np.savez(HERE / "stored_f64.npz", mu=mu, sigma=sigma)
    np.savez_compressed(HERE / "deflated_f32.npz", sigma=sigma.astype(np.float32),
                        mu=mu.astype(np.float32), extra=np.arange(3))


if __name__ == "__main__":
    main()
