"""Groups of a pile beside the classes of the truth."""

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation import evaluate, evaluation_table, to_plain
from tests.run.evaluation.made import RIGHT, WRONG, image, images, names

GROUPS = EvaluateOptions(groups=True)
TRUTH = images(
    *(image(name, RIGHT, category="bus") for name in "abc"), *(image(name, RIGHT, category="horse") for name in "de")
)
FOUND = images(
    *(image(name, RIGHT, category="group-01") for name in "ab"),
    *(image(name, box, category="group-02") for name, box in zip("cde", (WRONG, RIGHT, RIGHT), strict=True)),
)


def test_groups_are_measured_and_boxes_count_for_the_class_of_their_image():
    result = evaluate(FOUND, TRUTH, GROUPS)
    assert (result.groups.images, result.groups.groups, result.groups.classes) == (5, 2, 2)
    assert result.groups.purity == pytest.approx(4 / 5)
    assert {score.category: score.correct for score in result.classes} == {"bus": 2, "horse": 2}
    assert "Groups: 2 of 5 images in 2 classes: purity 80.00, NMI 43.25, BCubed precision" in evaluation_table(result)
    assert to_plain(result)["groups"]["bcubed"]["recall"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5)
    assert to_plain(evaluate(TRUTH, TRUTH)).keys() == to_plain(result).keys() - {"groups"}


def test_labels_without_boxes_are_enough_for_groups():
    labels = images(*(image(name, category="bus") for name in "abc"), image("d", category="horse"))
    result = evaluate(FOUND, labels, GROUPS)
    assert result.groups.purity == pytest.approx(3 / 4)
    assert "Not measured: CorLoc" in evaluation_table(result)


def test_images_of_several_classes_are_named_and_none_is_an_error():
    several = image("a", RIGHT, category=None, listed=(("bus", None), ("horse", None)))
    result = evaluate(FOUND, TRUTH | images(several), GROUPS)
    assert names(result, "groups of several classes") == ("a",)
    assert result.groups.images == 4
    with pytest.raises(UsageError, match="no image has both a group and one true class: compare what `jaxloc discover"):
        evaluate(images(image("a", RIGHT)), images(several), GROUPS)
