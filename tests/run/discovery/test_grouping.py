"""Groups of vectors whose kinds are known."""

import numpy as np
import pytest

from jaxloc.metrics import purity
from jaxloc.options import DiscoverOptions
from jaxloc.run.discovery.grouping import group_vectors, typicality

DIMENSION = 48


def kinds(*sizes: int, likeness: float = 0.75, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of kinds, with cosines of about ``likeness`` within a kind and 0 between kinds; and their kind."""
    draw = np.random.default_rng(seed)
    centers = np.linalg.qr(draw.normal(size=(DIMENSION, len(sizes))))[0].T
    labels = np.repeat(np.arange(len(sizes)), sizes)
    noise = draw.normal(size=(len(labels), DIMENSION))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = np.sqrt(likeness) * centers[labels] + np.sqrt(1 - likeness) * noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def grouped(vectors, *, repeats=None, **options):
    own = np.arange(len(vectors)) if repeats is None else np.asarray(repeats)
    return group_vectors(vectors, own, DiscoverOptions(**options))


def test_kinds_are_found_with_their_number_the_largest_first():
    vectors, labels = kinds(12, 30, 20)
    found = grouped(vectors)
    assert (found.groups[labels == 1] == 0).all()
    assert (found.groups[labels == 2] == 1).all()
    assert (found.groups[labels == 0] == 2).all()
    assert found.notes == []


def test_images_unlike_any_other_and_small_kinds_have_no_group():
    vectors, labels = kinds(20, 20, 3, *[1] * 8)
    found = grouped(vectors)
    assert set(found.groups[labels < 2]) == {0, 1}
    assert (found.groups[labels >= 2] == -1).all()
    kept = grouped(vectors, min_group=3)
    assert (kept.groups[labels == 2] == 2).all()
    assert (kept.groups[labels > 2] == -1).all()


def test_repeated_images_make_no_group_and_share_that_of_the_image_they_repeat():
    vectors, _ = kinds(15, 15, 1)
    same = np.repeat(vectors[-1:], 6, 0)
    repeats = [*range(31), *[30] * 6]
    found = grouped(np.concatenate([vectors, same]), repeats=repeats)
    assert (found.groups[30:] == -1).all()
    repeats = [*range(31), *[3] * 6]
    found = grouped(np.concatenate([vectors, same]), repeats=repeats)
    assert set(found.groups[31:]) == {found.groups[3]}


def test_one_kind_is_one_group_and_where_all_differ_there_is_none():
    one = grouped(kinds(25, likeness=0.7)[0])
    assert (one.groups == 0).all()
    assert one.notes == ["All images are of one kind, as far as the descriptors tell: they make one group."]
    none = grouped(kinds(*[1] * 25)[0])
    assert (none.groups == -1).all()
    assert none.notes == ["All images differ: there are no groups."]


def test_a_number_of_groups_is_that_of_k_means():
    vectors, labels = kinds(10, 10, 10)
    found = grouped(vectors, groups=3)
    assert purity(found.groups, labels) == 1
    assert found.groups.max() == 2
    more = grouped(vectors, groups=12)
    assert more.groups.max() + 1 < 12
    assert more.notes == [f"12 groups asked for, of which {more.groups.max() + 1} have 5 images or more."]


def test_few_images_have_fewer_neighbours_or_no_group_and_it_is_said():
    vectors, labels = kinds(6, 6, likeness=0.9)
    found = grouped(vectors)
    assert purity(found.groups, labels) == 1
    assert found.notes == ["There are 12 different images, so each has 11 neighbours."]
    few = grouped(vectors[:3])
    assert (few.groups == -1).all()
    assert few.notes == ["3 different images: too few for a group of 5."]


def test_images_that_could_not_be_described_have_no_group():
    vectors, _ = kinds(12, 12)
    vectors[[0, 5]] = 0
    found = grouped(vectors)
    assert (found.groups[[0, 5]] == -1).all()
    assert (np.delete(found.groups, [0, 5]) >= 0).all()


def test_many_images_have_nearly_the_same_neighbours_by_faiss(monkeypatch):
    pytest.importorskip("faiss", reason="FAISS comes with the extra jaxloc[faiss]")
    vectors, labels = kinds(60, 50, 40, *[1] * 8)
    exact = grouped(vectors)
    monkeypatch.setattr("jaxloc.run.discovery.grouping._EXACT", 100)
    found = grouped(vectors)
    np.testing.assert_array_equal(found.groups, exact.groups)
    assert purity(found.groups[labels < 3], labels[labels < 3]) == 1


def test_typicality_is_the_mean_cosine_with_the_others_of_the_group():
    vectors, _ = kinds(4, 3)
    groups = np.array([0, 0, 0, 1, 1, 1, 2])
    vectors[5] = 0
    found = typicality(vectors, groups)
    assert found[0] == pytest.approx((vectors[0] @ vectors[1] + vectors[0] @ vectors[2]) / 2, abs=1e-6)
    assert found[3] == pytest.approx(vectors[3] @ vectors[4], abs=1e-6)
    assert found[5] == found[6] == 0
