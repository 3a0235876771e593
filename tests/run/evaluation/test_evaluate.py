"""CorLoc and the noise score's ROC against a plain count, and what two files may have in common or not."""

import dataclasses
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from jaxloc.data.annotations import Annotation
from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluate_files, evaluation_table
from tests.run.evaluation.coco import CLASSES
from tests.run.evaluation.made import RIGHT, WRONG, image, images, names


def iou(a, b) -> float:
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def plain_corloc(predicted: dict, truth: dict, category: str, threshold: float) -> tuple[int, int, int]:
    """Images that hold the category, those localised, those not predicted, from ``{name: boxes}``."""
    images = correct = missing = 0
    for name, boxes in truth.items():
        true = [box[1:5] for box in boxes if box[0] == category]
        if not true:
            continue
        images += 1
        if name not in predicted:
            missing += 1
            continue
        candidates = [box for box in predicted[name] if box[0] == category]
        best = None
        for box in candidates:
            if best is None or box[5] > best[5]:
                best = box
        correct += best is not None and any(iou(best[1:5], box) > threshold for box in true)
    return images, correct, missing


def random_boxes(rng: np.random.Generator) -> list[tuple]:
    boxes = []
    for _ in range(rng.integers(4)):
        x0, y0, width, height = (*rng.integers(0, 50, 2).tolist(), *rng.integers(20, 50, 2).tolist())
        boxes.append((str(rng.choice(CLASSES)), x0, y0, x0 + width, y0 + height, float(rng.integers(1, 4)) / 4))
    return boxes


def guesses(rng: np.random.Generator, boxes: list[tuple]) -> list[tuple]:
    """Some of the boxes, a little displaced, among others."""
    near = [
        (category, *(np.array(corners) + rng.integers(-4, 5, 4)).clip(0, 100).tolist(), float(rng.integers(1, 4)) / 4)
        for category, *corners, _ in boxes
        if rng.random() < 0.8
    ]
    return random_boxes(rng) + near


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 0.75])
@pytest.mark.parametrize("seed", range(5))
def test_equals_a_plain_count_on_random_boxes(coco, seed, threshold):
    rng = np.random.default_rng(seed)
    truth, predicted = {}, {}
    for number in range(60):
        truth[f"{number}.jpg"] = random_boxes(rng)
        if rng.random() < 0.9:
            predicted[f"{number}.jpg"] = guesses(rng, truth[f"{number}.jpg"])
    files = []
    for name, contents in (("predicted", predicted), ("truth", truth)):
        file = coco(name)
        for name_of, boxes in contents.items():
            file.add(name_of, boxes=boxes)
        files.append(file.save())
    result = evaluate_files(*files, EvaluateOptions(thresholds=(threshold,)))
    assert [score.category for score in result.classes] == list(CLASSES)
    for score in result.classes:
        counts = plain_corloc(predicted, truth, score.category, threshold)
        assert (score.images, score.correct, score.missing) == counts
        assert score.corloc == pytest.approx(100 * counts[1] / counts[0])
    assert result.mean_corloc == pytest.approx(np.mean([score.corloc for score in result.classes]))
    assert result.options.thresholds == (threshold,)
    assert 0 < result.mean_corloc < 100


def test_the_prediction_of_highest_score_counts_and_of_equal_ones_the_first(coco):
    wrong, right = ("bus", 60, 60, 90, 90), ("bus", 0, 0, 40, 40)
    truth, predicted = coco("truth"), coco("predicted")
    orders = {"a": ((*wrong, 0.9), (*right, 0.2)), "b": ((*wrong, 0.2), (*right, 0.9)),
              "c": ((*right, 0.5), (*wrong, 0.5)), "d": ((*wrong, 0.5), (*right, 0.5))}  # fmt: skip
    for name, boxes in orders.items():
        truth.add(name, "bus", [(*right, 1)])
        predicted.add(name, "bus", boxes)
        alone = evaluate_files(
            coco("one").add(name, "bus", boxes).save(), coco("one truth").add(name, "bus", [(*right, 1)]).save()
        )
        assert alone.classes[0].correct == (name in "bc")
    (score,) = evaluate_files(predicted.save(), truth.save()).classes
    assert (score.images, score.correct) == (4, 2)


@pytest.mark.parametrize(("width", "correct"), [(10, 0), (11, 1)])
def test_the_threshold_must_be_exceeded(coco, width, correct):
    truth = coco("truth").add("a", "bus", [("bus", 0, 0, 20, 10, 1)]).save()
    predicted = coco("predicted").add("a", "bus", [("bus", 0, 0, width, 10, 1)]).save()
    assert evaluate_files(predicted, truth).classes[0].correct == correct


