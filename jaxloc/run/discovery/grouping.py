"""Groups of images of one kind: communities of the graph of nearest neighbours, or k-means.

Communities are found by the Leiden algorithm (Traag, Waltman & van Eck, "From Louvain to Leiden: guaranteeing
well-connected communities", Scientific Reports 2019), of the package graspologic-native. It divides whatever it is
given, so the vectors say first whether there is anything to divide.
"""

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

import graspologic_native
import jax
import numpy as np

from jaxloc import clustering, graphs, ranking
from jaxloc.options import DiscoverOptions
from jaxloc.report.groups import UNGROUPED
from jaxloc.report.text import counted
from jaxloc.run.retrieval import approximate, whitening_store
from jaxloc.whitenings import WhitenSpec

_DIMENSIONS, _EACH = 64, 4
"""Dimensions in which neighbours are looked for at most, and the images that each of them needs."""
_EXACT = 200_000
"""Images past which neighbours are looked for with FAISS, if it is installed; exactly, the time grows as the square."""
_KINDS = 0.40
"""Contrast of a pile's median image below which there are no kinds to be told apart."""
_KIND = 0.45
"""Mean cosine in a pile without kinds to be told apart at which it is of one kind; below, all images differ."""
_UNLIKE = 0.55
"""An image is unlike any other if its contrast is below this share of the median."""
_STARTS = 10
"""Starts of k-means, of which the best is taken."""


class Grouping(NamedTuple):
    """The groups that were found.

    Attributes:
        groups: int ``[n]``, the group of each image, from 0, the largest first; -1 for images without one.
        notes: what is to be said of them, a sentence each.
    """

    groups: np.ndarray
    notes: Sequence[str] = ()


def group_vectors(vectors: np.ndarray, repeats: np.ndarray, options: DiscoverOptions) -> Grouping:
    """Group images by their descriptors.

    An image's *contrast* is ``(s − b) / (1 − b)``, where s is its mean cosine with its nearest others, one fewer than
    the smallest group has images, and b the mean cosine of all pairs.

    Args:
        vectors: float32 ``[n, d]``, of unit length; 0 for images that could not be described.
        repeats: int ``[n]``, the image that each one nearly repeats, or its own number. Images that repeat another do
            not count, and share its group.
        options: how many groups, and of what size.
    """
    chosen = np.flatnonzero((repeats == np.arange(len(vectors))) & vectors.any(1))
    groups, number = np.full(len(vectors), -1), len(chosen)
    if number < options.min_group:
        few = f"{counted(number, 'different image')}: too few for a group of {options.min_group}."
        return Grouping(groups, [few])
    notes = []
    neighbors = min(options.neighbors, number - 1)
    if neighbors < options.neighbors:
        notes.append(f"There are {number} different images, so each has {neighbors} neighbours.")
    described = vectors[chosen]
    reduced = _reduce(described)
    lists = _nearest(reduced, neighbors)
    contrast, alike = _contrast(described, np.asarray(lists.indices), min(options.min_group - 1, neighbors))
    usual = float(np.median(contrast))
    if options.groups != "auto":
        found = _kmeans(reduced, options.groups, options.seed)
    elif usual >= _KINDS:
        found = _communities(lists, options.resolution, options.seed)
    elif alike >= _KIND:
        groups[chosen] = 0
        notes.append("All images are of one kind, as far as the descriptors tell: they make one group.")
        return Grouping(groups[repeats], notes)
    else:
        notes.append("All images differ: there are no groups.")
        return Grouping(groups, notes)
    found = np.where(contrast < _UNLIKE * usual, -1, found)
    groups[chosen] = _by_size(found, options.min_group)
    groups = groups[repeats]
    if isinstance(options.groups, int) and groups.max() + 1 < options.groups:
        less = (
            f"{counted(options.groups, 'group')} asked for, of which {groups.max() + 1} have {options.min_group} images"
        )
        notes.append(f"{less} or more.")
    return Grouping(groups, notes)


