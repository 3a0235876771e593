"""Intersection over union of boxes, half-open as in COCO or with PASCAL VOC's inclusive corners.

Everingham, Van Gool, Williams, Winn & Zisserman, "The PASCAL visual object classes (VOC) challenge", IJCV 2010: its
development kit counts the pixels of both corners, so a box from 3 to 5 is three pixels wide.
"""

import numpy as np
from numpy.typing import ArrayLike


def box_iou(a: ArrayLike, b: ArrayLike, *, inclusive: bool = False) -> np.ndarray:
    """All pairs' intersection over union in float64, ``[n, m]`` in [0, 1]; zero where either is NaN or empty.

    Args:
        a: ``[n, 4]``, ``x0, y0, x1, y1``; NaN means no box.
        b: ``[m, 4]``.
        inclusive: the corner ``x1, y1`` belongs to the box (VOC): each side is one pixel longer.
    """
    a, b = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (a, b))
    more = 1.0 if inclusive else 0.0
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]) + more
    intersection = np.nan_to_num(sides).clip(0).prod(-1)
    areas = [np.nan_to_num(boxes[:, 2:] - boxes[:, :2] + more).clip(0).prod(-1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
