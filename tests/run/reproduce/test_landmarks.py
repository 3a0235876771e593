"""The table of object discovery: judged queries, ranked by cosine and by diffusion."""

import pytest

from jaxloc.errors import UsageError
from jaxloc.run.reproduce import papers, reproduce
from tests.data.datasets import trees
from tests.run.reproduce import made
from tests.soaked import soaked

ALL, FEW = tuple(name for name, _ in papers.DISCOVERY_TABLE_1), ("os-egm", "os-egm-delta")


@pytest.mark.parametrize("descriptors", soaked([FEW, ALL], [FEW]))
def test_descriptors_stand_beside_the_papers_by_cosine_and_after_diffusion(weights, tmp_path, monkeypatch, descriptors):
    table = {name: row for name, row in papers.DISCOVERY_TABLE_1.items() if name[0] in descriptors}
    monkeypatch.setattr(papers, "DISCOVERY_TABLE_1", table)
    root = trees.landmarks(tmp_path / "set", size=(96, 128))
    result = reproduce("discovery-table1", f"oxford5k:{root}", tmp_path / "out", made.options(weights))
    rows = {(row.label, row.measure): row for row in result.rows}
    assert len(rows) == 2 * len(descriptors)
    assert rows["OS.EGM", "mAP, %"].paper == 79.6
    assert rows["OS.EGM-Δ", "mAP after diffusion, %"].paper == 90.1
    assert all(0 < row.ours <= 100 for row in rows.values())


def test_a_part_of_the_images_is_refused(weights, tmp_path):
    root = trees.landmarks(tmp_path / "set", size=(96, 128))
    with pytest.raises(UsageError, match="judged among all images: leave --limit out"):
        reproduce("discovery-table1", f"oxford5k:{root}", tmp_path / "out", made.options(weights, limit=2))
