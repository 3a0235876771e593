"""Feature maps in files: those that the network gives, computed once, and resumed."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

from jaxloc.data import Source
from jaxloc.inference import DeviceWeights, Extractor
from jaxloc.models import extract_features
from jaxloc.run.frozen import frozen_maps, read_within
from tests.models import narrow

LAYERS = ("relu5_3", "relu4_3")
SHAPES = ((64, 64), (40, 64), (64, 33), (64, 48), *[(48, 64)] * 8)
NAMES = [f"{number}.png" for number in range(len(SHAPES))]


@pytest.fixture(scope="module")
def engine():
    return Extractor(DeviceWeights(narrow.weights(), devices=1), LAYERS)


def read(number):
    return np.random.default_rng(number).integers(0, 256, (*SHAPES[number], 3), np.uint8)


def test_maps_are_those_of_the_network_and_computed_once(engine, tmp_path):
    maps, skipped = frozen_maps(NAMES, read, engine, 64, tmp_path)
    assert not skipped
    assert maps["relu4_3"].features.shape == (len(NAMES), 8, 8, 6)
    extract = jax.jit(functools.partial(extract_features, backbone=narrow.BACKBONE, layers=LAYERS))
    for number in (1, 2, 11):
        found = extract(narrow.weights().params, read(number))
        for layer in LAYERS:
            rows, columns = maps[layer].sizes[number]
            one = maps[layer].features[number]
            np.testing.assert_allclose(one[:rows, :columns], found[layer].features, atol=1e-4)
            assert not one[rows:].any()
            assert not one[:, columns:].any()

    def fail(number):
        raise AssertionError(number)

    again, _ = frozen_maps(NAMES, fail, engine, 64, tmp_path)
    np.testing.assert_array_equal(again["relu5_3"].features, maps["relu5_3"].features)
    np.testing.assert_array_equal(again["relu5_3"].sizes, maps["relu5_3"].sizes)


def test_a_broken_job_resumes_with_the_images_that_are_missing(engine, tmp_path):
    unbroken, _ = frozen_maps(NAMES, read, engine, 64, tmp_path / "unbroken")

    def broken(number):
        if number == 9:
            raise RuntimeError
        return read(number)

    with pytest.raises(RuntimeError):
        frozen_maps(NAMES, broken, engine, 64, tmp_path / "in")
    seen = []

    def watched(number):
        seen.append(number)
        return read(number)

    maps, _ = frozen_maps(NAMES, watched, engine, 64, tmp_path / "in")
    assert seen == [8, 9, 10, 11]
    for layer in LAYERS:
        np.testing.assert_array_equal(maps[layer].features, unbroken[layer].features)


def test_images_are_shrunk_to_their_longer_side_or_skipped(engine, tmp_path):
    for name, size in (("wide.png", (300, 200)), ("tiny.png", (60, 20)), ("strip.png", (999, 333))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    (tmp_path / "text.png").write_text("no image")
    names = ["wide.png", "tiny.png", "strip.png", "text.png"]
    sources = [Source(tmp_path / name, name) for name in names]
    maps, skipped = frozen_maps(names, lambda number: read_within(sources[number], 96, 32), engine, 96, tmp_path)
    assert read_within(sources[0], 96, 32).shape == (64, 96, 3)
    assert maps["relu5_3"].sizes.tolist() == [[4, 6], [0, 0], [2, 6], [0, 0]]
    assert skipped[1] == "too small: 60×20 pixels, and 32 a side are needed"
    assert "not an image" in skipped[3]


def test_a_long_strip_keeps_the_longer_side(tmp_path):
    Image.new("RGB", (300, 4)).save(tmp_path / "strip.png")
    assert read_within(Source(tmp_path / "strip.png", "strip.png"), 224, 1).shape == (3, 224, 3)
