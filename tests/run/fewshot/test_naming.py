"""Naming by exemplars: the nearest mean, what is written, and what bad input gets."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest

from jaxloc import bilinear, models, moments
from jaxloc.data import find_sets
from jaxloc.errors import UsageError
from jaxloc.models import extract_features
from jaxloc.options import NameOptions
from jaxloc.run.fewshot import name_images
from jaxloc.run.frozen import read_within
from tests.report.parsed import Page

KINDS = ["cat", "coffee", "face"]


@pytest.fixture(scope="module")
def options(given) -> NameOptions:
    return NameOptions(**given, top=4)


@pytest.fixture(scope="module")
def named(images, asked, options, tmp_path_factory):
    return name_images([images], [asked], tmp_path_factory.mktemp("out"), options)


def maps_of(folder, weights):
    """The default layer's cells of each image, by name."""
    loaded = models.load(weights)
    layer = loaded.backbone.defaults.localization
    (found,) = find_sets([folder])
    extract = jax.jit(lambda pixels: extract_features(loaded.params, pixels, backbone=loaded.backbone, layers=(layer,)))
    return {source.name: np.asarray(extract(read_within(source, 64, 1))[layer].features) for source in found.sources}


def test_images_get_the_class_of_the_nearest_mean(named, images, asked, weights):
    known, other = maps_of(images, weights), maps_of(asked, weights)
    cells = np.concatenate([one.reshape(-1, one.shape[-1]) for one in known.values()])
    axes = bilinear.fit_axes(moments.of(cells), dimension=4)

    def vector(one):
        return np.asarray(bilinear.descriptor(one, np.ones(one.shape[:2], bool), axes=axes))

    vectors = {name: vector(one) for name, one in known.items()}
    means = [np.mean([v for name, v in vectors.items() if name.startswith(kind)], 0) for kind in KINDS]
    for one in named.images:
        scores = {k: float(vector(other[one.image]) @ m / np.linalg.norm(m)) for k, m in zip(KINDS, means, strict=True)}
        assert dict(one.scores) == pytest.approx(scores, abs=1e-4)
        assert one.label == max(scores, key=scores.get)
        assert one.margin == pytest.approx(np.diff(sorted(scores.values()))[-1], abs=1e-4)
        likeness = {name: float(v @ vector(other[one.image])) for name, v in vectors.items()}
        for number, score in one.nearest:
            assert score == pytest.approx(likeness[named.exemplars[number][0]], abs=1e-4)
        assert [score for _, score in one.nearest] == pytest.approx(sorted(likeness.values())[:-5:-1], abs=1e-4)


def test_an_exemplar_alone_in_its_class_names_itself(images, options, tmp_path):
    for kind in KINDS:
        (tmp_path / "one" / kind).mkdir(parents=True)
        shutil.copy(images / kind / "0.png", tmp_path / "one" / kind)
    done = name_images([tmp_path / "one"], [tmp_path / "one"], tmp_path / "out", options)
    assert [one.label for one in done.images] == KINDS
    assert [one.scores[0][1] for one in done.images] == pytest.approx([1, 1, 1], abs=1e-5)


def test_the_table_the_json_and_the_page_tell_the_names(named):
    rows = list(csv.DictReader((named.folder / "names.csv").read_text().splitlines()))
    plain = json.loads((named.folder / "names.json").read_text())
    page = Page((named.folder / "report.html").read_text())
    assert "6 images named by 15 exemplars of 3 classes." in page.text
    assert page.row("Name") == ["Name", "Queries", "Mean margin", "Smallest"]
    for row, item, shown, one in zip(rows, plain["images"], page.data["queries"], named.images, strict=True):
        assert (row["image"], row["name"], row["second"]) == (one.image, one.label, one.scores[1][0])
        assert item["scores"] == dict(one.scores)
        assert item["nearest"][0]["label"] == named.exemplars[one.nearest[0][0]][1]
        assert shown["names"] == [[name, round(score, 4)] for name, score in one.scores]
        assert shown["margin"] == pytest.approx(one.margin, abs=1e-4)
        assert page.data["images"][shown["image"]]["thumbnail"] is not None
        assert len(shown["results"]) == 4


