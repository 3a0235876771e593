"""``jaxloc reproduce``: the list of tables, a table in each form, and errors as one line."""

import json

import pytest
import typer
from typer.testing import CliRunner

from jaxloc.cli.reproduce import reproduce
from tests.cli import cli
from tests.data.datasets import trees
from tests.run.retrieval import small

app = typer.Typer()
app.command()(reproduce)


def invoke(*arguments: object) -> tuple[int, str, str]:
    """Run the command; returns its exit status, stdout and stderr."""
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """A small network, a small data set, and a folder in which its table is finished."""
    folder = tmp_path_factory.mktemp("reproduced")
    root = trees.object_discovery(folder, size=(96, 128))
    weights = small.write_weights(folder / "narrow.safetensors", seed=2)
    given = ["ddt-table1", root, "--weights", weights, "--bootstrap", 20, "--workers", 1, "--out", folder / "out"]
    status, _, err = invoke(*given)
    assert (status, err) == (0, "")
    return given


def test_without_a_name_the_tables_are_listed():
    status, out, err = invoke()
    assert (status, err) == (0, "")
    for name in ("scda-table1", "scda-table3", "scda-table4", "ddt-table1", "ddt-voc07", "ddt-voc12"):
        assert f"\n{name} " in out
    assert "`jaxloc datasets NAME` tells how to get the data" in out


def test_the_table_has_ours_the_papers_and_the_difference(arguments):
    status, out, err = invoke(*arguments)
    assert (status, err) == (0, "")
    [line] = [line for line in out.splitlines() if line.startswith("airplane")]
    assert line.split()[:5] == ["airplane", "DDT", "CorLoc,", "%", "3"]
    assert line.split()[-2] == "91.46"
    assert "In brackets: 95 % of 20 bootstrap draws of images." in out
    assert "- The network is VGG-16 and the paper's VGG-19: get its weights with `jaxloc weights convert FILE" in out


def test_json_and_latex_say_the_same(arguments):
    values = json.loads(invoke(*arguments, "--json")[1])
    row = values["rows"][0]
    assert (row["label"], row["paper"], row["images"]) == ("airplane", 91.46, 3)
    latex = invoke(*arguments, "--format", "latex")[1]
    assert rf"airplane & DDT CorLoc, \% & 3 & {row['ours']:.2f} & [" in latex
    assert values["deviations"][0] in latex


def test_a_limit_is_marked(arguments, tmp_path):
    status, out, _ = invoke(*arguments[:-1], tmp_path / "out", "--limit", 2)
    assert status == 0
    assert "NOT THE PAPER'S PROTOCOL: the first 2 images of each class." in out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["ddt-table9"], "ddt-table9: no table of this name; did you mean ddt-table1?"),
        (["scda-table1"], "scda-table1: name the data set, cub200:FOLDER or dogs:FOLDER (`jaxloc datasets cub200`"),
        (["ddt-table1", "nowhere"], "nowhere: no such folder, and no data set that is known: ddt-table1 takes"),
        (["ddt-table1", "x", "--json", "--format", "latex"], "--json and --format latex exclude each other"),
        (["ddt-table1", "x", "--limit", "0"], "--limit must leave at least 2 images of a class, not 0"),
        (
            ["ddt-table1", "x", "--method", "eiss"],
            "methods must be one or more of ddt, ddt+, ddt-spread, scda, not eiss",
        ),
    ],
)
def test_errors_are_one_line(given, message):
    status, out, err = invoke(*given)
    assert (status, out) == (2, "")
    assert cli.one_line(err).startswith(f"jaxloc: {message}")
