"""The share of a saliency map on the object.

Siméoni, Iscen, Tolias, Avrithis & Chum, "Unsupervised deep object discovery for instance recognition", WACV 2018,
Figure 8: precision is the sum of the saliency over the ground-truth regions, divided by its sum over the image.
"""

import numpy as np
from numpy.typing import ArrayLike


def saliency_precision(saliency: ArrayLike, inside: ArrayLike) -> float:
    """Share of the saliency that lies inside the ground truth, in [0, 1]; NaN where the map is all 0.

    Args:
        saliency: ``[h, w]``, 0 or more.
        inside: ``[h, w]``, the share of each cell that is object: 1 and 0 for a mask.
    """
    saliency, inside = np.asarray(saliency, np.float64), np.asarray(inside, np.float64)
    if saliency.ndim != 2 or saliency.shape != inside.shape:
        raise ValueError(f"saliency and inside must be maps [h, w] of one size, got {saliency.shape}, {inside.shape}")
    if not (np.isfinite(saliency) & (saliency >= 0)).all():
        raise ValueError("saliency must be finite and 0 or more")
    total = saliency.sum()
    return float((saliency * inside).sum() / total) if total > 0 else float("nan")
