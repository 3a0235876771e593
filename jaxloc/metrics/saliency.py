"""How much of a saliency map lies on the object, and how well it tells the object from the rest.

Siméoni, Iscen, Tolias, Avrithis & Chum, "Unsupervised deep object discovery for instance recognition", WACV 2018,
Figure 8: precision is the sum of the saliency over the ground-truth regions, divided by its sum over the image. The
area under the ROC curve has no scale: any rising function of the map has the same.
"""

import numpy as np
from numpy.typing import ArrayLike

from jaxloc.metrics.roc import roc_auc


def saliency_auc(saliency: ArrayLike, inside: ArrayLike) -> float:
    """The chance that a cell of the object is more salient than another, in [0, 1]; NaN if all cells are of one kind.

    Args:
        saliency: ``[h, w]``, of any sign.
        inside: ``[h, w]``, the share of each cell that is object; more than half makes it one of the object's.
    """
    saliency, inside = _check(saliency, inside)
    if not np.isfinite(saliency).all():
        raise ValueError("saliency must be finite")
    return roc_auc(saliency.ravel(), inside.ravel() > 0.5)


def saliency_precision(saliency: ArrayLike, inside: ArrayLike) -> float:
    """Share of the saliency that lies inside the ground truth, in [0, 1]; NaN where the map is all 0.

    Args:
        saliency: ``[h, w]``, 0 or more.
        inside: ``[h, w]``, the share of each cell that is object: 1 and 0 for a mask.
    """
    saliency, inside = _check(saliency, inside)
    if not (np.isfinite(saliency) & (saliency >= 0)).all():
        raise ValueError("saliency must be finite and 0 or more")
    total = saliency.sum()
    return float((saliency * inside).sum() / total) if total > 0 else float("nan")


def _check(saliency: ArrayLike, inside: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    saliency, inside = np.asarray(saliency, np.float64), np.asarray(inside, np.float64)
    if saliency.ndim != 2 or saliency.shape != inside.shape:
        raise ValueError(f"saliency and inside must be maps [h, w] of one size, got {saliency.shape}, {inside.shape}")
    return saliency, inside
