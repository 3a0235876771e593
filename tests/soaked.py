"""Families of cases that are much alike: a few, different in kind, are in every test run, all in ``.ci/soak``."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def soaked(cases: Iterable[Any], regular: Collection[Any]) -> list[Any]:
    """Parameters of a test: all but the ``regular`` cases are marked ``soak``."""
    cases = list(cases)
    assert not set(regular) - set(cases), set(regular) - set(cases)
    return [pytest.param(case, marks=() if case in regular else pytest.mark.soak) for case in cases]
