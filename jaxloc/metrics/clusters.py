"""How well groups of images agree with their true classes.

Purity and normalised mutual information: Manning, Raghavan & Schütze, "Introduction to information retrieval", 2008,
section 16.3; the information is divided by the mean of both entropies, as scikit-learn does. BCubed: Bagga & Baldwin,
"Entity-based cross-document coreferencing using the vector space model", ACL 1998; Amigó, Gonzalo, Artiles & Verdejo,
"A comparison of extrinsic clustering evaluation metrics based on formal constraints", 2009. Purity alone favours many
small groups; BCubed's recall and the information fall when a class is divided.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class BCubed(NamedTuple):
    """Means over all images.

    Attributes:
        precision: share of an image's group that is of its class.
        recall: share of an image's class that is in its group.
        f: harmonic mean of the two.
    """

    precision: float
    recall: float
    f: float


def purity(groups: ArrayLike, classes: ArrayLike) -> float:
    """Share of the images that are of the most frequent class of their group, in [0, 1]; NaN of no image.

    Args:
        groups: ``[n]``, the group of each image.
        classes: ``[n]``, its true class.
    """
    together, of_group, _, group, _ = _count(groups, classes)
    if not len(together):
        return float("nan")
    largest = np.zeros(len(of_group))
    np.maximum.at(largest, group, together)
    return float(largest.sum() / together.sum())


def normalized_mutual_information(groups: ArrayLike, classes: ArrayLike) -> float:
    """Mutual information of groups and classes over the mean of their entropies, in [0, 1]; NaN of no image.

    It is 1 where both have a single value.

    Arguments are those of ``purity``.
    """
    together, of_group, of_class, group, own = _count(groups, classes)
    if not len(together):
        return float("nan")
    entropies = _entropy(of_group) + _entropy(of_class)
    if not entropies:
        return 1.0
    expected = of_group[group] * of_class[own] / together.sum()
    information = (together * np.log(together / expected)).sum() / together.sum()
    return float(min(max(2 * information / entropies, 0), 1))


def bcubed(groups: ArrayLike, classes: ArrayLike) -> BCubed:
    """BCubed precision, recall and F, in [0, 1]; NaN of no image.

    Arguments are those of ``purity``.
    """
    together, of_group, of_class, group, own = _count(groups, classes)
    if not len(together):
        return BCubed(*[float("nan")] * 3)
    precision = float((together**2 / of_group[group]).sum() / together.sum())
    recall = float((together**2 / of_class[own]).sum() / together.sum())
    return BCubed(precision, recall, 2 * precision * recall / (precision + recall))


def _entropy(counts: np.ndarray) -> float:
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _count(groups: ArrayLike, classes: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of images of each pair that occurs, of each group and each class; the group and class of each pair."""
    groups, classes = np.asarray(groups), np.asarray(classes)
    if groups.ndim != 1 or groups.shape != classes.shape:
        raise ValueError(f"groups and classes must be lists of one length, got {groups.shape} and {classes.shape}")
    _, group, of_group = np.unique(groups, return_inverse=True, return_counts=True)
    names, own, of_class = np.unique(classes, return_inverse=True, return_counts=True)
    pairs, together = np.unique(group * len(names) + own, return_counts=True)
    group, own = np.divmod(pairs, max(1, len(names)))
    return together.astype(float), of_group.astype(float), of_class.astype(float), group, own
