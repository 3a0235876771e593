"""Measures beyond CorLoc on images made by hand, and what they say where they cannot be taken."""

import math
import re

import numpy as np
import pytest

from jaxloc.data.annotations import Annotation, Keypoint
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluation_table
from tests.run.evaluation.made import RIGHT, WRONG, image, images, kinds, mask, masked, names


def value(result, name: str) -> float:
    return result.mean[name].value


def test_each_threshold_is_a_column():
    truth, predicted = images(image("a", (0.0, 0, 10, 10))), images(image("a", (0.0, 0, 10, 5)))
    result = evaluate(predicted, truth, EvaluateOptions(thresholds=(0.4, 0.5)))
    assert (value(result, "CorLoc@0.4"), value(result, "CorLoc@0.5")) == (100, 0)
    assert (result.mean_corloc, result.classes[0].correct) == (100, 1)
    reached = evaluate(predicted, truth, EvaluateOptions(at_least=True))
    assert (value(reached, "CorLoc"), value(evaluate(predicted, truth), "CorLoc")) == (100, 0)
    corners = evaluate(predicted, truth, EvaluateOptions(voc_inclusive=True))
    assert value(corners, "CorLoc") == 100


def test_pcp_counts_true_boxes_and_corloc_images():
    truth = images(image("a", RIGHT, WRONG, (0.0, 0, 5, 5)), image("b", RIGHT))
    predicted = images(image("a", RIGHT, WRONG), image("b", RIGHT))
    result = evaluate(predicted, truth, EvaluateOptions(pcp=True))
    assert (value(result, "CorLoc"), value(result, "PCP")) == (100, 75)
    assert value(result, "best overlap") == 75
    assert value(evaluate(predicted, predicted, EvaluateOptions(pcp=True)), "best overlap") == 100


def test_classes_that_no_classifier_predicted_are_told():
    truth = images(image("bus/a", RIGHT), image("bus/b", RIGHT), image("horse/c", RIGHT, category="horse"))
    folders = images(image("bus/a", RIGHT), image("bus/b"), image("horse/c", WRONG, category="horse"))
    result = evaluate(folders, truth, EvaluateOptions(top_one=True))
    text = "Every predicted class is the true one, .*: no classifier was involved, and top-1 is GT-known"
    (note,) = (note for note in result.notes if note.kind == "no classifier")
    assert re.fullmatch(text, note.text)
    assert value(result, "GT-known") == value(result, "top-1") == 25
    assert "no classifier" not in kinds(evaluate(folders, truth))
    wrong = folders | images(image("horse/c", RIGHT, category="bus"))
    assert "no classifier" not in kinds(evaluate(wrong, truth, EvaluateOptions(top_one=True)))


def test_any_class_compares_boxes_alone():
    truth = images(image("a", RIGHT, category="bus"), image("b", RIGHT, category="horse"))
    predicted = images(image("a", RIGHT, category="thing"), image("b", WRONG, category="thing"))
    result = evaluate(predicted, truth, EvaluateOptions(any_class=True))
    assert [(score.category, score.images, score.correct) for score in result.classes] == [("object", 2, 1)]


def test_top_one_needs_the_class_that_was_predicted():
    truth = images(*(image(name, RIGHT, category="bus") for name in "abcd"), image("h", RIGHT, category="horse"))
    predicted = images(
        image("a", RIGHT, category="bus"),
        image("b", Annotation("horse", RIGHT), category="horse"),
        image("c", Annotation("horse", WRONG, 0.2), Annotation("bus", RIGHT, 0.9), category=None),
        image("h", category="horse"),
    )
    result = evaluate(predicted, truth, EvaluateOptions(top_one=True))
    bus = result.classes[0].figures
    assert (bus["GT-known"].value, bus["top-1"].value, bus["CorLoc"].value) == (75, 50, 50)
    assert result.classes[1].figures["GT-known"].value == 0


def test_masks_are_measured_where_both_sides_have_them():
    upper, left = mask(slice(50), slice(None)), mask(slice(None), slice(50))
    truth = images(image("a", masked(upper)), image("gone", masked(upper)), image("boxed", masked(upper)))
    predicted = images(image("a", masked(left)), image("boxed", RIGHT))
    result = evaluate(predicted, truth, EvaluateOptions(masks=True))
    assert names(result, "no mask") == ("boxed",)
    assert value(result, "Jaccard") == pytest.approx(100 * (1 / 3 + 0) / 2)
    assert value(result, "precision") == pytest.approx(100 * (0.5 + 0.5) / 2)
    assert result.mean["Jaccard"].images == 2


def test_pixels_of_objects_that_do_not_count_belong_to_neither_side():
    upper, left = mask(slice(50), slice(None)), mask(slice(None), slice(50))
    truth = images(image("a", masked(upper), masked(~upper, difficult=True)))
    result = evaluate(images(image("a", masked(left))), truth, EvaluateOptions(masks=True))
    assert (value(result, "Jaccard"), value(result, "precision")) == (50, 50)


