"""Measures of groups, beside scikit-learn and cases worked by hand."""

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from jaxloc.metrics import bcubed, normalized_mutual_information, purity

GROUPS = [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]
CLASSES = list("xxxxxo" + "xoooo+" + "xx+++")
"""Figure 16.4 of "Introduction to information retrieval"."""


def test_the_example_of_the_book():
    assert purity(GROUPS, CLASSES) == pytest.approx(12 / 17)
    assert normalized_mutual_information(GROUPS, CLASSES) == pytest.approx(0.36, abs=0.005)


def test_bcubed_of_a_case_worked_by_hand():
    # a a b | b: precision of a is 2/3 twice, of b 1/3 and 1; recall of a is 1 twice, of b 1/2 twice.
    precision, recall, f = bcubed([0, 0, 0, 1], list("aabb"))
    assert precision == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    assert recall == pytest.approx((1 + 1 + 1 / 2 + 1 / 2) / 4)
    assert f == pytest.approx(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("groups", [1, 3, 40])
def test_information_is_that_of_scikit_learn_and_bcubed_that_of_its_definition(groups):
    draw = np.random.default_rng(groups)
    found, classes = draw.integers(groups, size=90), draw.integers(5, size=90)
    expected = normalized_mutual_info_score(classes, found)
    assert normalized_mutual_information(found, classes) == pytest.approx(expected, abs=1e-12)
    same_group, same_class = found[:, None] == found, classes[:, None] == classes
    both = (same_group & same_class).sum(1)
    assert bcubed(found, classes)[:2] == pytest.approx(
        [(both / same_group.sum(1)).mean(), (both / same_class.sum(1)).mean()]
    )


def test_groups_that_are_the_classes_measure_1_whatever_their_names():
    for classes in (["a", "a", "b"], ["a", "a"]):
        groups = [f"group of {name}" for name in classes]
        measured = purity(groups, classes), normalized_mutual_information(groups, classes), bcubed(groups, classes).f
        assert measured == (1, 1, 1)


def test_many_small_groups_are_pure_and_their_recall_is_low():
    assert purity(range(4), [0, 0, 1, 1]) == bcubed(range(4), [0, 0, 1, 1]).precision == 1
    assert bcubed(range(4), [0, 0, 1, 1]).recall == 0.5


def test_of_no_image_nothing_is_measured_and_lengths_must_agree():
    assert np.isnan([purity([], []), normalized_mutual_information([], []), *bcubed([], [])]).all()
    with pytest.raises(ValueError, match=r"one length, got \(2,\) and \(3,\)"):
        purity([1, 2], [1, 2, 3])
