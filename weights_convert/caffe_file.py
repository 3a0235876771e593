"""Caffe's own VGGs (``VGG_ILSVRC_16_layers.caffemodel``): a NetParameter in Protocol Buffers' wire format.

Only what holds weights is looked at: layers of the second (``layers``, field 2) and third (``layer``, field
100) generation, their names, and their blobs: ``[out, in, height, width]``, in dense layers ``[1, 1, out,
in]`` or ``[out, in]``. Field numbers are those of ``caffe.proto``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxloc.models.preprocessing import CAFFE_BGR
from jaxloc.models.weights_file import Flat
from weights_convert.mapping import Found, out_first

LAYERS = {2: (4, 6), 100: (1, 7)}
"""Fields of a NetParameter that are layers, and in those the fields of the name and of the blobs."""

BLOB_SIDES = (1, 2, 3, 4)
BLOB_FLOATS = 5
BLOB_SHAPE = 7

Field = tuple[int, int | memoryview]


def starts(head: bytes) -> bool:
    """Whether a file begins as a NetParameter does: with its name, and then an input or a layer."""
    after_name = 2 + int.from_bytes(head[1:2])
    return head[:1] == b"\n" and head[after_name : after_name + 1] in (b"\x12", b"\x1a", b"\xa2")


def read(path: Path) -> Found:
    """Read a ``.caffemodel`` that holds a VGG; images are BGR from 0 to 255, less Caffe's mean.

    A damaged file may raise anything.
    """
    arrays: Flat = {}
    for number, value in _fields(memoryview(path.read_bytes())):
        if number in LAYERS and isinstance(value, memoryview):
            name, blobs = _layer(value, *LAYERS[number])
            if len(blobs) == 2:
                arrays |= {f"{name}/kernel": out_first(_squeeze(blobs[0])), f"{name}/bias": blobs[1].ravel()}
    return Found(arrays, CAFFE_BGR, f"Caffe file {path.name}")


def _layer(message: memoryview, name_field: int, blobs_field: int) -> tuple[str, list[np.ndarray]]:
    name, blobs = "", []
    for number, value in _fields(message):
        if isinstance(value, memoryview) and number == name_field:
            name = bytes(value).decode()
        elif isinstance(value, memoryview) and number == blobs_field:
            blobs.append(_blob(value))
    return name, blobs


def _blob(message: memoryview) -> np.ndarray:
    sides = dict.fromkeys(BLOB_SIDES, 1)
    shape: list[int] = []
    numbers = np.zeros(0, np.float32)
    for number, value in _fields(message):
        if isinstance(value, int):
            if number in sides:
                sides[number] = value
        elif number == BLOB_FLOATS:
            numbers = np.frombuffer(value, "<f4")
        elif number == BLOB_SHAPE:
            shape += [side for _, dims in _fields(value) if not isinstance(dims, int) for side in _varints(dims)]
    return numbers.reshape(shape or tuple(sides.values()))


def _squeeze(kernel: np.ndarray) -> np.ndarray:
    """A dense layer's ``[1, 1, out, in]`` as ``[out, in]``."""
    return kernel[0, 0] if kernel.ndim == 4 and kernel.shape[:2] == (1, 1) else kernel


def _fields(message: memoryview) -> Iterator[Field]:
    """Number and content of each field: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = divmod(tag, 8)
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(message):
            raise ValueError(f"{length} bytes wanted where {len(message) - at} are left")
        yield number, message[at : at + length]
        at += length


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The integer at a byte, and the byte after it: seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError(f"an integer of more than ten bytes before byte {at}")
