"""``evaluate`` of boxes as a person types it."""

import json

import pytest

from tests.cli import cli
from tests.run import helpers


@pytest.fixture
def truth(fitted, tmp_path):
    """The true boxes of ``fitted``: those it found."""
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(helpers.annotations(fitted)))
    return path


def test_evaluate_writes_json_without_nan(fitted, tmp_path):
    coco = helpers.annotations(fitted)
    (tmp_path / "truth.json").write_text(json.dumps(coco | {"annotations": []}))
    status, text, _ = cli.invoke("evaluate", fitted / "annotations.json", tmp_path / "truth.json", "--json")
    assert status == 0
    result = json.loads(text, parse_constant=pytest.fail)
    assert result["mean_corloc"] is None
    assert result["classes"][0]["noise_auc"] is None


def test_evaluate_names_the_file_that_is_wrong(fitted, tmp_path):
    status, out, err = cli.invoke("evaluate", fitted / "annotations.json", tmp_path / "gone.json")
    assert (status, out) == (2, "")
    assert cli.one_line(err).startswith(f"jaxloc: {tmp_path / 'gone.json'}: no such file or folder: pass a COCO file")
    status, out, err = cli.invoke("evaluate", fitted / "report.html", fitted / "annotations.json")
    assert (status, out) == (2, "")
    assert "report.html: no annotations there that can be read: pass a COCO file" in cli.one_line(err)


def test_the_folder_that_a_job_wrote_may_be_given_with_its_heat_maps(fitted, truth):
    status, text, err = cli.invoke("evaluate", fitted, truth, "--maps", "--pcp", "--top-1", "--json")
    assert (status, err) == (0, "")
    result = json.loads(text)
    mean = result["mean"]
    assert result["options"]["maps"] is True
    assert "no classifier" in {note["kind"] for note in result["notes"]}
    assert [mean[name]["value"] for name in ("CorLoc", "PCP", "GT-known", "top-1")] == [100] * 4
    assert mean["MaxBoxAcc"]["value"] > 50
    assert mean["saliency precision"]["value"] > 50
    assert mean["PxAP"] == {"value": None, "images": 0, "reason": "the ground truth has no masks"}


def test_every_rule_and_measure_is_passed_on(fitted, truth):
    given = "--iou 0.3 --iou 0.5 --at-least --voc-inclusive --include-difficult --include-truncated --any-class --pcp"
    given += " --class motorcycle --top-1 --masks --parts --bootstrap 5 --seed 3 --confidence 0.9 --format json --roc"
    given += " --point --detection --recalls 11 --rank-by score"
    given += f" --co-occurrence {truth} --co-occurrence-weight 0.5"
    status, text, err = cli.invoke("evaluate", fitted, truth, *given.split())
    assert (status, err) == (0, "")
    result = json.loads(text)
    assert result["options"] == {
        "thresholds": [0.3, 0.5],
        "at_least": True,
        "voc_inclusive": True,
        "include_difficult": True,
        "include_truncated": True,
        "splits": [],
        "classes": ["motorcycle"],
        "any_class": True,
        "pcp": True,
        "top_one": True,
        "point": True,
        "detection": True,
        "recalls": "11",
        "rank_by": "score",
        "co_occurrence": str(truth),
        "co_occurrence_weight": 0.5,
        "groups": False,
        "counts": False,
        "count_threshold": None,
        "masks": True,
        "parts": True,
        "samples": 5,
        "seed": 3,
        "confidence": 0.9,
        "maps": False,
    }
    assert result["classes"][0]["category"] == "object"
    assert result["noise_roc"] == {}


def test_a_table_for_latex(fitted, truth):
    status, text, _ = cli.invoke("evaluate", fitted, truth, "--format", "latex")
    assert status == 0
    assert r"motorcycle & 3 & 3 & 100.00 \\" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--iou", "1"], "the IoU threshold must be from 0 to below 1, not 1.0"),
        (["--split", "test"], "the ground truth has no images of the split 'test'; it has no splits"),
        (["--class", "cow"], "the ground truth has no images of the class 'cow'; it has motorcycle"),
        (["--roc"], "--roc prints numbers into JSON: add --json"),
        (["--json", "--format", "latex"], "--json and --format latex exclude each other"),
        (["--labels", "x.json"], "--queries and --labels go with --retrieval GALLERY"),
        (["--threshold", "best"], "--threshold says which boxes --counts counts: add it"),
        (["--counts", "--threshold", "all"], "--threshold must be a score or best, not 'all'"),
        (["--bootstrap", "-1"], "bootstrap draws and their seed must be whole numbers from 0"),
    ],
    ids=cli.spelt,
)
def test_what_makes_no_sense_is_told_in_one_line(fitted, truth, given, message):
    status, out, err = cli.invoke("evaluate", fitted, truth, *given)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)


def test_maps_need_the_folder_of_a_job(fitted, truth):
    status, out, err = cli.invoke("evaluate", fitted / "annotations.json", truth, "--maps")
    assert (status, out) == (2, "")
    assert "holds no heat maps; --maps takes the folder that `jaxloc colocalize --out` wrote" in cli.one_line(err)


def test_help_teaches_by_example_and_groups_options():
    out = cli.help_of("evaluate")
    for heading in ("What counts as right", "More measures", "How sure the figures are", "Measuring a gallery"):
        assert heading in out
    assert "jaxloc evaluate result truth.json --iou 0.3 --iou 0.5 --iou 0.7 --maps" in out
