"""How far a figure may be from what other images of the same kind would have given.

Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapter 13: percentile intervals. Images are drawn with
replacement within each class, so that every class keeps its number of images.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def resamples(number: int, *, samples: int, seed: int, stream: int = 0) -> Iterator[np.ndarray]:
    """Draw ``number`` images out of as many, with replacement, again and again.

    Args:
        number: of images.
        samples: how often.
        seed: decides what is drawn.
        stream: of draws with one seed; classes take one each, which are independent.

    Yields:
        int ``[number]``, positions.
    """
    rng = np.random.default_rng([seed, stream])
    for _ in range(samples):
        yield rng.integers(number, size=number)


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], float] = np.mean,
    *,
    seed: int,
    samples: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    """The percentile interval of a statistic of images.

    Args:
        values: ``[n, ...]``, values of each image.
        statistic: of values of any images.
        seed: decides what is drawn.
        samples: how often images are drawn.
        confidence: share of the draws that lie within the interval.

    Returns:
        both ends NaN where there is no image; draws whose statistic is NaN are left out.
    """
    values = np.asarray(values)
    if not len(values):
        return Interval(float("nan"), float("nan"))
    draws = [statistic(values[chosen]) for chosen in resamples(len(values), samples=samples, seed=seed)]
    return interval_of(draws, confidence=confidence)


def interval_of(draws: ArrayLike, *, confidence: float) -> Interval:
    """The percentile interval of a statistic's values on the draws.

    Args:
        draws: ``[samples]``; NaN are left out.
        confidence: share of the draws that lie within the interval.

    Raises:
        ValueError: no draws, or a confidence outside (0, 1).
    """
    values = np.asarray(draws, np.float64)
    if not values.size or not 0 < confidence < 1:
        raise ValueError(f"give at least one draw and a confidence between 0 and 1, got {values.size} and {confidence}")
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
