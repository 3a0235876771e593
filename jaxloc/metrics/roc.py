"""The receiver operating characteristic of a score that separates two kinds of image.

Wei, Zhang, Li, Xie, Wu, Shen & Zhou, "Deep descriptor transforming for image co-localization", IJCAI 2017, section 4.5,
draws it for the share of positive indicator values, which is small where an image lacks the object. Here the images
that hold the object are the positives; with both kinds exchanged and the score negated, the area is the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Roc(NamedTuple):
    """The curve, from "none is positive" to "all are".

    Attributes:
        false_positive_rate: float64 ``[t]``, rising from 0 to 1.
        true_positive_rate: float64 ``[t]``, likewise.
        threshold: float64 ``[t]``, falling from infinity: a score of this or more is called positive.
    """

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    threshold: np.ndarray


def roc_auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Args:
        scores: ``[n]``, higher = more likely positive.
        positive: bool ``[n]``.

    Returns:
        in [0, 1]; NaN if all are of one kind.
    """
    scores, positive = _check(scores, positive)
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = mean_rank[inverse][positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def roc_curve(scores: ArrayLike, positive: ArrayLike) -> Roc:
    """The ROC curve with a point for every score that occurs.

    Arguments are those of ``roc_auc``.

    Returns:
        rates that are NaN throughout if there is none of the kind they are shares of.
    """
    scores, positive = _check(scores, positive)
    values, inverse = np.unique(-scores, return_inverse=True)
    rates = []
    for kind in (~positive, positive):
        found = np.concatenate([[0], np.cumsum(np.bincount(inverse[kind], minlength=len(values)))])
        rates.append(found / found[-1] if found[-1] else np.full(len(found), np.nan))
    return Roc(rates[0], rates[1], np.concatenate([[np.inf], -values]))


def _check(scores: ArrayLike, positive: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"scores and positive must be two lists of one length, got {scores.shape}, {positive.shape}")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN: leave those images out")
    return scores, positive
