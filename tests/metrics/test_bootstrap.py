"""Bootstrap intervals: against scipy, and what decides them."""

import numpy as np
import pytest
from scipy import stats

from jaxloc import metrics


def test_the_interval_is_near_scipys_and_brackets_the_figure():
    values = np.random.default_rng(0).random(80) < 0.6
    found = metrics.bootstrap_interval(values, seed=1, samples=4000)
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=2).confidence_interval
    np.testing.assert_allclose(found, expected, atol=0.013)
    assert found.low < values.mean() < found.high
    wide = metrics.bootstrap_interval(values, seed=1, samples=4000, confidence=0.99)
    assert wide.low < found.low < found.high < wide.high


def test_the_seed_decides_and_streams_differ():
    values = np.random.default_rng(0).normal(size=30)
    one, again, other = (metrics.bootstrap_interval(values, seed=seed, samples=50) for seed in (1, 1, 2))
    assert one == again != other
    first, second = (next(metrics.resamples(30, samples=1, seed=0, stream=stream)) for stream in (0, 1))
    assert (first != second).any()
    assert set(first) <= set(range(30))
    assert len(first) == 30


def test_any_statistic_of_images_will_do_and_draws_without_one_are_left_out():
    values = np.array([[0.1, 0], [0.9, 1], [0.8, 1]])
    found = metrics.bootstrap_interval(values, lambda some: metrics.roc_auc(*some.T), seed=0, samples=100)
    assert found == (1, 1)
    same = metrics.bootstrap_interval(np.ones((3, 2)), lambda some: metrics.roc_auc(*some.T), seed=0, samples=10)
    assert np.isnan(same).all()


def test_no_image_has_no_interval_and_wrong_options_are_refused():
    assert np.isnan(metrics.bootstrap_interval([], seed=0)).all()
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="confidence between 0 and 1"):
            metrics.bootstrap_interval([1, 2], seed=0, samples=3, confidence=confidence)
    with pytest.raises(ValueError, match="at least one draw"):
        metrics.bootstrap_interval([1, 2], seed=0, samples=0)
