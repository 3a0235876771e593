"""What holds for every table: finished ones, folders, wrong data, missing weights, cost, and how tables look."""

import json
import math
import re

import pytest

from jaxloc.errors import JaxlocError, UsageError, WeightsError
from jaxloc.metrics import Interval
from jaxloc.run.reproduce import (
    TABLES,
    ReproduceOptions,
    Reproduction,
    Row,
    find_table,
    overview,
    papers,
    reproduce,
    reproduction_latex,
    reproduction_table,
    results,
    to_plain,
)
from tests.data.datasets import trees
from tests.run.reproduce import made

MADE = Reproduction(
    table="ddt-voc07",
    title="CorLoc",
    source="a paper, table 2",
    data="voc07:x_y",
    rows=(
        Row("horse", "CorLoc, %", 75.0, 73.8, 8, Interval(50.0, 100.0), 1),
        Row("sofa", "CorLoc, %", math.nan, 54.7, reason="no image"),
        Row("train", "CorLoc, %", math.nan, 75.0, reason="no image"),
    ),
    deviations=("100 % other.",),
    incomplete="the first 8 images of each class",
    settings={"interval": "95 % of 9 draws"},
    curves={"horse": {"threshold": [math.inf, 0.5]}},
)


def test_a_finished_table_is_shown_again_at_once(voc, weights, tmp_path, monkeypatch):
    first = reproduce("ddt-voc07", voc, tmp_path, made.options(weights))
    monkeypatch.setattr("jaxloc.run.reproduce.making.prepare", None)
    assert str(reproduce("ddt-voc07", voc, tmp_path, made.options(weights))) == str(first)
    with pytest.raises(TypeError):
        reproduce("ddt-voc07", voc, tmp_path, made.options(weights, samples=5))
    with pytest.raises(TypeError):
        reproduce("ddt-voc07", voc, tmp_path, made.options(weights, overwrite=True))
    with pytest.raises(UsageError, match=r": holds ddt-voc07: choose another --out for ddt-wsol, or start over with"):
        reproduce("ddt-wsol", voc, tmp_path, made.options(weights))
    (tmp_path / "reproduction.json").write_text("{}")
    with pytest.raises(UsageError, match=r"reproduction.json: damaged \('result'\): start over with --overwrite"):
        reproduce("ddt-voc07", voc, tmp_path, made.options(weights))


def test_other_draws_take_the_boxes_that_are_there(voc, weights, tmp_path):
    reproduce("ddt-voc07", voc, tmp_path, made.options(weights))
    before = (tmp_path / "ddt" / "report.html").stat().st_mtime_ns
    assert reproduce("ddt-voc07", voc, tmp_path, made.options(weights, samples=9)).rows[0].interval is not None
    assert (tmp_path / "ddt" / "report.html").stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"ddt: holds a run on other images .* start over with --overwrite$"):
        reproduce("ddt-voc07", voc, tmp_path, made.options(weights, limit=2))


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("ddt-voc7", "x", "ddt-voc7: no table of this name; did you mean ddt-voc07? (`jaxloc reproduce` lists them)"),
        (
            "ddt-voc07",
            "nowhere",
            "nowhere: no such folder, and no data set that is known: ddt-voc07 takes voc07:FOLDER ",
        ),
        ("ddt-voc07", "cub200:x", "cub200:x: ddt-voc07 is not measured on cub200: it takes voc07:FOLDER"),
        ("ddt-voc07", "voc07/test:x", "voc07/test:x: ddt-voc07 is measured on trainval: write voc07:x"),
        ("scda-table3", "pets/test:x", "pets/test:x: scda-table3 is measured on all splits: write pets:x"),
        ("scda-table1", "{folder}", "{folder}: say which data set this is: cub200:FOLDER or dogs:FOLDER"),
        (
            "scda-table1",
            "{folder}/a.json",
            "{folder}/a.json: scda-table1 takes cub200:FOLDER or dogs:FOLDER, and no fil",
        ),
        ("ddt-voc07", "{folder}/a.txt", "{folder}/a.txt: ddt-voc07 takes voc07:FOLDER, and no file of this kind"),
        ("ddt-voc07", "{folder}/a.json", "{folder}/a.json: none of its 1 images is there, such as 'gone.jpg'"),
        ("ddt-voc07", "{folder}", "voc07:{folder}: holds no ImageSets/Main"),
    ],
)
def test_wrong_data_are_refused_with_the_cure(name, place, message, weights, tmp_path):
    made.write_coco(tmp_path / "a.json", [("gone.jpg", "horse", made.NOWHERE)])
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(JaxlocError, match="^" + re.escape(message.format(folder=tmp_path))):
        reproduce(name, place.format(folder=tmp_path), tmp_path / "out", made.options(weights))
    assert not (tmp_path / "out").exists()


