"""Measures of score maps at every threshold, so that no threshold is chosen for or against a method.

Choe, Oh, Lee, Chun, Akata & Shim, "Evaluating weakly supervised object localization methods right", CVPR 2020:
MaxBoxAcc is the share of images localised at the best threshold common to all; MaxBoxAccV2 takes every component's box
instead of the largest one's and averages over IoU 0.3, 0.5 and 0.7; PxAP is the area under the pixel precision-recall
curve. Conventions are those of their public code: maps of 224 × 224 in [0, 1], true boxes scaled to that and cut to
whole pixels, 8-bit maps compared with whole-number shares of their maximum, corners that belong to the box, IoU ≥ δ.
Deviations: their code compares the areas within outlines and also boxes the outlines of holes for V2; here components
(of 8 neighbours) are compared by their cells, and a hole is no component. Maps are float64, theirs float32.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from jaxloc.metrics.overlap import box_iou

MAP_SIDE = 224
"""Rows and columns of the benchmark's maps."""

MAP_THRESHOLDS = np.arange(0, 1, 0.001)
"""The benchmark's shares of a map's maximum."""


class Overlaps(NamedTuple):
    """Intersection over union with the nearest true box at each threshold.

    Attributes:
        largest: float64 ``[t]``, of the largest component's box.
        every: float64 ``[t]``, of any component's box.
    """

    largest: np.ndarray
    every: np.ndarray


def score_map_boxes(score_map: ArrayLike, level: int) -> np.ndarray:
    """Boxes of the connected components of what lies above a level, largest component first.

    Args:
        score_map: uint8 ``[h, w]``.
        level: must be exceeded.

    Returns:
        ``[b, 4]``, corners that belong to the box, with ``x1`` and ``y1`` one further than the last cell where the map
        continues, as in the benchmark; one box of zeros if no cell exceeds the level.
    """
    score_map = np.asarray(score_map)
    if score_map.ndim != 2 or score_map.dtype != np.uint8:
        raise ValueError(f"score_map must be uint8 [h, w], got {score_map.dtype} {score_map.shape}")
    labels, number = ndimage.label(score_map > level, np.ones((3, 3)))
    if not number:
        return np.zeros((1, 4))
    cells = np.bincount(labels.ravel())[1:]
    height, width = score_map.shape
    boxes = [
        (columns.start, rows.start, min(columns.stop, width - 1), min(rows.stop, height - 1))
        for rows, columns in ndimage.find_objects(labels)
    ]
    return np.array(boxes, np.float64)[np.argsort(-cells, kind="stable")]


def box_overlaps(score_map: ArrayLike, truth: ArrayLike) -> Overlaps:
    """How well one image is localised at each of ``MAP_THRESHOLDS``.

    Args:
        score_map: ``[h, w]`` in [0, 1].
        truth: ``[m, 4]``, boxes of the class in pixels of the map.

    Raises:
        ValueError: not one map in [0, 1], or no true box.
    """
    score_map = _check_map(score_map)
    truth = np.trunc(np.asarray(truth, np.float64).reshape(-1, 4))
    if not len(truth):
        raise ValueError("no ground-truth box: leave images without the object out of MaxBoxAcc")
    grey = (score_map * 255).astype(np.uint8)
    levels, place = np.unique((MAP_THRESHOLDS * float(grey.max())).astype(int), return_inverse=True)
    best = np.empty((2, len(levels)))
    for number, level in enumerate(levels):
        overlap = box_iou(score_map_boxes(grey, int(level)), truth, inclusive=True).max(1)
        best[:, number] = overlap[0], overlap.max()
    return Overlaps(*best[:, place])


def max_box_accuracy(overlaps: ArrayLike, *, ious: Sequence[float] = (0.5,)) -> float:
    """MaxBoxAcc of images: the greatest share localised at one threshold, averaged over the overlaps asked for.

    Args:
        overlaps: ``[n, t]``, of each image: ``box_overlaps(…).largest`` for V1, ``.every`` for V2.
        ious: overlaps δ that are enough: 0.5 (V1), or 0.3, 0.5 and 0.7 (V2).

    Returns:
        in [0, 1]; NaN of no image.
    """
    overlaps = np.asarray(overlaps, np.float64)
    return float(np.mean([(overlaps >= iou).mean(0).max() for iou in ious])) if len(overlaps) else float("nan")


def pixel_counts(
    score_map: ArrayLike, inside: ArrayLike, *, known: ArrayLike | None = None, thresholds: ArrayLike = MAP_THRESHOLDS
) -> np.ndarray:
    """How many pixels of the object and of the background score between each two thresholds; sum them over images.

    Args:
        score_map: ``[h, w]`` in [0, 1].
        inside: bool ``[h, w]``, True = object.
        known: bool ``[h, w]``, False where the truth says nothing; ``None`` means that all is known.
        thresholds: ``[t]``, rising from 0.

    Returns:
        int ``[2, t + 1]``: of the object, of the background; a pixel counts at the last threshold it reaches, of which
        1 is one more.
    """
    score_map, inside = _check_map(score_map), np.asarray(inside, bool)
    known = np.ones(inside.shape, bool) if known is None else np.asarray(known, bool)
    if not score_map.shape == inside.shape == known.shape:
        raise ValueError(f"map and masks must be of one size, got {score_map.shape}, {inside.shape}, {known.shape}")
    edges = np.append(np.asarray(thresholds, np.float64), [1, np.inf])
    return np.stack([np.histogram(score_map[known & kind], edges)[0] for kind in (inside, ~inside)])


def pixel_average_precision(counts: ArrayLike) -> float:
    """PxAP: the area under the precision-recall curve of pixels, in steps, in [0, 1]; NaN where no pixel is object.

    Args:
        counts: ``[2, t + 1]``, ``pixel_counts`` summed over images.
    """
    true, false = np.cumsum(np.asarray(counts, np.float64)[:, ::-1], axis=1)
    if true[-1] == 0:
        return float("nan")
    called = true + false
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    return float((precision * np.diff(true, prepend=0)).sum() / true[-1])


def _check_map(score_map: ArrayLike) -> np.ndarray:
    score_map = np.asarray(score_map, np.float64)
    if score_map.ndim != 2 or not score_map.size or not ((score_map >= 0) & (score_map <= 1)).all():
        raise ValueError(f"score_map must be one map [h, w] of numbers from 0 to 1, got shape {score_map.shape}")
    return score_map
