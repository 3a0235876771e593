"""Features kept on disk between the passes of a job, up to a limit, so that the network runs once."""

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxloc.data import Batch
from jaxloc.inference import Extractor, Maps
from jaxloc.models import FeatureMap
from jaxloc.run.stream import Stream


class _Stored(NamedTuple):
    indices: np.ndarray
    original_sizes: np.ndarray
    arrays: dict[str, tuple[int, tuple[int, ...], np.dtype, Any]]


_RESERVE, _SHARE = 1 << 30, 4
"""Bytes of the disk that are left free; of a disk smaller than ``_SHARE`` times that, one part in ``_SHARE``."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk."""


class FeatureCache:
    """An unnamed temporary file of feature maps in a folder, removed with the process; it may grow to ``limit`` bytes.

    The cache stops growing before the disk is full, and ``make_room`` drops it if results do not fit.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        self._limit = limit
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - __exit__ closes it
        self._size = 0
        self._batches: dict[int, list[_Stored]] = {}

    def __enter__(self) -> "FeatureCache":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def put(self, batch: Batch, maps: Maps, part: int = 0) -> bool:
        """Keep a batch's features with a part of the job; returns whether they fit."""
        needed = sum(feature_map.features.nbytes for feature_map in maps.values())
        if self._size + needed > self._limit:
            return False
        disk = shutil.disk_usage(self._folder)
        if needed > disk.free - min(_RESERVE, disk.total // _SHARE):
            return False
        arrays = {}
        try:
            end = self._size
            for layer, (features, size) in maps.items():
                values = np.ascontiguousarray(features)
                arrays[layer] = (end, values.shape, values.dtype, np.asarray(size))
                end += self._write(end, values)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._limit = 0
            self._file.truncate(self._size)
            return False
        self._size += needed
        self._batches.setdefault(part, []).append(_Stored(batch.indices, batch.original_sizes, arrays))
        return True

    def forget(self, part: int) -> None:
        """Drop the features of the part that was kept last, and reuse its space."""
        for stored in self._batches.pop(part, []):
            self._size = min(self._size, *(offset for offset, *_ in stored.arrays.values()))
        self._file.truncate(self._size)

    def clear(self) -> None:
        """Drop all features and free the disk space."""
        self._batches.clear()
        self._size = 0
        self._file.truncate(0)

    def make_room(self, write: Callable[[], object]) -> None:
        """Call ``write``, which writes a file atomically; if the disk is full, drop all features and call it again."""
        try:
            write()
        except OSError as error:
            if error.errno not in FULL or not self._size:
                raise
            self._limit = 0
            self.clear()
            write()

    def __contains__(self, part: int) -> bool:
        return part in self._batches

    def indices(self, part: int = 0) -> set[int]:
        """Numbers of the images of a part with kept features."""
        return {int(index) for stored in self._batches.get(part, []) for index in stored.indices}

    def batches(self, part: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray, Maps]]:
        """Yield indices, original sizes and feature maps of each batch kept of a part, on the host."""
        for stored in self._batches.get(part, []):
            maps = {
                layer: FeatureMap(self._read(offset, shape, dtype), size)
                for layer, (offset, shape, dtype, size) in stored.arrays.items()
            }
            yield stored.indices, stored.original_sizes, maps

    def _write(self, offset: int, values: np.ndarray) -> int:
        self._file.seek(offset)
        data = values.reshape(-1).view(np.uint8).data
        written = 0
        while written < len(data):
            written += self._file.write(data[written:])
        return written

    def _read(self, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        self._file.seek(offset)
        return np.fromfile(self._file, np.uint8, math.prod(shape) * dtype.itemsize).view(dtype).reshape(shape)


def feature_batches(
    stream: Stream, engine: Extractor, purpose: str, cache: FeatureCache
) -> Iterator[tuple[np.ndarray, np.ndarray, Maps]]:
    """Indices, original sizes and features of every batch: those kept on disk, then the rest through the network."""
    for indices, original_sizes, maps in cache.batches():
        yield indices, original_sizes, engine.put(maps)
    for batch in stream.batches(purpose, leave_out=cache.indices()):
        yield batch.indices, batch.original_sizes, engine.features(batch)
