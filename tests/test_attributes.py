"""Images at both ends of a dimension: as by sorting, of parts as of the whole, and never an invalid one."""

import functools
import itertools

import jax
import numpy as np
import pytest

from jaxloc import attributes
from tests.compiled import compiled, jitted
from tests.reference.attributes import ends

attributes = compiled(attributes)

SEVEN = functools.partial(attributes.extremes, count=7)
MERGE = attributes.merge


def vectors(number: int, dimension: int = 5, seed: int = 0) -> np.ndarray:
    """Rounded to quarters, so that many values are equal."""
    return np.round(np.random.default_rng(seed).normal(size=(number, dimension)) * 4).astype(np.float32) / 4


def same(found: attributes.Extremes, expected: attributes.Extremes) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("count", [1, 6, 40])
def test_equal_to_sorting_with_ties_to_the_lower_index(count):
    x = vectors(40)
    valid = np.random.default_rng(1).random(40) < 0.7
    found = attributes.extremes(x, count=count, valid=valid)
    high, low = ends(x, count, valid)
    number = min(count, valid.sum())
    np.testing.assert_array_equal(found.high[:, :number], high)
    np.testing.assert_array_equal(found.low[:, :number], low)
    np.testing.assert_array_equal(found.high_values[:, :number], np.take_along_axis(x.T, high, 1))
    np.testing.assert_array_equal(found.low_values[:, :number], np.take_along_axis(x.T, low, 1))
    np.testing.assert_array_equal(found.valid, np.arange(count) < number)
    assert found.high.dtype == found.low.dtype == np.int32


def test_one_dimension_by_hand():
    found = attributes.extremes([[3.0], [-1.0], [5.0], [0.0]], count=2)
    assert (found.high.tolist(), found.high_values.tolist()) == ([[2, 0]], [[5.0, 3.0]])
    assert (found.low.tolist(), found.low_values.tolist()) == ([[1, 3]], [[-1.0, 0.0]])


@pytest.mark.parametrize("garbage", [1e30, np.nan, -np.inf])
def test_invalid_rows_never_appear_whatever_they_hold(garbage):
    x = vectors(12)
    padded = np.concatenate([x, np.full((4, 5), garbage, np.float32)])
    same(attributes.extremes(padded, count=5, valid=np.arange(16) < 12), attributes.extremes(x, count=5))


def test_rows_that_are_not_finite_are_left_out_of_every_dimension():
    x = vectors(12)
    x[3, 1], x[7, 0] = np.nan, np.inf
    found = attributes.extremes(x, count=12)
    assert not np.isin([3, 7], np.stack([found.high, found.low])).any()
    assert found.valid.sum() == 10


def test_fewer_images_than_asked_for_leave_minus_one_and_zero():
    found = attributes.extremes([[2.0], [4.0]], count=4)
    assert found.high.tolist() == [[1, 0, -1, -1]]
    assert found.low.tolist() == [[0, 1, -1, -1]]
    assert found.high_values.tolist() == [[4.0, 2.0, 0.0, 0.0]]
    assert found.valid.tolist() == [True, True, False, False]


@pytest.mark.parametrize("number", [0, 3])
def test_no_valid_image_gives_the_empty_extremes(number):
    same(attributes.extremes(vectors(number), count=2, valid=np.zeros(number, bool)), attributes.empty(5, 2))


def test_constant_dimension_lists_the_first_images_and_zero_has_no_sign():
    found = attributes.extremes(np.array([[-0.0], [0.0], [-0.0], [0.0]], np.float32), count=3)
    assert found.high.tolist() == found.low.tolist() == [[0, 1, 2]]


def test_dimensions_are_chosen_in_the_order_asked_for():
    x = vectors(30)
    every, some = attributes.extremes(x, count=3), attributes.extremes(x, count=3, dimensions=(4, 0))
    for name in ("high", "low", "high_values", "low_values"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[[4, 0]])


@pytest.mark.parametrize("seed", range(4))
def test_parts_in_any_order_merge_to_the_whole(seed):
    x, rng = vectors(50, seed=seed), np.random.default_rng(seed)
    valid = rng.random(50) < 0.6
    cuts = np.sort(rng.integers(0, 51, 4))
    parts = []
    for start, end in itertools.pairwise([0, *cuts, 50]):
        garbage = np.full((50 - (end - start), 5), 1e9, np.float32)  # one size of part, so that one compilation does
        keep = np.concatenate([valid[start:end], np.zeros(len(garbage), bool)])
        parts.append(SEVEN(np.concatenate([x[start:end], garbage]), valid=keep, offset=np.int32(start)))
    rng.shuffle(parts)
    whole = SEVEN(x, valid=valid, offset=np.int32(0))
    same(functools.reduce(MERGE, parts), whole)
    same(functools.reduce(MERGE, parts, attributes.empty(5, 7)), whole)


def test_merge_prefers_real_values_below_zero_to_missing_images():
    few = attributes.extremes([[-2.0]], count=3, offset=8)
    none = attributes.empty(1, 3)
    for found in (attributes.merge(few, none), attributes.merge(none, few)):
        same(found, few)


def test_vmap_equals_a_loop():
    x = vectors(24).reshape(2, 12, 5)
    valid = np.stack([np.arange(12) < 9, np.arange(12) > 2])
    run = functools.partial(attributes.extremes, count=4)
    batch = jitted(jax.vmap(lambda some, keep: run(some, valid=keep)))(x, valid)
    merged = jitted(jax.vmap(attributes.merge))(batch, jax.tree.map(lambda leaf: leaf[::-1], batch))
    each = [run(some, valid=keep) for some, keep in zip(x, valid, strict=True)]
    for number in range(2):
        same(jax.tree.map(lambda leaf, i=number: leaf[i], batch), each[number])
        same(jax.tree.map(lambda leaf, i=number: leaf[i], merged), attributes.merge(each[number], each[1 - number]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vectors": np.zeros((2, 3, 4))}, r"vectors must be \[n, d\].*jax.vmap"),
        ({"valid": np.ones(2, bool)}, r"valid must be \(3,\), one flag per vector, got shape \(2,\)"),
        ({"count": 0}, "count must be 1 or more, got 0"),
        ({"dimensions": (0, 5)}, "dimensions must be from 0 to 4, got 5"),
        ({"dimensions": (-1,)}, "dimensions must be from 0 to 4, got -1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        attributes.extremes(**{"vectors": np.zeros((3, 5)), "count": 2} | arguments)


def test_merging_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"different shape \[d, count\]: \(5, 2\) and \(5, 3\)"):
        attributes.merge(attributes.empty(5, 2), attributes.empty(5, 3))
    batch = jax.tree.map(lambda leaf: leaf[None], attributes.empty(5, 2))
    with pytest.raises(ValueError, match=r"high must be \[d, count\].*jax.vmap"):
        attributes.merge(batch, batch)
