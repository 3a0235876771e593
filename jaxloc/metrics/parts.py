"""PCP of parts: the share of true part boxes that are found, by part, also for parts found without names.

Zhang, Donahue, Girshick & Darrell, "Part-based R-CNNs for fine-grained category detection", ECCV 2014: a part of CUB
counts as found if its box has IoU > 0.5 with the true one; images that lack the part do not count. Which of CUB's
fifteen points make up the head and the torso follows Wei, Xie, Wu & Shen, "Mask-CNN: localizing parts and selecting
descriptors for fine-grained bird species categorization", Pattern Recognition 2018: the smallest rectangle round each
group. Deviations: a group with a single visible point has no box; where the rectangles overlap, both keep the overlap.

Parts found without supervision have no names. They are matched to the true ones once for the whole set (not for each
image, which would flatter them), so that most part boxes are right: Kuhn, "The Hungarian method for the assignment
problem", 1955. No published protocol fixes this; with as few free choices as parts, it favours the method a little.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from jaxloc.metrics.overlap import box_iou

CUB_PARTS: Mapping[str, tuple[str, ...]] = {
    "head": ("beak", "forehead", "crown", "left eye", "right eye", "nape", "throat"),
    "torso": (
        *("back", "breast", "belly", "left leg", "right leg", "left wing", "nape", "right wing", "tail", "throat"),
    ),
}
"""The points of CUB-200-2011 that make up each part."""


def part_boxes(points: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float, float, float]]:
    """The smallest rectangle round the visible points of each of ``CUB_PARTS``.

    Args:
        points: ``x, y`` of each visible point by name.

    Returns:
        ``x0, y0, x1, y1`` by part; parts whose points span no area are left out.
    """
    boxes = {}
    for part, names in CUB_PARTS.items():
        seen = np.array([points[name] for name in names if name in points], np.float64).reshape(-1, 2)
        if len(seen) and (np.ptp(seen, axis=0) > 0).all():
            (x0, y0), (x1, y1) = seen.min(0).tolist(), seen.max(0).tolist()
            boxes[part] = (x0, y0, x1, y1)
    return boxes


def assign_parts(
    predicted: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5, at_least: bool = False, inclusive: bool = False
) -> np.ndarray:
    """Which true part each predicted part stands for, so that most boxes of the set are right.

    Of assignments with equally many right, the one with the greater sum of overlaps is taken.

    Args:
        predicted: ``[n, k, 4]``, the same ``k`` parts in each image; NaN where there is none.
        truth: ``[n, m, 4]``, likewise.
        threshold: IoU that must be exceeded.
        at_least: an IoU equal to the threshold is enough.
        inclusive: VOC's corners, which belong to the box.

    Returns:
        int ``[k]``: a true part, each at most once; −1 for predicted parts left over.
    """
    from scipy.optimize import linear_sum_assignment  # an eighth of the imports of a job, which never calls it

    overlap = _overlaps(predicted, truth, inclusive)
    number, k, m = overlap.shape
    right = _right(overlap, threshold, at_least).sum(0)
    rows, columns = linear_sum_assignment(right + overlap.sum(0) / (number * min(k, m) + 1), maximize=True)
    assigned = np.full(k, -1)
    assigned[rows] = columns
    return assigned


def correct_parts(
    predicted: ArrayLike,
    truth: ArrayLike,
    assigned: ArrayLike,
    *,
    threshold: float = 0.5,
    at_least: bool = False,
    inclusive: bool = False,
) -> np.ndarray:
    """Which true part boxes are found; the mean over images that have the part is its PCP.

    Args:
        predicted: ``[n, k, 4]``; NaN where there is none.
        truth: ``[n, m, 4]``, likewise.
        assigned: int ``[k]``, as of ``assign_parts``.
        threshold: IoU that must be exceeded.
        at_least: an IoU equal to the threshold is enough.
        inclusive: VOC's corners, which belong to the box.

    Returns:
        float64 ``[n, m]``: 1 where found, 0 where not, NaN where the image lacks the part.
    """
    overlap = _overlaps(predicted, truth, inclusive)
    assigned = np.asarray(assigned)
    if assigned.shape != overlap.shape[1:2]:
        raise ValueError(f"assigned must be [{overlap.shape[1]}], one for each predicted part, got {assigned.shape}")
    right = _right(overlap, threshold, at_least)
    found = np.zeros((overlap.shape[0], overlap.shape[2]))
    for part, name in enumerate(assigned):
        if name >= 0:
            found[:, name] = right[:, part, name]
    return np.where(np.isfinite(np.asarray(truth, np.float64)).all(-1), found, np.nan)


def _right(overlap: np.ndarray, threshold: float, at_least: bool) -> np.ndarray:
    return (overlap > 0) & (overlap >= threshold if at_least else overlap > threshold)


def _overlaps(predicted: ArrayLike, truth: ArrayLike, inclusive: bool) -> np.ndarray:
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if predicted.ndim != 3 or truth.ndim != 3 or len(predicted) != len(truth):
        raise ValueError(f"parts must be [n, k, 4] and [n, m, 4], got {predicted.shape} and {truth.shape}")
    pairs = zip(predicted, truth, strict=True)
    overlap = [box_iou(found, true, inclusive=inclusive) for found, true in pairs]
    return np.array(overlap).reshape(len(predicted), predicted.shape[1], truth.shape[1])
