import numpy as np
import pytest

from weights_convert.unpickle import Storage, Tensor


def tensor(offset, shape, strides, size=6):
    return Tensor(Storage("0", "float32", size), offset, shape, strides)


def test_a_tensor_is_a_view_of_its_storage():
    numbers = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(tensor(0, (3, 2), (1, 3)).view(numbers), numbers.reshape(2, 3).T)
    np.testing.assert_array_equal(tensor(3, (3,), (1,)).view(numbers), [3, 4, 5])
    np.testing.assert_array_equal(tensor(1, (3,), (2,)).view(numbers), [1, 3, 5])
    assert tensor(5, (), ()).view(numbers) == 5
    assert tensor(6, (0, 4), (4, 1)).view(numbers).shape == (0, 4)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(4, (3,), (1,)), (0, (2, 2), (6, 1)), (6, (), ()), (0, (10**9, 10**9), (0, 0)), (2**62, (1,), (1,))],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(offset, shape, strides):
    with pytest.raises(ValueError, match=r"^a tensor of shape .* on 6 numbers$"):
        tensor(offset, shape, strides).view(np.zeros(6, np.float32))


def test_a_storage_larger_than_its_bytes_is_refused():
    with pytest.raises(ValueError, match="buffer is smaller"):
        Storage("0", "float32", 7).numbers(bytes(24))
