"""Pixel masks against the truth, as co-segmentation measures them.

Rubinstein, Joulin, Kopf & Liu, "Unsupervised joint object discovery and segmentation in internet images", CVPR 2013:
precision is the share of pixels, object or background, that are labelled correctly; the Jaccard similarity is the
intersection over union of the object's pixels. An image without the object has no Jaccard similarity here (NaN):
theirs is measured on images that hold it.
"""

import numpy as np
from numpy.typing import ArrayLike


def jaccard(mask: ArrayLike, truth: ArrayLike, *, known: ArrayLike | None = None) -> float:
    """Intersection over union of two masks, in [0, 1]; NaN where the truth has no object.

    Args:
        mask: bool ``[h, w]``, predicted.
        truth: bool ``[h, w]``.
        known: bool ``[h, w]``, False where the truth says nothing; ``None`` means that all is known.
    """
    found, true, counts = _check(mask, truth, known)
    found, true = found & counts, true & counts
    return float((found & true).sum() / (found | true).sum()) if true.any() else float("nan")


def pixel_precision(mask: ArrayLike, truth: ArrayLike, *, known: ArrayLike | None = None) -> float:
    """Share of the pixels, object or background, on which two masks agree, in [0, 1]; NaN where nothing is known.

    Arguments are those of ``jaccard``.
    """
    found, true, counts = _check(mask, truth, known)
    return float((found == true)[counts].mean()) if counts.any() else float("nan")


def _check(mask: ArrayLike, truth: ArrayLike, known: ArrayLike | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mask, truth = np.asarray(mask), np.asarray(truth)
    known = np.ones(truth.shape, bool) if known is None else np.asarray(known)
    if any(array.ndim != 2 or array.dtype != np.bool_ for array in (mask, truth, known)):
        raise ValueError("masks must be bool [h, w]: compare them with a threshold first")
    if not mask.shape == truth.shape == known.shape:
        raise ValueError(f"masks must be of one size, got {mask.shape}, {truth.shape}, {known.shape}")
    return mask, truth, known
