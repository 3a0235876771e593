"""Compare predicted boxes with ground truth, both as COCO files: CorLoc, and how well the noise score works."""

import dataclasses
import math
import os

import numpy as np

from jaxloc.data.annotations import Annotated, read_coco
from jaxloc.errors import UsageError
from jaxloc.metrics import correct_localization, roc_auc


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """One category's result.

    Attributes:
        category: its name.
        images: ground-truth images that hold it.
        correct: of them, how many were localised.
        missing: of them, how many the predictions do not list at all (counted as wrong).
        noisy_images: ground-truth images of the category without the object.
        noise_auc: area under the ROC curve of telling those apart by a low noise score; NaN where there are none.
    """

    category: str
    images: int
    correct: int
    missing: int
    noisy_images: int
    noise_auc: float

    @property
    def corloc(self) -> float:
        """Share localised, in per cent."""
        return 100 * self.correct / self.images if self.images else math.nan


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results by category, and the mean over categories.

    Attributes:
        classes: in order of name.
        threshold: the IoU that had to be exceeded.
        unknown: predicted images that the ground truth does not list; they were not counted.
    """

    classes: list[ClassScore]
    threshold: float
    unknown: list[str]

    @property
    def mean_corloc(self) -> float:
        """Mean over categories of CorLoc in per cent."""
        values = [score.corloc for score in self.classes if score.images]
        return float(np.mean(values)) if values else math.nan


def evaluate(
    predictions: str | os.PathLike[str], ground_truth: str | os.PathLike[str], *, threshold: float = 0.5
) -> Evaluation:
    """CorLoc of predictions against ground truth, by category.

    Pictures are matched by ``file_name`` and boxes by category name. A ground-truth image counts for its own
    category where the file gives it one, otherwise for every category it has boxes of. Of several predictions of
    one category in one image, the one with the highest score counts.

    Args:
        predictions: COCO file, such as ``annotations.json`` from ``colocalize``.
        ground_truth: COCO file.
        threshold: IoU that must be exceeded.

    Raises:
        UsageError: a file is unreadable, or the two have no picture or no category in common.
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"the IoU threshold must be from 0 to below 1, not {threshold}")
    predicted, truth = read_coco(predictions), read_coco(ground_truth)
    _check_common(predicted, truth)
    categories = sorted({category for image in truth.values() for category in image.categories})
    classes = [_score(category, predicted, truth, threshold) for category in categories]
    return Evaluation(classes, threshold, sorted(predicted.keys() - truth.keys()))


def _check_common(predicted: dict[str, Annotated], truth: dict[str, Annotated]) -> None:
    if not predicted.keys() & truth.keys():
        raise UsageError(
            f"no picture in common: predictions name them like {next(iter(predicted), 'nothing')!r}, the ground truth "
            f"like {next(iter(truth), 'nothing')!r}; point `jaxloc colocalize` at the folder those names start from"
        )
    found = {category for image in predicted.values() for category in (*image.categories, *image.boxes)}
    wanted = {category for image in truth.values() for category in (*image.categories, *image.boxes)}
    if not found & wanted:
        raise UsageError(
            f"no category in common: predictions have {', '.join(sorted(found)) or 'none'}, the ground truth "
            f"{', '.join(sorted(wanted)) or 'none'}; use --per-folder or --category when predicting"
        )


def _score(category: str, predicted: dict[str, Annotated], truth: dict[str, Annotated], threshold: float) -> ClassScore:
    images = correct = missing = 0
    scores: list[float] = []
    holds: list[bool] = []
    for name, image in truth.items():
        if category not in image.categories:
            continue
        boxes = image.boxes.get(category, [])
        prediction = predicted.get(name)
        if prediction is not None and prediction.noise_score is not None:
            scores.append(prediction.noise_score)
            holds.append(bool(boxes))
        if not boxes:
            continue
        images += 1
        missing += prediction is None
        candidates = prediction.boxes.get(category, []) if prediction else []
        if candidates:
            best = max(candidates, key=lambda box: box[4])
            correct += correct_localization(best[:4], [box[:4] for box in boxes], threshold=threshold)
    noise_auc = roc_auc(scores, holds) if scores else math.nan
    return ClassScore(category, images, correct, missing, len(holds) - sum(holds), noise_auc)