def test_an_images_own_mask_serves_and_one_of_another_size_is_named():
    upper = masked(mask(slice(50), slice(None))).mask
    truth = images(
        image("a", RIGHT, mask=upper),
        image("b", RIGHT, mask=upper),
        image("noisy", mask=masked(mask(slice(0), slice(0))).mask),
    )
    small = masked(mask(slice(5), slice(None), side=10)).mask
    predicted = images(image("a", RIGHT, mask=upper), image("b", RIGHT, mask=small), image("noisy", mask=upper))
    result = evaluate(predicted, truth, EvaluateOptions(masks=True))
    assert names(result, "mask sizes") == ("b",)
    assert (value(result, "Jaccard"), result.mean["Jaccard"].images) == (100, 1)
    assert (value(result, "precision"), result.mean["precision"].images) == (75, 2)


def test_true_masks_that_do_not_fit_are_named_and_not_measured():
    small = masked(mask(slice(5), slice(None), side=10)).mask
    upper = masked(mask(slice(50), slice(None)))
    odd = image("odd", upper, Annotation("bus", WRONG, mask=small))
    truth = images(image("a", upper), image("small", RIGHT, mask=small), odd)
    maps = {name: blob(slice(0, 5), slice(0, 10)) for name in truth}
    result = evaluate(images(*(image(name, upper) for name in truth)), truth, EvaluateOptions(masks=True), maps=maps)
    assert [note.names for note in result.notes if note.kind == "mask sizes"] == [("small", "odd")] * 2
    assert result.mean["Jaccard"][:2] == (100, 1)
    assert result.mean["PxAP"].images == 1


def test_without_masks_or_parts_the_reason_is_told():
    plain, whole = images(image("a", RIGHT)), images(image("a", masked(mask(slice(50), slice(None)))))
    options = EvaluateOptions(masks=True, parts=True)
    for predicted, truth, reason in (
        (whole, plain, "the ground truth has no masks"),
        (plain, whole, "the predictions have no masks"),
    ):
        figure = evaluate(predicted, truth, options).mean["Jaccard"]
        assert (math.isnan(figure.value), figure.reason) == (True, reason)
    assert evaluate(plain, plain, options).mean["PCP parts"].reason == "the ground truth has no parts"
    shown = images(image("a", Annotation("bus", RIGHT, parts=(("head", RIGHT),))))
    assert evaluate(plain, shown, options).mean["PCP head"].reason == "the predictions have no parts"


def parted(name: str, *parts, box=RIGHT, category: str = "bus") -> tuple:
    return image(name, Annotation(category, box, parts=parts), category=category)


def test_unnamed_parts_are_matched_once_for_all_images_of_a_set():
    head, torso = (0.0, 0, 20, 20), (30.0, 30, 80, 80)
    truth = images(*(parted(name, ("head", head), ("torso", torso)) for name in "abc"), parted("d", ("head", head)))
    predicted = images(
        *(parted(name, ("1", torso), ("2", head)) for name in "ab"), parted("c", ("1", head)), parted("d", ("2", head))
    )
    result = evaluate(predicted, truth, EvaluateOptions(parts=True))
    assert result.assigned == {"bus": {"1": "torso", "2": "head"}}
    assert (value(result, "PCP head"), result.mean["PCP head"].images) == (75, 4)
    assert value(result, "PCP torso") == pytest.approx(200 / 3)
    named = images(*(parted(name, ("torso", head), ("head", torso)) for name in "abcd"))
    result = evaluate(named, truth, EvaluateOptions(parts=True))
    assert (value(result, "PCP head"), value(result, "PCP torso")) == (0, 0)


@pytest.mark.parametrize("any_class", [False, True])
def test_parts_of_each_set_are_matched_on_their_own(any_class):
    head, torso = (0.0, 0, 20, 20), (30.0, 30, 80, 80)
    truth = images(
        *(parted(name, ("head", head), ("torso", torso), category=name[:-1]) for name in ("bus1", "horse1", "horse2"))
    )
    predicted = images(
        parted("bus1", ("1", torso), ("2", head), category="bus"),
        *(parted(name, ("1", head), ("2", torso), category="horse") for name in ("horse1", "horse2")),
    )
    result = evaluate(predicted, truth, EvaluateOptions(parts=True, any_class=any_class))
    assert result.assigned == {"bus": {"1": "torso", "2": "head"}, "horse": {"1": "head", "2": "torso"}}
    assert (value(result, "PCP head"), value(result, "PCP torso")) == (100, 100)
    assert "Parts: 1 is head in 1 of 2 sets, 1 is torso in 1 of 2 sets, " in evaluation_table(result)


