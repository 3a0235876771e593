"""How well the objects of each class are counted in images, as for automatic checkout.

Wei, Cui, Yang, Wang & Liu, "RPC: a large-scale retail product checkout dataset", arXiv 1901.07249, 2019. With ``P_ik``
objects of class ``k`` predicted in image ``i`` of the ``N``, ``GT_ik`` true ones, and ``CD_ik = |P_ik − GT_ik|``:

    cAcc = Σ_i [Σ_k CD_ik = 0] / N          ACD = Σ_i Σ_k CD_ik / N
    mCCD = mean_k Σ_i CD_ik / Σ_i GT_ik     mCIoU = mean_k Σ_i min(P_ik, GT_ik) / Σ_i max(P_ik, GT_ik)

Deviation: mCCD is the mean over classes with ``Σ GT > 0`` and mCIoU over those with ``Σ max > 0``, where the released
tool divides by zero.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Counting(NamedTuple):
    """Measures of counted objects.

    Attributes:
        accuracy: cAcc, the share of images all of whose counts are right.
        distance: ACD, the mean number of objects too many or too few in an image.
        class_distance: mCCD, the mean over classes of that number for each true object.
        class_iou: mCIoU, the mean over classes of the IoU of counts.
    """

    accuracy: float
    distance: float
    class_distance: float
    class_iou: float


def counting(predicted: ArrayLike, truth: ArrayLike) -> Counting:
    """Measure counts; NaN without images, and where no class counts.

    Args:
        predicted: whole numbers ``[n, classes]``, objects of each class in each image.
        truth: likewise.
    """
    found, true = np.asarray(predicted, np.int64), np.asarray(truth, np.int64)
    if found.ndim != 2 or found.shape != true.shape or min(found.min(initial=0), true.min(initial=0)) < 0:
        raise ValueError(f"counts must be two arrays [n, classes] from 0, got shapes {found.shape} and {true.shape}")
    apart = np.abs(found - true)
    return Counting(
        _mean(apart.sum(1) == 0),
        _mean(apart.sum(1)),
        _mean_ratio(apart.sum(0), true.sum(0)),
        _mean_ratio(np.minimum(found, true).sum(0), np.maximum(found, true).sum(0)),
    )


def counts_above(
    images: ArrayLike, classes: ArrayLike, scores: ArrayLike, threshold: float, shape: tuple[int, ...]
) -> np.ndarray:
    """Number of detections of each class in each image whose score is at least the threshold: int ``[n, classes]``.

    Args:
        images: int ``[d]``, the image of each detection.
        classes: int ``[d]``, its class.
        scores: ``[d]``.
        threshold: the least score that counts.
        shape: ``(n, classes)``.
    """
    counts = np.zeros(shape, np.int64)
    kept = np.asarray(scores) >= threshold
    np.add.at(counts, (np.asarray(images, int)[kept], np.asarray(classes, int)[kept]), 1)
    return counts


def best_count_threshold(images: ArrayLike, classes: ArrayLike, scores: ArrayLike, truth: ArrayLike) -> float:
    """The score at which most images are counted right; of equals, the one of the least ACD, then the highest.

    Of many scores, 100 quantiles are tried; infinite if it is best to count nothing.

    Args:
        images: int ``[d]``, the image of each detection.
        classes: int ``[d]``, its class.
        scores: ``[d]``.
        truth: whole numbers ``[n, classes]``, the true counts.
    """
    scores = np.asarray(scores, np.float64)
    tried = (
        [*np.unique(np.quantile(scores, np.linspace(0, 1, 101), method="lower")), np.inf] if scores.size else [np.inf]
    )

    def rank(threshold: float) -> tuple[float, float, float]:
        measured = counting(counts_above(images, classes, scores, threshold, np.shape(truth)), truth)
        return measured.accuracy, -measured.distance, threshold

    return float(max(tried, key=rank))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _mean_ratio(parts: np.ndarray, wholes: np.ndarray) -> float:
    there = wholes > 0
    return _mean(parts[there] / wholes[there])
