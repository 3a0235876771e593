"""Retrieval measures against hand-worked cases and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from jaxloc import metrics
from jaxloc.metrics import rankings as module
from tests.reference import whitening as reference

rankings = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=30)


@settings(max_examples=100)
@given(rankings)
def test_average_precision_is_scikit_learns_with_ties_and_junk(entries):
    entries = sorted(entries, key=lambda entry: -entry[2])
    relevant, keep, scores = (np.array(column) for column in zip(*entries, strict=True))
    for order in (scores, -np.arange(len(entries))):
        found = metrics.average_precision(relevant, order, keep=keep)
        if (relevant & keep).any():
            assert found == pytest.approx(average_precision_score(relevant[keep], order[keep]), abs=1e-12)
        else:
            assert np.isnan(found)
    strict = metrics.average_precision(relevant, keep=keep)
    np.testing.assert_allclose(strict, found, atol=1e-12)


@settings(max_examples=100)
@given(rankings, st.integers(1, 40))
def test_measures_equal_their_definitions_and_junk_is_as_if_absent(entries, k):
    relevant, keep, _ = (np.array(column) for column in zip(*entries, strict=True))
    left = relevant[keep]
    found = metrics.top_k_average_precision(relevant, k, keep=keep)
    assert found == pytest.approx(reference.top_k_average_precision(left, k), abs=1e-12)
    assert metrics.recall_at(relevant, k, keep=keep) == float(left[:k].any())
    assert metrics.recall_at(left, k) == float(left[:k].any())
    assert metrics.top_k_average_precision(left, k) == pytest.approx(found, abs=1e-12)
    positives, junk = np.flatnonzero(relevant & keep).tolist(), np.flatnonzero(~keep).tolist()
    trapezoid = metrics.trapezoid_average_precision(relevant, keep=keep)
    expected = reference.trapezoid_average_precision(np.arange(len(relevant)), positives, junk)
    np.testing.assert_allclose(trapezoid, expected, atol=1e-12)
    if positives:
        assert trapezoid <= metrics.average_precision(relevant, keep=keep) + 1e-12


def test_trapezoid_on_a_worked_example():
    similarity = np.random.default_rng(0).normal(size=(20, 3))
    ranking = np.argsort(-similarity, axis=0).T
    relevant = np.stack([np.isin(row, truth) for row, truth in zip(ranking, ([1, 4, 9], [2], []), strict=True)])
    keep = np.stack([~np.isin(row, junk) for row, junk in zip(ranking, ([0, 7], [], [3]), strict=True)])
    found = metrics.trapezoid_average_precision(relevant, keep=keep)
    np.testing.assert_allclose(found, [0.105434, 0.125, np.nan], atol=1e-6)
    assert np.nanmean(found) == pytest.approx(0.115217, abs=1e-6)


def test_top_k_at_one_is_recall_at_one_and_ignores_what_was_missed():
    relevant = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    np.testing.assert_array_equal(metrics.top_k_average_precision(relevant, 1), metrics.recall_at(relevant, 1))
    np.testing.assert_allclose(metrics.top_k_average_precision(relevant, 2), [1, 0.5, 0, 1])
    np.testing.assert_allclose(metrics.top_k_average_precision(relevant, 99), [0.75, (1 / 2 + 2 / 3) / 2, 0, 1])
    np.testing.assert_allclose(metrics.average_precision(relevant), [0.75, (1 / 2 + 2 / 3) / 2, np.nan, 1])


def test_many_rankings_equal_one_at_a_time_across_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    relevant, keep = rng.random((2, 5, 30)) < 0.3, rng.random((2, 5, 30)) < 0.8
    scores = -np.sort(rng.integers(0, 6, (2, 5, 30)), -1)
    monkeypatch.setattr(module, "_BLOCK", 90)
    for measure in (
        lambda r, k, s: metrics.top_k_average_precision(r, 4, keep=k),
        lambda r, k, s: metrics.recall_at(r, 2, keep=k),
        lambda r, k, s: metrics.average_precision(r, s, keep=k),
        lambda r, k, s: metrics.trapezoid_average_precision(r, keep=k),
    ):
        together = measure(relevant, keep, scores)
        assert together.shape == (2, 5)
        for place in np.ndindex(2, 5):
            alone = measure(relevant[place], keep[place], scores[place])
            assert isinstance(alone, float)
            np.testing.assert_allclose(together[place], alone, atol=1e-12)


def test_ranking_cut_short_counts_the_positives_it_misses():
    relevant = np.array([True, False, True])
    assert metrics.average_precision(relevant, positives=4) == pytest.approx((1 + 2 / 3) / 4)
    assert metrics.trapezoid_average_precision(relevant, positives=4) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 4)
    assert metrics.average_precision(np.array([False]), positives=2) == 0


def test_empty_rankings_have_no_average_precision():
    nothing = np.zeros((3, 0), bool)
    np.testing.assert_array_equal(metrics.average_precision(nothing), [np.nan] * 3)
    np.testing.assert_array_equal(
        metrics.trapezoid_average_precision(nothing, positives=[0, 1, 0]), [np.nan, 0, np.nan]
    )
    np.testing.assert_array_equal(metrics.top_k_average_precision(nothing, 5), 0)
    np.testing.assert_array_equal(metrics.recall_at(nothing, 5), 0)
    assert metrics.average_precision(np.zeros((0, 4), bool)).shape == (0,)


def test_judge_leaves_unused_places_out():
    ranking = [[-1, 0, 1, -1], [1, 3, -1, -1]]
    found = metrics.judge(ranking, ["owl", "wren"], ["owl", "wren", "owl", "owl"])
    np.testing.assert_array_equal(found.relevant, [[False, True, False, False], [True, False, False, False]])
    np.testing.assert_array_equal(found.keep, [[False, True, True, False], [True, True, False, False]])
    np.testing.assert_array_equal(found.positives, [3, 1])
    positives = found.positives - [1, 0]  # the first query is in the gallery itself
    np.testing.assert_allclose(
        metrics.average_precision(found.relevant, keep=found.keep, positives=positives), [0.5, 1]
    )


def test_judge_takes_one_ranking():
    found = metrics.judge(np.array([1, 0, 2]), 5, [5, 4, 5])
    np.testing.assert_array_equal(found.relevant, [False, True, True])
    assert found.keep.all()
    assert found.positives == 2
    empty = metrics.judge(np.full((2, 3), -1), [1, 2], np.zeros(0, int))
    assert not empty.relevant.any()
    assert not empty.keep.any()
    np.testing.assert_array_equal(empty.positives, 0)


def test_wrong_rankings_are_refused():
    relevant = np.array([[True, False], [False, True]])
    for wrong in (relevant.astype(int), np.array(True)):
        with pytest.raises(ValueError, match="relevant must be bool"):
            metrics.average_precision(wrong)
    for keep in (relevant[0], relevant.astype(int)):
        with pytest.raises(ValueError, match="keep must be bool"):
            metrics.recall_at(relevant, 1, keep=keep)
    for k in (0, -1, 1.5):
        with pytest.raises(ValueError, match="k must be a whole number from 1"):
            metrics.top_k_average_precision(relevant, k)
        with pytest.raises(ValueError, match="k must be a whole number from 1"):
            metrics.recall_at(relevant, k)
    for scores in ([[0.1, 0.2], [1, 0]], [[1, np.nan], [1, 0]], [[np.nan, 1], [1, 0]]):
        with pytest.raises(ValueError, match="scores must fall"):
            metrics.average_precision(relevant, scores)
    with pytest.raises(ValueError, match=r"scores must be \(2, 2\)"):
        metrics.average_precision(relevant, [1, 0])
    for positives in (3, [1.0, 1.0], [[1], [1]]):
        with pytest.raises(ValueError, match="one per ranking"):
            metrics.trapezoid_average_precision(relevant, positives=positives)
    with pytest.raises(ValueError, match="a ranking holds more"):
        metrics.average_precision(relevant, positives=[0, 1])


def test_wrong_truth_is_refused():
    ranking = np.array([[0, 1]])
    for wrong in (np.array([[0.0, 1.0]]), np.zeros((1, 1, 1), int)):
        with pytest.raises(ValueError, match="ranking must be integers"):
            metrics.judge(wrong, [1], [1, 2])
    for outside in ([[0, 2]], [[-2, 0]]):
        with pytest.raises(ValueError, match="positions in a gallery of 2"):
            metrics.judge(outside, [1], [1, 2])
    with pytest.raises(ValueError, match="labels must be"):
        metrics.judge(ranking, [1, 2], [1, 2])
