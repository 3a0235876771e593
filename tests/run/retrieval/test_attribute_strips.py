"""The images at both ends of a dimension, against NumPy on the stored vectors; the page that shows them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from jaxloc.errors import UsageError
from jaxloc.report.search_page import render_search
from jaxloc.run.retrieval import vectors as vectors_module
from jaxloc.run.retrieval.attribute_strips import attributes_of, strips
from tests.run.retrieval import small, synthetic
from tests.soaked import soaked


@pytest.fixture(scope="module")
def stored():
    """Eleven vectors of ever smaller variance; in the first three and the eighth nothing was selected."""
    found = synthetic.vectors(11, 6) * np.linspace(3, 1, 6, dtype=np.float32)
    found[[0, 1, 2, 7]] = 0
    return found


@pytest.fixture(scope="module")
def gallery(stored, tmp_path_factory):
    """Four shards; the first holds nothing that was selected."""
    return synthetic.write(tmp_path_factory.mktemp("ends") / "gallery", np.split(stored, [3, 4, 9]))


@pytest.mark.parametrize("part", [1 << 16, 5, 1], ids=["one part", "parts of 5", "a part for each shard"])
@pytest.mark.parametrize("count", soaked([2, 5, 20], [5, 20]))
def test_ends_are_those_of_numpy(gallery, stored, monkeypatch, part, count):
    monkeypatch.setattr(vectors_module, "PART", part)
    there = np.flatnonzero(stored.any(1))
    unit = small.unit(stored)[there]
    variance = unit.var(0)
    dimensions = [4, 0, 1]
    found = strips(gallery, dimensions, count=count)
    assert [strip.dimension for strip in found] == dimensions
    for strip in found:
        rising = np.argsort(unit[:, strip.dimension], kind="stable")
        for end, order in ((strip.low, rising[:count]), (strip.high, rising[::-1][:count])):
            assert [one.name for one in end] == [f"{row}.png" for row in there[order]]
            np.testing.assert_allclose([one.value for one in end], unit[order, strip.dimension], atol=1e-6)
            assert all(one.thumbnail is None for one in end)
        assert strip.share == pytest.approx(variance[strip.dimension] / variance.sum(), rel=1e-5)


def test_of_equal_values_the_first_comes_first_at_both_ends(tmp_path):
    vectors = np.tile(np.array([[0.6, 0.8]], np.float32), (4, 1))
    (strip,) = strips(synthetic.write(tmp_path / "g", [vectors[:2], vectors[2:]]), [1], count=3)
    assert [one.name for one in strip.high] == [one.name for one in strip.low] == ["0.png", "1.png", "2.png"]
    assert strip.share == 0


def test_what_is_not_there_is_told(gallery, tmp_path):
    for wrong in (6, -1):
        with pytest.raises(UsageError, match=f"there is no dimension {wrong}: the vectors have 6, counted from 0"):
            strips(gallery, [0, wrong])
    with pytest.raises(UsageError, match="there is no dimension 6: the vectors have 6"):
        attributes_of(gallery, 7)
    nothing = synthetic.write(tmp_path / "g", [np.zeros((2, 6), np.float32)])
    with pytest.raises(UsageError, match="g: in no image of the gallery was anything selected"):
        attributes_of(nothing, 2)
    with pytest.raises(UsageError, match="no gallery here"):
        attributes_of(tmp_path, 2)


def test_the_page_shows_the_images_that_are_still_there(stored, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(11):
        Image.new("RGB", (40, 40), (20 * number, 90, 90)).save(photos / f"{number}.png")
    folder = synthetic.write(tmp_path / "gallery", [stored], images=photos)
    everything = attributes_of(folder, 2, count=7)
    assert all(one.thumbnail for strip in everything.strips for one in (*strip.high, *strip.low))
    (photos / "5.png").unlink()
    (photos / "6.png").write_text("no image any more")
    found = attributes_of(folder, 2, count=7)
    for strip in found.strips:
        assert {one.name for one in strip.high if one.thumbnail is None} == {"5.png", "6.png"}
    assert (found.title, found.gallery_size, found.queries) == ("gallery", 11, [])
    page = render_search(found)
    assert all(name in page for name in ("5.png", "8.png"))
    assert '"7.png"' not in page
    shutil.rmtree(photos)
    assert all(one.thumbnail is None for strip in attributes_of(folder, 1).strips for one in strip.high)
