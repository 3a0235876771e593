"""PyTorch's tensors in a file: views of storages, which are runs of numbers."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
}
"""Number type of each of torch's storages that the state dict of a network holds."""


class Storage(NamedTuple):
    """A run of numbers stored outside the pickle and viewed by one or more tensors.

    Attributes:
        key: its name in the file.
        dtype: a value of ``STORAGES``.
        size: number of numbers.
    """

    key: str
    dtype: str
    size: int

    def numbers(self, data: bytes) -> np.ndarray:
        """The file's bytes as numbers ``[size]``; ``ValueError`` if there are fewer."""
        return np.frombuffer(data, self.number_type, self.size)

    @property
    def number_type(self) -> np.dtype:
        """NumPy's type of one number."""
        return np.dtype(jnp.bfloat16 if self.dtype == "bfloat16" else self.dtype)


class Tensor(NamedTuple):
    """A view of a storage, as torch pickles it.

    Attributes:
        storage: the numbers.
        offset: index of its first number.
        shape: its sides.
        strides: distance in numbers between neighbouring elements along each side.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __setstate__(self, state: object) -> None:
        """Ignore what torch before 0.4 kept of a parameter: whether it had a gradient, and hooks."""

    def view(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as an array ``[*shape]`` on its storage's numbers.

        Raises:
            ValueError: it would reach outside them, or repeat them.
        """
        elements = math.prod(self.shape)
        last = self.offset + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if elements > numbers.size or (elements and last >= numbers.size):
            raise ValueError(f"a tensor of shape {self.shape} on {numbers.size} numbers")
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)
