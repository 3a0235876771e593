"""Whether boxes are right: CorLoc, PCP of whole objects, and localisation together with the class.

CorLoc: Deselaers, Alexe & Ferrari, "Weakly supervised localization and learning with generic knowledge", IJCV 2012;
as DDT uses it, the share of images whose box has IoU > 0.5 with any ground-truth box of the class. PCP of whole
objects: Wei, Luo, Wu & Zhou, "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP
2017, Table 1: the share of ground-truth boxes that a box with IoU > 0.5 finds. GT-known and top-1 localisation:
Russakovsky et al., "ImageNet large scale visual recognition challenge", IJCV 2015, and Zhou et al., "Learning deep
features for discriminative localization", CVPR 2016; they count IoU ≥ 0.5, here as an option, because the other two
papers count IoU > 0.5.
"""

import numpy as np
from numpy.typing import ArrayLike

from jaxloc.metrics.overlap import box_iou


def correct_localization(
    box: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5, at_least: bool = False, inclusive: bool = False
) -> bool:
    """Whether one predicted box overlaps any ground-truth box of the class enough.

    Args:
        box: ``[4]``; NaN means no box, which is never correct.
        truth: ``[m, 4]``.
        threshold: PASCAL's 0.5.
        at_least: an IoU equal to the threshold is enough; otherwise it must be exceeded.
        inclusive: VOC's corners, which belong to the box.

    Raises:
        ValueError: there is no ground truth to compare with.
    """
    truth = np.asarray(truth, np.float64).reshape(-1, 4)
    if not len(truth):
        raise ValueError("no ground-truth box: leave images without the object out of CorLoc")
    found = correct_boxes(truth, box, threshold=threshold, at_least=at_least, inclusive=inclusive)
    return bool(found.any())


def correct_boxes(
    truth: ArrayLike, boxes: ArrayLike, *, threshold: float = 0.5, at_least: bool = False, inclusive: bool = False
) -> np.ndarray:
    """Which ground-truth boxes any predicted box of the class finds, bool ``[m]``; their share is PCP of whole objects.

    Args:
        truth: ``[m, 4]``.
        boxes: ``[n, 4]``; NaN means no box.
        threshold: PASCAL's 0.5.
        at_least: an IoU equal to the threshold is enough; otherwise it must be exceeded.
        inclusive: VOC's corners, which belong to the box.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    overlap = box_iou(truth, boxes[np.isfinite(boxes).all(1)], inclusive=inclusive)
    enough = np.greater_equal if at_least else np.greater
    return np.asarray(enough(overlap, threshold).any(1))


def top_one_localization(localized: ArrayLike, predicted: ArrayLike, labels: ArrayLike) -> np.ndarray:
    """Which images are right in both class and box; the share of ``localized`` alone is GT-known localisation.

    Args:
        localized: bool ``[n]``, whether the box is right for the true class.
        predicted: ``[n]``, the most likely class of each image.
        labels: ``[n]``, the true one.

    Returns:
        bool ``[n]``.
    """
    localized, predicted, labels = np.asarray(localized, bool), np.asarray(predicted), np.asarray(labels)
    if localized.ndim != 1 or not localized.shape == predicted.shape == labels.shape:
        raise ValueError(
            "localized, predicted and labels must be lists of one length, got "
            f"{localized.shape}, {predicted.shape}, {labels.shape}"
        )
    return np.logical_and(localized, predicted == labels)
