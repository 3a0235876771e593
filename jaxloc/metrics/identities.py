"""Re-identification as VehicleID measures it: one image of each identity is the gallery, the others are queries.

Liu et al., "Deep relative distance learning: tell the difference between similar vehicles", CVPR 2016.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxloc.metrics.rankings import average_precision, judge, recall_at


class Reidentified(NamedTuple):
    """Means over queries.

    Attributes:
        matches: float64 ``[k]``, the cumulative match characteristic at each of the ranks asked for: the share of
            queries whose identity is among the first results up to that rank.
        mean_average_precision: in its step form.
    """

    matches: np.ndarray
    mean_average_precision: float


def one_of_each(labels: ArrayLike, number: int = 0, *, seed: int = 0) -> np.ndarray:
    """Draw ``number``: one image of each identity at random, bool ``[n]``, the gallery; the rest are queries.

    Args:
        labels: ``[n]``, the identity of each image.
        number: of the draw; VehicleID takes the mean over ten.
        seed: of all draws.
    """
    labels, rng = np.asarray(labels), np.random.default_rng([seed, number])
    shuffled = rng.permutation(len(labels))
    _, first = np.unique(labels[shuffled], return_index=True)
    chosen = np.zeros(len(labels), bool)
    chosen[shuffled[first]] = True
    return chosen


def reidentify(
    similarity: ArrayLike, query_labels: ArrayLike, gallery_labels: ArrayLike, *, ranks: Sequence[int] = (1, 5)
) -> Reidentified:
    """Rank a gallery for each query by similarity; queries whose identity the gallery lacks do not count.

    Args:
        similarity: ``[q, g]``, of each query to each image of the gallery; larger is more alike.
        query_labels: ``[q]``, identities.
        gallery_labels: ``[g]``.
        ranks: numbers of first results.

    Returns:
        NaN where no query counts.

    Raises:
        ValueError: shapes that do not fit.
    """
    similarity = np.asarray(similarity)
    if similarity.shape != (len(np.asarray(query_labels)), len(np.asarray(gallery_labels))):
        raise ValueError(f"similarity must be [q, g], one row per query, got shape {similarity.shape}")
    relevant, _, positives = judge(np.argsort(-similarity, 1, kind="stable"), query_labels, gallery_labels)
    relevant = relevant[positives > 0]
    if not len(relevant):
        return Reidentified(np.full(len(ranks), np.nan), np.nan)
    matches = np.array([np.mean(recall_at(relevant, rank)) for rank in ranks])
    return Reidentified(matches, float(np.mean(average_precision(relevant))))
