"""Pickles of plain values, read without running anything they name.

A pickle is a program that may call any function it names. The revisited protocols of Oxford and Paris are published as
pickles of dicts, lists, texts and numbers, and perhaps arrays of numbers. Here the names that arrays need stand for the
small classes below, every other name is refused, and nothing of NumPy's own is called.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.errors import UsageError

_TYPES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of dicts, lists, texts, numbers and arrays of numbers.

    Returns:
        the same, with lists in place of arrays.

    Raises:
        UsageError: it is missing or damaged, or names anything else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        _check_memory(data)
        return _plain(_Unpickler(data, path).load())
    except UsageError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path}: damaged, or no pickle of plain values ({reason}): fetch it again") from error


class _Dtype:
    """What becomes of a NumPy number type. ``__setstate__`` keeps a pickle from setting attributes of the class."""

    def __init__(self, name: str, *_: object) -> None:
        if name not in _TYPES:
            raise ValueError(f"numbers of type {name!r}")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|"):
            raise ValueError(f"byte order {state[1]!r}")
        self.order = state[1]

    @property
    def text(self) -> str:
        return f"{self.order}{self.name}"


class _Array:
    """What becomes of a NumPy array: ``value`` holds it once its state has been read."""

    value: np.ndarray

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes]) -> None:
        _, shape, dtype, column_major, data = state
        order = "F" if column_major else "C"
        self.value = np.frombuffer(_to_bytes(data), dtype.text).reshape(shape, order=order)  # type: ignore[call-overload]


class _Scalar:
    """What becomes of a NumPy number."""

    def __new__(cls, dtype: _Dtype, data: bytes) -> Any:
        return np.frombuffer(_to_bytes(data), dtype.text)[0].item()

    def __setstate__(self, state: object) -> None: ...


class _Encoded:
    """What becomes of bytes that old protocols write as text."""

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        return _to_bytes(text)

    def __setstate__(self, state: object) -> None: ...


_NAMES: dict[str, Any] = {
    "numpy.dtype": _Dtype,
    "numpy.ndarray": "numpy.ndarray",
    "_codecs.encode": _Encoded,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _NAMES |= {f"{_module}._reconstruct": _Array, f"{_module}.scalar": _Scalar}


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (full := f"{module}.{name}") in _NAMES:
            return _NAMES[full]
        raise UsageError(
            f"{self._path}: refuses to run {full}, which the file asks for: fetch it from its official page"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError(f"an object outside the file: {pid}")


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | bytes | int | float | None):
        return value
    raise ValueError(f"a {type(value).__name__}")


def _to_bytes(data: str | bytes) -> bytes:
    return data.encode("latin1") if isinstance(data, str) else data


def _check_memory(data: bytes) -> None:
    """Refuse a pickle that numbers what it remembers beyond its own length: each takes memory up to it."""
    for opcodes, (opcode, number, _) in enumerate(pickletools.genops(data)):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and isinstance(number, int) and number > opcodes:
            raise ValueError(f"memory for {number} objects after {opcodes}")
