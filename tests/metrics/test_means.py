"""Means of draws and their intervals."""

import pytest

from jaxloc.metrics import mean_of


def test_worked_example():
    found = mean_of([0.8, 0.6, 1, 0.6])
    assert found == pytest.approx((0.75, 0.19148542, 0.18765571), abs=1e-8)


def test_a_single_value_has_no_deviation():
    assert mean_of([0.5]) == (0.5, 0, 0)
