"""Measures of boxes and of the noise score."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxloc.data.annotations import Annotation
from jaxloc.metrics import Roc, correct_boxes, correct_localization, roc_auc, roc_curve, top_one_localization
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation.columns import Column, ratio
from jaxloc.run.evaluation.matching import Case

_NO_BOX = np.full(4, np.nan)

Cases = Mapping[str, Sequence[Case]]


def corloc(cases: Cases, options: EvaluateOptions) -> list[Column]:
    """CorLoc: whether the box with the highest score is correct, at each threshold."""
    return [
        Column(
            options.named("CorLoc", threshold),
            {
                category: np.array(
                    [_right(case, case.found[0].box if case.found else None, threshold, options) for case in some],
                    bool,
                )
                for category, some in _holding(cases).items()
            },
            reason="no image holds an object that counts",
        )
        for threshold in options.thresholds
    ]


def found_boxes(cases: Cases, options: EvaluateOptions) -> list[Column]:
    """PCP of whole objects: the share of true boxes that any predicted box of the class finds."""
    columns = []
    for threshold in options.thresholds:
        values = {}
        for category, some in _holding(cases).items():
            counts = []
            for case in some:
                truth, boxes = ([one.box for one in objects] for objects in (case.objects, case.found))
                right = correct_boxes(
                    truth,
                    np.reshape(boxes, (-1, 4)),
                    threshold=threshold,
                    at_least=options.at_least,
                    inclusive=options.voc_inclusive,
                )
                counts.append((int(right.sum()), len(truth)))
            values[category] = np.array(counts).reshape(-1, 2)
        name = options.named("PCP", threshold)
        columns.append(Column(name, values, ratio, reason="no image holds an object that counts"))
    return columns


def with_classes(cases: Cases, options: EvaluateOptions) -> list[Column]:
    """GT-known localisation (the image's best box of any class is correct) and top-1 (its class too)."""
    columns = []
    for threshold in options.thresholds:
        known, top = {}, {}
        for category, some in _holding(cases).items():
            best = [_best(case) for case in some]
            right = [
                _right(case, None if one is None else one.box, threshold, options)
                for case, one in zip(some, best, strict=True)
            ]
            known[category] = np.array(right, bool)
            classes = [predicted_class(case) or "" for case in some]
            top[category] = top_one_localization(
                known[category], np.array(classes, object), np.array([category] * len(some), object)
            )
        reason = "no image holds an object that counts"
        columns.append(Column(options.named("GT-known", threshold), known, reason=reason))
        columns.append(Column(options.named("top-1", threshold), top, reason=reason))
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
    column = Column("noise AUC", values, _area, scale=1, pooled=False, reason=reason)
    return column, curves, lacking


def _area(values: np.ndarray) -> float:
    return roc_auc(values[:, 0], values[:, 1])


def _holding(cases: Cases) -> dict[str, list[Case]]:
    return {category: [case for case in some if case.objects] for category, some in cases.items()}


def _right(
    case: Case, box: tuple[float, float, float, float] | None, threshold: float, options: EvaluateOptions
) -> bool:
    return correct_localization(
        _NO_BOX if box is None else box,
        [one.box for one in case.objects],
        threshold=threshold,
        at_least=options.at_least,
        inclusive=options.voc_inclusive,
    )


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
