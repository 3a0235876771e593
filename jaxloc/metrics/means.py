"""The mean of figures of equally distributed draws, such as few-shot episodes, and how far it may be off."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_NORMAL_95 = 1.96


class Mean(NamedTuple):
    """A mean.

    Attributes:
        deviation: their standard deviation, with ``n − 1``; 0 for a single value.
        margin: half the 95 % interval of the mean, by the normal distribution.
    """

    mean: float
    deviation: float
    margin: float


def mean_of(values: ArrayLike) -> Mean:
    """The mean of ``[n]`` values, at least one, with its deviation and 95 % interval."""
    values = np.asarray(values, np.float64)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Mean(float(values.mean()), deviation, _NORMAL_95 * deviation / len(values) ** 0.5)