def test_a_coco_file_without_a_class_of_the_table_is_refused(weights, tmp_path):
    trees.write_image(tmp_path / "a.jpg", 0, made.SIZE)
    path = made.write_coco(tmp_path / "a.json", [("a.jpg", "zebra", made.NOWHERE)])
    with pytest.raises(UsageError, match=r"a.json: has no class of ddt-imagenet \(chipmunk, .*\); it has zebra$"):
        reproduce("ddt-imagenet", path, tmp_path / "out", made.options(weights))


def test_missing_weights_of_the_papers_network_name_the_command(voc, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXLOC_CACHE", str(tmp_path))
    cure = r"^ddt-voc07 uses VGG-19, .*`jaxloc weights convert FILE --install`.* --weights vgg16, which the table"
    with pytest.raises(WeightsError, match=cure):
        reproduce("ddt-voc07", voc, tmp_path / "out")
    with pytest.raises(WeightsError, match=r"^unknown weights 'vgg11'"):
        reproduce("ddt-voc07", voc, tmp_path / "out", ReproduceOptions(weights="vgg11"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limit": 1}, "--limit must leave at least 2 images of a class, not 1"),
        ({"samples": -1}, "bootstrap draws and their seed must be whole numbers from 0"),
        ({"methods": ("ddt", "sda")}, "methods must be one or more of ddt, ddt+, ddt-spread, scda, not ddt, sda"),
        ({"methods": ()}, "methods must be one or more of ddt, ddt+, ddt-spread, scda, not "),
    ],
)
def test_options_that_make_no_sense(values, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        ReproduceOptions(**values)


def test_other_methods_are_of_ddts_tables_of_boxes_only(weights, tmp_path):
    with pytest.raises(UsageError, match=r"^scda-table1: has no rows of other methods: leave --method out$"):
        reproduce("scda-table1", "cub200:x", tmp_path, made.options(weights, methods=("scda",)))


def test_text_marks_what_is_not_the_protocol_and_names_what_was_not_measured():
    text = reproduction_table(MADE)
    assert text.splitlines()[1] == "NOT THE PAPER'S PROTOCOL: the first 8 images of each class."
    [line] = [line for line in text.splitlines() if line.startswith("horse")]
    assert line.split() == ["horse", "CorLoc,", "%", "8", "75.0", "[50.0,", "100.0]", "73.8", "+1.2"]
    assert "Not measured: sofa, train (no image)." in text
    assert text.splitlines()[-1] == "- 100 % other."


def test_latex_keeps_everything_beside_the_table_in_comments():
    lines = reproduction_latex(MADE).splitlines()
    start = lines.index(r"\begin{tabular}{llrrrrr}")
    assert all(line.startswith("% ") for line in lines[:start])
    assert r"horse & CorLoc, \% & 8 & 75.0 & [50.0, 100.0] & 73.8 & +1.2 \\" in lines
    assert lines[-1] == r"\end{tabular}"


def test_a_result_survives_json():
    kept = results.from_plain(json.loads(json.dumps(to_plain(MADE))))
    assert str(kept) == str(MADE)
    assert to_plain(MADE)["rows"][0]["difference"] == pytest.approx(1.2)


def test_every_table_is_listed_with_the_data_it_needs():
    text = overview()
    for name, table in TABLES.items():
        assert name in text
        assert all(data in text for data in table.sets)
        assert len(table.sets) == len(table.images)
        assert find_table(name) is table
    assert "voc07/trainval" in text


def test_the_papers_means_are_those_of_their_classes():
    """A slip in copying would show; the papers round each class, so their means agree to a tenth or so."""
    tables = (papers.DDT_TABLE_1, papers.DDT_VOC_2007, papers.DDT_VOC_2012, papers.DDT_IMAGENET, papers.DDT_WSOL)
    for table in tables:
        for scores in table.values():
            assert abs(sum(scores.classes.values()) / len(scores.classes) - scores.mean) < 0.1
