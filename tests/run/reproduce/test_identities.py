"""The tables of vehicle re-identification on tiny sets in the true layouts."""

import math

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.run.reproduce import identities, papers, reproduce
from tests.data.datasets import vehicle_trees
from tests.run.reproduce import made
from tests.soaked import soaked

VERI, VEHICLE_ID = (tuple(papers.REID[name].rows) for name in ("veri776", "vehicleid"))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(identities, "_STEPS", 2)


def keep(monkeypatch, name, *labels):
    """Leave but these rows of a table: most need a training each."""
    table = papers.REID[name]
    rows = {label: table.rows[label] for label in labels}
    monkeypatch.setitem(papers.REID, name, table._replace(rows=rows))


@pytest.mark.parametrize("rows", soaked([VERI[2:], VERI], [VERI[2:]]))
def test_veri_is_measured_across_cameras(tmp_path, weights, monkeypatch, rows):
    keep(monkeypatch, "veri776", *rows)
    root = vehicle_trees.veri(tmp_path / "veri")
    result = reproduce("rnnha-table1", f"veri776:{root}", tmp_path / "out", made.options(weights))
    ours = {(row.label, row.measure): row for row in result.rows}
    assert len(ours) == len(rows) * 3
    for label in rows[:-1]:
        assert 0 < ours[label, "mAP, %"].ours <= ours[label, "top-5, %"].ours == 100
    assert ours["RNN-HA", "top-1, %"].paper == 66.03
    assert math.isnan(ours["RNN-HA, ResNet", "mAP, %"].ours)
    assert "another network" in ours["RNN-HA, ResNet", "mAP, %"].reason
    assert any("4 images are learnt from, in 2 steps" in deviation for deviation in result.deviations)


def test_a_query_s_own_camera_counts_neither_way():
    found = np.array([[1, 0], [1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    labels, cameras = np.array(["a", "a", "b", "a"]), np.array(["1", "1", "1", "2"])
    asked = np.array([True, False, False, False])
    assert identities._across_cameras(found, labels, cameras, asked) == [25, 0, 100]


@pytest.mark.parametrize("rows", soaked([VEHICLE_ID[1:3], VEHICLE_ID], [VEHICLE_ID[1:3]]))
def test_vehicle_id_is_measured_by_one_gallery_image_of_each_vehicle(tmp_path, weights, monkeypatch, rows):
    keep(monkeypatch, "vehicleid", *rows)
    root = vehicle_trees.vehicle_id(tmp_path / "vehicles", vehicles=5, images=3, learnt=2)
    result = reproduce("rnnha-table2", f"vehicleid:{root}", tmp_path / "out", made.options(weights))
    ours = {(row.label, row.measure): row for row in result.rows}
    assert len(ours) == len(rows) * 6
    assert 0 <= ours["CCL", "top-1 of 800, %"].ours <= ours["CCL", "top-5 of 800, %"].ours == 100
    assert ours["CCL", "top-1 of 2,400, %"].ours == 100
    assert ours["mixed difference + CCL", "top-5 of 2,400, %"].paper == 61.6


def test_data_without_other_vehicles_are_refused(tmp_path, weights):
    root = vehicle_trees.veri(tmp_path / "veri")
    for kind in ("test", "query"):
        (root / f"name_{kind}.txt").write_text("")
    with pytest.raises(UsageError, match="has no image of the split test"):
        reproduce("rnnha-table1", f"veri776:{root}", tmp_path / "out", made.options(weights))
