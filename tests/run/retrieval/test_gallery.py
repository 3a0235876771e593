"""What ``index`` leaves on disk: the vectors and the rows that they are of."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from jaxloc import models
from jaxloc.run.retrieval.gallery import Gallery
from tests.reference import scda_ddt as reference
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked


@pytest.fixture(scope="module")
def maps(weights, images):
    """Features of the images one by one, by layer."""
    loaded = models.load(weights)
    return helpers.features(loaded, sorted(images.rglob("*.png")), ["pool5", "relu5_2"])


def test_vectors_are_those_of_the_papers_transcription(made, maps):
    expected = []
    for one in maps["pool5"]:
        mask = reference.scda_mask(one)
        expected.append(reference.scda_descriptor(one, mask) if mask.any() else np.zeros(small.DIMENSION))
    vectors = small.stored(made())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert [bool(one.any()) for one in vectors] == [True] * 15 + [False]


def test_rows_tell_what_each_vector_is_of(made, images, maps):
    paths = sorted(images.rglob("*.png"))
    rows = Gallery.open(made()).whole_table().to_pylist()
    assert [row["path"] for row in rows] == list(map(str, paths))
    assert [row["name"] for row in rows] == [path.relative_to(images).as_posix() for path in paths]
    assert [row["label"] for row in rows] == [path.parent.name for path in paths]
    for row, path, one in zip(rows, paths, maps["pool5"], strict=True):
        with Image.open(path) as image:
            assert (row["width"], row["height"]) == image.size
        mask = reference.scda_mask(one)
        assert row["found"] == bool(mask.any())
        assert row["box"] == (reference.box(mask, (row["height"], row["width"])).tolist() if row["found"] else None)
        data = path.read_bytes()
        assert (row["bytes"], row["checksum"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_gallery_holds_its_own_files_and_nothing_else(made, images):
    folder = made(whiten="svd-5")
    files = set(helpers.every_file(folder))
    numbers = [f"{number:08d}" for number in range(6)]
    expected = {"gallery.json", "whitening.safetensors"}
    expected |= {f"{part}/{number}.safetensors" for part in ("vectors", "whitened") for number in numbers}
    assert {name for name in files if not name.startswith("table/")} == expected
    assert sorted(name[:14] for name in files if name.startswith("table/")) == [f"table/{number}" for number in numbers]
    assert Gallery.open(folder).shards == list(range(6))


DESCRIPTORS = ["pool5", "avg", "max", "mac", "gem", "spoc", "spoc_center", "crow", "rmac", "fv"]


@pytest.mark.parametrize("name", soaked(DESCRIPTORS, ["pool5", "avg"]))  # test_compare.py searches by all
def test_every_descriptor_makes_finite_vectors_of_unit_length(weights, images, tmp_path, name):
    from jaxloc.run.retrieval.index import index

    index([images / "cat", images / small.EMPTY], tmp_path / "g", small.index_options(weights, descriptor=name))
    vectors = small.stored(tmp_path / "g")
    assert np.isfinite(vectors).all()
    length = np.linalg.norm(vectors, axis=1)
    blocks = {"pool5": 2}.get(name, 1)
    np.testing.assert_allclose(length[:-1], np.sqrt(blocks), rtol=1e-4)
    selects = name in ("avg", "max", "fv")
    assert (length[-1] == 0) == selects
