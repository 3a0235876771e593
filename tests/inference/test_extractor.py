"""Features of batches: programs, devices."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxloc import models
from jaxloc.data import Batch, Buckets
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights, Extractor, component_backend, local_mesh
from jaxloc.models import winograd
from tests.run.retrieval import small

LAYERS = ("relu5_3", "relu5_2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture
def make(weights):
    """An extractor of the small network."""

    def make(**values) -> Extractor:
        return Extractor(DeviceWeights(models.load(weights), devices=1, **values), LAYERS)

    return make


def batch_of(number: int, shape: tuple[int, int] = (48, 64)) -> Batch:
    images = np.random.default_rng(0).integers(256, size=(number, *shape, 3), dtype=np.uint8)
    sizes = np.tile(np.array(shape, np.int32), (number, 1))
    return Batch(images, sizes, sizes, np.arange(number))


def test_extractors_of_one_kind_share_their_programs(make, monkeypatch):
    buckets = Buckets({(48, 64): 1}, 8)
    list(make().compile([(1, 48, 64, 3)]))
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda *_, **__: pytest.fail("compiled again"))
    again = make()
    assert again.pending(buckets) == []
    again.features(batch_of(1))


def test_extractors_that_convolve_differently_work_side_by_side(make, monkeypatch):
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 8)
    one = batch_of(1, (40, 48))
    extractors = [make(conv=conv) for conv in ("direct", "winograd")]
    direct, transformed = (np.asarray(some.features(one)["relu5_3"].features) for some in extractors)
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
    ("asked", "size", "expected"),
    [("auto", 1, "host"), ("auto", 2, "device"), ("host", 2, "host"), ("device", 1, "device")],
)
def test_components_are_labelled_where_it_holds_up_nobody(asked, size, expected):
    assert component_backend(asked, SimpleNamespace(size=size)) == expected


def test_more_devices_than_there_are_is_an_error():
    number = jax.local_device_count()
    assert local_mesh(number).size == number
    with pytest.raises(UsageError, match=f"{number + 1} devices asked for, and this host has {number}"):
        local_mesh(number + 1)
