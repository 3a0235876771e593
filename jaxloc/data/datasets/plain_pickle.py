"""Pickles of plain values, read without running code.

The revisited protocols of Oxford and Paris are published as pickles of dicts, lists, texts, numbers and perhaps arrays.
The names that arrays need stand for small classes here; any other name is refused.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc._unpickle import NUMPY, Array, Dtype, Unpickler, to_bytes
from jaxloc.errors import UsageError


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of dicts, lists, texts, numbers and arrays; arrays become lists."""

    def refuse(name: str) -> UsageError:
        return UsageError(f"{path}: refuses to run {name}, which the file asks for: fetch it from its official page")

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return _plain(Unpickler(io.BytesIO(data), _NAMES, refuse).load())
    except UsageError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path}: damaged, or no pickle of plain values ({reason}): fetch it again") from error


class _Scalar:
    """Stands for a NumPy number."""

    def __new__(cls, dtype: Dtype, data: bytes) -> Any:
        return np.frombuffer(to_bytes(data), dtype.text)[0].item()

    def __setstate__(self, state: object) -> None: ...


class _Encoded:
    """Stands for bytes, which old protocols write as text."""

    def __new__(cls, text: str, encoding: str = "latin1") -> Any:
        return to_bytes(text)

    def __setstate__(self, state: object) -> None: ...


_NAMES: dict[str, Any] = {
    **NUMPY,
    "numpy.core.multiarray.scalar": _Scalar,
    "numpy._core.multiarray.scalar": _Scalar,
    "_codecs.encode": _Encoded,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Array):
        return value.value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | bytes | int | float | None):
        return value
    raise ValueError(f"a {type(value).__name__}")
