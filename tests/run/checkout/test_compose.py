"""Composed checkout sets, from product images to a data set and a page."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxloc.data import annotations
from jaxloc.data.checkout import read_product
from jaxloc.errors import UsageError
from jaxloc.options import ComposeOptions, CutOptions
from jaxloc.run.checkout import compose
from jaxloc.run.checkout.compose import composed_text
from tests.products import write_products
from tests.report.parsed import Page
from tests.run import helpers

SMALL = ComposeOptions(images=6, side=160, product_side=0.2)


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Ten kinds of product; nothing may be written there."""
    return write_products(tmp_path_factory.mktemp("shop") / "products")


@pytest.fixture(scope="module")
def made(products, tmp_path_factory):
    """A composed set; nothing may be written there."""
    return compose(products, tmp_path_factory.mktemp("composed") / "out", SMALL)


def images_of(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "work" / "images").glob("*.jpg"))}


def test_a_labelled_set_with_levels_masks_and_a_page(made):
    found = annotations.read(made.folder / "dataset")
    assert sorted(found.categories) == [f"kind-{number}" for number in range(10)]
    assert [image.level for image in found.images.values()] == ["easy", "medium", "hard"] * 2
    for image in found.images.values():
        assert all(one.mask is not None and one.box[2] <= 160 for one in image.annotations)
        with Image.open(image.path) as opened:
            assert opened.size == (160, 160)
    assert made.exported.objects == sum(len(image.annotations) for image in found.images.values())
    page = Page((made.folder / "report.html").read_text())
    assert [page.tile(name) for name in ("Images", "Kinds", "Skipped")] == ["6", "10", "0"]
    assert page.tile("Items") == str(made.exported.objects)
    text = composed_text(made, 1.0)
    assert f"6 images with {made.exported.objects} items of 10 kinds, from 20 products cut out" in text


def test_a_killed_call_ends_with_the_same_images_and_more_images_are_added(made, products, tmp_path):
    shutil.copytree(made.folder, tmp_path / "out")
    before = images_of(made.folder)
    work = tmp_path / "out" / "work"
    name = sorted(before)[2]
    (work / "images" / f"{name}.json").unlink()
    (work / "images" / name).write_bytes(b"half")
    shutil.rmtree(tmp_path / "out" / "dataset")
    again = compose(products, tmp_path / "out", SMALL)
    assert images_of(tmp_path / "out") == before
    assert (again.folder / "dataset" / "annotations.json").read_bytes() == (
        made.folder / "dataset" / "annotations.json"
    ).read_bytes()
    more = compose(products, tmp_path / "out", dataclasses.replace(SMALL, images=8))
    assert more.exported.images == 8
    assert images_of(tmp_path / "out").items() > before.items()


def test_other_settings_are_refused_or_start_over(made, products, tmp_path):
    shutil.copytree(made.folder, tmp_path / "out")
    other = dataclasses.replace(SMALL, seed=1)
    with pytest.raises(UsageError, match="holds a run with seed 0, and 1 is asked for: use the same, choose another"):
        compose(products, tmp_path / "out", other)
    compose(products, tmp_path / "out", other, overwrite=True)
    assert images_of(tmp_path / "out").keys() == images_of(made.folder).keys()
    assert images_of(tmp_path / "out") != images_of(made.folder)


def test_a_yolo_set_in_splits_without_a_render_on_a_background(products, tmp_path):
    Image.new("RGB", (300, 200), (40, 90, 40)).save(tmp_path / "counter.png")
    options = ComposeOptions(
        images=6, levels=("easy",), format="yolo", side=128, render="none", backgrounds=(str(tmp_path / "counter.png"),)
    )
    done = compose(products, tmp_path / "out", options, split={"train": 0.5, "val": 0.5})
    found = annotations.read(done.folder / "dataset")
    assert {split for image in found.images.values() for split in image.splits} <= {"train", "val"}
    assert sum(len(image.annotations) for image in found.images.values()) == done.exported.objects
    pixels = np.asarray(Image.open(next(iter(found.images.values())).path)).astype(int)
    assert (np.abs(pixels - (40, 90, 40)).max(2) < 8).mean() > 0.4


