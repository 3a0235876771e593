"""Measures of boxes and of the noise score."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxloc.data.annotations import Annotation
from jaxloc.metrics import Roc, box_iou, correct_boxes, correct_localization, roc_auc, roc_curve, top_one_localization
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation.columns import Column, ratio
from jaxloc.run.evaluation.matching import Case

_NO_BOX = np.full(4, np.nan)
_NOTHING = "no image holds an object that counts"

Cases = Mapping[str, Sequence[Case]]


def corloc(cases: Cases, options: EvaluateOptions) -> list[Column]:
    """CorLoc: whether the box with the highest score is correct, at each threshold."""
    columns = []
    for threshold in options.thresholds:
        right = functools.partial(_is_right, _first, threshold, options)
        columns.append(Column(options.named("CorLoc", threshold), _each(cases, right, bool), reason=_NOTHING))
    return columns


def found_boxes(cases: Cases, options: EvaluateOptions) -> list[Column]:
    """PCP of whole objects, the share of true boxes that any predicted box of the class finds; mean best overlap."""

    def column(name: str, measure: Callable[[Any, np.ndarray], np.ndarray]) -> Column:
        def found(case: Case) -> tuple[float, int]:
            truth, boxes = ([one.box for one in objects] for objects in (case.objects, case.found))
            return float(measure(truth, np.reshape(boxes, (-1, 4))).sum()), len(truth)

        sums = {category: some.reshape(-1, 2) for category, some in _each(cases, found, float).items()}
        return Column(name, sums, ratio, reason=_NOTHING)

    rules: dict[str, Any] = {"at_least": options.at_least, "inclusive": options.voc_inclusive}
    return [
        *(
            column(options.named("PCP", threshold), functools.partial(correct_boxes, threshold=threshold, **rules))
            for threshold in options.thresholds
        ),
        column("best overlap", lambda *boxes: box_iou(*boxes, inclusive=options.voc_inclusive).max(1, initial=0)),
    ]


def with_classes(cases: Cases, options: EvaluateOptions) -> list[Column]:
    """GT-known localisation (the image's best box of any class is correct) and top-1 (its class too)."""
    predicted = _each(cases, lambda case: predicted_class(case) or "", object)
    columns = []
    for threshold in options.thresholds:
        known = _each(cases, functools.partial(_is_right, _best, threshold, options), bool)
        top = {
            category: top_one_localization(right, predicted[category], np.full(len(right), category, object))
            for category, right in known.items()
        }
        columns.append(Column(options.named("GT-known", threshold), known, reason=_NOTHING))
        columns.append(Column(options.named("top-1", threshold), top, reason=_NOTHING))
    return columns


def noise(cases: Cases) -> tuple[Column, dict[str, Roc], dict[str, int]]:
    """The area under the noise score's ROC curve, the curves, and how many images of a class lack the object."""
    values, curves, lacking = {}, {}, {}
    for category, some in cases.items():
        scores_of = (
            (case.prediction.noise_of(category), bool(case.objects))
            for case in some
            if not case.left_out and case.prediction is not None
        )
        pairs = [(score, holds) for score, holds in scores_of if score is not None and np.isfinite(score)]
        values[category] = np.array(pairs, np.float64).reshape(-1, 2)
        scores, holds = values[category].T
        lacking[category] = int((holds == 0).sum())
        if 0 < lacking[category] < len(holds):
            curves[category] = roc_curve(scores, holds)
    reason = "no noise scores of both images with the object and images without it"
    column = Column("noise AUC", values, lambda pairs: roc_auc(*pairs.T), scale=1, pooled=False, reason=reason)
    return column, curves, lacking


def _each(cases: Cases, value: Callable[[Case], Any], dtype: Any) -> dict[str, np.ndarray]:
    """By class, a value of each image that holds an object that counts."""
    return {
        category: np.array([value(case) for case in some if case.objects], dtype) for category, some in cases.items()
    }


def _is_right(
    choose: Callable[[Case], Annotation | None], threshold: float, options: EvaluateOptions, case: Case
) -> bool:
    chosen = choose(case)
    return correct_localization(
        _NO_BOX if chosen is None else chosen.box,
        [one.box for one in case.objects],
        threshold=threshold,
        at_least=options.at_least,
        inclusive=options.voc_inclusive,
    )


def _first(case: Case) -> Annotation | None:
    return case.found[0] if case.found else None


def predicted_class(case: Case) -> str | None:
    """The predicted class of the image: its own, or that of its best box; ``None`` without a box."""
    best = _best(case)
    if case.prediction is None or best is None:
        return None
    return case.prediction.category or best.category


def _best(case: Case) -> Annotation | None:
    """The image's best box, whatever its class."""
    if case.prediction is None or not case.prediction.annotations:
        return None
    return max(case.prediction.annotations, key=lambda one: one.score)
