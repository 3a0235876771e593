"""Moments of several sets: merged, and kept in files that say so when they are damaged."""

import re

import jax
import numpy as np
import pytest

from jaxloc import moments
from jaxloc.errors import UsageError
from jaxloc.run import moment_store
from jaxloc.run.moment_store import MomentStore, StoredMoments

LAYERS = ("relu5_3", "relu5_2")


def descriptors(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((20 + seed, 5), np.float32)


def of(*seeds: int) -> dict[str, moments.Moments]:
    x = np.concatenate([descriptors(seed) for seed in seeds])
    return {layer: moments.of(x + number) for number, layer in enumerate(LAYERS)}


@pytest.fixture
def some() -> MomentStore:
    """Two sets: one of two images, one of one."""
    made = MomentStore(LAYERS)
    made.add(7, 1, of(0))
    made.add(2, 1, of(1))
    made.add(7, 1, of(2))
    return made


def read(path) -> MomentStore:
    stored, made = StoredMoments(path), MomentStore(LAYERS)
    for which in stored.images:
        made.merge(which, stored.images[which], stored.of_set(which))
    return made


def check(found: dict[str, moments.Moments], expected: dict[str, moments.Moments]) -> None:
    for layer in LAYERS:
        assert moments.count(found[layer]) == moments.count(expected[layer])
        np.testing.assert_allclose(found[layer].mean, expected[layer].mean, rtol=1e-6)
        np.testing.assert_allclose(found[layer].scatter, expected[layer].scatter, rtol=1e-5, atol=1e-5)


def test_each_set_has_its_own_sum(some):
    assert some.images == {7: 2, 2: 1}
    check(some.moments(7), of(0, 2))
    check(some.moments(2), of(1))


def test_sums_merge_set_by_set(some, tmp_path):
    whole = MomentStore(LAYERS)
    for other, seeds in ((some, (0, 2)), (MomentStore(LAYERS), (3,))):
        if seeds == (3,):
            other.add(7, 4, of(3))
        other.save(tmp_path / "other")
        whole.merge(7, other.images[7], StoredMoments(tmp_path / "other").of_set(7))
    assert whole.images == {7: 6}
    check(whole.moments(7), of(0, 2, 3))


def test_a_set_that_is_dropped_is_gone(some):
    some.drop(7)
    assert list(some.images) == [2]
    with pytest.raises(KeyError):
        some.moments(7)


def test_sums_come_back_from_their_file_exactly(some, tmp_path):
    some.save(tmp_path / "a")
    again = read(tmp_path / "a")
    assert again.images == some.images
    for which in some.images:
        for one, other in zip(jax.tree.leaves(again.moments(which)), jax.tree.leaves(some.moments(which)), strict=True):
            np.testing.assert_array_equal(one, other)
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_moments_added_to_those_of_a_file_give_the_same_bytes(some, tmp_path):
    some.save(tmp_path / "kept")
    again = read(tmp_path / "kept")
    for one in (some, again):
        one.add(2, 1, of(4))
    some.save(tmp_path / "a")
    again.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_is_kept_of_nothing(tmp_path):
    MomentStore(LAYERS).save(tmp_path / "a")
    assert read(tmp_path / "a").images == {}


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "no safetensors", "another file"])
def test_a_damaged_file_is_named_with_the_cure(some, tmp_path, damage):
    path = tmp_path / "a"
    some.save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "another file":
        moment_store.save_evidence(path, {(0, "relu5_3"): np.arange(3)})
    else:
        path.write_bytes({"empty": b"", "cut": path.read_bytes()[:-8], "no safetensors": b"no" * 90}[damage])
    cure = rf"^{re.escape(str(path))}: missing or damaged \(.*\): delete it and run the same command again$"
    with pytest.raises(UsageError, match=cure):
        read(path)
    if damage != "another file":
        with pytest.raises(UsageError, match=cure):
            moment_store.load_evidence(path)


def test_evidence_comes_back_from_their_file(tmp_path):
    counts = {(3, "relu5_3"): np.array([1, 2, 2**40]), (0, "relu5_2"): np.array([5, 6, 7])}
    moment_store.save_evidence(tmp_path / "a", counts)
    again = moment_store.load_evidence(tmp_path / "a")
    assert again.keys() == counts.keys()
    for key, values in counts.items():
        np.testing.assert_array_equal(again[key], values)


def test_moments_of_several_sets_are_added_row_by_row():
    stacked = jax.tree.map(lambda *values: np.stack(values), of(0), of(1), of(2))
    made = MomentStore(LAYERS)
    made.add_rows(stacked, [(0, 7, 1), (2, 5, 1)])
    check(made.moments(7), of(0))
    check(made.moments(5), of(2))
