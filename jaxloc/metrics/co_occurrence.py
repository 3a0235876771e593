"""How often classes occur together, and scores of an image's classes that take it into account, for ranking.

Bency, Kwon, Lee, Karthikeyan & Manjunath, "Weakly supervised localization using deep feature maps", ECCV 2016,
equations 2 to 4.
"""

import numpy as np
from numpy.typing import ArrayLike


def co_occurrence(labels: ArrayLike) -> np.ndarray:
    """Share of the images of class ``j`` that are also of class ``i``: float64 ``[i, j]``; 0 for a class of no image.

    Args:
        labels: bool or 0 and 1, ``[n, classes]``: which classes each image is of.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1, [n, classes], got shape {labels.shape}")
    there = labels.astype(np.float64)
    together = there.T @ there
    each = np.diagonal(together)
    return np.divide(together, each, out=np.zeros_like(together), where=each > 0)


def rescore(scores: ArrayLike, conditional: ArrayLike, *, weight: float) -> np.ndarray:
    """Scores raised by those of other classes: ``sᵢ + weight · Σ_{j≠i} p(i|j) sⱼ``, float64 like ``scores``.

    Args:
        scores: ``[..., classes]``; 0 for a class that is not scored.
        conditional: ``[classes, classes]``, ``p(i|j)`` from ``co_occurrence``.
        weight: the paper's ``α``, which it chooses on a validation set.
    """
    scores, conditional = np.asarray(scores, np.float64), np.asarray(conditional, np.float64)
    classes = scores.shape[-1] if scores.ndim else 0
    if conditional.shape != (classes, classes):
        raise ValueError(f"conditional must be [{classes}, {classes}], as the scores' classes, got {conditional.shape}")
    others = conditional * ~np.eye(classes, dtype=bool)
    return scores + weight * (scores @ others.T)
