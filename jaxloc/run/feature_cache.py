"""Features kept on disk between the passes of a job, up to a limit, so that the network runs once."""

import errno
import os
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxloc.data import Batch
from jaxloc.models import FeatureMap
from jaxloc.run.engine import Maps


class _Stored(NamedTuple):
    indices: np.ndarray
    original_sizes: np.ndarray
    arrays: dict[str, tuple[int, tuple[int, ...], np.dtype, np.ndarray]]


class FeatureCache:
    """An unnamed temporary file of feature maps: it vanishes with the process, however that ends.

    Args:
        folder: where the file is made.
        limit: bytes it may grow to; 0 keeps nothing.
    """

    def __init__(self, folder: str | os.PathLike[str], limit: int) -> None:
        self._limit = limit
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0) if limit > 0 else None  # noqa: SIM115 - __exit__ closes it
        self._size = 0
        self._batches: list[_Stored] = []

    def __enter__(self) -> "FeatureCache":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def indices(self) -> set[int]:
        """Numbers of the pictures whose features are kept."""
        return {int(index) for stored in self._batches for index in stored.indices}

    def put(self, batch: Batch, maps: Maps) -> bool:
        """Keep a batch's features, if they fit; a full disk only means that they are computed again."""
        needed = sum(feature_map.features.nbytes for feature_map in maps.values())
        if self._file is None or self._size + needed > self._limit:
            return False
        arrays = {}
        try:
            end = self._size
            for layer, (features, size) in maps.items():
                values = np.ascontiguousarray(features)
                arrays[layer] = (end, values.shape, values.dtype, np.asarray(size))
                end += self._write(end, values)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self._limit = 0
            return False
        self._size += needed
        self._batches.append(_Stored(batch.indices, batch.original_sizes, arrays))
        return True

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, Maps]]:
        """Yield indices, original sizes and feature maps of each batch kept."""
        for stored in self._batches:
            maps = {
                layer: FeatureMap(self._read(offset, shape, dtype), jax.device_put(size))
                for layer, (offset, shape, dtype, size) in stored.arrays.items()
            }
            yield stored.indices, stored.original_sizes, maps

    def _write(self, offset: int, values: np.ndarray) -> int:
        if self._file is None:
            raise RuntimeError("nothing is kept")
        self._file.seek(offset)
        data = values.reshape(-1).view(np.uint8).data
        written = 0
        while written < len(data):
            written += self._file.write(data[written:])
        return written

    def _read(self, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> jax.Array:
        if self._file is None:
            raise RuntimeError("nothing is kept")
        self._file.seek(offset)
        values = np.empty(shape, dtype)
        data = values.reshape(-1).view(np.uint8).data
        read = 0
        while read < len(data):
            read += self._file.readinto(data[read:])
        return jax.device_put(values)
