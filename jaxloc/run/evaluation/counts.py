"""Counts of objects by class against the truth, by level of clutter, beside COCO's mean average precision."""

import contextlib
import dataclasses
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxloc.data.annotations import Annotated
from jaxloc.data.checkout import LEVELS
from jaxloc.errors import UsageError
from jaxloc.metrics import Counting, best_count_threshold, counting, counts_above
from jaxloc.options import EvaluateOptions
from jaxloc.report.tables import text_table

ALL = "averaged"
"""RPC's name of the row of all images."""


@dataclasses.dataclass(frozen=True)
class LevelScore:
    """Measures of the images of one level; NaN where there is nothing to measure.

    Attributes:
        map50: COCO's mean average precision at an IoU of 0.5, in [0, 1].
        mmap: the mean of such from 0.5 to 0.95, in [0, 1].
    """

    images: int
    counting: Counting
    map50: float
    mmap: float


@dataclasses.dataclass(frozen=True)
class CountScores:
    """Measures by level, ``averaged`` last, and the least score of a box that was counted."""

    levels: Mapping[str, LevelScore]
    threshold: float
    chosen_here: bool = False


@dataclasses.dataclass(frozen=True)
class _Boxes:
    """The boxes of all images of one side: image, class and score of each, and ``x, y, width, height``."""

    images: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    crowds: np.ndarray


def measure_counts(
    predictions: Mapping[str, Annotated], truth: Mapping[str, Annotated], options: EvaluateOptions
) -> CountScores:
    """Count the predicted boxes of each class in each image of the truth; an image without predictions has none.

    A class counts if it is on either side; crowds do not count. Average precision is of all boxes, whatever their
    score.
    """
    sides = [predictions[name] if name in predictions else Annotated(name) for name in truth], list(truth.values())
    known = {one.category for side in sides for image in side for one in image.annotations}
    classes = sorted(known if not options.classes else known.intersection(options.classes))
    found, true = (_boxes(side, classes) for side in sides)
    shape = (len(truth), len(classes))
    true_counts = counts_above(*_seen(true), -math.inf, shape)
    threshold = -math.inf if options.count_threshold in (None, "best") else float(options.count_threshold or 0)
    if options.count_threshold == "best":
        threshold = best_count_threshold(*_seen(found), true_counts)
    counts = counts_above(*_seen(found), threshold, shape)
    levels = np.array([image.level or "" for image in truth.values()])
    order = [level for level in LEVELS if level in levels] + sorted(set(levels).difference(LEVELS, [""]))
    rows = {level: np.flatnonzero(levels == level) for level in order} | {ALL: np.arange(len(levels))}
    scores = {
        name: LevelScore(len(some), counting(counts[some], true_counts[some]), *_precision(found, true, some, classes))
        for name, some in rows.items()
    }
    return CountScores(scores, threshold, options.count_threshold == "best")


def with_threshold(options: EvaluateOptions, predictions: str | os.PathLike[str]) -> EvaluateOptions:
    """Options with the threshold that ``checkout count`` wrote beside its annotations, where none is given."""
    place = Path(predictions)
    file = (place if place.is_dir() else place.parent) / "counts.json"
    if not options.counts or options.count_threshold is not None or not file.is_file():
        return options
    try:
        return dataclasses.replace(options, count_threshold=float(json.loads(file.read_bytes())["threshold"]))
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{file}: has no threshold of scores ({error}): give one with --threshold") from error


def counts_text(scores: CountScores) -> str:
    """A table of the levels as RPC prints them, shares in per cent, with a line that says which boxes count."""
    head = ["level", "images", "cAcc", "ACD", "mCCD", "mCIoU", "mAP50", "mmAP"]
    rows = []
    for name, one in scores.levels.items():
        accuracy, distance, class_distance, class_iou = one.counting
        shares = [f"{100 * value:.2f}" for value in (accuracy, class_iou, one.map50, one.mmap)]
        rows.append([name, one.images, shares[0], f"{distance:.2f}", f"{class_distance:.2f}", *shares[1:]])
    which = "every predicted box counts" if scores.threshold == -math.inf else f"score ≥ {scores.threshold:.3g} counts"
    chosen = ", the threshold that counts most of these images right" * scores.chosen_here
    return f"{text_table(head, rows)}\nCounts of objects: {which}{chosen}; mAP50 and mmAP by pycocotools, in per cent."


def _boxes(images: Sequence[Annotated], classes: Sequence[str]) -> _Boxes:
    numbers = {name: number for number, name in enumerate(classes)}
    rows = [
        (number, numbers[one.category], one.score, one.crowd, *one.box)
        for number, image in enumerate(images)
        for one in image.annotations
        if one.category in numbers and math.isfinite(one.score)
    ]
    table = np.array(rows, np.float64).reshape(-1, 8)
    boxes = np.concatenate([table[:, 4:6], table[:, 6:] - table[:, 4:6]], 1)
    return _Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], boxes, table[:, 3] > 0)


def _seen(some: _Boxes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, class and score of what counts."""
    return some.images[~some.crowds], some.classes[~some.crowds], some.scores[~some.crowds]


def _precision(found: _Boxes, true: _Boxes, images: np.ndarray, classes: Sequence[str]) -> tuple[float, float]:
    """COCO's mean average precision at 0.5 and over its thresholds; NaN without objects."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not np.isin(true.images, images).any():
        return math.nan, math.nan
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        for some in (true, found):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": int(image)} for image in images],
                "categories": [{"id": number} for number in range(len(classes))],
                "annotations": [
                    {
                        "id": number + 1,
                        "image_id": int(some.images[number]),
                        "category_id": int(some.classes[number]),
                        "bbox": some.boxes[number].tolist(),
                        "area": float(some.boxes[number, 2:].prod()),
                        "iscrowd": int(some.crowds[number]),
                        "score": float(some.scores[number]),
                    }
                    for number in np.flatnonzero(np.isin(some.images, images)).tolist()
                ],
            }
            coco.createIndex()
            sides.append(coco)
        judged = COCOeval(*sides, "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return float(judged.stats[1]), float(judged.stats[0])
