"""The knee of sorted scores: where they stop to rise steeply.

V. Satopää et al., "Finding a 'Kneedle' in a haystack: detecting knee points in system behavior", ICDCS workshops 2011:
a curve that rises and flattens is scaled to the unit square, and its height above the diagonal is looked at. A local
maximum of that height is a knee if the height falls, before the next local maximum, by more than the mean distance of
two points (a sensitivity of 1); the first knee is taken. Noise scores rise steeply where noise passes into images with
the object.

Deviations: the points are the scores themselves, not smoothed, and the knee lies in the lower half of the images,
since the object is taken to be in most of them.
"""

import itertools

import numpy as np

_FEWEST = 4


def find_knee(scores: np.ndarray) -> float | None:
    """The score at the knee of finite scores ``[n]`` in any order, or ``None`` where there is none.

    Fewer than four scores have no knee, nor have scores that are all the same, that rise in a straight line, or that
    rise slowly first and steeply later.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    if len(ordered) < _FEWEST or ordered[0] == ordered[-1]:
        return None
    across = np.linspace(0, 1, len(ordered))
    above = (ordered - ordered[0]) / (ordered[-1] - ordered[0]) - across
    inner = above[1:-1]
    peaks = 1 + np.flatnonzero((inner >= above[:-2]) & (inner > above[2:]))
    for place, end in itertools.pairwise([*peaks, len(ordered)]):
        limit = above[place] - 1 / (len(ordered) - 1)
        if place < len(ordered) // 2 and limit > 0 and above[place:end].min() < limit:
            return float(ordered[place])
    return None
