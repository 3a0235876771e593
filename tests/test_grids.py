"""Maps spread over a part of an array, and mirrored inside it."""

import functools

import jax
import numpy as np
import pytest

from jaxloc import grids
from tests.compiled import compiled
from tests.reference import scda_ddt as reference

grids = compiled(grids)

SIZES = np.array([[5, 6], [1, 1], [3, 6], [5, 2]])
TARGETS = np.array([[11, 13], [1, 9], [7, 13], [4, 1]])


def test_target_size_spreads_the_map_over_a_part_of_the_result():
    values = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)

    def enlarge(values, size, target):
        return grids.upsample_nearest(values, (11, 13), size=size, target_size=target)

    batch = jax.jit(jax.vmap(enlarge))(values, SIZES, TARGETS)
    for found, one, (rows, columns), target in zip(batch, values, SIZES, TARGETS, strict=True):
        alone = reference.upsample(one[:rows, :columns], tuple(target))
        np.testing.assert_array_equal(found, np.pad(alone, [(0, 11 - target[0]), (0, 13 - target[1])]))


def test_every_pair_of_lengths_is_exact():
    row = np.arange(1, 41)[None]

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def enlarge(target, cells):
        return grids.upsample_nearest(row, (1, 60), size=(1, cells), target_size=(1, target))

    for cells in range(1, 41, 3):
        found = enlarge(np.arange(1, 61), cells)
        for target in range(1, 61):
            expected = [(2 * x + 1) * cells // (2 * target) + 1 if x < target else 0 for x in range(60)]
            np.testing.assert_array_equal(found[target - 1, 0], expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float32])
def test_type_is_kept(dtype):
    values = np.ones((2, 3), dtype)
    assert grids.upsample_nearest(values, (4, 6), target_size=(3, 5)).dtype == dtype
    assert grids.flip_columns(values, size=(2, 2)).dtype == dtype


@pytest.mark.parametrize("tail", [(), (3,)])
def test_flip_mirrors_the_valid_columns_only(tail):
    values = np.random.default_rng(1).random((4, 5, 6, *tail)).astype(np.float32)
    padded = values.copy()
    for one, (rows, columns) in zip(padded, SIZES, strict=True):
        one[rows:], one[:, columns:] = np.nan, np.nan
    flipped = jax.jit(jax.vmap(lambda x, size: grids.flip_columns(x, size=size)))(padded, SIZES)
    for found, one, (rows, columns) in zip(flipped, values, SIZES, strict=True):
        np.testing.assert_array_equal(found[:rows, :columns], one[:rows, :columns][:, ::-1])
        assert not found[rows:].any()
        assert not found[:, columns:].any()


def test_flip_of_a_whole_image_is_that_of_numpy(cat):
    np.testing.assert_array_equal(grids.flip_columns(cat), cat[:, ::-1])
    np.testing.assert_array_equal(grids.flip_columns(cat[..., 0]), cat[:, ::-1, 0])


def test_no_valid_cells_give_zeros():
    values = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(grids.flip_columns(values, size=(0, 0)), 0)
    np.testing.assert_array_equal(grids.upsample_nearest(values, (4, 4), size=(0, 0), target_size=(0, 0)), 0)


def test_a_batch_is_refused_with_the_cure():
    for values in (np.zeros((2, 3, 4, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match=r"values must be \[h, w\] or \[h, w, channels\]"):
            grids.flip_columns(values)
    with pytest.raises(ValueError, match=r"values must be \[h, w\].*jax\.vmap"):
        grids.upsample_nearest(np.zeros((2, 3, 4)), (8, 8), target_size=(4, 4))