def test_unreadable_images_are_skipped_and_the_page_shows_no_more_than_asked_for(images, asked, given, tmp_path):
    (tmp_path / "asked").mkdir()
    shutil.copy(asked / "cat" / "7.png", tmp_path / "asked")
    shutil.copy(asked / "cat" / "8.png", tmp_path / "asked")
    (tmp_path / "asked" / "broken.png").write_bytes(b"no image")
    options = NameOptions(**given, report_limit=1)
    done = name_images([images], [tmp_path / "asked"], tmp_path / "out", options)
    assert list(done.skipped) == ["broken.png"]
    assert [one.image for one in done.images] == ["7.png", "8.png"]
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert len(page.data["queries"]) == 1
    assert "Showing 1 of 2 queries" in page.text


def test_an_unreadable_exemplar_is_named(images, asked, options, tmp_path):
    folder = shutil.copytree(images, tmp_path / "exemplars")
    (folder / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"cat/0\.png: .*: mend this exemplar or take it out"):
        name_images([folder], [asked], tmp_path / "out", options)


def test_a_class_without_images_and_a_single_class_are_refused(images, asked, options, tmp_path):
    folder = shutil.copytree(images, tmp_path / "exemplars")
    (folder / "dog").mkdir()
    with pytest.raises(UsageError, match="dog: a class without images: put an exemplar into it, or remove the folder"):
        name_images([folder], [asked], tmp_path / "out", options)
    with pytest.raises(UsageError, match="all exemplars are of one class, 'cat': pass a folder with a sub-folder"):
        name_images([images / "cat"], [asked], tmp_path / "out", options)


def test_an_exemplar_beside_the_folders_of_the_classes_is_refused(images, asked, options, tmp_path):
    folder = shutil.copytree(images, tmp_path / "exemplars")
    shutil.copy(folder / "cat" / "0.png", folder / "cat.png")
    with pytest.raises(UsageError, match=r"exemplars/cat\.png: lies beside the folders of the classes: put it into"):
        name_images([folder], [asked], tmp_path / "out", options)


def test_a_page_of_something_else_is_not_replaced_but_that_of_earlier_names(images, asked, options, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(
        UsageError, match=r"report.html: written by something else .*: choose another folder with --out$"
    ):
        name_images([images], [asked], tmp_path, options)
    (tmp_path / "report.html").unlink()
    for _ in range(2):
        name_images([images], [asked], tmp_path, options)


def test_results_inside_the_exemplars_or_the_base_images_are_refused(images, asked, options):
    for given, base in ((images, asked), (asked, images)):
        with pytest.raises(UsageError, match=r"named: lies inside .*/photos, where it would become a class: choose"):
            name_images([given], [asked], images / "named", options, base=[base])


def test_more_axes_than_channels_are_refused(images, asked, given, tmp_path):
    with pytest.raises(UsageError, match="relu5_3 has 10 channels, so --dimension must be at most 10"):
        name_images([images], [asked], tmp_path / "out", NameOptions(**given | {"dimension": 11}))


def test_a_mapping_names_beside_the_nearest_mean_and_few_classes_are_warned_about(images, asked, given, tmp_path):
    exemplars = tmp_path / "exemplars"
    for kind in KINDS:
        (exemplars / kind).mkdir(parents=True)
        shutil.copy(images / kind / "0.png", exemplars / kind)
    base = shutil.copytree(images, tmp_path / "base")
    (base / "cat" / "broken.png").write_bytes(b"no image")
    options = NameOptions(**given, steps=2)
    done = name_images([exemplars], [asked], tmp_path / "out", options, base=[base], keep=tmp_path / "kept")
    assert done.mapped
    assert done.settings["mapping"] == "residual"
    (header, *rows) = csv.reader((tmp_path / "out" / "names.csv").read_text().splitlines())
    assert header == ["image", "name", "score", "margin", "second", "nearest_mean"]
    assert [row[-1] for row in rows] == [one.by_mean for one in done.images]
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert "The mapping was learnt from 3 base classes" in page.text
    assert "cat/broken.png was left out of the base images: not an image" in page.text
    assert page.tile("Mean disagrees") == str(sum(one.label != one.by_mean for one in done.images))
    without = NameOptions(**given, mapping="none")
    plain = name_images([exemplars], [asked], tmp_path / "plain", without, base=[images], keep=tmp_path / "kept")
    assert [one.label for one in plain.images] == [one.by_mean for one in done.images]
    assert not plain.warnings
    assert "mapping" not in plain.settings
