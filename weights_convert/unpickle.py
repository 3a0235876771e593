"""Pickles of arrays, read without running anything they name.

A pickle is a program: it may name any importable function and call it. Here the only names that mean anything
are those that tensors, arrays and ordered dicts need, and what they mean is defined below: nothing of torch
or NumPy is called, every other name is refused, and sizes are checked against the bytes that are there.
"""

import pickle
import pickletools
from typing import Any, BinaryIO

import numpy as np

from jaxloc.errors import WeightsError
from weights_convert.tensors import STORAGES, Storage, Tensor

ARRAY_TYPES = ("f2", "f4", "f8")
"""NumPy number types that pickled arrays may have."""


class Array:
    """What becomes of a pickled NumPy array: ``value`` holds it once its state has been read."""

    value: np.ndarray

    def __init__(self, *_: object) -> None:
        """Take what NumPy passes to its own empty array, and ignore it."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Dtype", bool, bytes]) -> None:
        """Take the state NumPy pickles: version, shape, number type, whether columns come first, bytes."""
        _, shape, dtype, column_major, data = state
        self.value = np.frombuffer(data, dtype.order + dtype.name).reshape(shape, order="F" if column_major else "C")


def load(file: BinaryIO, where: str) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle from where the file stands, and leave the file just after it.

    Args:
        file: opened for reading.
        where: its name, for the message.

    Returns:
        Dicts, lists, strings and numbers, with ``Tensor`` and ``Array`` in place of tensors and arrays; and
        every storage named on the way, by its key.

    Raises:
        WeightsError: the pickle names something refused. A damaged one may raise anything.
    """
    _check_memo(file)
    unpickler = _Unpickler(file, where)
    return unpickler.load(), unpickler.storages


# Stand-ins for what pickles name. Each has a ``__setstate__``: without one, a pickle could set attributes of
# the class itself, and so alter what the next file is read with.


class _OrderedDict(dict[str, Any]):
    def __setstate__(self, state: object) -> None:
        """Ignore the versions that torch keeps as an attribute of a state dict."""


class _Dtype:
    def __init__(self, name: str, *_: object) -> None:
        if name not in ARRAY_TYPES:
            raise ValueError(f"arrays of type {name!r}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">"):
            raise ValueError(f"byte order {state[1]!r}")
        self.order = state[1]


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
    "numpy.dtype": _Dtype,
    "numpy.ndarray": "numpy.ndarray",
    "numpy.core.multiarray._reconstruct": Array,
    "numpy._core.multiarray._reconstruct": Array,
    **{f"torch.{storage}": dtype for storage, dtype in STORAGES.items()},
}
"""Everything a pickle may name, and what it gets."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, where: str) -> None:
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, Storage] = {}
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        if (full := f"{module}.{name}") in NAMES:
            return NAMES[full]
        raise WeightsError(
            f"{self._where}: refuses to run {full}, which the file asks for: "
            "save the network's arrays alone (in PyTorch its state_dict) and convert that"
        )

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, size, *view = pid
        if kind != "storage" or dtype not in STORAGES.values() or view not in ([], [None]):
            raise ValueError(f"an unknown kind of storage {pid}")
        return self.storages.setdefault(str(key), Storage(str(key), dtype, _size(size)))


def _check_memo(file: BinaryIO) -> None:
    """Refuse a pickle that numbers what it remembers beyond its own length: each takes memory up to it."""
    start = file.tell()
    for opcodes, (opcode, number, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > opcodes:
            raise ValueError(f"memory for {number} objects after {opcodes}")
    file.seek(start)


def _size(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"a size of {number!r}")
    return number
