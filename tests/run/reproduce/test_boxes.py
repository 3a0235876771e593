"""Tables of boxes on tiny data sets in the true layouts: rows, figures, exclusions, and what is told beside them."""

import json
import math
import shutil

import numpy as np
import pytest

from jaxloc.data.datasets import open_dataset
from jaxloc.metrics import roc_auc
from jaxloc.options import EvaluateOptions
from jaxloc.run import evaluate_files
from jaxloc.run.reproduce import reproduce
from tests.data.datasets import trees
from tests.data.datasets.test_tfds_copies import prepare, records_of, relative  # noqa: F401 - a fixture
from tests.run import helpers
from tests.run.reproduce import made

DDT = "DDT CorLoc, %"


@pytest.fixture(scope="module")
def table(voc, weights, tmp_path_factory):
    """The finished table of VOC 2007 with both methods, and its folder."""

    out = tmp_path_factory.mktemp("table")
    return reproduce("ddt-voc07", voc, out, made.options(weights, methods=("ddt", "scda"), samples=40)), out


def test_each_class_of_the_paper_that_is_there_has_a_row_and_the_mean_is_over_them(table):
    result, _ = table
    assert [row.label for row in result.rows if row.measure == DDT] == [
        "aeroplane",
        "bicycle",
        "horse",
        "mean of 3 of 20 classes",
    ]
    assert made.ours(result, DDT) == {
        "aeroplane": 0,
        "bicycle": pytest.approx(100 / 3),
        "horse": 100,
        "mean of 3 of 20 classes": pytest.approx(400 / 9),
    }
    rows = {row.label: row for row in result.rows if row.measure == DDT}
    mean = rows["mean of 3 of 20 classes"]
    assert mean.paper == pytest.approx(sum(rows[name].paper for name in ("aeroplane", "bicycle", "horse")) / 3)
    assert mean.difference == pytest.approx(400 / 9 - mean.paper)
    assert 0 <= mean.interval.low <= mean.ours <= mean.interval.high <= 100


@pytest.mark.parametrize(("method", "measure"), [("ddt", DDT), ("scda", "SCDA CorLoc, %")])
def test_figures_are_those_of_the_evaluation_on_the_same_boxes(table, voc, method, measure):
    result, out = table
    alone = evaluate_files(out / method, f"voc07/trainval:{voc}", EvaluateOptions(samples=40))
    figures = {score.category: score.figures["CorLoc"] for score in alone.classes}
    for row in result.rows:
        if row.measure == measure:
            figure = figures.get(row.label, alone.mean["CorLoc"])
            assert (row.ours, row.interval, row.images) == (figure.value, figure.interval, figure.images)
    assert len(made.ours(result, measure)) == 4


def test_images_of_other_splits_and_with_flagged_objects_only_are_left_out(table):
    result, out = table
    boxes = made.found(out / "ddt")
    listed = {image["file_name"] for image in json.loads((out / "ddt" / "annotations.json").read_text())["images"]}
    assert listed == {f"JPEGImages/{number:06}.jpg" for number in range(6)}
    assert made.images(result, DDT) == {"aeroplane": 2, "bicycle": 3, "horse": 2, "mean of 3 of 20 classes": 7}
    # Image 4's box is right for a truncated bicycle, which is no target.
    assert boxes["bicycle"]["JPEGImages/000004.jpg"] != made.NOWHERE
    assert any("difficult, truncated or a crowd: 3, such as" in text for text in result.deviations)


def test_what_differs_from_the_paper_is_told(table, voc):
    result, _ = table
    assert result.incomplete == ""
    assert result.data == f"voc07/trainval:{voc}"
    told = "\n".join(result.deviations)
    assert "The network is VGG-16 and the paper's VGG-19: get its weights with `jaxloc weights convert FILE" in told
    assert "The weights are random, seed 2 with torchvision's preprocessing; the paper's are MatConvNet's" in told
    assert "7 images, counted in each class they are in; the paper's authors tell of 3,550." in told


