"""Counts of objects in a checkout's images, by level, beside COCO's average precision."""

import json
import math

import numpy as np
import pytest

from jaxloc.data import annotations
from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluate_files, evaluation_table, to_plain
from tests.run.evaluation.made import images

COUNTS = EvaluateOptions(counts=True)
KINDS = "abc"
TRUTH = [[2, 1, 0], [0, 1, 3], [1, 0, 0], [0, 2, 2]]
FOUND = [[2, 1, 0], [0, 2, 2], [1, 0, 1], [0, 2, 2]]
LEVELS = ("easy", "hard", "easy", "hard")


def shelf(number: int, counts: list[int], *, score: float = 1.0, **more) -> Annotated:
    """An image with so many objects of each kind, each at a place of its own."""
    objects = []
    for row, (kind, count) in enumerate(zip(KINDS, counts, strict=True)):
        corners = [(20.0 * column, 20.0 * row) for column in range(count)]
        objects += [Annotation(kind, (x, y, x + 10, y + 10), score=score) for x, y in corners]
    return Annotated(f"{number}.jpg", None, tuple(objects), width=100, height=100, **more)


truth = images(*(shelf(number, counts, level=LEVELS[number]) for number, counts in enumerate(TRUTH)))
found = images(*(shelf(number, counts, score=0.5) for number, counts in enumerate(FOUND)))


def test_counts_are_those_of_the_formulas_by_level_and_over_all():
    scores = evaluate(found, truth, COUNTS).counts
    assert list(scores.levels) == ["easy", "hard", "averaged"]
    np.testing.assert_allclose(scores.levels["averaged"].counting, [0.5, 0.75, 0.65 / 3, (1 + 0.8 + 2 / 3) / 3])
    assert scores.levels["easy"].counting[:2] == (0.5, 0.5)
    assert scores.levels["hard"].counting[:2] == (0.5, 1.0)
    assert scores.levels["easy"].images == 2


def test_average_precision_is_that_of_coco_and_one_where_all_is_right():
    right = evaluate(truth, truth, COUNTS).counts.levels
    assert all((one.map50, one.mmap) == pytest.approx((1, 1)) for one in right.values())
    measured = evaluate(found, truth, COUNTS).counts.levels["averaged"]
    # Of equal scores the first images come first: kind b's third of five boxes is wrong; c lacks one of five objects,
    # and its third box, of the third image, is wrong.
    a, b, c = 1.0, np.mean([1] * 51 + [4 / 5] * 50), np.mean([1] * 41 + [4 / 5] * 40 + [0] * 20)
    assert measured.map50 == pytest.approx(np.mean([a, b, c]))
    assert measured.mmap == pytest.approx(measured.map50)


def test_boxes_below_the_threshold_and_missing_images_count_nothing():
    some = {name: image for name, image in found.items() if name != "0.jpg"}
    assert evaluate(some, truth, COUNTS).counts.levels["averaged"].counting.distance == pytest.approx((3 + 3) / 4)
    above = evaluate(found, truth, EvaluateOptions(counts=True, count_threshold=0.6)).counts
    assert above.levels["averaged"].counting.distance == pytest.approx(np.sum(TRUTH) / 4)
    assert above.levels["averaged"].map50 > 0.5
    best = evaluate(found, truth, EvaluateOptions(counts=True, count_threshold="best"))
    assert best.counts.threshold == pytest.approx(0.5)
    assert "the threshold that counts most of these images right" in evaluation_table(best)


def test_options_that_choose_classes_and_splits_hold_for_counts():
    of_a = evaluate(found, truth, EvaluateOptions(counts=True, classes=("a",))).counts.levels["averaged"]
    assert of_a.counting == (1, 0, 0, 1)
    together = evaluate(found, truth, EvaluateOptions(counts=True, any_class=True)).counts.levels["averaged"]
    assert together.counting.distance == pytest.approx(1 / 4)


def test_a_table_and_plain_values():
    result = evaluate(found, truth, COUNTS)
    text = evaluation_table(result)
    lines = [line.split() for line in text.splitlines()]
    assert ["level", "images", "cAcc", "ACD", "mCCD", "mCIoU", "mAP50", "mmAP"] in lines
    assert ["averaged", "4", "50.00", "0.75", "0.22", "82.22"] in [line[:6] for line in lines]
    assert "every predicted box counts" in text
    plain = to_plain(result)["counts"]
    assert plain["threshold"] == -math.inf
    assert plain["levels"]["averaged"]["accuracy"] == 0.5
    assert "counts" not in to_plain(evaluate(truth, truth))


def test_levels_are_read_from_a_coco_file(tmp_path):
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9, "level": "hard"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3]}],
        "categories": [{"id": 1, "name": "tea"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(coco))
    assert annotations.read(tmp_path / "truth.json").images["a.jpg"].level == "hard"
    scores = evaluate_files(tmp_path / "truth.json", tmp_path / "truth.json", COUNTS).counts
    assert list(scores.levels) == ["hard", "averaged"]
