"""Whitening and retrieval measures written out in NumPy float64, pair by pair and entry by entry: the tests' oracle."""

import numpy as np


def principal_directions(x: np.ndarray, centred: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, directions in rows by falling mean square, and the mean squares, from a singular value decomposition."""
    x = x.astype(np.float64)
    mean = x.mean(0) if centred else np.zeros(x.shape[1])
    _, singular, directions = np.linalg.svd(x - mean, full_matrices=False)
    return mean, directions, singular**2 / len(x)


def whiten(x: np.ndarray, fitted_on: np.ndarray, centred: bool, dimension: int, power: float) -> np.ndarray:
    """Project on the leading directions, divide by ``λ^(power/2)``, scale to unit length."""
    mean, directions, values = principal_directions(fitted_on, centred)
    y = (x.astype(np.float64) - mean) @ directions[:dimension].T / values[:dimension] ** (power / 2)
    return y / np.linalg.norm(y, axis=-1, keepdims=True)


def pair_sums(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of ``(xᵢ − xⱼ)(xᵢ − xⱼ)ᵀ`` over matching and non-matching pairs, each unordered pair once."""
    x = x.astype(np.float64)
    sums = np.zeros((2, x.shape[1], x.shape[1]))
    for i in range(len(x)):
        for j in range(i):
            sums[int(labels[i] != labels[j])] += np.outer(x[i] - x[j], x[i] - x[j])
    return sums[0], sums[1]


def supervised_projection(matching: np.ndarray, non_matching: np.ndarray) -> np.ndarray:
    """``eigvec(C_S^{−1/2} C_D C_S^{−1/2})ᵀ C_S^{−1/2}`` in rows, largest eigenvalue first, with the symmetric root."""
    values, vectors = np.linalg.eigh(matching)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    rotation = np.linalg.eigh(root @ non_matching @ root)[1][:, ::-1]
    return rotation.T @ root


def top_k_average_precision(relevant: np.ndarray, k: int) -> float:
    """The SCDA paper's top-k mean average precision for one query."""
    ranks = [rank for rank in range(1, min(k, len(relevant)) + 1) if relevant[rank - 1]]
    precisions = [sum(relevant[:rank]) / rank for rank in ranks]
    return sum(precisions) / len(precisions) if precisions else 0.0


def trapezoid_average_precision(ranking: np.ndarray, positives: list[int], junk: list[int]) -> float:
    """Area under the trapezoids between the points of the precision–recall curve, junk taken out of the ranking."""
    if not positives:
        return float("nan")
    left = [entry for entry in ranking if entry not in junk]
    area, found = 0.0, 0
    for rank, entry in enumerate(left):
        if entry in positives:
            before = found / rank if rank else 1.0
            found += 1
            area += (before + found / (rank + 1)) / 2 / len(positives)
    return area