def test_any_box_of_the_class_will_do_but_not_one_of_another_class(coco):
    box = (0, 0, 20, 20)
    truth = coco("truth").add("a", "bus", [("bus", 50, 50, 90, 90, 1), ("bus", *box, 1)])
    truth.add("b", "bus", [("bus", 50, 50, 90, 90, 1), ("horse", *box, 1)]).save()
    predicted = coco("predicted").add("a", "bus", [("bus", *box, 1)]).add("b", "bus", [("bus", *box, 1)]).save()
    (score,) = evaluate_files(predicted, truth.path).classes
    assert (score.category, score.images, score.correct) == ("bus", 2, 1)


def test_categories_are_matched_by_name_whatever_their_numbers(coco):
    box = (0, 0, 20, 20, 1)
    truth = coco("truth", ("bus", "horse")).add("a", "horse", [("horse", *box)]).save()
    predicted = coco("predicted", ("horse", "x", "bus")).add("a", "horse", [("horse", *box)]).save()
    assert evaluate_files(predicted, truth).mean_corloc == 100


def test_an_image_without_a_prediction_or_without_a_box_is_wrong(coco):
    box = ("bus", 0, 0, 20, 20, 1)
    truth = coco("truth")
    for name in "abc":
        truth.add(name, "bus", [box])
    predicted = coco("predicted").add("a", "bus", [box]).add("b", "bus").save()
    (score,) = evaluate_files(predicted, truth.save()).classes
    assert (score.images, score.correct, score.missing) == (3, 1, 1)
    assert score.corloc == pytest.approx(100 / 3)


def test_images_the_ground_truth_does_not_list_are_named_and_left_out(coco):
    box = ("bus", 0, 0, 20, 20, 1)
    truth = coco("truth").add("a", "bus", [box]).save()
    predicted = coco("predicted").add("z", "bus", [box]).add("a", "bus", [box]).add("b", "horse", [box]).save()
    result = evaluate_files(predicted, truth)
    assert result.unknown == ["b", "z"]
    assert [(score.category, score.images) for score in result.classes] == [("bus", 1)]


def test_the_mean_is_over_classes_not_over_images(coco):
    right, wrong = ("bus", 0, 0, 20, 20, 1), ("bus", 60, 60, 90, 90, 1)
    truth, predicted = coco("truth"), coco("predicted")
    for number in range(9):
        truth.add(f"bus {number}", "bus", [right])
        predicted.add(f"bus {number}", "bus", [wrong])
    truth.add("horse", "horse", [("horse", 0, 0, 9, 9, 1)]).add("no horse", "horse")
    predicted.add("horse", "horse", [("horse", 0, 0, 9, 9, 1)])
    assert evaluate_files(predicted.save(), truth.save()).mean_corloc == 50


def test_a_class_without_any_object_has_no_corloc_and_is_left_out_of_the_mean(coco):
    box = ("bus", 0, 0, 20, 20, 1)
    truth = coco("truth").add("a", "bus", [box]).add("b", "horse").save()
    predicted = coco("predicted").add("a", "bus", [box]).add("b", "horse").save()
    result = evaluate_files(predicted, truth)
    assert [math.isnan(score.corloc) for score in result.classes] == [False, True]
    assert result.mean_corloc == 100


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [3, 1000])
def test_noise_auc_equals_scikit_learns_with_and_without_ties(coco, seed, levels):
    rng = np.random.default_rng(seed)
    truth, predicted = coco("truth"), coco("predicted")
    holds = rng.random(40) < 0.6
    scores = rng.integers(levels, size=40) / levels + 0.1 * holds
    for number, (hold, score) in enumerate(zip(holds, scores, strict=True)):
        truth.add(str(number), "bus", [("bus", 0, 0, 20, 20, 1)] if hold else [])
        predicted.add(str(number), "bus", noise=float(score))
    (score,) = evaluate_files(predicted.save(), truth.save()).classes
    assert score.noise_auc == pytest.approx(roc_auc_score(holds, scores))
    assert score.noisy_images == (~holds).sum()
    assert score.images == holds.sum()


def test_without_noise_scores_or_without_noisy_images_there_is_no_auc(coco):
    box = ("bus", 0, 0, 20, 20, 1)
    truth = coco("truth").add("a", "bus", [box]).add("b", "bus", [box]).save()
    scored = coco("scored").add("a", "bus", [box], noise=0.2).add("b", "bus", noise=0.4).save()
    plain = coco("plain").add("a", "bus", [box]).add("b", "bus").save()
    for predicted in (scored, plain):
        assert math.isnan(evaluate_files(predicted, truth).classes[0].noise_auc)


