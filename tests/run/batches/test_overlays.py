"""Overlays of a run: one for each finding, the same however the run goes, whatever the images are called."""

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jaxloc.data import ImageSet, Source
from jaxloc.errors import ImageError
from jaxloc.run import Options, colocalize, localize, localize_pass, outputs
from tests.data.datasets import trees
from tests.run import helpers
from tests.run.batches import runs
from tests.run.retrieval import small


def overlays(out):
    return {name: data for name, data in helpers.every_file(out).items() if name.startswith("overlays/")}


def options(weights, **values) -> Options:
    return runs.options(weights, overlays=True, **values)


@pytest.fixture
def voc(tmp_path):
    """Images of three classes, of which the first shows two of them."""
    return f"voc07/trainval:{trees.voc(tmp_path / 'voc', size=(96, 96))}"


def test_an_image_in_two_sets_has_an_overlay_in_each_the_same_however_the_run_is_cut(voc, weights, tmp_path):
    found = localize([voc], tmp_path / "a", options(weights, workers=4), per_label=True)
    drawn = overlays(tmp_path / "a")
    assert set(drawn) == {f"overlays/{item.category}/{item.name}.png" for item in found.images}
    shared = [item for item in found.images if item.name == "JPEGImages/000000.jpg"]
    assert [item.category for item in shared] == ["aeroplane", "bicycle"]
    first, second = (drawn[f"overlays/{item.category}/{item.name}.png"] for item in shared)
    assert first != second  # each has its set's name in it
    localize([voc], tmp_path / "b", options(weights, shard_size=1), per_label=True)
    assert overlays(tmp_path / "b") == drawn


def test_sets_that_share_no_image_need_no_folders_of_their_own(images, weights, tmp_path):
    found = runs.run(images, tmp_path / "out", weights, overlays=True)
    assert set(overlays(tmp_path / "out")) == {f"overlays/{item.name}.png" for item in found.images}


def sets(**names: list[str]) -> list[ImageSet]:
    return [ImageSet(label, [Source(Path(name), name) for name in each]) for label, each in names.items()]


def test_folders_of_sets_are_safe_and_no_two_alike():
    names = ["sea/lion", "sea_lion", "..", "n" * 300, "dog"]
    folders = outputs.overlay_folders(sets(**{name: ["x.jpg"] for name in names}))
    assert folders["dog"] == "dog"
    assert len(set(folders.values())) == 5
    assert all(folder and "/" not in folder and folder != ".." and len(folder) < 200 for folder in folders.values())
    assert outputs.overlay_folders(sets(a=["x.jpg"], b=["y.jpg"])) == {"a": "", "b": ""}
    assert outputs.overlay_folders(sets(a=["x.jpg", "x.jpg"])) == {"a": ""}


def test_long_names_and_addresses_have_overlays(images, weights, tmp_path):
    data = io.BytesIO()
    small.crop("cat", 0).save(data, "PNG")
    long = [f"http://{'host' * 30}/{'語' * 80}.jpg", f"{'a/' * 1000}b.jpg", f"{'n' * 300}.jpg", "plain.jpg"]
    table = pa.table({"image": [data.getvalue()] * len(long), "path": long})
    pq.write_table(table, tmp_path / "addresses.parquet")
    folder = tmp_path / "photos"
    folder.mkdir()
    name = "語" * 80 + ".png"
    shutil.copy(images / "cat" / "0.png", folder / name)
    found = localize([folder, tmp_path / "addresses.parquet"], tmp_path / "out", options(weights))
    assert len(found.images) == len(overlays(tmp_path / "out")) == 5
    assert f"overlays/photos/{name}.png" in overlays(tmp_path / "out")
    assert "overlays/addresses.parquet/plain.jpg.png" in overlays(tmp_path / "out")


def test_starting_over_leaves_no_overlay_of_the_run_before(images, weights, tmp_path):
    out = tmp_path / "out"
    colocalize([images / "cat"], out, options(weights))
    mine = {"overlays/mine.png": b"mine", "overlays/sub/0.png.png": (out / "overlays/0.png.png").read_bytes()}
    (out / "overlays/sub").mkdir()
    for name, content in mine.items():
        (out / name).write_bytes(content)
    localize([images / "face"], out, runs.options(weights), overwrite=True)
    assert overlays(out) == mine


def test_an_overlay_shows_the_image_and_says_whose_it_is(images, weights, tmp_path):
    localize([images / "cat"], tmp_path, options(weights))
    with Image.open(tmp_path / "overlays/0.png.png") as overlay, Image.open(images / "cat/0.png") as image:
        assert list(overlay.text) == ["jaxloc"]
        assert overlay.size == image.size
        assert not np.array_equal(np.asarray(overlay), np.asarray(image))


def test_an_image_that_is_gone_when_it_is_drawn_has_its_box_and_no_overlay(images, weights, tmp_path, monkeypatch):
    def gone(*_, **__):
        raise ImageError("no such file")

    monkeypatch.setattr(localize_pass, "read_image", gone)
    found = localize([images / "cat"], tmp_path / "out", options(weights, max_side=64))  # drawn at full size
    assert all(item.box is not None for item in found.images)
    assert overlays(tmp_path / "out") == {}
