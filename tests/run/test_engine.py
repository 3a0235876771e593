"""The network's step: its programs, its batches, its devices."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxloc.data import Batch, Buckets
from jaxloc.errors import UsageError
from jaxloc.models import winograd
from jaxloc.run import Options, engine
from jaxloc.run.engine import Engine
from tests.run.retrieval import small

LAYERS = ("relu5_3", "relu5_2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with small.narrow():
        return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture
def make(weights):
    """An engine of the small network."""

    def make(**values) -> Engine:
        options = Options(weights=weights, **values)
        return Engine(options, engine.load_weights(options, LAYERS), LAYERS)

    with small.narrow():
        yield make


def batch_of(number: int, shape: tuple[int, int] = (48, 64)) -> Batch:
    images = np.random.default_rng(0).integers(256, size=(number, *shape, 3), dtype=np.uint8)
    sizes = np.tile(np.array(shape, np.int32), (number, 1))
    return Batch(images, sizes, sizes, np.arange(number))


def test_engines_of_one_kind_share_their_programs(make, monkeypatch):
    buckets = Buckets({(48, 64): 1}, 8)
    make().compile(buckets)
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda *_, **__: pytest.fail("compiled again"))
    again = make()
    again.compile(buckets)
    again.features(batch_of(1))


def test_engines_that_convolve_differently_work_side_by_side(make, monkeypatch):
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 1)
    one = batch_of(1, (40, 48))
    engines = [make(conv=conv) for conv in ("direct", "winograd")]
    direct, transformed = (np.asarray(some.features(one)["relu5_3"].features) for some in engines)
    assert not np.array_equal(transformed, direct)
    np.testing.assert_allclose(transformed, direct, atol=2e-5 * np.abs(direct).max())


def test_features_come_by_layer_with_their_valid_cells(make):
    images, sizes, *rest = batch_of(2)
    sizes = np.array([[48, 64], [33, 40]], np.int32)
    maps = make().features(Batch(images, sizes, *rest))
    assert set(maps) == set(LAYERS)
    for features, size in maps.values():
        assert features.shape[-1] == small.WIDTHS[-1]
        np.testing.assert_array_equal(size, [[3, 4], [2, 2]])


@pytest.mark.parametrize(
    ("values", "count", "shape", "expected"),
    [
        ({}, 1000, (128, 128), 32),
        ({}, 127, (128, 128), 1),  # too few to compile a program for many at once
        ({}, 128, (128, 128), 32),
        ({}, 1000, (352, 504), 2),
        ({}, 1000, (32, 32), 64),
        ({}, 0, (128, 128), 1),
        ({"batch": 3}, 100, (128, 128), 2),
        ({"batch": 1}, 100, (128, 128), 1),
        ({}, 1000, (1024, 512), 1),
        ({}, 100, (4096, 4096), 1),
        ({"batch": 8}, 100, (1024, 512), 8),  # asked for, so it may be large
    ],
)
def test_images_in_a_batch_follow_from_the_shape_and_how_many_there_are(make, values, count, shape, expected):
    assert make(**values).capacity(Buckets({shape: count}, 8), shape) == expected


def test_an_accelerator_always_gets_full_batches(make):
    some = make(batch=16)
    some.on_cpu = False
    assert some.capacity(Buckets({(128, 128): 1}, 8), (128, 128)) == 16


@pytest.mark.parametrize(
    ("asked", "size", "expected"),
    [("auto", 1, "host"), ("auto", 2, "device"), ("host", 2, "host"), ("device", 1, "device")],
)
def test_components_are_labelled_where_it_holds_up_nobody(asked, size, expected):
    assert engine.component_backend(Options(backend=asked), SimpleNamespace(size=size)) == expected


def test_more_devices_than_there_are_is_an_error():
    number = jax.local_device_count()
    assert engine.local_mesh(number).size == number
    with pytest.raises(UsageError, match=f"{number + 1} devices asked for, and this host has {number}"):
        engine.local_mesh(number + 1)
