"""Aggregate values of images to figures of classes, their mean, and all images, with confidence intervals."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxloc.metrics import Interval, interval_of, resamples
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation.results import Figure


def share(values: np.ndarray) -> float:
    """The mean of one number for each image."""
    return float(np.mean(values))


def ratio(values: np.ndarray) -> float:
    """Sum of found over sum of true, from ``[n, 2]`` of both for each image."""
    found, there = values.sum(0)
    return float(found / there) if there else math.nan


@dataclasses.dataclass(frozen=True)
class Column:
    """One measure of each image, before aggregation.

    Attributes:
        values: by class, ``[n, ...]`` for the images it is measured on.
        statistic: of such values; NaN where they do not determine it.
        scale: 100 for per cent.
        pooled: whether the measure makes sense over images of all classes together.
        reason: why a class without values, or whose statistic is NaN, has no figure.
    """

    name: str
    values: Mapping[str, np.ndarray]
    statistic: Callable[[np.ndarray], float] = share
    scale: float = 100
    pooled: bool = True
    reason: str = "no image that counts"


def sum_up(
    column: Column, categories: Sequence[str], options: EvaluateOptions
) -> tuple[dict[str, Figure], Figure, Figure]:
    """Figures of each class, their mean, and that of all images; each class has a stream of draws of its own."""
    values = {category: column.values[category] for category in categories if len(column.values.get(category, ()))}
    draws: dict[str, list[float]] = {category: [] for category in values}
    pooled_draws: list[float] = []
    streams = [
        resamples(len(values[category]), samples=options.samples, seed=options.seed, stream=categories.index(category))
        for category in values
    ]

    def measure(some: np.ndarray) -> float:
        return column.scale * column.statistic(some)

    for chosen in zip(*streams, strict=True):
        drawn = [of_class[places] for of_class, places in zip(values.values(), chosen, strict=True)]
        for category, some in zip(values, drawn, strict=True):
            draws[category].append(measure(some))
        if column.pooled:
            pooled_draws.append(measure(np.concatenate(drawn)))

    def figure(value: float, images: int, drawn: Sequence[float] | np.ndarray, reason: str) -> Figure:
        interval = None
        if options.samples:
            interval = Interval(math.nan, math.nan)
            if len(drawn) and not math.isnan(value):
                interval = interval_of(drawn, confidence=options.confidence)
        return Figure(value, images, interval, reason if math.isnan(value) else "")

    classes = {category: figure(math.nan, 0, (), column.reason) for category in categories}
    classes |= {name: figure(measure(some), len(some), draws[name], column.reason) for name, some in values.items()}
    measured = [category for category in categories if not math.isnan(classes[category].value)]
    images = sum(len(some) for some in values.values())
    mean, mean_draws = math.nan, np.zeros(0)
    if measured:
        mean = float(np.mean([classes[category].value for category in measured]))
        each = np.array([draws[category] for category in measured])
        numbers = np.count_nonzero(~np.isnan(each), axis=0)
        mean_draws = np.where(numbers > 0, np.nansum(each, axis=0) / np.maximum(numbers, 1), math.nan)
    pooled = measure(np.concatenate(list(values.values()))) if column.pooled and values else math.nan
    why = column.reason if column.pooled else "not measured across classes"
    return classes, figure(mean, images, mean_draws, column.reason), figure(pooled, images, pooled_draws, why)