def test_ddt_plus_has_rows_without_numbers_of_the_paper(voc, weights, tmp_path):
    result = reproduce("ddt-voc07", voc, tmp_path, made.options(weights, methods=("ddt+",)))
    assert list(made.ours(result, "DDT+ CorLoc, %")) == ["aeroplane", "bicycle", "horse", "mean of 3 of 20 classes"]
    assert all(math.isnan(row.paper) for row in result.rows)
    assert "The paper has no numbers of DDT+." in result.deviations
    assert {
        score.category: score.corloc for score in evaluate_files(tmp_path / "ddt+", f"voc07/trainval:{voc}").classes
    } == {name: value for name, value in made.ours(result, "DDT+ CorLoc, %").items() if not name.startswith("mean")}


def test_weakly_supervised_methods_stand_beside_ddts_mean_over_the_same_classes(table, voc, weights, tmp_path):
    result = reproduce("ddt-wsol", voc, tmp_path, made.options(weights))
    [ren] = [row for row in result.rows if row.measure == f"{DDT}, beside Ren et al., 2016"]
    assert (ren.label, ren.ours) == ("mean of 3 of 20 classes", pytest.approx(400 / 9))
    assert ren.paper == pytest.approx((79.2 + 56.9 + 44.2) / 3)
    assert len(result.rows) == 4 + 6


def test_the_copy_of_tensorflow_datasets_gives_the_same_rows(table, voc, weights, tmp_path, prepare):  # noqa: F811
    from jaxloc.data.datasets.voc import CLASSES

    def make(image):
        objects = [
            {
                "bbox": relative(one.box, first_pixel=1, size=made.SIZE),
                "label": CLASSES.index(one.category),
                "is_difficult": one.difficult,
                "is_truncated": one.truncated,
                "pose": 0,
            }
            for one in image.annotations
        ]
        return {"image/filename": image.name.removeprefix("JPEGImages/").encode(), "objects": objects}

    original = open_dataset(f"voc07:{voc}")
    prepare("voc/2007", records_of(original, {"train": "train", "val": "validation", "test": "test"}, make))
    copy = reproduce("ddt-voc07", "voc07:tfds", tmp_path / "out", made.options(weights))
    rows = {row.label: (row.ours, row.images) for row in table[0].rows if row.measure == DDT}
    assert {row.label: (row.ours, row.images) for row in copy.rows} == rows


def test_the_other_year_is_measured_beside_its_own_numbers(weights, tmp_path):
    root = made.voc(tmp_path / "set", weights, year=2012)
    result = reproduce("ddt-voc12", f"voc12:{root}", tmp_path / "out", made.options(weights))
    assert made.ours(result, DDT)["horse"] == 100
    assert {row.label: row.paper for row in result.rows}["horse"] == 66.8


def test_a_limit_takes_the_first_images_of_each_class_and_says_so(voc, weights, tmp_path):
    result = reproduce("ddt-voc07", voc, tmp_path / "out", made.options(weights, limit=2))
    # Of bicycle the first two are images 0 and 1; image 4 is left out.
    assert made.images(result, DDT) == {"aeroplane": 2, "bicycle": 2, "horse": 2, "mean of 3 of 20 classes": 6}
    assert result.incomplete == "the first 2 images of each class"
    assert result.deviations[0] == "Not all of the paper's images: the first 2 images of each class."


def test_all_classes_there_make_the_papers_mean(weights, tmp_path):
    root = trees.imagenet_subsets(tmp_path / "set", size=made.SIZE)
    result = reproduce("ddt-imagenet", root, tmp_path / "out", made.options(weights))
    assert [row.label for row in result.rows] == ["chipmunk", "rhino", "stoat", "raccoon", "rake", "wheelchair", "mean"]
    assert (result.rows[-1].paper, result.rows[-1].images) == (69.1, 12)


