"""The commands about a gallery that is there: what they print, write and exit with."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from jaxloc.run.retrieval.gallery import Gallery
from tests.cli import cli
from tests.run import helpers
from tests.run.retrieval import small, synthetic


@pytest.fixture
def gallery(tmp_path):
    """Twelve made-up vectors; the images of all but the last are there, and nothing was selected in the third."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(11):
        Image.new("RGB", (40, 40), (20 * number, 90, 90)).save(photos / f"{number}.png")
    return synthetic.write(tmp_path / "gallery", np.split(vectors(), [7]), images=photos)


def vectors() -> np.ndarray:
    found = abs(synthetic.vectors(12, 5))
    found[2] = 0
    return found


def names(gallery) -> list[str]:
    return Gallery.open(gallery).whole_table()["path"].to_pylist()


def test_attributes_writes_a_page_of_both_ends(gallery, tmp_path):
    page = tmp_path / "new" / "page.html"
    attributes = ["attributes", gallery, "--html", page, "--dimensions", 2, "--count", 11]
    assert cli.invoke(*attributes) == (0, f"Look at {page}\n", "")
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>") or text.lower().startswith("<!doctype html>")
    for number in range(12):
        assert (f'"{number}.png"' in text) == (number != 2)
    before = page.read_bytes()
    cli.invoke(*attributes)
    assert page.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--dimensions", "6"], "there is no dimension 5: the vectors have 5, counted from 0"),
        (["--dimensions", "0"], "--dimensions and --count must be at least 1"),
        (["--count", "0"], "--dimensions and --count must be at least 1"),
        ([], "there is no dimension 5: the vectors have 5"),
    ],
    ids=str,
)
def test_attributes_tells_what_there_is_none_of(gallery, tmp_path, given, message):
    status, out, err = cli.invoke("attributes", gallery, "--html", tmp_path / "page.html", *given)
    assert (status, out) == (2, "")
    assert message in cli.one_line(err)
    assert not (tmp_path / "page.html").exists()


def test_remove_takes_images_out_by_name_or_path_and_leaves_the_photographs(gallery, tmp_path):
    photos = helpers.every_file(tmp_path / "photos")
    last = names(gallery)[11]
    assert cli.invoke("remove", gallery, "3.png", last) == (0, "2 removed.\n", "")
    assert len(names(gallery)) == 10
    np.testing.assert_array_equal(small.stored(gallery), np.delete(vectors(), [3, 11], axis=0))
    assert helpers.every_file(tmp_path / "photos") == photos
    before = helpers.every_file(gallery)
    status, out, err = cli.invoke("remove", gallery, "4.png", "3.png")
    assert (status, out) == (2, "")
    assert "holds no image 3.png; its table has name and path of each" in cli.one_line(err)
    assert helpers.every_file(gallery) == before
    assert cli.invoke("remove", gallery, *names(gallery))[1] == "10 removed.\n"
    status, _, err = cli.invoke("attributes", gallery, "--html", tmp_path / "page.html")
    assert status == 2
    assert "the gallery is empty: add images with `jaxloc index`" in cli.one_line(err)


def test_approximate_tells_what_it_built_and_how_good_it_is(gallery):
    pytest.importorskip("faiss")
    status, out, err = cli.invoke("approximate", gallery, "--seed", 3)
    assert (status, err) == (0, "")
    assert re.fullmatch(
        r"hnsw over 12 vectors, 0\.0 MB: 100\.00 % of the exact first 10 are among its first 10 \(measured with 11 "
        r"vectors of the gallery\)\.\n",
        out,
    )
    status, out, err = cli.invoke("approximate", gallery, "--kind", "ivf-pq")
    assert (status, out) == (2, "")
    assert "ivf-pq needs at least 10,240 vectors" in cli.one_line(err)
    status, out, err = cli.invoke("approximate", gallery, "--seed", -1)
    assert (status, out) == (2, "")
    assert "seed must be at least 0, not -1" in cli.one_line(err)


def test_approximate_without_faiss_names_the_extra(gallery, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    status, out, err = cli.invoke("approximate", gallery)
    assert (status, out) == (2, "")
    assert cli.one_line(err) == "jaxloc: approximate search needs FAISS: pip install 'jaxloc[faiss]'"


@pytest.mark.parametrize("command", [["attributes", "--html", "p.html"], ["remove", "a.png"], ["approximate"]], ids=str)
def test_where_there_is_no_gallery_one_line_says_so(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    name, *rest = command
    status, out, err = cli.invoke(name, "nowhere", *rest)
    assert (status, out) == (2, "")
    assert "nowhere: no gallery here; make one with `jaxloc index PHOTOS --out nowhere`" in cli.one_line(err)
    assert helpers.every_file(tmp_path) == {}


@pytest.mark.parametrize("command", ["attributes", "remove", "approximate"])
def test_help_has_an_example(command):
    status, out, err = cli.invoke(command, "--help")
    assert (status, err) == (0, "")
    assert f"jaxloc {command} gallery" in out
