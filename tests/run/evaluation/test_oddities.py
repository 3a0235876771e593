"""What does not fit is counted and named, and never becomes a silent 0 or 100."""

import math

import pytest

from jaxloc.data.annotations import Annotation
from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluate_files, evaluation_table, to_plain
from tests.run.evaluation.made import RIGHT, WRONG, image, images, kinds, names

GOOD = image("good", RIGHT)


def test_nothing_odd_is_nothing_told():
    assert evaluate(images(GOOD), images(GOOD)).notes == []


def test_images_on_one_side_only_are_named():
    result = evaluate(images(GOOD, image("other", RIGHT)), images(GOOD, image("gone", RIGHT)))
    assert names(result, "unknown images") == ("other",)
    assert names(result, "missing images") == ("gone",)
    assert (result.classes[0].images, result.classes[0].correct, result.classes[0].missing) == (2, 1, 1)
    assert result.mean_corloc == 50


def test_an_image_of_another_size_is_left_out_and_named():
    truth = images(GOOD, image("big", RIGHT, size=200))
    result = evaluate(images(GOOD, image("big", WRONG)), truth)
    assert names(result, "different sizes") == ("big (100 × 100 predicted, 200 × 200 in the ground truth)",)
    assert (result.mean_corloc, result.classes[0].images) == (100, 1)
    unknown = evaluate(images(GOOD, image("big", WRONG, size=None)), truth)
    assert (unknown.mean_corloc, kinds(unknown)) == (50, set())


def test_sizes_that_all_differ_are_refused():
    with pytest.raises(UsageError, match=r"no image is of the size .*: good \(100 × 100 predicted, 90 × 90 in"):
        evaluate(images(GOOD), images(image("good", RIGHT, size=90)))


def test_a_class_the_truth_does_not_have_is_named():
    predicted = images(GOOD, image("b", Annotation("bus", RIGHT), Annotation("zebra", RIGHT)))
    result = evaluate(predicted, images(GOOD, image("b", RIGHT)))
    assert names(result, "unknown classes") == ("zebra",)
    assert result.mean_corloc == 100
    result = evaluate(images(GOOD, image("b", category="zebra")), images(GOOD, image("b", RIGHT)))
    assert names(result, "unknown classes") == ("zebra",)
    assert result.mean_corloc == 50


def test_a_prediction_of_a_class_the_image_is_not_of_is_named():
    truth = images(GOOD, image("h", RIGHT, category="horse"))
    result = evaluate(images(GOOD, image("h", Annotation("bus", RIGHT), category="horse")), truth)
    assert names(result, "other classes") == ("h",)
    assert names(result, "no box") == ("h",)
    assert [score.correct for score in result.classes] == [1, 0]


def test_a_class_without_objects_has_no_figure_but_a_reason():
    truth = images(GOOD, image("h", category="horse"))
    result = evaluate(images(GOOD, image("h", RIGHT, category="horse")), truth)
    assert names(result, "no positives") == ("horse",)
    figure = result.classes[1].figures["CorLoc"]
    assert math.isnan(figure.value)
    assert figure.reason == "no image holds an object that counts"
    assert result.mean_corloc == 100
    assert math.isnan(evaluate(images(image("h", category="horse")), images(image("h", category="horse"))).mean_corloc)


def test_boxes_outside_their_image_and_without_area_are_named():
    out, flat, nan = (60.0, 60, 140, 90), (5.0, 5, 5, 9), (math.nan,) * 4
    truth = images(GOOD, image("out", out), image("flat", flat), image("nan", RIGHT))
    predicted = images(GOOD, image("out", out), image("flat", RIGHT), image("nan", nan))
    result = evaluate(predicted, truth)
    assert names(result, "outside in the ground truth") == names(result, "outside in the predictions") == ("out",)
    assert names(result, "no area in the ground truth") == ("flat",)
    assert names(result, "no area in the predictions") == ("nan",)
    assert (result.classes[0].images, result.classes[0].correct) == (3, 2)
    assert kinds(evaluate(images(image("a", (0.0, 0, 100.04, 50))), images(image("a", RIGHT)))) == set()


def test_a_score_that_is_no_number_and_several_boxes_are_named():
    several = [Annotation("bus", WRONG, score=math.nan), Annotation("bus", RIGHT, 0.5), Annotation("bus", WRONG, 0.2)]
    result = evaluate(images(image("good", *several)), images(GOOD))
    assert (names(result, "no score"), names(result, "several boxes")) == (("good",), ("good",))
    assert result.mean_corloc == 100


def test_an_image_without_class_or_objects_is_named():
    result = evaluate(images(GOOD), images(GOOD, image("empty", category=None)))
    assert names(result, "no class") == ("empty",)


