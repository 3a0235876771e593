"""Exact search, part by part, on one device and on several, against NumPy."""

import jax
import numpy as np
import pytest

from jaxloc.run.retrieval import vectors as vectors_module
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.vectors import SearchedVectors
from tests.run.retrieval import small, synthetic
from tests.soaked import soaked

LENGTHS = (5, 1, 6, 3)


@pytest.fixture(params=[1, 2], ids=["one device", "two devices"])
def devices(request, monkeypatch):
    found = jax.local_devices()[: request.param]
    if len(found) < request.param:
        pytest.skip("needs two devices")
    monkeypatch.setattr(jax, "local_devices", lambda: found)


@pytest.fixture(params=soaked([1 << 16, 6, 1], [6]), ids=["one part", "parts of 6", "a part for each shard"])
def parts(request, monkeypatch):
    monkeypatch.setattr(vectors_module, "PART", request.param)


@pytest.fixture(scope="module")
def stored():
    """Fifteen vectors; one is zero, and the last repeats an early one."""
    found = synthetic.vectors(sum(LENGTHS), 12)
    found[7], found[14] = 0, found[2]
    return found


@pytest.fixture(scope="module")
def gallery(stored, tmp_path_factory):
    shards = np.split(stored, np.cumsum(LENGTHS)[:-1])
    return synthetic.write(tmp_path_factory.mktemp("exact") / "gallery", shards)


@pytest.fixture
def searched(gallery):
    return SearchedVectors(Gallery.open(gallery))


@pytest.mark.usefixtures("devices", "parts")
def test_it_is_numpys_order_with_ties_to_the_first_and_zeros_last(searched, stored):
    asked = np.concatenate([synthetic.vectors(6, 12, seed=1), stored[[2, 9]]])
    queries = searched.prepare(asked)
    cosines = small.unit(asked) @ small.unit(stored).T
    cosines[:, 14] = cosines[:, 2]
    cosines[:, 7] = -np.inf
    order = np.argsort(-cosines, axis=1, kind="stable")
    found = searched.nearest(queries, 15)
    np.testing.assert_array_equal(found.rows, order)
    np.testing.assert_allclose(found.scores, np.take_along_axis(cosines, order, 1), atol=1e-6)
    assert found.rows[6, :2].tolist() == [2, 14]
    assert (found.rows[:, -1] == 7).all()
    first = searched.nearest(queries, 4)
    np.testing.assert_array_equal(first.rows, order[:, :4])
    assert first.rows.dtype == np.int64


@pytest.mark.usefixtures("devices")
def test_parts_smaller_than_what_is_asked_for_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors_module, "PART", 1)
    stored = synthetic.vectors(3, 4)
    searched = SearchedVectors(Gallery.open(synthetic.write(tmp_path / "g", [stored[:1], stored[1:2], stored[2:]])))
    found = searched.nearest(searched.prepare(stored[1:2]), 3)
    cosines = small.unit(stored) @ small.unit(stored[1])
    assert found.rows[0].tolist() == np.argsort(-cosines).tolist()
    np.testing.assert_allclose(found.scores[0], np.sort(cosines)[::-1], atol=1e-6)
