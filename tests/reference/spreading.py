"""The spread map and its mask in NumPy float64."""

import numpy as np
from scipy import ndimage


def spread(indicator: np.ndarray, features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    cells = (features.astype(np.float64) - mean).reshape(-1, features.shape[-1])
    lengths = np.linalg.norm(cells, axis=1)
    weights = np.maximum(cells @ cells.T / np.outer(lengths, lengths), 0)
    return (weights @ indicator.ravel() / weights.sum(1)).reshape(indicator.shape)


def localize(smooth: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The response and the mask."""
    positive = smooth[smooth > 0]
    response = smooth - share * (positive**2).sum() / positive.sum()
    labels, _ = ndimage.label(response > 0, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel())
    return response, labels == 1 + sizes[1:].argmax()
