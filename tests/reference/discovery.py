"""Plain NumPy float64 transcription of object discovery, an equation and a component at a time: the tests' oracle."""

from typing import NamedTuple

import numpy as np

from tests.reference import ranking
from tests.reference.descriptors import unit


def sparsity_weights(features: np.ndarray, epsilon: float = 1e-6) -> np.ndarray:
    """Equation 1."""
    share = (features > 0).mean((0, 1)).astype(np.float64) + epsilon
    return np.log(share.sum() / share)


def feature_saliency(features: np.ndarray, epsilon: float = 1e-6) -> np.ndarray:
    """Equation 2 with CroW's normalisation, divided by its maximum."""
    total = features.astype(np.float64) @ sparsity_weights(features, epsilon)
    return np.sqrt(total / total.max()) if total.any() else np.zeros(total.shape)


def contrast(saliency: np.ndarray, threshold: float, exponent: float) -> np.ndarray:
    """Section 4.1."""
    share = saliency / saliency.max() if saliency.any() else saliency
    return np.where(share > threshold, share, 0) ** exponent


class Components(NamedTuple):
    """By falling weight; ``spread`` leaves out the samples' own variance."""

    weight: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    iterations: int


def log_normal(a: np.ndarray, b: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The logarithm of ``N(a_i | b_k, variance)``, ``[i, k]``."""
    return -0.5 * ((a[:, None] - b) ** 2 / variance + np.log(2 * np.pi * variance)).sum(-1)


def purge(weight: np.ndarray, mean: np.ndarray, variance: np.ndarray, overlap: float) -> np.ndarray:
    """The components kept, heaviest first, by their responsibility for themselves among those kept before."""
    order = np.argsort(-weight, kind="stable")
    kept: list[int] = []
    for i in order:
        there = np.array([*kept, i])
        between = np.exp(log_normal(mean[i : i + 1], mean[there], variance[i] + variance[there]))[0]
        products = weight[i] * weight[there] * between
        if products[-1] / products.sum() >= overlap:
            kept.append(i)
    return np.sort(kept)


def expand(samples: np.ndarray, variance: float, overlap: float = 0.55, iterations: int = 30) -> Components:
    """Section 3.4."""
    y, x = np.nonzero(samples > 0)
    if not len(x):
        return Components(np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2)), 0)
    places, mass = np.stack([x, y], 1) + 0.5, samples[y, x].astype(np.float64) / samples.sum(dtype=np.float64)
    weight, mean, spread, step = mass, places, np.zeros_like(places), 0
    for _ in range(iterations):
        step += 1
        log = log_normal(places, mean, spread + 2 * variance) + np.log(weight)
        share = np.exp(log - log.max(1, keepdims=True))
        share *= (mass / share.sum(1))[:, None]
        total = share.sum(0)
        alive = np.flatnonzero(total > 1e-12)
        share, total = share[:, alive], total[alive]
        centre = share.T @ places / total[:, None]
        square = np.stack(
            [(share[:, k, None] * (places - centre[k]) ** 2).sum(0) / total[k] for k in range(len(alive))]
        )
        kept = purge(total, centre, square + variance, overlap)
        old_mean, old_spread = mean[alive][kept], spread[alive][kept]
        before, (weight, mean, spread) = len(weight), (total[kept], centre[kept], square[kept])
        moved = max(abs(mean - old_mean).max(), abs(np.sqrt(spread) - np.sqrt(old_spread)).max())
        if len(kept) == before and moved < 1e-3:
            break
    order = np.argsort(-weight, kind="stable")
    return Components(weight[order], mean[order], spread[order], step)


def edges(found: Components, shape: tuple[int, int]) -> np.ndarray:
    """Rectangles ``[m, 4]`` of the components' variances, clipped to the map."""
    half, limit = np.sqrt(3 * (found.spread + 1 / 12)), np.array(shape[::-1])
    return np.concatenate([np.clip(found.mean - half, 0, limit), np.clip(found.mean + half, 0, limit)], 1)


def cells(real: np.ndarray) -> np.ndarray:
    """Cells whose centres lie in rectangles, or the one of the middle."""
    whole = np.ceil(real - 0.5 - 1e-9).astype(int)
    for box, (x0, y0, x1, y1) in zip(whole, real, strict=True):
        for axis, middle in enumerate(((x0 + x1) / 2, (y0 + y1) / 2)):
            if box[axis + 2] <= box[axis]:
                box[axis], box[axis + 2] = int(middle), int(middle) + 1
    return whole


def regions(saliency: np.ndarray, setting: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, Components]:
    """Rectangles, their cells, and the components of a saliency map."""
    threshold, exponent, variance = setting
    found = expand(contrast(saliency.astype(np.float64), threshold, exponent), variance)
    real = edges(found, saliency.shape)
    return real, cells(real), found


def region_vectors(features: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Equation 10, of unit length."""
    return np.stack([unit(features[y0:y1, x0:x1].max((0, 1)).astype(np.float64)) for x0, y0, x1, y1 in boxes])


def region_saliency(saliency: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Equation 9."""
    return np.array([saliency[y0:y1, x0:x1].mean() for x0, y0, x1, y1 in boxes])


def centrality(vectors: np.ndarray, k: int, alpha: float = 0.99) -> np.ndarray:
    """Equations 11 to 13, the matrix inverted."""
    weights = ranking.normalized(ranking.mutual_adjacency(vectors, k, 3.0))
    return (1 - alpha) * np.linalg.solve(np.eye(len(vectors)) - alpha * weights, np.ones(len(vectors)))


def object_saliency(
    features: np.ndarray, saliency: np.ndarray, vectors: np.ndarray, values: np.ndarray, side: int, k: int = 50
) -> np.ndarray:
    """Equation 14 without a whitening, one cell at a time."""
    rows, columns, _ = features.shape
    found, half = np.zeros((rows, columns)), side // 2
    for y in range(rows):
        for x in range(columns):
            patch = features[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1].max((0, 1))
            cosine = vectors @ unit(patch.astype(np.float64))
            near = np.argsort(-cosine)[:k]
            found[y, x] = saliency[y, x] ** 2 * (np.maximum(cosine[near], 0) ** 3 * values[near]).sum()
    return found
