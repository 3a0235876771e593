"""From pixels to outlines."""

import numpy as np
from skimage.measure import find_contours


def outlines(mask: np.ndarray) -> list[tuple[float, ...]]:
    """The outer outlines of a mask's pieces, half way between the middles of pixels inside and outside.

    Args:
        mask: bool ``[h, w]``.

    Returns:
        each outline as ``x, y, x, y, …`` in pixels of the image, whose upper left corner is 0, 0. Pieces that touch
        at corners are one; holes are left out.
    """
    padded = np.pad(mask.astype(np.float32), 1)
    found = []
    for contour in find_contours(padded, 0.5, fully_connected="high", positive_orientation="low"):
        y, x = contour[:-1].T - 0.5
        # Going around what is low on the left, the outer border and the holes turn in opposite directions.
        if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0:
            found.append(tuple(np.stack([x, y], 1).ravel().tolist()))
    return found
