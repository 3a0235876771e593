"""Pickles read without running anything that they name: what all readers of pickles share.

A pickle is a program: it may name any importable function and call it. Here a name stands for an entry of the reader's
own list, and every other name is refused. The classes below stand in for NumPy's arrays; nothing of NumPy's is called.
Each stand-in has a ``__setstate__``: without one, a pickle could set attributes of the class itself, and so alter how
the next file is read.
"""

import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np


class Dtype:
    """Stand-in for a NumPy number type."""

    def __init__(self, name: str, *_: object) -> None:
        if not re.fullmatch("[iu][1248]|f[248]", name):
            raise ValueError(f"arrays of type {name!r}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|"):
            raise ValueError(f"byte order {state[1]!r}")
        self.order = state[1]

    @property
    def text(self) -> str:
        """NumPy's code, such as ``"<f4"``."""
        return f"{self.order}{self.name}"


class Array:
    """Stand-in for a NumPy array: ``value`` holds it after its state has been read."""

    value: np.ndarray

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: tuple[int, tuple[int, ...], Dtype, bool, str | bytes]) -> None:
        """Take NumPy's state: version, shape, number type, whether columns come first, bytes."""
        _, shape, dtype, column_major, data = state
        values = np.frombuffer(to_bytes(data), dtype.text)
        self.value = values.reshape(shape, order="F" if column_major else "C")


NUMPY = {
    "numpy.dtype": Dtype,
    "numpy.ndarray": "numpy.ndarray",
    "numpy.core.multiarray._reconstruct": Array,
    "numpy._core.multiarray._reconstruct": Array,
}
"""Names that a pickled array needs, and what stands for each."""


class Unpickler(pickle.Unpickler):
    """Reads a pickle that may use ``names`` alone; ``refuse`` makes the error for any other name.

    Raises:
        ValueError: the pickle would take more memory than its length justifies.
    """

    def __init__(self, file: BinaryIO, names: Mapping[str, Any], refuse: Callable[[str], Exception]) -> None:
        _check_memory(file)
        super().__init__(file, encoding="latin1")
        self._names, self._refuse = names, refuse

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name."""
        if (full := f"{module}.{name}") in self._names:
            return self._names[full]
        raise self._refuse(full)


def to_bytes(data: str | bytes) -> bytes:
    """Return bytes, which an old protocol may have written as text."""
    return data.encode("latin1") if isinstance(data, str) else data


def _check_memory(file: BinaryIO) -> None:
    """Refuse a pickle whose memo numbers exceed its length: the memo takes memory up to the largest."""
    start = file.tell()
    for opcodes, (opcode, number, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > opcodes:
            raise ValueError(f"memory for {number} objects after {opcodes}")
    file.seek(start)
