"""Both ends of each dimension by sorting it whole, in plain NumPy float64: the tests' oracle."""

import numpy as np


def ends(vectors: np.ndarray, count: int, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the highest and of the lowest values of each dimension, ties to the lower index."""
    kept = np.flatnonzero(valid)
    high, low = [], []
    for column in np.asarray(vectors, np.float64)[kept].T:
        high.append(sorted(kept.tolist(), key=lambda i, c=column: (-c[kept == i][0], i))[:count])
        low.append(sorted(kept.tolist(), key=lambda i, c=column: (c[kept == i][0], i))[:count])
    return np.array(high), np.array(low)
