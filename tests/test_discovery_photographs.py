"""Saliency and regions of photographs, float32 in padded batches, against the NumPy float64 transcription."""

import jax
import numpy as np
import pytest

import jaxloc
from jaxloc import discovery
from jaxloc.discovery import SETTINGS
from tests.compiled import jitted
from tests.reference import discovery as reference
from tests.run import helpers

pytestmark = pytest.mark.photos


@pytest.fixture(scope="module", params=[8, pytest.param(40, marks=pytest.mark.soak)])
def maps(request, photos_folder, vgg16, weights_cache) -> list[np.ndarray]:
    paths = sorted(photos_folder.glob("voc07_left/*/*.jpg"))[:: 240 // request.param]
    with helpers.real_network(weights_cache):
        return jaxloc.load(vgg16).features(paths[: request.param], max_side=224)


def padded(maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.array([one.shape[:2] for one in maps])
    batch = np.zeros((len(maps), *sizes.max(0), *maps[0].shape[2:]), np.float32)
    for slot, one, (rows, columns) in zip(batch, maps, sizes, strict=True):
        slot[:rows, :columns] = one
    return batch, sizes


def cells_of(found: discovery.Regions, place: int) -> list[list[int]]:
    return found.cells[place][found.valid[place]].tolist()


def test_the_same_boxes(maps):
    batch, sizes = padded(maps)
    saliency = jitted(jax.vmap(lambda x, size: discovery.feature_saliency(x, size=size)))(batch, sizes)
    truth = [reference.feature_saliency(one) for one in maps]
    vectors, values = [], []
    for name in ("features, paper", "features"):
        find = jitted(jax.vmap(lambda s, size, name=name: discovery.find_regions(s, size=size, setting=SETTINGS[name])))
        found = find(saliency, sizes)
        for place, one in enumerate(truth):
            _, cells, _ = reference.regions(one, SETTINGS[name])
            assert cells_of(found, place) == cells.tolist(), (name, place)
            if name == "features, paper":
                vectors.append(reference.region_vectors(maps[place], cells))
                values.append(reference.region_saliency(one, cells))
    vectors, values = np.concatenate(vectors).astype(np.float32), np.concatenate(values).astype(np.float32)
    model = discovery.fit_objects(vectors, values, dimension=0)
    see = jitted(jax.vmap(lambda x, s, size: discovery.object_saliency(model, x, s, size=size)))
    found = jitted(jax.vmap(lambda s, size: discovery.find_regions(s, size=size, setting=SETTINGS["objects"])))(
        see(batch, saliency, sizes), sizes
    )
    strength = values**3 * reference.centrality(vectors.astype(np.float64), 50)
    for place, (features, one) in enumerate(zip(maps, truth, strict=True)):
        objects = reference.object_saliency(features, one, vectors.astype(np.float64), strength, 5)
        assert cells_of(found, place) == reference.regions(objects, SETTINGS["objects"])[1].tolist(), place
