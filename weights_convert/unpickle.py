"""Pickles of tensors and arrays, read without running anything that they name.

Known are only the names that tensors, arrays and ordered dicts need. Nothing of torch or NumPy is called, every other
name is refused, and sizes are checked against the bytes in the file.
"""

import math
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxloc._unpickle import NUMPY, Unpickler
from jaxloc.errors import WeightsError

_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
}
"""Number type of each of torch's storages that the state dict of a network holds."""


class Storage(NamedTuple):
    """A run of ``size`` numbers stored outside the pickle, under ``key``, and viewed by one or more tensors."""

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
    """A view of a storage, as torch pickles it; offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __setstate__(self, state: object) -> None:
        """Ignore what torch before 0.4 kept of a parameter: whether it had a gradient, and hooks."""

    def view(self, numbers: np.ndarray) -> np.ndarray:
        """The tensor as an array on its storage's numbers; ``ValueError`` if it would reach outside or repeat them."""
        elements = math.prod(self.shape)
        last = self.offset + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if elements > numbers.size or (elements and last >= numbers.size):
            raise ValueError(f"a tensor of shape {self.shape} on {numbers.size} numbers")
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)


def load(file: BinaryIO, where: str) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle from the file's position, and leave the file just after it.

    Returns:
        dicts, lists, strings and numbers, with ``Tensor`` and ``Array`` in place of tensors and arrays; and every
        storage that they name, by its key.
    """
    unpickler = _Unpickler(file, where)
    return unpickler.load(), unpickler.storages


# Stand-ins for names in pickles; see ``jaxloc._unpickle`` for why each has a ``__setstate__``.


class _OrderedDict(dict[str, Any]):
    def __setstate__(self, state: object) -> None:
        """Ignore the versions that torch stores as an attribute of a state dict."""


class _RebuildTensor:
    def __new__(cls, storage: Storage, offset: int, shape: Any, strides: Any, *_: object) -> Any:
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without a storage")
        return Tensor(storage, _size(offset), tuple(map(_size, shape)), tuple(map(_size, strides)))

    def __setstate__(self, state: object) -> None: ...


class _Parameter:
    def __new__(cls, tensor: Tensor, *_: object) -> Any:
        return tensor

    def __setstate__(self, state: object) -> None: ...


NAMES: dict[str, Any] = {
    "collections.OrderedDict": _OrderedDict,
    "torch._utils._rebuild_tensor": _RebuildTensor,
    "torch._utils._rebuild_tensor_v2": _RebuildTensor,
    "torch._utils._rebuild_parameter": _Parameter,
    "torch.nn.parameter.Parameter": _Parameter,
    **NUMPY,
    **{f"torch.{storage}": dtype for storage, dtype in _STORAGES.items()},
}
"""Every name that a pickle may use, and what stands for it."""


class _Unpickler(Unpickler):
    def __init__(self, file: BinaryIO, where: str) -> None:
        def refuse(name: str) -> WeightsError:
            return WeightsError(
                f"{where}: refuses to run {name}, which the file asks for: "
                "save the network's arrays alone (in PyTorch its state_dict) and convert that"
            )

        super().__init__(file, NAMES, refuse)
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, size, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or view not in ([], [None]):
            raise ValueError(f"an unknown kind of storage {pid}")
        return self.storages.setdefault(str(key), Storage(str(key), dtype, _size(size)))


def _size(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"a size of {number!r}")
    return number