def test_a_file_compared_with_itself_is_wholly_right(job, photos, tmp_path):
    path = job("scda").folder / "annotations.json"
    result = evaluate_files(path, path)
    assert result.mean_corloc == 100
    assert result.classes[0].images == 6
    assert result.unknown == []


def test_no_image_in_common_shows_one_of_each_and_the_cure(coco):
    truth = coco("truth").add("old/bus/a.jpg", "bus").add("new/bus/a.jpg", "bus").save()
    predicted = coco("predicted").add("bus/a.jpg", "bus").save()
    message = r"no image in common: .*'bus/a\.jpg'.*'old/bus/a\.jpg'; several images end alike: localize again from"
    with pytest.raises(UsageError, match=message):
        evaluate_files(predicted, truth)
    with pytest.raises(UsageError, match=r"no image in common: predictions name them like 'nothing'.*same images\?$"):
        evaluate_files(coco("empty").save(), truth)


def test_names_without_a_common_folder_are_matched_by_their_longest_common_ending():
    truth = images(*(image(f"images/{name}.jpg", RIGHT) for name in ("a/1", "b/1", "b/2", "c/3")))
    predicted = images(*(image(f"{name}.jpg", RIGHT) for name in ("a/1", "b/1", "other/2", "x/9")))
    result = evaluate(predicted, truth, maps={"a/1.jpg": np.eye(4)})
    assert (result.classes[0].images, result.classes[0].correct, result.classes[0].missing) == (4, 3, 1)
    assert result.unknown == ["x/9.jpg"]
    assert result.mean["MaxBoxAcc"].images == 2  # with a map, and without prediction
    assert "a/1.jpg with images/a/1.jpg" in names(result, "matched names")
    assert "longest common ending" in evaluation_table(result)


def test_names_that_differ_in_normalisation_or_letter_case_are_matched():
    truth = images(*(image(name, RIGHT) for name in ("b\u00fcs/1.jpg", "A.JPG", "c.jpg")))
    predicted = images(*(image(name, RIGHT) for name in ("bu\u0308s/1.jpg", "a.jpg", "c.jpg")))
    result = evaluate(predicted, truth)
    assert (result.classes[0].images, result.classes[0].correct, result.unknown) == (3, 3, [])
    twice = evaluate(images(image("a.jpg", RIGHT), image("a.JPG", RIGHT), image("c.jpg", RIGHT)), truth)
    assert twice.classes[0].correct == 1


def test_sides_that_are_exchanged_name_exif():
    shown, stored = (dataclasses.replace(image("a.jpg", RIGHT), width=w, height=h) for w, h in ((40, 30), (30, 40)))
    with pytest.raises(UsageError, match=r"\(40 × 30 predicted, 30 × 40 in the ground truth: stored rotated by EXIF"):
        evaluate(images(shown), images(stored))


def test_no_category_in_common_shows_both_and_the_cure(coco):
    truth = coco("truth").add("a", "bus", [("bus", 0, 0, 9, 9, 1)]).save()
    predicted = coco("predicted").add("a", "horse").save()
    with pytest.raises(
        UsageError, match=r"no category in common: predictions have horse, the ground truth bus; use --per"
    ):
        evaluate_files(predicted, truth)


@pytest.mark.parametrize("threshold", [-0.1, 1, 50, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(UsageError, match=r"IoU threshold must be from 0 to below 1, not"):
        EvaluateOptions(thresholds=(threshold,))


def test_a_missing_file_is_named(coco, tmp_path):
    path = coco("truth").add("a", "bus", [("bus", 0, 0, 9, 9, 1)]).save()
    with pytest.raises(UsageError, match=r"gone\.json: no such file"):
        evaluate_files(path, tmp_path / "gone.json")


def test_an_image_looked_at_for_two_classes_is_measured_in_both():
    truth = images(image("a", Annotation("bus", RIGHT), Annotation("dog", WRONG), category=None))
    listed = (("bus", 0.5), ("dog", 0.25))
    found = images(image("a", Annotation("bus", RIGHT), Annotation("dog", RIGHT), category=None, listed=listed))
    result = evaluate(found, truth)
    assert [(score.category, score.corloc) for score in result.classes] == [("bus", 100), ("dog", 0)]


def test_noise_scores_are_those_of_the_class():
    truth = images(image("a", Annotation("bus", RIGHT)), image("b"))
    found = images(
        image("a", category=None, listed=(("dog", 0.0), ("bus", 0.5))),
        image("b", category=None, listed=(("bus", 0.25), ("dog", 0.75))),
    )
    (score,) = evaluate(found, truth).classes
    assert score.noise_auc == 1
