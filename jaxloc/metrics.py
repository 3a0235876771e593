"""Measures of localisation, on the host in float64: they are reported to people, not differentiated.

CorLoc: Deselaers, Alexe & Ferrari, "Weakly supervised localization and learning with generic knowledge", IJCV 2012;
as DDT uses it, the share of images whose box has IoU > 0.5 with any ground-truth box of the class.
"""

import numpy as np
from numpy.typing import ArrayLike


def box_iou(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """All pairs' intersection over union in float64.

    Args:
        a: ``[n, 4]``, ``x0, y0, x1, y1``; NaN means no box.
        b: ``[m, 4]``.

    Returns:
        ``[n, m]`` in [0, 1]; zero where either is NaN or empty.
    """
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (a, b))
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    intersection = np.nan_to_num(sides).clip(0).prod(-1)
    areas = [np.nan_to_num(boxes[:, 2:] - boxes[:, :2]).clip(0).prod(-1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def correct_localization(box: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5) -> bool:
    """Whether one predicted box has IoU strictly above the threshold with any ground-truth box of the class.

    Args:
        box: ``[4]``; NaN means no box, which is never correct.
        truth: ``[m, 4]``.
        threshold: PASCAL's 0.5.

    Raises:
        ValueError: there is no ground truth to compare with.
    """
    truth = np.asarray(truth, np.float64).reshape(-1, 4)
    if not len(truth):
        raise ValueError("no ground-truth box: leave images without the object out of CorLoc")
    return bool(box_iou(box, truth).max() > threshold)


def roc_auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Args:
        scores: ``[n]``, higher = more likely positive.
        positive: bool ``[n]``.

    Returns:
        in [0, 1]; NaN if all are of one kind.

    Raises:
        ValueError: different lengths, or a score that is not a number.
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"scores and positive must be two lists of one length, got {scores.shape}, {positive.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN: leave those images out")
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_rank[inverse][positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))
