"""Pickles read without running anything they name: what all that reads pickles has in common.

A pickle is a program: it may name any importable function and call it. Here a name means what a reader's own list says,
and every other name is refused. The stand-ins below take the place of NumPy's arrays, of which nothing is called.
Each stand-in has a ``__setstate__``: without one, a pickle could set attributes of the class itself, and so alter what
the next file is read with.
"""

import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np


class Dtype:
    """What becomes of a NumPy number type; a reader's own class says which ones it takes.

    Attributes:
        types: that are taken, such as ``"f4"``.
    """

    types: tuple[str, ...] = ()

    def __init__(self, name: str, *_: object) -> None:
        """Take what NumPy passes to its own class.

        Raises:
            ValueError: the type is not taken.
        """
        if name not in self.types:
            raise ValueError(f"arrays of type {name!r}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the order of bytes."""
        if state[1] not in ("<", ">", "|"):
            raise ValueError(f"byte order {state[1]!r}")
        self.order = state[1]

    @property
    def text(self) -> str:
        """As NumPy reads it, such as ``"<f4"``."""
        return f"{self.order}{self.name}"


class Array:
    """What becomes of a NumPy array: ``value`` holds it once its state has been read."""

    value: np.ndarray

    def __init__(self, *_: object) -> None:
        """Take what NumPy passes to its own empty array, and ignore it."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], Dtype, bool, str | bytes]) -> None:
        """Take the state NumPy pickles: version, shape, number type, whether columns come first, bytes."""
        _, shape, dtype, column_major, data = state
        values = np.frombuffer(to_bytes(data), dtype.text)
        self.value = values.reshape(shape, order="F" if column_major else "C")


class Unpickler(pickle.Unpickler):
    """Reads a pickle whose every name is looked up in a list.

    Args:
        file: opened for reading; left just after the pickle.
        names: everything a pickle may name, and what it gets.
        refuse: makes the error for any other name.

    Raises:
        ValueError: the pickle would take more memory than it has a right to.
    """

    def __init__(self, file: BinaryIO, names: Mapping[str, Any], refuse: Callable[[str], Exception]) -> None:
        _check_memory(file)
        super().__init__(file, encoding="latin1")
        self._names, self._refuse = names, refuse

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for."""
        if (full := f"{module}.{name}") in self._names:
            return self._names[full]
        raise self._refuse(full)


def to_bytes(data: str | bytes) -> bytes:
    """Bytes that an old protocol may have written as text."""
    return data.encode("latin1") if isinstance(data, str) else data


def _check_memory(file: BinaryIO) -> None:
    """Refuse a pickle that numbers what it remembers beyond its own length: each takes memory up to it."""
    start = file.tell()
    for opcodes, (opcode, number, _) in enumerate(pickletools.genops(file)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > opcodes:
            raise ValueError(f"memory for {number} objects after {opcodes}")
    file.seek(start)
