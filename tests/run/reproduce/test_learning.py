"""Tables of methods that learn on frozen features: our rows beside the paper's, those not run among them."""

import math

import pytest

from jaxloc.run.maskcnn import streams, training
from jaxloc.run.reproduce import learning, papers, reproduce
from tests.data.datasets import trees
from tests.run.reproduce import made


@pytest.fixture
def quick(monkeypatch):
    """Few training steps, of small crops."""
    for name, changed in (
        ("EpisodeOptions", {"steps": 1, "dimension": 4, "draws": 2}),
        ("MaskCnnOptions", {"steps": 1}),
    ):
        cls = getattr(learning, name)
        side = {"side": 64} | ({"classifier_steps": 1} if name == "MaskCnnOptions" else {})
        monkeypatch.setattr(learning, name, lambda cls=cls, new=changed | side, **given: cls(**given | new))
    monkeypatch.setattr(streams, "CROP", 64)
    monkeypatch.setattr(training, "_kinds", lambda parts: [[0], [*range(1 + parts)]])  # test_maskcnn.py has all


@pytest.mark.usefixtures("quick")
def test_few_shot_rows_stand_beside_the_papers_and_the_others_are_not_run(weights, tmp_path):
    birds = trees.cub(tmp_path, classes=4, images=7)
    result = reproduce("fewshot-table2", f"cub200:{birds}", tmp_path / "out", made.options(weights))
    rows = {(row.label, row.measure): row for row in result.rows}
    nearest, own = rows["bilinear 4², nearest mean", "1-shot, %"], rows["bilinear 4², piecewise, printed", "5-shot, %"]
    assert (nearest.paper, own.paper) == (38.85, 62.48)
    assert 0 <= nearest.interval.low <= nearest.ours <= nearest.interval.high <= 120
    assert math.isnan(rows["bilinear 4², piecewise, residual", "1-shot, %"].paper)
    other = rows["SVM (FB)", "5-shot, %"]
    assert (math.isnan(other.ours), other.paper, other.reason) == (True, 59.19, "not run on this data")
    assert any("2 classes are learnt from and 2 named" in note for note in result.deviations)


@pytest.mark.usefixtures("quick")
def test_parts_and_streams_stand_beside_the_papers(weights, tmp_path):
    birds = trees.cub(tmp_path, classes=2, images=6)
    names = (birds / "parts" / "parts.txt").read_text() + "3 crown\n4 belly\n"
    (birds / "parts" / "parts.txt").write_text(names)
    more = [f"{number} {part} {10 + 3 * part} {12 + 2 * part} 1" for number in range(1, 13) for part in (3, 4)]
    points = birds / "parts" / "part_locs.txt"
    points.write_text(points.read_text() + "\n".join(more) + "\n")
    result = reproduce("maskcnn-parts", f"cub200:{birds}", tmp_path / "out", made.options(weights))
    rows = {(row.label, row.measure): row.paper for row in result.rows}
    assert rows["head", "PCP, %"] == papers.MASK_CNN_PCP["head"]
    assert rows["image", "accuracy, %"] == 80.5
    assert rows["image + head + torso", "accuracy, %"] == 85.7