def test_flagged_objects_do_not_count_nor_images_that_hold_no_others():
    flags = {"difficult": "d", "truncated": "t", "crowd": "c"}
    truth = [image(name, Annotation("bus", RIGHT, **{flag: True})) for flag, name in flags.items()]
    truth.append(image("mixed", Annotation("bus", RIGHT, truncated=True), Annotation("bus", WRONG)))
    predicted = images(GOOD, *(image(name, RIGHT) for name in (*flags.values(), "mixed")))
    result = evaluate(predicted, images(GOOD, *truth))
    assert names(result, "excluded images") == ("d (bus)", "t (bus)", "c (bus)")
    (score,) = result.classes
    assert (score.images, score.correct, score.excluded) == (2, 1, 3)
    difficult = evaluate(predicted, images(GOOD, *truth), EvaluateOptions(include_difficult=True)).classes[0]
    assert (difficult.images, difficult.correct, difficult.excluded) == (3, 2, 2)
    both = EvaluateOptions(include_difficult=True, include_truncated=True)
    (score,) = evaluate(predicted, images(GOOD, *truth), both).classes
    assert (score.images, score.correct, score.excluded) == (4, 4, 1)


def test_an_excluded_image_is_no_image_without_the_object():
    truth = images(GOOD, image("flagged", Annotation("bus", RIGHT, difficult=True)), image("without"))
    predicted = images(*(image(name, RIGHT, noise_score=0.1 * place) for place, name in enumerate(truth)))
    (score,) = evaluate(predicted, truth).classes
    assert (score.noisy_images, score.figures["noise AUC"].images) == (1, 2)


DAMAGED = {
    "no area": [5, 5, 0, 9],
    "outside": [500, 5, 9, 9],
    "no number": [5, 5, math.nan, 9],
    "null": [5, None, 9, 9],
}


@pytest.mark.parametrize("what", [*DAMAGED, "class"])
def test_images_whose_objects_are_damaged_are_named_and_no_images_without_the_object(coco, what):
    truth, predicted = coco("truth"), coco("predicted")
    for name, noise in (("good", 0.9), ("without", 0.1), ("lost", 1.0), ("half", 0.8)):
        truth.add(name, "bus", [] if name == "without" else [("bus", *RIGHT, 1)])
        predicted.add(name, "bus", [("bus", *RIGHT, 1)], noise)
    truth.add("bare", None, [("bus", *RIGHT, 1)])
    truth.annotations.append(dict(truth.annotations[2], id=77))
    for damaged in (1, -2, -1):  # of "lost" and "bare" the only box, of "half" one of two
        truth.annotations[damaged] |= {"category_id": 99} if what == "class" else {"bbox": DAMAGED[what]}
    result = evaluate_files(predicted.save(), truth.save())
    expected = ("lost (bus)", "bare" if what == "class" else "bare (bus)")
    assert names(result, "damaged images") == expected
    text = "Images all of whose true boxes are damaged, left out: 2, such as lost (bus)."
    assert text in evaluation_table(result)
    (score,) = result.classes
    assert (score.images, score.correct, score.excluded, score.noisy_images) == (2, 2, 0, 1)
    assert (score.noise_auc, score.figures["noise AUC"].images) == (1, 3)


def test_damaged_objects_of_another_class_do_not_matter(coco):
    truth = coco("truth").add("a", "bus", [("bus", *RIGHT, 1)]).add("b", "bus", [("horse", 5, 5, 5, 9, 1)])
    predicted = coco("predicted").add("a", "bus", noise=0.9).add("b", "bus", noise=0.1)
    result = evaluate_files(predicted.save(), truth.save())
    assert "damaged images" not in kinds(result)
    assert result.classes[0].noisy_images == 1
    result = evaluate_files(predicted.path, truth.path, EvaluateOptions(any_class=True))
    assert names(result, "damaged images") == ("b (object)",)


def test_a_box_without_area_in_memory_is_damaged_too():
    truth = images(GOOD, image("flat", (5.0, 5, 5, 9)), image("without"))
    predicted = images(*(image(name, RIGHT, noise_score=0.1 * place) for place, name in enumerate(truth)))
    result = evaluate(predicted, truth)
    assert names(result, "damaged images") == ("flat (bus)",)
    assert result.classes[0].noisy_images == 1


def test_a_declared_class_that_nothing_is_of_is_named(coco):
    truth = coco("truth").add("a", "bus", [("bus", *RIGHT, 1)]).save()
    result = evaluate_files(truth, truth)
    assert names(result, "no positives") == ("boat", "horse")
    for options in (EvaluateOptions(any_class=True), EvaluateOptions(classes=("bus",))):
        assert "no positives" not in kinds(evaluate_files(truth, truth, options))


def test_a_class_that_an_image_is_listed_for_and_the_truth_does_not_have_is_named():
    found = image("good", RIGHT, category=None, listed=(("bus", 0.5), ("zebra", 0.25)))
    assert names(evaluate(images(found), images(GOOD)), "unknown classes") == ("zebra",)


def of_two_classes():
    truth = images(
        GOOD,
        image("h", RIGHT, category="horse"),
        image("both", Annotation("bus", RIGHT), Annotation("horse", WRONG), category=None),
        image("neither", Annotation("dog", RIGHT), category=None),
    )
    return images(*(image(name, RIGHT) for name in ("good", "both", "neither"))), truth


