"""Plain NumPy float64 k-means, mixture, VLAD and Fisher vector, one descriptor at a time: the tests' oracle."""

import numpy as np


def nearest(centers: np.ndarray, x: np.ndarray) -> int:
    """Index of the nearest centre."""
    return int(np.argmin([((x - centre) ** 2).sum() for centre in centers.astype(np.float64)]))


def lloyd_step(centers: np.ndarray, descriptors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Moved centres, how many belong to each, and the inertia before the move."""
    x = descriptors.astype(np.float64)
    labels = np.array([nearest(centers, one) for one in x])
    moved = centers.astype(np.float64).copy()
    counts = np.zeros(len(centers), int)
    for k in range(len(centers)):
        counts[k] = (labels == k).sum()
        if counts[k]:
            moved[k] = x[labels == k].mean(0)
    return moved, counts, float(((x - centers.astype(np.float64)[labels]) ** 2).sum())


def vlad(centers: np.ndarray, features: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sum of residuals to the nearest centre, before any normalisation."""
    out = np.zeros(centers.shape)
    for x in features[mask].astype(np.float64):
        k = nearest(centers, x)
        out[k] += x - centers[k]
    return out.ravel()


def log_joint(weights: np.ndarray, means: np.ndarray, variances: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Log of weight times density, for each component."""
    out = []
    for weight, mean, variance in zip(weights, means, variances, strict=True):
        density = -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance).sum()
        out.append(np.log(weight) + density)
    return np.array(out)


def log_likelihood(weights: np.ndarray, means: np.ndarray, variances: np.ndarray, x: np.ndarray) -> float:
    """Log density of one descriptor."""
    joint = log_joint(weights, means, variances, x)
    return float(joint.max() + np.log(np.exp(joint - joint.max()).sum()))


def responsibilities(weights: np.ndarray, means: np.ndarray, variances: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Posterior of each component for one descriptor."""
    joint = log_joint(weights, means, variances, x)
    share = np.exp(joint - joint.max())
    return share / share.sum()


def fisher_vector(
    weights: np.ndarray, means: np.ndarray, variances: np.ndarray, features: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Blocks of the means, then of the deviations, before any normalisation."""
    selected = features[mask].astype(np.float64)
    u = np.zeros(means.shape)
    v = np.zeros(means.shape)
    for x in selected:
        share = responsibilities(weights, means, variances, x)
        for k in range(len(weights)):
            z = (x - means[k]) / np.sqrt(variances[k])
            u[k] += share[k] * z / (len(selected) * np.sqrt(weights[k]))
            v[k] += share[k] * (z**2 - 1) / (len(selected) * np.sqrt(2 * weights[k]))
    return np.concatenate([u.ravel(), v.ravel()])


def power_normalized(vector: np.ndarray) -> np.ndarray:
    """Signed square root, then unit length."""
    rooted = np.sign(vector) * np.sqrt(np.abs(vector))
    return rooted / np.linalg.norm(rooted)


def relu_clusters(count: int, dimension: int = 12, seed: int = 0, noise: float = 3) -> np.ndarray:
    """Non-negative descriptors around four centres, many entries zero, like a network's after a ReLU."""
    rng = np.random.default_rng(seed)
    centers = np.maximum(np.random.default_rng(99).normal(size=(4, dimension)) * 12, 0)
    spread = rng.normal(size=(count, dimension)) * noise
    return np.maximum(centers[rng.integers(4, size=count)] + spread, 0).astype(np.float32)
