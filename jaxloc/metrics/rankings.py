"""Measures of retrieval, in float64 on the host.

They take rankings, best first, as flags ``relevant``: one ranking ``[n]`` or one per query ``[q, n]``; ``judge`` makes
them from labels. ``keep`` removes junk, entries that count neither way (the query itself), before ranks are counted.
The mean over queries is the caller's: ``np.nanmean`` where a query may have no positive. Three measures are called
mean average precision: the top-k one of Wei et al., "Selective convolutional descriptor aggregation for fine-grained
image retrieval", TIP 2017; the step form; and the trapezoid form of Philbin, Chum, Isard, Sivic & Zisserman, "Object
retrieval with large vocabularies and fast spatial matching", CVPR 2007, that the Oxford, Paris and Instre benchmarks
use.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_BLOCK = 2**20  # Entries of rankings that are held in float64 at a time.


class Judged(NamedTuple):
    """Rankings seen against the truth.

    Attributes:
        relevant: bool ``[..., n]``, True where an entry is of the query's class; False for junk.
        keep: bool ``[..., n]``, False for junk: unused places.
        positives: int ``[...]``, how many in the whole gallery are of the query's class.
    """

    relevant: np.ndarray
    keep: np.ndarray
    positives: np.ndarray


def judge(ranking: ArrayLike, query_labels: ArrayLike, gallery_labels: ArrayLike) -> Judged:
    """Which entries of rankings are of the query's class.

    A query that is itself in the gallery is left out by −1 at its place and ``positives`` less one. For lists of
    positives instead of labels, ``np.isin(ranking, positives)`` is ``relevant`` and ``~np.isin(ranking, junk)`` is
    ``keep``.

    Args:
        ranking: int ``[n]`` or ``[q, n]``, positions in the gallery, best first; may be cut short; −1 is an unused
            place.
        query_labels: one label, or ``[q]``; numbers or words.
        gallery_labels: ``[g]``.

    Raises:
        ValueError: shapes that do not fit, or a position outside the gallery.
    """
    ranking, labels, gallery = np.asarray(ranking), np.asarray(query_labels), np.asarray(gallery_labels)
    if ranking.ndim not in (1, 2) or not np.issubdtype(ranking.dtype, np.integer):
        raise ValueError(f"ranking must be integers [n] or [q, n], got {ranking.dtype} {ranking.shape}")
    if labels.shape != ranking.shape[:-1] or gallery.ndim != 1:
        raise ValueError(
            f"labels must be {ranking.shape[:-1]}, one per ranking, and [g] for the gallery, "
            f"got {labels.shape} and {gallery.shape}"
        )
    if ranking.size and not -1 <= ranking.min() <= ranking.max() < len(gallery):
        raise ValueError(f"ranking must hold positions in a gallery of {len(gallery)}, or -1 for an unused place")
    relevant, positives = np.empty(ranking.shape, bool), np.empty(labels.shape, np.int64)
    for query in np.ndindex(labels.shape):
        same = gallery == labels[query]
        positives[query] = same.sum()
        relevant[query] = np.append(same, False)[ranking[query]]  # An unused place, -1, takes what is appended.
    return Judged(relevant, ranking >= 0, positives)


def top_k_average_precision(relevant: ArrayLike, k: int, *, keep: ArrayLike | None = None) -> np.ndarray | np.float64:
    """Mean of precision@rank at the relevant ranks within the first ``k``: the SCDA paper's top-k mAP, for a query.

    It divides by the number of relevant entries within the first ``k``, not by those in the gallery, so at ``k = 1``
    it is recall@1, and one relevant entry at the first place scores 1 whatever follows.

    Args:
        relevant: bool ``[..., n]`` in rank order.
        k: how many of the first entries count; more than ``n`` means all.
        keep: bool ``[..., n]``, False for junk; ``None`` means that all count.

    Returns:
        float64 ``[...]`` in [0, 1], one number per ranking; 0 where none of the first ``k`` is relevant.
    """

    def measure(relevant: np.ndarray, rank: np.ndarray) -> np.ndarray:
        relevant = relevant & (rank <= k)
        share = _share(_precision(relevant, rank) * relevant, relevant.sum(-1, keepdims=True))
        return np.where(np.isnan(share), 0, share)

    return _each_ranking(measure, *_check_first(relevant, k, keep))


def recall_at(relevant: ArrayLike, k: int, *, keep: ArrayLike | None = None) -> np.ndarray | np.float64:
    """Recall@k as in metric learning: 1 if any of the first ``k`` entries is relevant, else 0.

    Arguments are those of ``top_k_average_precision``.

    Returns:
        float64 ``[...]``, one number per ranking.
    """

    def measure(relevant: np.ndarray, rank: np.ndarray) -> np.ndarray:
        return np.asarray((relevant & (rank <= k)).any(-1), np.float64)

    return _each_ranking(measure, *_check_first(relevant, k, keep))


def average_precision(
    relevant: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    keep: ArrayLike | None = None,
    positives: ArrayLike | None = None,
) -> np.ndarray | np.float64:
    """Average precision in its step form, ``Σ (Rᵢ − Rᵢ₋₁) Pᵢ`` over the whole ranking.

    Args:
        relevant: bool ``[..., n]`` in rank order.
        scores: ``[..., n]``, falling; entries of equal score are one step, so their order does not matter. ``None``
            means that no two are equal.
        keep: bool ``[..., n]``, False for junk; ``None`` means that all count.
        positives: int ``[...]``, relevant entries in the gallery, junk left out, for a ranking cut short; ``None``
            means that the ranking holds them all.

    Returns:
        float64 ``[...]`` in [0, 1], one number per ranking; NaN where there is no positive.

    Raises:
        ValueError: not bool, shapes that do not fit, scores that rise or are NaN, or fewer positives than found.
    """

    def measure(relevant: np.ndarray, rank: np.ndarray, total: np.ndarray, *scores: np.ndarray) -> np.ndarray:
        precision = _precision(relevant, rank)
        for block in scores:
            precision = np.take_along_axis(precision, _last_of_ties(block), -1)
        return _share(precision * relevant, total)

    flags, kept = _check_flags(relevant, keep)
    more = [_check_positives(positives, flags, kept)]
    if scores is not None:
        more.append(_check_scores(scores, flags.shape))
    return _each_ranking(measure, flags, kept, *more)


def trapezoid_average_precision(
    relevant: ArrayLike, *, keep: ArrayLike | None = None, positives: ArrayLike | None = None
) -> np.ndarray | np.float64:
    """Average precision as the area under trapezoids: the mean of the precision just before and at each positive.

    Never above the step form, and mostly below it: compare like with like.

    Arguments are those of ``average_precision``.

    Returns:
        float64 ``[...]`` in [0, 1], one number per ranking; NaN where there is no positive.

    Raises:
        ValueError: not bool, shapes that do not fit, or fewer positives than found.
    """

    def measure(relevant: np.ndarray, rank: np.ndarray, total: np.ndarray) -> np.ndarray:
        found = np.cumsum(relevant, -1, dtype=np.int32)
        before = np.where(rank > 1, (found - 1) / np.maximum(rank - 1, 1), 1)
        return _share((before + _precision(relevant, rank)) / 2 * relevant, total)

    flags, kept = _check_flags(relevant, keep)
    return _each_ranking(measure, flags, kept, _check_positives(positives, flags, kept))


def interpolated_average_precision(
    relevant: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    points: int | None = None,
    keep: ArrayLike | None = None,
    positives: ArrayLike | None = None,
) -> np.ndarray | np.float64:
    """Average precision of detections: each precision is the best one at its recall or any higher.

    Args:
        relevant: bool ``[..., n]`` in rank order.
        scores: ``[..., n]``, falling; entries of equal score are one step, so their order does not matter. ``None``
            means that no two are equal.
        points: equally spaced recalls at which the precision is averaged: VOC 2007's 11, or COCO's 101. ``None`` is the
            area under the curve, as in VOC from 2010.
        keep: bool ``[..., n]``, False for junk; ``None`` means that all count.
        positives: int ``[...]``, objects to be found; ``None`` means that the ranking holds them all.

    Returns:
        float64 ``[...]`` in [0, 1], one number per ranking; NaN where there is no positive.

    Raises:
        ValueError: as for ``average_precision``; or fewer than two points.
    """
    if points is not None and points < 2:
        raise ValueError(f"precision is averaged at two points or more, not {points}")

    def measure(relevant: np.ndarray, rank: np.ndarray, total: np.ndarray, *scores: np.ndarray) -> np.ndarray:
        precision = _precision(relevant, rank)
        recall = np.cumsum(relevant, -1, dtype=np.int32) / np.maximum(total, 1)
        for block in scores:
            last = _last_of_ties(block)
            precision, recall = (np.take_along_axis(values, last, -1) for values in (precision, recall))
        best = np.maximum.accumulate(precision[:, ::-1], -1)[:, ::-1]
        if points is None:
            return _share(best * relevant, total)
        best = np.pad(best, ((0, 0), (0, 1)))  # a recall that is never reached has precision 0
        reached = [(recall < one).sum(-1, keepdims=True) for one in np.arange(points) / (points - 1)]
        at_points = np.take_along_axis(best, np.concatenate(reached, -1), -1)
        return np.where(total[:, 0] > 0, at_points.mean(-1), np.nan)

    flags, kept = _check_flags(relevant, keep)
    more = [_check_positives(positives, flags, kept)]
    if scores is not None:
        more.append(_check_scores(scores, flags.shape))
    return _each_ranking(measure, flags, kept, *more)


def _each_ranking(
    measure: Callable[..., np.ndarray], relevant: np.ndarray, keep: np.ndarray | None, *more: np.ndarray
) -> np.ndarray | np.float64:
    """Apply ``measure(relevant, rank, *more)`` to blocks of rankings, so that memory stays small."""
    leading, length = relevant.shape[:-1], relevant.shape[-1]
    number, block = math.prod(leading), max(1, _BLOCK // max(length, 1))
    rows = [array.reshape(number, array.shape[-1]) for array in (relevant, *more)]
    kept = None if keep is None else keep.reshape(number, length)
    result = np.empty(number)
    for start in range(0, number, block):
        here = slice(start, start + block)
        flags, *others = (array[here] for array in rows)
        if kept is None:
            rank = np.broadcast_to(np.arange(1, length + 1, dtype=np.int32), flags.shape)
        else:
            flags, rank = flags & kept[here], np.cumsum(kept[here], -1, dtype=np.int32)
        result[here] = measure(flags, rank, *others)
    return result.reshape(leading)[()]


def _precision(relevant: np.ndarray, rank: np.ndarray) -> np.ndarray:
    return np.cumsum(relevant, -1, dtype=np.int32) / np.maximum(rank, 1)


def _share(values: np.ndarray, total: np.ndarray) -> np.ndarray:
    total = total[:, 0]
    return np.divide(values.sum(-1), total, out=np.full(len(total), np.nan), where=total > 0)


def _last_of_ties(scores: np.ndarray) -> np.ndarray:
    length = scores.shape[-1]
    last = np.ones(scores.shape, bool)
    last[:, :-1] = scores[:, 1:] != scores[:, :-1]
    places = np.where(last, np.arange(length), length)
    return np.minimum.accumulate(places[:, ::-1], -1)[:, ::-1]


def _check_flags(relevant: ArrayLike, keep: ArrayLike | None) -> tuple[np.ndarray, np.ndarray | None]:
    relevant, keep = np.asarray(relevant), None if keep is None else np.asarray(keep)
    if relevant.ndim < 1 or relevant.dtype != np.bool_:
        raise ValueError(f"relevant must be bool [..., n], got {relevant.dtype} {relevant.shape}")
    if keep is not None and (keep.shape != relevant.shape or keep.dtype != np.bool_):
        raise ValueError(f"keep must be bool {relevant.shape} like relevant, got {keep.dtype} {keep.shape}")
    return relevant, keep


def _check_first(relevant: ArrayLike, k: int, keep: ArrayLike | None) -> tuple[np.ndarray, np.ndarray | None]:
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k must be a whole number from 1, got {k!r}")
    relevant, keep = _check_flags(relevant, keep)
    return (relevant[..., :k], None) if keep is None else (relevant, keep)


def _check_positives(positives: ArrayLike | None, relevant: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    found = np.count_nonzero(relevant if keep is None else relevant & keep, axis=-1, keepdims=True)
    if positives is None:
        return found
    positives = np.asarray(positives)
    if positives.shape != relevant.shape[:-1] or not np.issubdtype(positives.dtype, np.integer):
        raise ValueError(
            f"positives must be integers {relevant.shape[:-1]}, one per ranking, "
            f"got {positives.dtype} {positives.shape}"
        )
    if (positives[..., None] < found).any():
        raise ValueError("positives must count every relevant entry of the gallery: a ranking holds more than that")
    return positives[..., None]


def _check_scores(scores: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    scores = np.asarray(scores)
    if scores.shape != shape:
        raise ValueError(f"scores must be {shape} like relevant, got {scores.shape}")
    if not (scores[..., 1:] <= scores[..., :-1]).all() or np.isnan(scores[..., :1]).any():
        raise ValueError("scores must fall along a ranking and hold no NaN: sort relevant and scores together")
    return scores
