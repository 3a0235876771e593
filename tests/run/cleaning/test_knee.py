"""The knee of sorted scores."""

import numpy as np
import pytest

from jaxloc.run.cleaning.rules import find_knee


def test_knee_lies_where_a_steep_rise_ends():
    scores = np.concatenate([np.linspace(0, 0.3, 4), np.linspace(0.31, 0.5, 20)])
    assert find_knee(scores) == pytest.approx(0.31, abs=0.011)
    assert find_knee(scores[::-1]) == find_knee(scores)


def test_scale_and_shift_do_not_move_it():
    scores = np.sqrt(np.arange(40))
    place = np.searchsorted(scores, find_knee(scores))
    assert place == 10  # sqrt(x) - x is highest at a quarter
    assert find_knee(3 * scores + 2) == pytest.approx(3 * scores[place] + 2)


@pytest.mark.parametrize(
    "scores", [[], [0.5], [0, 0.1, 0.9], [0.2] * 9, np.linspace(0, 1, 30), np.linspace(0, 1, 30) ** 2]
)
def test_none_where_there_is_none(scores):
    assert find_knee(np.array(scores)) is None


def test_it_lies_in_the_lower_half():
    scores = np.concatenate([np.linspace(0, 0.2, 30), np.linspace(0.8, 1, 5)])
    knee = find_knee(scores)
    assert knee is None or knee <= np.median(scores)


def test_the_first_knee_is_taken_where_the_fall_after_it_is_deep_enough():
    # At 0.2 the curve falls by less than the distance of two points before it rises again, at 0.45 by more.
    scores = np.concatenate([[0, 0.1, 0.2, 0.23, 0.45], np.linspace(0.46, 0.6, 14), [0.8, 1]])
    assert find_knee(scores) == pytest.approx(0.45)
