"""MATLAB's format 5 (what ``save`` writes by default): numbers, text, cells and structs.

A file is a header of 128 bytes and a run of elements, each with its type and length in front; arrays are
elements made of elements. SciPy reads the format too, but some damaged files crash the interpreter in it
(SciPy 1.17: 8 of 400 files with 40 random bytes changed).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

HEADER = 128
LARGEST = 2**30
"""More bytes than all arrays of a known network; a compressed variable that grows beyond is refused."""

NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
"""NumPy's type for each type of element that holds numbers."""

MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, TEXT = 1, 2, 4
NUMERIC = range(6, 16)
"""Classes of arrays from double to 64-bit integers."""


def load(path: Path) -> dict[str, Any]:
    """Every variable of a file by its name.

    Returns:
        Structs as dicts (of several, the first), cells as lists, text as ``str``, numbers as arrays, and
        ``None`` for anything else.

    Raises:
        Exception: the file is damaged, or was written on a big-endian machine; of any kind.
    """
    data = memoryview(path.read_bytes())
    if data[HEADER - 2 : HEADER] != b"IM":
        raise ValueError("not written on a little-endian machine")
    variables = {}
    for kind, content in _elements(data[HEADER:]):
        if kind == COMPRESSED:
            ((kind, content),) = _elements(_inflate(content))
        if kind == MATRIX:
            name, value = _array(content)
            variables[name] = value
    return variables


def _inflate(content: memoryview) -> memoryview:
    stream = zlib.decompressobj()
    data = stream.decompress(content, LARGEST)
    if not stream.eof:
        raise ValueError(f"a variable of more than {LARGEST} bytes, or an incomplete one")
    return memoryview(data)


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element; short ones take eight bytes in all, long ones are padded to eight."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind >> 16:
            yield kind & 0xFFFF, data[at + 4 : at + 4 + (kind >> 16)]
            at += 8
            continue
        content = data[at + 8 : at + 8 + length]
        if len(content) < length:
            raise ValueError(f"{length} bytes wanted where {len(content)} are left")
        yield kind, content
        at += 8 + length + (-length % 8 if kind != COMPRESSED else 0)


def _array(content: memoryview) -> tuple[str, Any]:
    if not content:
        return "", np.zeros(0)
    parts = _elements(content)
    (_, flags), (_, shape), (_, name) = (next(parts) for _ in range(3))
    return bytes(name).decode("ascii"), _value(flags[0], np.frombuffer(shape, "<i4"), parts)


def _value(kind: int, shape: np.ndarray, parts: Iterator[tuple[int, memoryview]]) -> Any:
    if kind == CELL:
        return [_array(part)[1] for _, part in parts]
    if kind == STRUCT:
        (_, width), (_, names) = next(parts), next(parts)
        (step,) = struct.unpack("<i", width)
        starts = range(0, len(names), step)
        fields = [bytes(names[at : at + step]).split(b"\0")[0].decode("ascii") for at in starts]
        return dict(zip(fields, (_array(part)[1] for _, part in parts), strict=False))
    if kind == TEXT:
        encoding, text = next(parts)
        return bytes(text).decode("utf-16-le" if encoding in (4, 17) else "utf-8")
    if kind in NUMERIC:
        number, values = next(parts)
        return np.frombuffer(values, NUMBERS[number]).reshape(shape, order="F")
    return None
