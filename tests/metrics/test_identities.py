"""Re-identification with one gallery image of each identity."""

import numpy as np
import pytest

from jaxloc.metrics import one_of_each, reidentify

LABELS = np.array(["b", "a", "b", "c", "a", "b"])


def test_each_draw_takes_one_image_of_each_identity():
    draws = [one_of_each(LABELS, number) for number in range(50)]
    for chosen in draws:
        assert sorted(LABELS[chosen]) == ["a", "b", "c"]
    assert (np.any(draws, 0)).all()
    assert 5 < sum(chosen[0] for chosen in draws) < 30
    np.testing.assert_array_equal(one_of_each(LABELS, 7), draws[7])
    assert any((one_of_each(LABELS, number, seed=1) != draws[number]).any() for number in range(10))


def test_cumulative_matches_and_average_precision():
    similarity = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5], [0.7, 0.6, 0.1], [0.1, 0.2, 0.3]])
    found = reidentify(similarity, ["a", "a", "c", "unknown"], ["a", "b", "c"], ranks=(1, 2, 3))
    np.testing.assert_allclose(found.matches, [1 / 3, 1 / 3, 1])
    assert found.mean_average_precision == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    several = reidentify(np.array([[0.9, 0.8, 0.7]]), ["a"], ["a", "b", "a"])
    assert several.mean_average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(reidentify(similarity[3:], ["unknown"], ["a", "b", "c"]).mean_average_precision)
    with pytest.raises(ValueError, match=r"similarity must be \[q, g\]"):
        reidentify(similarity, ["a"], ["a", "b", "c"])