def test_products_before_other_things_are_found_by_what_their_kind_shares(tmp_path, products):
    shutil.copytree(products, tmp_path / "products")
    shutil.rmtree(tmp_path / "products" / "kind-0")
    helpers.write_photographs(tmp_path / "products" / "kind-0", with_object=4, without=0)
    shutil.rmtree(tmp_path / "products" / "kind-1")
    helpers.write_photographs(tmp_path / "products" / "kind-1", with_object=1, without=0)
    for number in range(4, 10):
        shutil.rmtree(tmp_path / "products" / f"kind-{number}")
    options = dataclasses.replace(SMALL, images=2, levels=("easy",), cutting=CutOptions(refine="guided"))
    done = compose(tmp_path / "products", tmp_path / "out", options)
    listed = json.loads((done.folder / "work" / "cutouts.json").read_text())
    assert len(listed["files"]["kind-0"]) + len(listed["skipped"]) == 4
    assert listed["files"]["kind-0"]
    assert len(listed["files"]["kind-1"]) == 1
    assert all(len(files) == 2 for kind, files in listed["files"].items() if kind not in ("kind-0", "kind-1"))


def test_images_that_give_no_product_are_named_with_the_cure(tmp_path, products):
    shutil.copytree(products, tmp_path / "products")
    (tmp_path / "products" / "kind-1" / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "products" / "kind-2" / "blank.png")
    done = compose(tmp_path / "products", tmp_path / "out", dataclasses.replace(SMALL, images=2))
    reasons = {one.name: one.reason for one in done.skipped}
    assert set(reasons) == {"kind-1/broken.jpg", "kind-2/blank.png"}
    assert "shows nothing in front of its background: leave it out" in reasons["kind-2/blank.png"]
    assert "Not used:\n  kind-1/broken.jpg: " in composed_text(done, 1.0)
    page = Page((done.folder / "report.html").read_text())
    assert page.row("kind-2/blank.png")[:2] == ["kind-2/blank.png", "kind-2"]


def test_products_cut_out_before_are_taken_as_they_are(made, tmp_path):
    assert (made.folder / "work" / "cutouts" / "kind-3" / "1.png").exists()
    options = ComposeOptions(images=4, levels=("single",), side=160)
    again = compose(made.folder / "work" / "cutouts", tmp_path / "out", options)
    assert again.exported.objects == 4
    for kind in ("kind-0", "kind-9"):
        files = (one.folder / "work" / "cutouts" / kind / "0.png" for one in (made, again))
        before, after = map(read_product, files)
        assert np.abs(np.subtract(before.size, after.size)).max() <= 4  # cropped to what it shows


def test_products_cut_out_are_not_replaced_while_they_are_composed(made, products, tmp_path):
    folder = shutil.copytree(made.folder, tmp_path / "out")
    cut_out = folder / "work" / "cutouts"
    with pytest.raises(UsageError, match=r"cutouts: lies inside .*work, which this composition replaces: choose"):
        compose(cut_out, folder, SMALL, overwrite=True)
    (cut_out / "kind-3" / "1.png").unlink()
    with pytest.raises(UsageError, match=r"kind-3/1\.png: was deleted, .*: compose from .*cutouts into another --out"):
        compose(products, folder, dataclasses.replace(SMALL, images=8))


def test_what_cannot_be_composed_is_told_in_one_line(tmp_path, products):
    few = write_products(tmp_path / "few", kinds=4, views=1)
    with pytest.raises(UsageError, match="hard needs 8 kinds of product, and there are 4: add folders"):
        compose(few, tmp_path / "out", SMALL)
    with pytest.raises(UsageError, match="a canvas of 64 pixels is too small for hard: products would be 15 pixels"):
        ComposeOptions(side=64)
    with pytest.raises(UsageError, match=r"the canvas is too small for hard: .* lower --product-side"):
        compose(products, tmp_path / "large", dataclasses.replace(SMALL, levels=("hard",), product_side=0.69))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "report.html").write_text("mine")
    with pytest.raises(UsageError, match=r"report.html: written by something else than a run in this folder"):
        compose(products, tmp_path / "mine", SMALL)
    (tmp_path / "kept" / "work").mkdir(parents=True)
    with pytest.raises(UsageError, match="work: holds something else than a composition: move it away"):
        compose(products, tmp_path / "kept", SMALL, overwrite=True)
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    broken = dataclasses.replace(SMALL, backgrounds=(str(tmp_path / "broken.jpg"),))
    with pytest.raises(UsageError, match=r"broken.jpg: no background: .*: leave it out of --background"):
        compose(products, tmp_path / "ground", broken)
    with pytest.raises(UsageError, match="no level 'harder': there are single, easy, medium, hard"):
        ComposeOptions(levels=("harder",))
    with pytest.raises(UsageError, match=r"lies inside .*, where it would become a product"):
        compose(few, few / "out", dataclasses.replace(SMALL, levels=("easy",)))
    (few / "kind-3" / "0.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"kind-3: no product could be cut out of its images; kind-3/0.png: "):
        compose(few, tmp_path / "broken", dataclasses.replace(SMALL, levels=("easy",)))
