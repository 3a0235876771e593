"""Retrieval measures of queries against a labelled gallery."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from jaxloc import metrics

RECALLS = (1, 2, 4, 8)
_MEASURES = ("top1", "top5", "ap_step", "ap_trapezoid")
_BLOCK = 1 << 24


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over queries, in per cent; queries without an image of their kind in the gallery do not count.

    Attributes:
        queries: number that count.
        without: number of queries without another image of their kind in the gallery.
        top1: the SCDA paper's mAP of the first result.
        top5: of the first five.
        ap_step: full average precision, step form (scikit-learn's).
        ap_trapezoid: full average precision by trapezoids (the landmark benchmarks').
        recalls: R@1, 2, 4 and 8.
    """

    queries: int
    without: int
    top1: float
    top5: float
    ap_step: float
    ap_trapezoid: float
    recalls: tuple[float, ...]

    def to_plain(self) -> dict[str, object]:
        """As plain values for JSON: null where there is no query to count."""
        values = dataclasses.asdict(self) | {"recalls": list(self.recalls)}
        return values if self.queries else values | dict.fromkeys(_MEASURES) | {"recalls": [None] * len(RECALLS)}


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores of all queries and of each kind.

    Attributes:
        mean: over all queries.
        classes: by label, in order.
        average_precisions: float64 ``[q]``, step form of each query; NaN where it does not count.
    """

    mean: Scores
    classes: dict[str, Scores]
    average_precisions: np.ndarray


def score(
    queries: np.ndarray,
    query_labels: ArrayLike,
    gallery: np.ndarray,
    gallery_labels: ArrayLike,
    *,
    same: np.ndarray | None = None,
) -> Scored:
    """Rank the whole gallery by cosine for each query, and measure.

    Zero vectors rank last; equal scores keep the order of the gallery.

    Args:
        queries: float32 ``[q, d]``.
        query_labels: ``[q]``.
        gallery: float32 ``[n, d]``.
        gallery_labels: ``[n]``.
        same: int ``[q]``, row of the query itself in the gallery, which is left out of its ranking; -1 if it has none,
            ``None`` if no query has one.
    """
    query_labels, gallery_labels = np.asarray(query_labels).astype(str), np.asarray(gallery_labels).astype(str)
    labels, numbers = np.unique(np.concatenate([query_labels, gallery_labels]), return_inverse=True)
    wanted, offered = numbers[: len(query_labels)], numbers[len(query_labels) :]
    gallery, empty = unit(gallery), ~gallery.any(1)
    values: list[np.ndarray] = []
    block = max(1, _BLOCK // max(1, len(gallery)))
    for first in range(0, len(queries), block):
        here = slice(first, first + block)
        cosine = unit(queries[here]) @ gallery.T
        cosine[:, empty] = -2
        ranking = np.argsort(-cosine, axis=1, kind="stable")
        keep = None if same is None else ranking != same[here, None]
        relevant = offered[ranking] == wanted[here, None]
        ordered = np.take_along_axis(cosine, ranking, 1)
        values.append(_measure(relevant, ordered, keep))
    return _summarise(np.concatenate(values), labels[wanted])


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length, float32; zero rows stay zero."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def _measure(relevant: np.ndarray, cosine: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """Every measure of each ranking, ``[q, measures]``."""
    columns = [
        metrics.average_precision(relevant, cosine, keep=keep),
        metrics.trapezoid_average_precision(relevant, keep=keep),
        metrics.top_k_average_precision(relevant, 1, keep=keep),
        metrics.top_k_average_precision(relevant, 5, keep=keep),
        *(metrics.recall_at(relevant, k, keep=keep) for k in RECALLS),
    ]
    return np.stack(columns, axis=1)


def _summarise(values: np.ndarray, labels: np.ndarray) -> Scored:
    counts = ~np.isnan(values[:, 0])

    def mean(chosen: np.ndarray) -> Scores:
        used = values[chosen & counts]
        step, trapezoid, top1, top5, *recalls = (100 * used.mean(0)).tolist() if len(used) else [np.nan] * 8
        return Scores(len(used), int((chosen & ~counts).sum()), top1, top5, step, trapezoid, tuple(recalls))

    classes = {str(label): mean(labels == label) for label in np.unique(labels)}
    return Scored(mean(np.ones(len(values), bool)), classes, values[:, 0])