def names_of(groups: np.ndarray) -> list[str]:
    """The name of each image's group, given its number; -1 is that of images without one."""
    digits = max(2, len(str(groups.max(initial=0) + 1)))
    return [f"group-{one + 1:0{digits}d}" if one >= 0 else UNGROUPED for one in groups.tolist()]


def typicality(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean cosine of each image with the others of its group, float32 ``[n]``; 0 where there are none.

    Args:
        vectors: float32 ``[n, d]``, of unit length or 0.
        groups: int ``[n]``, from 0.
    """
    totals = np.zeros((groups.max(initial=-1) + 1, vectors.shape[1]), np.float64)
    np.add.at(totals, groups, vectors)
    described = vectors.any(1)
    others = np.bincount(groups, described, len(totals))[groups] - 1
    shared = np.einsum("nd,nd->n", totals[groups], vectors, dtype=np.float64) - 1
    return np.where(described & (others > 0), shared / np.maximum(others, 1), 0).astype(np.float32)


def _reduce(vectors: np.ndarray) -> np.ndarray:
    """Vectors on their principal components, not whitened, of unit length."""
    dimension = min(_DIMENSIONS, len(vectors) // _EACH, vectors.shape[1])
    if dimension < 2:
        return vectors
    return whitening_store.apply(
        whitening_store.fit(WhitenSpec("pca", dimension, 0.0), lambda: iter([vectors])), vectors
    )


def _nearest(vectors: np.ndarray, k: int) -> ranking.TopK:
    if len(vectors) <= _EXACT or importlib.util.find_spec("faiss") is None:
        return ranking.nearest_others(vectors, k=k)
    return approximate.nearest_others(vectors, k)


def _contrast(vectors: np.ndarray, nearest: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Contrast of each image, ``[n]``, and the mean cosine of all pairs."""
    total, number = vectors.sum(0, dtype=np.float64), len(vectors)
    alike = float((total @ total - number) / (number * (number - 1)))
    near = np.empty(nearest.shape, np.float32)
    for place, own in enumerate(nearest.T):  # column by column, so that no [n, k, d] is made
        near[:, place] = np.einsum("nd,nd->n", vectors, vectors[own])
    closest = -np.sort(-near, 1)[:, :count].mean(1)
    return (closest - alike) / max(1 - alike, 1e-6), alike


def _communities(lists: ranking.TopK, resolution: float, seed: int) -> np.ndarray:
    graph = graphs.mutual_neighbors(lists.indices, lists.scores, valid=lists.valid)
    weights = np.asarray(graph.weights, np.float64)
    order = np.argsort(graph.indices, 1)
    weights, ends = np.take_along_axis(weights, order, 1), np.take_along_axis(np.asarray(graph.indices), order, 1)
    edges, number = weights > 0, len(weights)
    if not edges.any():
        return np.full(number, -1)
    starts = np.concatenate([[0], np.cumsum(edges.sum(1))]).astype(np.int64)
    _, found = graspologic_native.leiden_csr(
        starts, ends[edges].astype(np.int32), weights[edges], number, resolution=resolution, seed=seed
    )
    return np.array([found[image] for image in range(number)])


def _kmeans(vectors: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    keys = jax.random.split(jax.random.key(seed), _STARTS)
    clusters = min(clusters, len(vectors))
    fits = (clustering.fit_kmeans(key, vectors, clusters=clusters) for key in keys)
    best = min(fits, key=lambda fit: float(fit.inertia))
    return np.asarray(clustering.assign(best.model, vectors))


def _by_size(found: np.ndarray, least: int) -> np.ndarray:
    """Groups by falling size, of equals the one with the first image first; -1 for those that are too small."""
    names, first, sizes = np.unique(found, return_index=True, return_counts=True)
    kept = (names >= 0) & (sizes >= least)
    order = np.lexsort((first[kept], -sizes[kept]))
    numbers = dict(zip(names[kept][order].tolist(), range(len(order)), strict=True))
    return np.array([numbers.get(name, -1) for name in found.tolist()])
