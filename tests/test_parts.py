"""Parts of an object from DDT's further components, against plain NumPy and on a set with two known halves."""

import functools

import jax
import numpy as np
import pytest

from jaxloc import ddt, moments, parts
from tests.compiled import compiled, jitted
from tests.reference import scda_ddt as reference

ddt = compiled(ddt)
moments = compiled(moments, eager=("count",))
parts = compiled(parts)

ROWS, COLUMNS = 9, 12


def image(seed: int, components: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indicators, eigenvalues and an object's mask."""
    rng = np.random.default_rng(seed)
    indicators = rng.normal(size=(components, ROWS, COLUMNS)).astype(np.float32)
    eigenvalues = np.sort(rng.random(components).astype(np.float32) + 0.5)[::-1]
    return indicators, eigenvalues, reference.largest(indicators[0] > -0.3)


def test_two_parts_are_the_sign_of_the_second_indicator():
    indicators, eigenvalues, mask = image(0)
    labels = parts.divide(indicators, eigenvalues, mask)
    np.testing.assert_array_equal(labels == 1, mask & (indicators[1] > 0))
    np.testing.assert_array_equal(labels == 2, mask & ~(indicators[1] > 0))


def test_a_cell_where_the_second_indicator_is_zero_is_of_the_second_part():
    indicators = np.zeros((2, 1, 1), np.float32)
    assert parts.divide(indicators, np.ones(2), np.ones((1, 1), bool)).tolist() == [[2]]


def assert_parted(found, indicators, eigenvalues, mask, image: tuple[int, int], number: int) -> None:
    second, third = indicators[1] / np.sqrt(eigenvalues[1]), indicators[2] / np.sqrt(eigenvalues[2])
    strongest = np.argmax(np.stack([second, -second, third, -third])[:number], 0) + 1
    np.testing.assert_array_equal(found.labels, np.where(mask, strongest, 0))
    for part in range(number):
        largest = reference.largest(mask & (strongest == part + 1))
        np.testing.assert_array_equal(found.box[part], reference.box(largest, image))
        assert found.found[part] == largest.any()


@pytest.mark.parametrize(("number", "backend"), [(2, "device"), (3, "host"), (4, "device")])
def test_parts_equal_numpy(number, backend):
    indicators, eigenvalues, mask = image(1)
    found = parts.localize(indicators, eigenvalues, mask, (200, 300), number=number, backend=backend)
    assert_parted(found, indicators, eigenvalues, mask, (200, 300), number)


def test_a_part_that_no_cell_shows_has_no_box():
    indicators = np.ones((2, 3, 4), np.float32)
    found = parts.localize(indicators, np.ones(2), np.ones((3, 4), bool), (30, 40))
    assert found.found.tolist() == [True, False]
    np.testing.assert_array_equal(found.box[0], [0, 0, 40, 30])
    assert np.isnan(found.box[1]).all()


def test_an_object_that_was_not_found_has_no_parts():
    indicators, eigenvalues, mask = image(2)
    found = parts.localize(indicators, eigenvalues, np.zeros_like(mask), (90, 120))
    assert not found.found.any()
    assert not found.labels.any()


def test_a_set_without_variance_has_finite_parts():
    found = parts.localize(np.zeros((2, 2, 2)), np.zeros(2), np.ones((2, 2), bool), (20, 20))
    assert found.labels.tolist() == [[2, 2], [2, 2]]


def test_a_padded_batch_equals_numpy_on_each_image():
    elements = [image(seed) for seed in range(3)]
    sizes = np.array([[9, 12], [5, 12], [7, 4]], np.int32)
    function = functools.partial(parts.localize, number=3)
    batch = jitted(jax.vmap(lambda i, e, m, s: function(i, e, m, np.array((90, 120)), size=s)))(
        *map(np.stack, zip(*elements, strict=True)), sizes
    )
    for position, ((i, e, m), (rows, columns)) in enumerate(zip(elements, sizes, strict=True)):
        one = jax.tree.map(lambda value, position=position: value[position], batch)
        assert not one.labels[rows:].any()
        assert not one.labels[:, columns:].any()
        cut = one._replace(labels=one.labels[:rows, :columns])
        assert_parted(cut, i[:, :rows, :columns], e, m[:rows, :columns], (90, 120), 3)


def test_head_and_body_of_a_set_are_parted_the_same_way_in_each_image():
    """Objects made of two kinds of descriptors on a common ground: part 1 is the same kind in every image."""
    rng = np.random.default_rng(3)
    ground, head, body = np.eye(3, 12) * 4
    head, body = head + np.eye(12)[5] * 8, body + np.eye(12)[5] * 8
    maps, truths = [], []
    for _ in range(12):
        kinds = np.zeros((10, 14), int)
        top, left = rng.integers(0, 4, 2)
        kinds[top : top + 3, left : left + 8] = 1
        kinds[top + 3 : top + 6, left : left + 8] = 2
        maps.append((np.stack([ground, head, body])[kinds] + rng.random((10, 14, 12)) * 0.5).astype(np.float32))
        truths.append(kinds)
    model = ddt.fit(functools.reduce(moments.merge, map(moments.of, maps)))
    pairs = set()
    for features, kinds in zip(maps, truths, strict=True):
        indicators = ddt.indicator_maps(model, features)
        labels = np.asarray(parts.divide(indicators, model.eigenvalues, ddt.object_mask(indicators[0])))
        np.testing.assert_array_equal(labels > 0, kinds > 0)
        pairs |= set(zip(labels[kinds > 0].tolist(), kinds[kinds > 0].tolist(), strict=True))
    assert len(pairs) == 2


@pytest.mark.parametrize(("number", "needed"), [(2, 2), (3, 3), (4, 3), (5, 4)])
def test_components_needed(number, needed):
    assert parts.components_needed(number) == needed


def test_errors_name_the_cure():
    indicators, eigenvalues, mask = image(0, components=2)
    with pytest.raises(ValueError, match="an object has at least 2 parts, not 1"):
        parts.divide(indicators, eigenvalues, mask, number=1)
    with pytest.raises(ValueError, match="fit with components=3"):
        parts.divide(indicators, eigenvalues, mask, number=3)
    with pytest.raises(ValueError, match=r"indicators must be \[c, h, w\]"):
        parts.divide(indicators[0], eigenvalues, mask)
    with pytest.raises(ValueError, match="a mask of their size"):
        parts.divide(indicators, eigenvalues, mask[:3])