def test_a_class_that_nothing_is_predicted_of_names_the_way_to_leave_it_out():
    predicted, truth = of_two_classes()
    result = evaluate(predicted, truth)
    assert names(result, "classes not predicted") == ("dog", "horse")
    text = "Classes of which nothing is predicted, counted as wrong; to leave them out, name the others by --class: 2,"
    assert text in evaluation_table(result)
    assert [(score.category, score.corloc) for score in result.classes] == [("bus", 100), ("dog", 0), ("horse", 0)]


def test_only_the_classes_asked_for_are_measured():
    predicted, truth = of_two_classes()
    result = evaluate(predicted, truth, EvaluateOptions(classes=("bus",)))
    assert [(score.category, score.images, score.correct) for score in result.classes] == [("bus", 2, 2)]
    assert names(result, "images of other classes") == ("neither",)
    assert kinds(result) == {"images of other classes"}
    assert "of the class; only of bus." in evaluation_table(result)
    result = evaluate(predicted, truth, EvaluateOptions(classes=("horse", "bus")))
    assert [(score.category, score.images) for score in result.classes] == [("bus", 2), ("horse", 2)]
    (score,) = evaluate(predicted, truth, EvaluateOptions(classes=("horse",), any_class=True)).classes
    assert (score.category, score.images, score.correct, score.missing) == ("object", 2, 0, 1)


def test_a_class_the_truth_has_no_images_of_is_refused():
    predicted, truth = of_two_classes()
    with pytest.raises(UsageError, match=r"no images of the class 'cow'; it has bus, dog, horse"):
        evaluate(predicted, truth, EvaluateOptions(classes=("bus", "cow")))


def test_an_image_that_may_hold_the_class_asked_for_is_still_named(coco):
    truth = coco("truth").add("a", None, [("bus", *RIGHT, 1)]).add("b", None, [("bus", *RIGHT, 1)])
    truth.annotations[1]["category_id"] = 99
    result = evaluate_files(truth.save(), truth.path, EvaluateOptions(classes=("bus",)))
    assert names(result, "damaged images") == ("b",)


def test_a_noise_score_that_is_no_number_is_named():
    truth = images(GOOD, image("without"), image("odd"))
    scores = {"good": 0.9, "without": 0.1, "odd": math.nan}
    result = evaluate(images(*(image(name, RIGHT, noise_score=score) for name, score in scores.items())), truth)
    assert names(result, "no noise score") == ("odd",)
    assert result.classes[0].noise_auc == 1


def test_splits_choose_images_and_one_that_is_not_there_is_refused():
    truth = images(image("a", RIGHT, splits=("train",)), image("b", WRONG, splits=("train", "test")))
    predicted = images(image("a", RIGHT), image("b", RIGHT), image("c", RIGHT))
    result = evaluate(predicted, truth, EvaluateOptions(splits=("test",)))
    assert (result.mean_corloc, names(result, "images of other splits"), result.unknown) == (0, ("a",), ["c"])
    with pytest.raises(UsageError, match=r"no images of the split 'val'; it has test, train"):
        evaluate(predicted, truth, EvaluateOptions(splits=("test", "val")))
    with pytest.raises(UsageError, match=r"no images of the split 'val'; it has no splits"):
        evaluate(predicted, images(GOOD), EvaluateOptions(splits=("val",)))


def test_what_was_wrong_in_a_file_is_told(coco):
    truth = coco("truth").add("a", "bus", [("bus", 0, 0, 50, 50, 1), ("bus", 0, 0, 0, 50, 1)]).save()
    predicted = coco("predicted").add("a", "bus", [("bus", 0, 0, 50, 500, 1)]).save()
    result = evaluate_files(predicted, truth)
    (clipped,) = names(result, "box that reaches out of the image in the predictions")
    assert "predicted.json: annotation 0 of a reaches out" in clipped
    assert "truth.json" in names(result, "box without area in the ground truth")[0]


def test_the_table_and_the_json_name_everything():
    truth = images(GOOD, image("gone", RIGHT), image("h", category="horse"))
    result = evaluate(images(GOOD, image("h", RIGHT, category="horse"), image("x", RIGHT)), truth)
    text = evaluation_table(result)
    assert "Not in the predictions, counted as wrong: 1 of bus." in text
    assert "Not in the ground truth, left out: 1, such as x." in text
    assert "Classes without an object that counts, not measured: 1, such as horse." in text
    told = {note["kind"]: (note["count"], note["names"]) for note in to_plain(result)["notes"]}
    assert told["missing images"] == (1, ["gone"])
    assert told["unknown images"] == (1, ["x"])
    assert told["no positives"] == (1, ["horse"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"thresholds": ()}, "at least one IoU threshold"),
        ({"thresholds": (0.5, 0.5)}, "given twice"),
        ({"thresholds": (0.0,), "at_least": True}, "above 0 and at most 1, not 0"),
        ({"thresholds": (1.1,), "at_least": True}, "above 0 and at most 1, not 1.1"),
        ({"samples": -1}, "whole numbers from 0"),
        ({"seed": -1}, "whole numbers from 0"),
        ({"confidence": 95}, "must be above 0 and below 1, not 95"),
    ],
)
def test_options_that_make_no_sense_are_refused(given, message):
    with pytest.raises(UsageError, match=message):
        EvaluateOptions(**given)
