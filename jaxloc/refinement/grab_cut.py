"""GrabCut: two mixtures of colours and a minimum cut, on the host by OpenCV.

Rother, Kolmogorov & Blake, "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH 2004. In
place of the user's rectangle stands the box of the object, and in place of the strokes its probabilities: pixels
outside the widened box are surely background, those far above 1/2 surely object, and the rest start on their side of
1/2. OpenCV's random numbers are seeded for each call, so that the result is always the same.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxloc._checks import check_rank
from jaxloc.errors import UsageError


def grabcut(
    image: ArrayLike,
    probabilities: ArrayLike,
    box: ArrayLike | None = None,
    *,
    iterations: int = 5,
    margin: float = 0.05,
    sure: float = 0.95,
) -> np.ndarray:
    """Cut the object out of one image; NumPy in, NumPy out.

    Args:
        image: RGB uint8 ``[h, w, 3]``.
        probabilities: float ``[h, w]`` of being object, from ``object_probabilities``.
        box: ``[4]``, ``x0, y0, x1, y1`` in pixels of ``image``; ``None`` or NaN means the whole image.
        iterations: of fitting the colours and cutting.
        margin: the box is widened on each side by this share of its own side.
        sure: probabilities above this are surely object, inside the box.

    Returns:
        bool ``[h, w]``. Where there is nothing to fit colours to, no pixel inside the box above 1/2 or none elsewhere
        below, it is the pixels above 1/2 inside the box.

    Raises:
        ValueError: not one image of bytes and its map, or not one box.
        UsageError: OpenCV is not installed.
    """
    image, probabilities = np.asarray(image), np.asarray(probabilities, np.float32)
    check_rank("image", image, "[h, w, 3]")
    check_rank("probabilities", probabilities, "[h, w]")
    if image.dtype != np.uint8 or image.shape != (*probabilities.shape, 3):
        raise ValueError(
            f"image must be RGB uint8 of the map's size {probabilities.shape}, got {image.dtype} of {image.shape}"
        )
    cv2 = check_opencv()
    inside = _widened(box, probabilities.shape, margin)
    likely = inside & (probabilities > 0.5)
    labels = np.where(likely, cv2.GC_PR_FGD, np.where(inside, cv2.GC_PR_BGD, cv2.GC_BGD)).astype(np.uint8)
    labels[inside & (probabilities > sure)] = cv2.GC_FGD
    if not likely.any() or likely.all():
        return likely
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(np.ascontiguousarray(image), labels, None, *models, iterations, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _widened(box: ArrayLike | None, shape: tuple[int, ...], margin: float) -> np.ndarray:
    """The pixels of a box and its margin; all of them without a box."""
    inside = np.ones(shape, bool)
    if box is None:
        return inside
    corners = np.asarray(box, np.float64)
    if corners.shape != (4,):
        raise ValueError(f"box must be [4] (x0, y0, x1, y1), got shape {corners.shape}")
    if np.isnan(corners).any():
        return inside
    x0, y0, x1, y1 = corners
    y, x = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1]) + 0.5
    wide, high = margin * (x1 - x0), margin * (y1 - y0)
    return (x > x0 - wide) & (x < x1 + wide) & (y > y0 - high) & (y < y1 + high)


def check_opencv() -> Any:
    """OpenCV's module; raises ``UsageError`` with the cure unless it is installed."""
    try:
        import cv2
    except ImportError as error:
        raise UsageError("--refine grabcut needs OpenCV: pip install 'jaxloc[grabcut]'") from error
    return cv2
