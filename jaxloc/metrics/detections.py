"""Which detections and points of one class in one image are right, for average precision over many images.

Everingham, Van Gool, Williams, Winn & Zisserman, "The PASCAL visual object classes (VOC) challenge", IJCV 2010: a box
belongs to the object that it overlaps most, an object is found once, and objects flagged difficult count neither way.
COCO assigns a box to the best object that is still free, and an IoU equal to the threshold is enough. Points: Oquab,
Bottou, Laptev & Sivic, "Is object localization for free?", CVPR 2015, here without their tolerance of 18 pixels; one
point for each class and image, and every image with the class is a positive.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxloc.metrics.overlap import box_iou


class Matched(NamedTuple):
    """Predictions seen against the truth.

    Attributes:
        correct: bool ``[n]``.
        counted: bool ``[n]``, False for those at a difficult object, which are neither right nor wrong.
    """

    correct: np.ndarray
    counted: np.ndarray


def match_boxes(
    boxes: ArrayLike,
    truth: ArrayLike,
    *,
    difficult: ArrayLike | None = None,
    threshold: float = 0.5,
    at_least: bool = False,
    inclusive: bool = False,
) -> Matched:
    """Match one image's boxes of a class with its objects, as VOC does; a second box of an object is wrong.

    Args:
        boxes: ``[n, 4]``, highest score first.
        truth: ``[m, 4]``.
        difficult: bool ``[m]``, objects that count neither way; ``None`` means none.
        threshold: PASCAL's 0.5.
        at_least: an IoU equal to the threshold is enough; otherwise it must be exceeded.
        inclusive: VOC's corners, which belong to the box.
    """
    overlap = box_iou(boxes, truth, inclusive=inclusive)
    hard = _flags(difficult, overlap.shape[1])
    correct, counted = np.zeros(len(overlap), bool), np.ones(len(overlap), bool)
    if not overlap.shape[1]:
        return Matched(correct, counted)
    taken = np.zeros(overlap.shape[1], bool)
    enough = np.greater_equal if at_least else np.greater
    for number, nearest in enumerate(overlap.argmax(1).tolist()):
        if not enough(overlap[number, nearest], threshold):
            continue
        counted[number] = not hard[nearest]
        correct[number] = counted[number] and not taken[nearest]
        taken[nearest] = True
    return Matched(correct, counted)


def match_points(points: ArrayLike, truth: ArrayLike, *, difficult: ArrayLike | None = None) -> Matched:
    """Match points with one image's objects of a class: right inside a box, edges included.

    Args:
        points: ``[n, 2]``, ``x, y``; NaN is right nowhere.
        truth: ``[m, 4]``.
        difficult: bool ``[m]``, objects that count neither way; ``None`` means none.
    """
    points = np.asarray(points, np.float64).reshape(-1, 1, 2)
    truth = np.asarray(truth, np.float64).reshape(-1, 4)
    hard = _flags(difficult, len(truth))
    inside = np.all((points >= truth[:, :2]) & (points <= truth[:, 2:]), axis=-1)
    correct = np.asarray(inside[:, ~hard].any(1))
    return Matched(correct, correct | ~inside.any(1))


def _flags(difficult: ArrayLike | None, number: int) -> np.ndarray:
    flags = np.zeros(number, bool) if difficult is None else np.asarray(difficult, bool)
    if flags.shape != (number,):
        raise ValueError(f"difficult must be [{number}], one flag for each object, got shape {flags.shape}")
    return flags