def test_images_without_the_object_are_fitted_on_and_not_counted(weights, tmp_path):
    root = trees.object_discovery(tmp_path / "set", images=5, noisy=2, size=made.SIZE)
    result = reproduce("ddt-table1", root, tmp_path / "out", made.options(weights))
    assert made.images(result, DDT) == {"airplane": 3, "car": 3, "horse": 3, "mean": 9}
    assert len(helpers.noise_scores(tmp_path / "out" / "ddt")) == 15


def test_noise_is_told_by_the_share_of_positive_cells(weights, tmp_path):
    root = trees.object_discovery(tmp_path / "set", images=5, noisy=2, size=made.SIZE)
    result = reproduce("ddt-noise", root, tmp_path / "out", made.options(weights))
    scores = helpers.noise_scores(tmp_path / "out" / "ddt")
    assert made.ours(result, "images without it") == {"airplane": 2, "car": 2, "horse": 2}
    for category, folder in (("airplane", "Airplane100"), ("car", "Car100"), ("horse", "Horse100")):
        shares = np.array([scores[f"{folder}/{number:04}.jpg"] for number in range(1, 6)])
        holds = np.array([True, True, True, False, False])
        assert made.ours(result, "AUC")[category] == pytest.approx(roc_auc(shares, holds))
        noisy = np.float32(shares) <= np.float32(0.1)
        assert made.ours(result, "called noisy at 0.1, without it, %")[category] == 100 * noisy[~holds].mean()
        assert made.ours(result, "called noisy at 0.1, with it, %")[category] == 100 * noisy[holds].mean()
        assert result.curves[category]["true_positive_rate"][-1] == 1
    assert {row.label: row.paper for row in result.rows if row.measure == "images without it"} == {
        "airplane": 18,
        "car": 11,
        "horse": 7,
    }
    assert all(math.isnan(row.paper) for row in result.rows if row.measure == "AUC")


def test_scda_is_measured_on_the_test_images_only(weights, tmp_path):
    root = trees.cub(tmp_path, size=made.SIZE)
    place = f"cub200:{root}"
    reproduce("scda-table1", place, tmp_path / "first", made.options(weights))
    boxes = made.found(tmp_path / "first" / "scda")["object"]
    test = [name for name, image in open_dataset(place).images.items() if image.splits == ("test",)]
    assert sorted(boxes) == sorted(test)
    plant(root, {name: boxes[name] for name in test[:3]})
    result = reproduce("scda-table1", place, tmp_path / "out", made.options(weights, samples=20))
    [row] = result.rows
    assert (row.label, row.ours, row.images, row.paper) == ("whole object", 75, 4, 76.79)
    assert any("Of all true boxes, not images, 75.00 % are found" in text for text in result.deviations)


def plant(root, boxes) -> None:
    """Set the true boxes of birds, and those of all others nowhere."""
    names = dict(line.split() for line in (root / "images.txt").read_text().splitlines())
    lines = []
    for key, file in names.items():
        x0, y0, x1, y1 = boxes.get(f"images/{file}", boxes.get(file, made.NOWHERE))
        lines.append(f"{key} {x0}.0 {y0}.0 {x1 - x0}.0 {y1 - y0}.0")
    (root / "bounding_boxes.txt").write_text("\n".join(lines) + "\n")


def test_a_coco_file_with_some_of_the_classes_will_do_and_is_marked(voc, weights, tmp_path):
    shutil.copytree(voc / "VOC2007" / "JPEGImages", tmp_path / "images")
    listed = [(f"{number:06}.jpg", ("horse", "bus", "zebra")[number % 3], made.NOWHERE) for number in range(6)]
    path = made.write_coco(tmp_path / "images" / "truth.json", listed)
    result = reproduce("ddt-voc07", path, tmp_path / "out", made.options(weights))
    assert made.images(result, DDT) == {"bus": 2, "horse": 2, "mean of 2 of 20 classes": 4}
    assert result.incomplete == "the images of a COCO file (6), which need not be the data set's"
    assert "Classes that the table does not have were left out: zebra." in result.deviations
