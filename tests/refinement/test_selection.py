"""Which components of a refined mask are the object's."""

import jax
import numpy as np
import pytest

from jaxloc import refinement
from tests.compiled import compiled, jitted
from tests.reference import scda_ddt as reference

refinement = compiled(refinement, eager=("grab_cut",))


def from_text(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


MASK = from_text("##..#", "#...#", ".....", "..##.", "#....")
COARSE = from_text(".#...", ".....", ".....", "...#.", ".....")


@pytest.mark.parametrize("backend", ["host", "device"])
def test_components_that_overlap_the_coarse_mask_are_kept(backend):
    found = refinement.select(MASK, COARSE, backend=backend)
    np.testing.assert_array_equal(found.mask, from_text("##...", "#....", ".....", "..##.", "....."))
    np.testing.assert_array_equal(found.box, [0, 0, 4, 4])
    assert found.refined


@pytest.mark.parametrize("mask", [np.zeros_like(MASK), from_text(".....", ".....", "#....", ".....", "....#")])
def test_the_coarse_mask_stands_where_nothing_is_left(mask):
    found = refinement.select(mask, COARSE)
    np.testing.assert_array_equal(found.mask, COARSE)
    np.testing.assert_array_equal(found.box, [1, 0, 4, 4])
    assert not found.refined


def test_nothing_found_stays_empty():
    found = refinement.select(MASK, np.zeros_like(MASK))
    assert not found.mask.any()
    assert np.isnan(found.box).all()
    assert not found.refined


def test_corners_connect_with_eight_neighbours_only():
    mask = from_text("##.", "..#", "..#")
    coarse = from_text("#..", "...", "...")
    assert refinement.select(mask, coarse).mask.sum() == 4
    assert refinement.select(mask, coarse, connectivity=4).mask.sum() == 2


@pytest.mark.parametrize("backend", ["host", "device"])
def test_a_padded_batch_equals_the_components_of_each_mask(backend):
    rng = np.random.default_rng(0)
    masks, coarse = rng.random((2, 6, 9, 11)) < np.array([0.5, 0.1]).reshape(2, 1, 1, 1)
    sizes = np.array([[9, 11], [1, 1], [5, 11], [9, 4], [6, 7], [2, 3]])

    def one(mask, coarse, size):
        return refinement.eager.select(mask, coarse, size=size, backend=backend)

    batch = jitted(jax.vmap(one))(masks, coarse, sizes)
    for index, (rows, columns) in enumerate(sizes):
        mask, rough = masks[index, :rows, :columns], coarse[index, :rows, :columns]
        labels = reference.components(mask)
        kept = mask & np.isin(labels, labels[mask & rough])
        chosen = kept if kept.any() else rough
        np.testing.assert_array_equal(batch.mask[index], np.pad(chosen, [(0, 9 - rows), (0, 11 - columns)]))
        np.testing.assert_array_equal(batch.box[index], reference.box(chosen, chosen.shape))
        assert batch.refined[index] == kept.any()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"mask and coarse must have one size, got \(2, 5, 5\) and \(5, 5\)"):
        refinement.select(np.stack([MASK, MASK]), COARSE)
    with pytest.raises(ValueError, match=r"coarse must be \[h, w\].*jax.vmap"):
        refinement.select(MASK, COARSE[None])
    with pytest.raises(
        ValueError, match="mask and coarse must be bool, got float32 and bool; compare with a threshold"
    ):
        refinement.select(MASK * 0.7, COARSE)
