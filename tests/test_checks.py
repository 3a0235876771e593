"""The checks of arguments that public functions share: what passes, and what the message of a refusal says."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import _checks


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("[h, w, d]", (2, 3, 4)), ("[n]", (5,)), ("[h, w] or [h, w, channels]", (2, 3, 4))],
)
def test_a_layout_tells_the_number_of_axes(layout, shape):
    array = np.zeros(shape)
    _checks.check_rank("x", array, layout)
    with pytest.raises(ValueError, match=r"^x must be .* axes\), got shape .*wrap the function in jax\.vmap$"):
        _checks.check_rank("x", array[None], layout)
    with pytest.raises(ValueError, match=r"^x must be .*; a leading axis may have been lost$"):
        _checks.check_rank("x", array[0], layout)


def test_arrays_are_converted_before_they_are_checked():
    array = _checks.as_array("x", [[1, 2], [3, 4]], "[h, w]", jnp.float32)
    assert (array.shape, array.dtype) == ((2, 2), jnp.float32)
    with pytest.raises(ValueError, match=r"x must be \[h, w\] \(2 axes\), got shape \(2,\)"):
        _checks.as_array("x", [1, 2], "[h, w]")


@pytest.mark.parametrize("layout", ["[h, w]", "[h, w, d]", "[c, h, w]"])
def test_a_map_has_cells(layout):
    for axis in "hw":
        shape = [0 if name == axis else 3 for name in layout.strip("[]").split(", ")]
        with pytest.raises(ValueError, match=r"x must be .* with at least one row and one column, got shape \("):
            _checks.check_rank("x", np.zeros(shape), layout)
    _checks.check_rank("x", np.zeros((0, 3)), "[n, d]")


def test_a_size_is_two_numbers():
    np.testing.assert_array_equal(_checks.as_size("size", (3, 4)), [3, 4])
    with pytest.raises(ValueError, match=r"size must be \[2\] \(rows, columns\), got shape \(3,\)"):
        _checks.as_size("size", (3, 4, 3))
    with pytest.raises(ValueError, match=r"size must be \[2\] \(1 axes\), got shape \(1, 2\);.*jax\.vmap"):
        _checks.as_size("size", [(3, 4)])


def test_a_mask_is_of_the_cells_of_its_features():
    features, mask = _checks.as_masked(np.ones((2, 3, 4)), np.ones((2, 3), bool))
    assert (features.shape, mask.shape) == ((2, 3, 4), (2, 3))
    for wrong in (np.ones((3, 2), bool), np.ones((2, 3))):
        with pytest.raises(ValueError, match=r"mask must be bool \(2, 3\), got"):
            _checks.as_masked(np.ones((2, 3, 4)), wrong)


def test_flags_are_one_for_each_and_all_true_by_default():
    np.testing.assert_array_equal(_checks.as_flags(None, (3,), "vector"), [True] * 3)
    np.testing.assert_array_equal(_checks.as_flags([1, 0, 1], (3,), "vector"), [True, False, True])
    with pytest.raises(ValueError, match=r"valid must be \(3,\), one flag per vector, got shape \(2,\)"):
        _checks.as_flags([True, False], (3,), "vector")
