"""RPC's table on a tiny set in the true layout."""

import functools
import math

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import ComposeOptions
from jaxloc.run.reproduce import checkout, reproduce
from tests.data.datasets import rpc_tree
from tests.run.reproduce import made


def test_counters_are_trained_on_three_sets_and_measured_by_level(tmp_path, weights, monkeypatch):
    for name, value in (("_COMPOSED", 6), ("_STEPS", 30), ("_SIDE", 96)):
        monkeypatch.setattr(checkout, name, value)
    monkeypatch.setattr(checkout, "ComposeOptions", functools.partial(ComposeOptions, levels=("easy",)))
    root = rpc_tree.rpc(tmp_path / "rpc")
    result = reproduce("rpc-table3", f"rpc:{root}", tmp_path / "out", made.options(weights))
    ours = {(row.label, row.measure): row for row in result.rows}
    assert len(ours) == 4 * 4 * 6
    for label in ("Single", "Syn", "Render"):
        row = ours[f"{label}, averaged", "ACD"]
        assert 0 <= row.ours <= 20
        assert 0 <= ours[f"{label}, easy", "cAcc, %"].ours <= 100
    assert ours["Syn, averaged", "cAcc, %"].paper == 9.27
    assert math.isnan(ours["Syn+Render, hard", "mmAP, %"].ours)
    assert "one counter of both sets is not trained" in ours["Syn+Render, hard", "mmAP, %"].reason
    assert any("6 exemplars, 6 composed images of each kind" in deviation for deviation in result.deviations)
    assert reproduce("rpc-table3", f"rpc:{root}", tmp_path / "out", made.options(weights)).table == "rpc-table3"


def test_data_without_checkout_images_are_refused(tmp_path, weights):
    root = rpc_tree.rpc(tmp_path / "rpc")
    (root / "instances_test2019.json").unlink()
    with pytest.raises(UsageError, match="has no image of the split test: get the whole data set"):
        reproduce("rpc-table3", f"rpc:{root}", tmp_path / "out", made.options(weights))