def test_parts_stand_round_points_and_images_with_several_objects_are_named():
    points = tuple(Keypoint(*point) for point in (("beak", 0, 0), ("nape", 20, 20), ("tail", 9, 9, False)))
    truth = images(image("a", Annotation("bus", RIGHT, keypoints=points)), image("two", RIGHT, WRONG))
    result = evaluate(images(parted("a", ("1", (0.0, 0, 20, 19)))), truth, EvaluateOptions(parts=True))
    assert value(result, "PCP head") == 100
    assert names(result, "several objects") == ("two",)
    assert list(result.mean) == ["CorLoc", "PCP head"]


def test_a_truth_without_parts_says_only_so():
    truth = images(image("a", RIGHT), image("two", RIGHT, WRONG))
    result = evaluate(images(parted("a", ("1", RIGHT))), truth, EvaluateOptions(parts=True))
    assert "several objects" not in kinds(result)
    assert result.mean["PCP parts"].reason == "the ground truth has no parts"
    head = Annotation("bus", RIGHT, parts=(("head", RIGHT),))
    result = evaluate(images(image("two", RIGHT)), images(image("two", head, head)), EvaluateOptions(parts=True))
    assert names(result, "several objects") == ("two",)
    assert result.mean["PCP parts"].reason == "no image of a single object of its class has parts"


def blob(rows: slice, columns: slice) -> np.ndarray:
    heat = np.full((10, 10), -50, np.int8)
    heat[rows, columns] = 100
    return heat


def test_score_maps_are_measured_against_boxes_and_masks():
    box = (20.0, 20, 60, 60)
    truth = images(image("a", masked(mask(slice(20, 60), slice(20, 60)), box)), image("b", box), image("gone", box))
    predicted = images(image("a", WRONG), image("b", WRONG))
    maps = {"a": blob(slice(2, 6), slice(2, 6)), "b": blob(slice(3, 6), slice(2, 6))}
    result = evaluate(predicted, truth, maps=maps)
    assert value(result, "MaxBoxAcc") == pytest.approx(100 * 2 / 3)
    assert 0 < value(result, "MaxBoxAccV2") <= value(result, "MaxBoxAcc")
    assert value(result, "PxAP") > 95
    assert result.mean["PxAP"].images == 1
    assert (value(result, "saliency precision"), result.mean["saliency precision"].images) == (100, 2)
    shifted = evaluate(
        predicted, truth, maps={"a": blob(slice(2, 6), slice(4, 8)), "b": blob(slice(7, 9), slice(7, 9))}
    )
    assert value(shifted, "saliency precision") == pytest.approx((50 + 0) / 2)
    assert value(shifted, "PxAP") < 70
    assert value(result, "saliency AUC") > value(shifted, "saliency AUC") > 0


def test_images_without_map_size_or_saliency_are_named():
    truth = images(
        *(image(name, RIGHT, size=None if name == "unsized" else 100) for name in ("a", "unsized", "flat", "none"))
    )
    maps = {"a": blob(slice(1, 5), slice(1, 5)), "unsized": blob(slice(1, 5), slice(1, 5)), "flat": np.zeros((4, 4))}
    result = evaluate(truth, truth, maps=maps)
    assert names(result, "no map") == ("none",)
    assert names(result, "no size") == ("unsized",)
    assert names(result, "no saliency") == ("flat",)
    assert value(result, "MaxBoxAcc") == 50
    nothing = evaluate(truth, truth, maps={}).mean["MaxBoxAcc"]
    assert (math.isnan(nothing.value), nothing.reason) == (True, "no image that counts has a score map")


def test_the_roc_curve_of_each_class_is_kept():
    truth = images(*(image(name, RIGHT) for name in "ab"), image("n"))
    predicted = images(*(image(name, noise_score=score) for name, score in (("a", 0.9), ("b", 0.3), ("n", 0.4))))
    result = evaluate(predicted, truth)
    assert result.classes[0].noise_auc == 0.5
    np.testing.assert_array_equal(result.noise["bus"].true_positive_rate, [0, 0.5, 0.5, 1])
    assert result.overall["noise AUC"].reason == "not measured across classes"


def test_intervals_hold_the_figures_and_follow_the_seed():
    rng = np.random.default_rng(0)
    truth = {f"{n}": image(f"{n}", RIGHT, category=("bus", "horse")[n % 2]) for n in range(40)}
    predicted = {
        name: image(name, RIGHT if rng.random() < 0.6 else WRONG, category=one.category) for name, one in truth.items()
    }
    options = EvaluateOptions(samples=100, pcp=True)
    result = evaluate(predicted, truth, options)
    for figures in (result.mean, result.overall, *(score.figures for score in result.classes)):
        for figure in figures.values():
            assert 0 < figure.interval.low < figure.value < figure.interval.high < 100
    assert evaluate(predicted, truth, options).mean == result.mean
    assert evaluate(predicted, truth, EvaluateOptions(samples=100, seed=1)).mean["CorLoc"] != result.mean["CorLoc"]
    assert evaluate(predicted, truth).mean["CorLoc"].interval is None
