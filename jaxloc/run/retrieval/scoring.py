"""Retrieval measures of queries against a labelled gallery."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from jaxloc import metrics

RECALLS = (1, 2, 4, 8)
_BLOCK = 1 << 24


@dataclasses.dataclass(frozen=True)
class Scores:
    """Means over queries, in per cent; queries without an image of their kind in the gallery do not count.

    Attributes:
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

    @property
    def measures(self) -> tuple[float, ...]:
        """All measures, in order."""
        return self.top1, self.top5, self.ap_step, self.ap_trapezoid, *self.recalls


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores of all queries and of each kind, by label in order.

    ``each``, float64 ``[q, measures]``, are those of each query that counts, from 0 to 1.
    """

    mean: Scores
    classes: dict[str, Scores]
    each: np.ndarray


def score(
    queries: np.ndarray,
    query_labels: ArrayLike,
    gallery: np.ndarray,
    gallery_labels: ArrayLike,
    *,
    same: np.ndarray | None = None,
) -> Scored:
    """Rank the whole gallery for each query, as ``rankings`` does, and measure.

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
    values = [np.zeros((0, 4 + len(RECALLS)))]
    for here, cosine, ranking in rankings(queries, gallery):
        keep = None if same is None else ranking != same[here, None]
        relevant = offered[ranking] == wanted[here, None]
        measures = [
            *(metrics.top_k_average_precision(relevant, k, keep=keep) for k in (1, 5)),
            metrics.average_precision(relevant, np.take_along_axis(cosine, ranking, 1), keep=keep),
            metrics.trapezoid_average_precision(relevant, keep=keep),
            *(metrics.recall_at(relevant, k, keep=keep) for k in RECALLS),
        ]
        values.append(np.stack(measures, axis=1))
    return _summarise(np.concatenate(values), labels[wanted])


def rankings(queries: np.ndarray, gallery: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """The whole gallery ranked by cosine, a block of queries at a time.

    Zero vectors rank last; equal scores keep the order of the gallery.

    Yields:
        which queries, the cosines ``[q, n]`` in the gallery's order, -2 of zero vectors, and rows, best first.
    """
    gallery, empty = unit(gallery), ~gallery.any(1)
    block = max(1, _BLOCK // max(1, len(gallery)))
    for first in range(0, len(queries), block):
        here = slice(first, first + block)
        cosine = unit(queries[here]) @ gallery.T
        cosine[:, empty] = -2
        yield here, cosine, np.argsort(-cosine, axis=1, kind="stable")


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length, float32; zero rows stay zero."""
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def _summarise(values: np.ndarray, labels: np.ndarray) -> Scored:
    counts = ~np.isnan(values[:, 2])

    def mean(chosen: np.ndarray) -> Scores:
        used = values[chosen & counts]
        top1, top5, step, trapezoid, *recalls = (100 * used.mean(0)).tolist() if len(used) else [np.nan] * 8
        return Scores(len(used), int((chosen & ~counts).sum()), top1, top5, step, trapezoid, tuple(recalls))

    classes = {str(label): mean(labels == label) for label in np.unique(labels)}
    return Scored(mean(np.ones(len(values), bool)), classes, values[counts])
