"""The command that cleans: what it prints, and what it refuses."""

import json
import re

import pytest
import typer
from typer.testing import CliRunner

from jaxloc.cli.cleaning import clean
from tests.cli import cli
from tests.run.cleaning.examples import write_collection

APP = typer.Typer(pretty_exceptions_enable=False)
APP.command()(clean)


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(APP, list(map(str, arguments)), env={"COLUMNS": "200", "TERM": "dumb"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """The collection; nothing may be written to it."""
    return write_collection(tmp_path_factory.mktemp("collection") / "web")


def test_counts_of_each_class_are_printed_and_broken_images_named(web, tmp_path):
    status, out, err = invoke(web, "--out", tmp_path / "out", "--noise", "knee", "--strict", "--format", "yolo")
    assert (status, err) == (3, "")
    assert re.search(r"^class +photos +noise +duplicates( +contradictions)? +broken +kept +threshold +rule$", out, re.M)
    assert re.search(r"^motorcycle +9 ", out, re.M)
    assert re.search(r"^all +12 ", out, re.M)
    assert "motorcycle/broken.jpg: not an image" in out
    assert f"Look at {tmp_path / 'out' / 'review.html'}" in out
    assert list((tmp_path / "out" / "dataset").rglob("*.txt"))


def test_images_can_be_linked(web, tmp_path):
    status, _, err = invoke(web, "--out", tmp_path / "out", "--pictures", "link", "--with-empty")
    assert (status, err) == (0, "")
    about = json.loads((tmp_path / "out" / "dataset" / "export.json").read_text())
    assert (about["options"]["placement"], about["options"]["found_only"]) == ("link", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--noise", "much"], "--noise must be a share of cells, such as 0.1, knee or alignment, not 'much'"),
        (["--duplicates", "some"], "--duplicates must be a number of bits, such as 4, or none, not 'some'"),
        (["--duplicates", "1.5"], "--duplicates must be a whole number of bits, or none, not '1.5'"),
        (["--decisions", "gone.json"], "gone.json: no such file of decisions"),
    ],
)
def test_wrong_options_are_one_line(web, tmp_path, arguments, message):
    status, out, err = invoke(web, "--out", tmp_path / "out", *arguments)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)


def test_help_teaches():
    status, out, _ = invoke("--help")
    assert status == 0
    for part in (
        "WEB_FOLDER",
        "--noise",
        "--duplicates",
        "--decisions",
        "--with-empty",
        "decisions-before.json",
        "review.html",
        "jaxloc clean web-photos",
    ):
        assert part in out
