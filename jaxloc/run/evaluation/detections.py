"""Average precision of points and boxes over all images, those without the class included."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.errors import UsageError
from jaxloc.metrics import (
    Matched,
    co_occurrence,
    interpolated_average_precision,
    match_boxes,
    match_points,
    rescore,
)
from jaxloc.options import EvaluateOptions
from jaxloc.report.text import SHOWN, some_of
from jaxloc.run.evaluation.columns import Column
from jaxloc.run.evaluation.matching import Case

_NOTHING = "no image holds an object that counts"
_RECALLS = {"area": None, "11": 11, "101": 101}

Cases = Mapping[str, Sequence[Case]]
Others = Mapping[str, Sequence[Case | None]]


def points(cases: Cases, others: Others, options: EvaluateOptions) -> Column:
    """Average precision of the best finding of each image: right if it points inside an object of its class.

    Positives are the images with the class. One whose objects are all difficult counts neither way.
    """

    def judge(found: Sequence[Annotation], truth: np.ndarray, hard: np.ndarray) -> Matched:
        return match_points([_point(one) for one in found], truth, difficult=hard)

    def measure(case: Case) -> tuple[int, np.ndarray] | None:
        hard = _difficult(case, options)
        if hard.size and hard.all():
            return None
        return int(hard.size > 0), _judged(_ranked(case, options)[:1], judge, case, options)

    return _column("point AP", cases, others, measure, options)


def boxes(cases: Cases, others: Others, options: EvaluateOptions) -> list[Column]:
    """Average precision of boxes, as VOC measures it, at each threshold."""
    columns = []
    for threshold in options.thresholds:
        rules = {"threshold": threshold, "at_least": options.at_least, "inclusive": options.voc_inclusive}

        def judge(
            found: Sequence[Annotation], truth: np.ndarray, hard: np.ndarray, rules: dict[str, Any] = rules
        ) -> Matched:
            return match_boxes([one.box for one in found], truth, difficult=hard, **rules)

        def measure(case: Case, judge: Callable[..., Matched] = judge) -> tuple[int, np.ndarray]:
            return int((~_difficult(case, options)).sum()), _judged(_ranked(case, options), judge, case, options)

        columns.append(_column(options.named("AP", threshold), cases, others, measure, options))
    return columns


def class_score(one: Annotation, options: EvaluateOptions) -> float:
    """What a finding is ranked by."""
    return one.score if options.rank_by == "score" or one.probability is None else one.probability


def with_co_occurrence(
    predictions: Mapping[str, Annotated], labelled: Mapping[str, Annotated], options: EvaluateOptions
) -> dict[str, Annotated]:
    """Predictions whose scores are raised by those of classes that occur with theirs in labelled images."""
    every = [image.labels for image in labelled.values()]
    classes = sorted(set().union(*every))
    if not any(one.category in classes for image in predictions.values() for one in image.annotations):
        known = some_of(classes, SHOWN) or "none"
        raise UsageError(f"{options.co_occurrence}: has no class that is predicted; it has {known}")
    conditional = co_occurrence([[name in labels for name in classes] for labels in every])
    field = "score" if options.rank_by == "score" else "probability"

    def raised(image: Annotated) -> Annotated:
        best = dict.fromkeys(classes, 0.0)
        for one in image.annotations:
            if one.category in best:
                best[one.category] = max(best[one.category], class_score(one, options))
        scores = np.array(list(best.values()))
        gains = rescore(scores, conditional, weight=options.co_occurrence_weight) - scores
        gain = dict(zip(classes, gains.tolist(), strict=True))
        objects = []
        for one in image.annotations:
            changed: dict[str, Any] = {field: class_score(one, options) + gain.get(one.category, 0)}
            objects.append(dataclasses.replace(one, **changed))
        return dataclasses.replace(image, annotations=tuple(objects))

    return {name: raised(image) for name, image in predictions.items()}


def _column(
    name: str,
    cases: Cases,
    others: Others,
    measure: Callable[[Case], tuple[int, np.ndarray] | None],
    options: EvaluateOptions,
) -> Column:
    values = {}
    nothing = (0, np.zeros((0, 3)))
    for category, some in cases.items():
        every = [case for case in (*some, *others[category]) if case is None or not case.damaged]
        judged = [found for case in every if (found := nothing if case is None else measure(case))]
        # Of each image: its number of positives, then a row of score, right and counted for each finding.
        most = max((len(rows) for _, rows in judged), default=0)
        values[category] = np.zeros((len(judged), 1 + most, 3))
        for image, (positives, rows) in zip(values[category], judged, strict=True):
            image[0, 0] = positives
            image[1 : 1 + len(rows)] = rows

    def average(images: np.ndarray) -> float:
        found = images[:, 1:].reshape(-1, 3)
        scores, correct, _ = found[found[:, 2] > 0].T
        order = np.argsort(-scores, kind="stable")
        positives = images[:, 0, 0].sum().astype(int)
        flags, recalls = (correct > 0)[order], _RECALLS[options.recalls]
        return float(interpolated_average_precision(flags, scores[order], positives=positives, points=recalls))

    return Column(name, values, average, pooled=False, reason=_NOTHING)


def _judged(
    found: Sequence[Annotation], judge: Callable[..., Matched], case: Case, options: EvaluateOptions
) -> np.ndarray:
    truth = np.array([one.box for one in _objects(case)]).reshape(-1, 4)
    scores = [class_score(one, options) for one in found]
    return np.column_stack([scores, *judge(found, truth, _difficult(case, options))])


def _objects(case: Case) -> tuple[Annotation, ...]:
    return case.objects + case.excluded


def _difficult(case: Case, options: EvaluateOptions) -> np.ndarray:
    """Which of an image's objects count neither way, bool ``[m]``; truncated ones count, as in VOC."""
    flags = [one.crowd or (one.difficult and not options.include_difficult) for one in _objects(case)]
    return np.array(flags, bool)


def _ranked(case: Case, options: EvaluateOptions) -> list[Annotation]:
    return sorted(case.found, key=lambda one: -class_score(one, options))


def _point(one: Annotation) -> tuple[float, float]:
    x0, y0, x1, y1 = one.box
    return one.point or ((x0 + x1) / 2, (y0 + y1) / 2)
