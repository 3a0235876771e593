"""Tables of methods that ask a classifier, on tiny data sets in the true layouts."""

import functools
import json
import math

import pytest

from jaxloc.errors import UsageError
from jaxloc.options import EvaluateOptions
from jaxloc.run import evaluate_files
from jaxloc.run.reproduce import asking, reproduce
from tests.data.datasets import trees
from tests.models import narrow
from tests.run.reproduce import made
from tests.run.retrieval import small


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Little training, and a search of few levels."""
    for name, changed in (
        ("FinetuneOptions", {"epochs": 2, "batch": 4, "max_side": 64}),
        ("LocalizeEachOptions", {"depth": 1, "width": 2}),
    ):
        monkeypatch.setattr(asking, name, functools.partial(getattr(asking, name), **changed))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return trees.voc(tmp_path_factory.mktemp("voc"), size=made.SIZE, masks=False)


@pytest.mark.soak  # the next test learns and searches as well
def test_a_classifier_is_learnt_and_every_class_searched_in_every_test_image(root, weights, tmp_path):
    result = reproduce("beam-detection", f"voc07:{root}", tmp_path / "out", made.options(weights))
    classes = ["aeroplane", "bicycle", "horse"]
    coco = json.loads((tmp_path / "out" / "beam" / "annotations.json").read_text())
    assert {image["file_name"] for image in coco["images"]} == {f"JPEGImages/{n:06}.jpg" for n in (6, 7, 8)}
    assert len(coco["annotations"]) == 9
    alone = evaluate_files(
        tmp_path / "out" / "beam", f"voc07/test:{root}", EvaluateOptions(detection=True, recalls="11")
    )
    (row,) = result.rows
    assert (row.label, row.measure, row.paper) == ("mean", "AP, %", 25.7)
    assert row.ours == pytest.approx(alone.mean["AP"].value)
    assert sorted(score.category for score in alone.classes) == classes
    assert any("9 images are learnt from and 3 measured on" in deviation for deviation in result.deviations)
    assert reproduce("beam-detection", f"voc07:{root}", tmp_path / "out", made.options(weights)) == result


def test_a_coco_file_lends_every_other_image(tmp_path, weights):
    folder = trees.coco(tmp_path / "coco", size=made.SIZE)
    file = folder / "annotations" / "instances_val2017.json"
    result = reproduce("beam-point", file, tmp_path / "out", made.options(weights))
    assert "COCO file" in result.incomplete
    assert any("3 images are learnt from and 3 measured on" in deviation for deviation in result.deviations)
    assert [row.label for row in result.rows] == ["cat", "dog", "mean of 2 of 20 classes"]
    assert {row.measure for row in result.rows} == {"point AP, %"}


def test_the_curves_of_eiss_begin_at_the_whole_image(tmp_path, monkeypatch):
    for name, value in (("_ITERATIONS", 2), ("_SHOWN", (0, 2)), ("_WINDOWS", "random:2"), ("_EACH", 1)):
        monkeypatch.setattr(asking, name, value)
    root = trees.voc(tmp_path / "voc", year=2012, size=made.SIZE, masks=False)
    full = narrow.register("vgg16-asked", small.WIDTHS, dense=16)
    path = narrow.write(tmp_path / "full.safetensors", full, top=True)
    result = reproduce("eiss-curves", root, tmp_path / "out", made.options(path))
    assert result.curves.keys() == {"K = 1", "K = 5"}
    for curve in result.curves.values():
        assert curve["cropped"][0] == pytest.approx(1)
        assert all(len(values) == 3 and all(map(math.isfinite, values)) for values in curve.values())
        assert 0 < curve["IoU"][0] < 1
    rows = {(row.label, row.measure): row for row in result.rows}
    assert rows["K = 1, iteration 2", "IoU, %"].ours == pytest.approx(100 * result.curves["K = 1"]["IoU"][2])
    assert rows["K = 5", "iteration of the greatest IoU"].paper == 3


def test_data_without_one_of_the_splits_is_refused(tmp_path, weights):
    root = trees.voc(tmp_path / "voc", size=made.SIZE, masks=False, images=1)
    with pytest.raises(UsageError, match="has no image of the split test: get the whole data set"):
        reproduce("beam-detection", f"voc07:{root}", tmp_path / "out", made.options(weights))
