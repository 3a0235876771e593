"""Plain NumPy float64 transcriptions of LOST and TokenCut as their authors released them: the tests' oracle."""

import numpy as np

from tests.reference.scda_ddt import components


def lost(features: np.ndarray, k: int = 100) -> tuple[np.ndarray, np.ndarray | None]:
    """Similarity to the expanded seed ``[h, w]``, and the mask; ``None`` where the released code raises."""
    shape = features.shape[:2]
    patches = features.reshape(-1, features.shape[-1]).astype(np.float64)
    table = patches @ patches.T
    likes = table.copy()
    np.fill_diagonal(likes, 0)
    likes[likes < 0] = 0
    order = np.argsort((likes > 0).sum(1), kind="stable")
    seed = order[0]
    potentials = order[:k]
    similars = potentials[table[seed, potentials] > 0]
    response = table[similars].sum(0)
    labels = components(response.reshape(shape) > 0, 4)
    label = labels[np.unravel_index(seed, shape)]
    return response.reshape(shape), None if label == 0 else labels == label


def tokencut(features: np.ndarray, tau: float = 0.2, eps: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvector less its mean, turned towards the object, and the mask."""
    shape = features.shape[:2]
    patches = features.reshape(-1, features.shape[-1]).astype(np.float64)
    patches = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    table = np.where(patches @ patches.T > tau, 1.0, eps)
    degrees = table.sum(1)
    laplacian = (np.diag(degrees) - table) / np.sqrt(degrees)[:, None] / np.sqrt(degrees)
    second = np.linalg.eigh(laplacian)[1][:, 1] / np.sqrt(degrees)  # of the problem (D - A) y = λ D y
    average = second.mean()
    bipartition = second > average
    seed = np.argmax(np.abs(second))
    if not bipartition[seed]:
        second, average, bipartition = -second, -average, ~bipartition
    labels = components(bipartition.reshape(shape), 4)
    return (second - average).reshape(shape), labels == labels[np.unravel_index(seed, shape)]
