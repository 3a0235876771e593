"""Matching of boxes and points, and interpolated average precision: worked cases, VOC's loops, and pycocotools."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxloc import metrics
from tests.reference import detection as reference

OBJECT, OTHER = (10.0, 10.0, 50.0, 50.0), (60.0, 60.0, 90.0, 90.0)


def test_an_object_is_found_once_and_difficult_ones_count_neither_way():
    boxes = [OBJECT, (12, 12, 50, 50), OTHER, (0, 0, 5, 5)]
    found = metrics.match_boxes(boxes, [OBJECT, OTHER], difficult=[False, True])
    np.testing.assert_array_equal(found.correct, [True, False, False, False])
    np.testing.assert_array_equal(found.counted, [True, True, False, True])
    nothing = metrics.match_boxes(boxes, [])
    assert nothing.counted.all()
    assert not nothing.correct.any()


def test_a_box_belongs_to_the_object_it_overlaps_most_even_if_that_is_taken():
    near = (10.0, 10.0, 50.0, 46.0)
    found = metrics.match_boxes([OBJECT, (10, 10, 50, 49)], [OBJECT, near])
    np.testing.assert_array_equal(found.correct, [True, False])


def test_thresholds_and_corners_are_those_of_corloc():
    half = [(0, 0, 10, 5)]
    assert not metrics.match_boxes(half, [(0, 0, 10, 10)]).correct.any()
    assert metrics.match_boxes(half, [(0, 0, 10, 10)], at_least=True).correct.all()
    assert metrics.match_boxes(half, [(0, 0, 10, 10)], inclusive=True).correct.all()


def test_points_hit_inside_a_box_edges_included():
    points = [(10, 10), (50, 50), (51, 20), (70, 70), (np.nan, np.nan)]
    found = metrics.match_points(points, [OBJECT, OTHER], difficult=[False, True])
    np.testing.assert_array_equal(found.correct, [True, True, False, False, False])
    np.testing.assert_array_equal(found.counted, [True, True, True, False, True])
    with pytest.raises(ValueError, match=r"difficult must be \[1\]"):
        metrics.match_points(points, [OBJECT], difficult=[True, False])


def test_average_precision_on_a_case_worked_by_hand():
    relevant = np.array([True, False, True, False])
    assert metrics.interpolated_average_precision(relevant, positives=4) == pytest.approx((1 + 2 / 3) / 4)
    eleven = metrics.interpolated_average_precision(relevant, positives=4, points=11)
    assert eleven == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)
    raised = np.array([False, True, True, True])  # 3 / 4 at the end raises what is before it
    assert metrics.interpolated_average_precision(raised) == pytest.approx(3 / 4)
    assert metrics.average_precision(raised) < 3 / 4
    assert np.isnan(metrics.interpolated_average_precision(~np.ones(3, bool), positives=0, points=11))
    assert metrics.interpolated_average_precision(np.zeros(0, bool), positives=2) == 0
    with pytest.raises(ValueError, match="two points or more"):
        metrics.interpolated_average_precision(relevant, points=1)


@pytest.mark.parametrize("points", [None, 11])
def test_equal_scores_are_one_step_in_any_order(points):
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    orders = [[True, False, True, False, True], [True, True, False, False, True]]
    found = [metrics.interpolated_average_precision(np.array(one), scores, points=points) for one in orders]
    assert found[0] == found[1]


def made(seed: int) -> tuple[dict, list]:
    """Objects of some images, and detections near and far from them, no two of one score."""
    rng = np.random.default_rng(seed)
    objects, detections = {}, []
    for image in "abcdef":
        corners = rng.integers(0, 60, (rng.integers(0, 4), 2))
        objects[image] = [((x, y, x + 40.0, y + 40.0), bool(rng.random() < 0.25)) for x, y in corners.tolist()]
        for box, _ in objects[image]:
            near = [tuple(np.add(box, np.tile(shift, 2)).tolist()) for shift in rng.normal(0, 8, (2, 2))]
            detections += [(rng.random(), image, one) for one in near]
        detections.append((rng.random(), image, (0.0, 0.0, *rng.uniform(5, 100, 2).tolist())))
    return objects, detections


def ranked(objects: dict, detections: list, match) -> tuple[np.ndarray, np.ndarray]:
    """Flags and junk of all images' detections, best first."""
    rows = []
    for image, some in objects.items():
        ordered = sorted((one for one in detections if one[1] == image), key=lambda one: -one[0])
        found = match([one[2] for one in ordered], [box for box, _ in some], difficult=[hard for _, hard in some])
        rows += [(one[0], *flags) for one, *flags in zip(ordered, *found, strict=True)]
    rows.sort(key=lambda row: -row[0])
    return np.array([row[1] for row in rows]), np.array([row[2] for row in rows])


@pytest.mark.parametrize("seed", range(5))
def test_boxes_and_points_are_vocs(seed):
    objects, detections = made(seed)
    middles = [(score, image, ((x0 + x1) / 2, (y0 + y1) / 2)) for score, image, (x0, y0, x1, y1) in detections]
    boxes = sum(not hard for some in objects.values() for _, hard in some)
    images = sum(any(not hard for _, hard in some) for some in objects.values())
    for kind, given, match, positives in (
        ("box", detections, metrics.match_boxes, boxes),
        ("point", list({one[1]: one for one in middles}.values()), metrics.match_points, images),
    ):
        correct, counted = ranked(objects, given, match)
        curve = reference.curve(given, objects, kind)
        for points, expected in ((None, reference.area(*curve)), (11, reference.at_points(*curve, 11))):
            found = metrics.interpolated_average_precision(correct, keep=counted, positives=positives, points=points)
            assert found == pytest.approx(expected, abs=1e-12)


def test_pycocotools_averages_the_same_curve_at_101_points():
    """Where each object has one near box, COCO's rule matches as VOC's; its average is at 101 recalls."""
    objects = {"a": [(OBJECT, False), (OTHER, False)], "b": [(OBJECT, False)], "c": []}
    detections = [(0.9, "a", OBJECT), (0.8, "c", OBJECT), (0.7, "b", (12.0, 12, 50, 50)), (0.6, "b", OTHER)]
    names = list(objects)

    def boxed(image: str, box: tuple, **more) -> dict:
        x0, y0, x1, y1 = box
        size = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        return {"image_id": names.index(image), "category_id": 1, "iscrowd": 0, **size, **more}

    truth = [boxed(image, box) for image, some in objects.items() for box, _ in some]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": number} for number in range(3)],
            "annotations": [one | {"id": number} for number, one in enumerate(truth, 1)],
            "categories": [{"id": 1}],
        }
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes([boxed(i, box, score=s) for s, i, box in detections]), "bbox")
        judged.params.iouThrs = np.array([0.5])
        judged.evaluate()
        judged.accumulate()
    correct, counted = ranked(objects, detections, metrics.match_boxes)
    measure = {"keep": counted, "positives": 3}
    theirs = judged.eval["precision"][0, :, 0, 0, -1].mean()
    assert metrics.interpolated_average_precision(correct, points=101, **measure) == pytest.approx(theirs, abs=1e-12)
    assert metrics.interpolated_average_precision(correct, **measure) != pytest.approx(theirs, abs=1e-3)
