"""``jaxloc datasets``: list, explain, open."""

import json

import pytest
import typer
from typer.testing import CliRunner

from jaxloc.cli.datasets import datasets
from jaxloc.data.datasets import ADAPTERS
from jaxloc.run.reproduce import TABLES
from tests.data.datasets import trees


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(datasets)

    def run(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200", "TERM": "dumb"})
        return result.exit_code, result.stdout, result.stderr

    return run


def test_all_are_listed_with_licence_size_and_page(run):
    status, out, _ = run()
    assert status == 0
    for name, adapter in ADAPTERS.items():
        for text in (name, adapter.info.holds, adapter.info.size, adapter.info.licence, adapter.info.page):
            assert text in " ".join(out.split())
    assert "Nothing is downloaded" in out
    listed = json.loads(run("--json")[1])
    assert [one["name"] for one in listed] == list(ADAPTERS)


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_one_is_explained(run, name):
    status, out, _ = run(name)
    info = ADAPTERS[name].info
    assert status == 0
    for text in (info.title, info.licence, info.page, *info.get, *info.layout, *info.notes):
        assert text in out
    assert (f"{name}:tfds" in out) == (info.tfds is not None)
    assert json.loads(run(name, "--json")[1])["title"] == info.title


def test_the_tables_of_a_data_set_are_those_that_can_be_made(run):
    for name in ADAPTERS:
        of_set = [table for table in TABLES.values() if name in table.sets]
        out = run(name)[1]
        assert ("none of those that" in out) == (not of_set)
        assert all(f"{table.source}: {table.title} (`jaxloc reproduce {table.name}`)" in out for table in of_set)
        assert out.count("jaxloc reproduce") == (len(of_set) or 1)


def test_one_that_is_here_is_counted_by_split_and_class(run, tmp_path):
    root = trees.voc(tmp_path)
    status, out, _ = run(f"voc07:{root}")
    assert status == 0
    assert f"PASCAL VOC 2007 in {root}/VOC2007: 12 images, 3 classes" in out
    assert "No problem found." in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}
    assert rows["split"] == ["images", "used", "boxes", "difficult", "masked"]
    assert rows["trainval"] == ["9", "6", "10", "3", "9"]
    assert rows["bicycle"] == ["5", "4", "5", "1", "4"]
    found = json.loads(run(f"voc07/trainval:{root}", "--json")[1])
    assert found["classes"]["bicycle"] == {
        "images": 4, "used": 3, "boxes": 4, "difficult": 1, "truncated": 0, "crowds": 0, "masked": 4, "without_box": 0
    }  # fmt: skip
    assert found["problems"] == {}


def test_points_parts_and_queries_are_counted(run, tmp_path):
    assert "16 points of objects, 14 of them visible." in run(f"cub200:{trees.cub(tmp_path / 'a')}")[1]
    assert "4 boxes of parts." in run(f"pets:{trees.pets(tmp_path / 'b')}")[1]
    out = run(f"oxford5k:{trees.landmarks(tmp_path / 'c')}")[1]
    assert "2 queries; judged images: 4 good, 2 ok, 2 junk." in out


def test_problems_are_counted_by_kind_and_named(run, tmp_path):
    root = trees.cub(tmp_path)
    for number in (0, 2):
        (root / "images" / "001.Bird_1" / f"Bird_{number:04}.jpg").unlink()
    out = run(f"cub200:{root}")[1]
    example = f"{root}/images.txt: images/001.Bird_1/Bird_0000.jpg is not there; left out"
    assert f"Problems:\n  2 × missing image, such as {example}\n" in out
    found = json.loads(run(f"cub200:{root}", "--json")[1])
    assert found["problems"] == {"missing image": {"count": 2, "example": example}}


def test_errors_are_one_line(run, tmp_path):
    status, _, err = run("cubs200")
    assert (status, err) == (
        2,
        "jaxloc: cubs200: no data set of this name; did you mean cub200? (`jaxloc datasets` lists them)\n",
    )
    status, _, err = run(f"cub200:{tmp_path}")
    assert status == 2
    assert err.startswith(f"jaxloc: cub200:{tmp_path}: holds no images.txt: ")
    assert err.count("\n") == 1
