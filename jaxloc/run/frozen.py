"""Feature maps of images, computed once to files that are mapped into memory: what small heads are trained on.

The files stay in a folder of their own for each network, layers, side and set of images. A killed job resumes after the
last image that it wrote.
"""

import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxloc._files import digest
from jaxloc.data import Item, Source, read_image, read_size
from jaxloc.data.ahead import read_ahead
from jaxloc.data.batches import pad
from jaxloc.errors import ImageError
from jaxloc.inference import Extractor, Maps
from jaxloc.models import extract_features
from jaxloc.options import NetworkOptions, workers_of
from jaxloc.run.progress import bar
from jaxloc.run.writing import disk_errors

_BATCH = 8
"""Images in a batch of a device."""


class FrozenMaps(NamedTuple):
    """Feature maps of a layer, zero-padded to one shape, in a file.

    Attributes:
        features: float32 ``[n, h, w, d]``, mapped from the file; index it to read images.
        sizes: int32 ``[n, 2]``, valid rows and columns; 0 for images without any.
    """

    features: np.ndarray
    sizes: np.ndarray


def frozen_maps(
    images: Sequence[str],
    read: Callable[[int], np.ndarray | str],
    engine: Extractor,
    side: int,
    folder: str | os.PathLike[str],
) -> tuple[dict[str, FrozenMaps], dict[int, str]]:
    """Feature maps at the layers of ``engine``, from files in ``folder`` or computed to them.

    Args:
        images: what identifies each image and its content; other images get files of their own.
        read: an image by its number, uint8 ``[h, w, 3]`` of at most ``side`` a side, or why it is skipped.
        engine: the network and the layers.
        side: of the square that images are padded to, in pixels.
        folder: for the files.

    Returns:
        the maps by layer; and reasons of images that were skipped, by number.

    Raises:
        UsageError: the disk is full, or the files cannot be read or written.
    """
    key = [engine.weights.checksum, engine.loaded.dtype, side, *engine.layers, *images]
    place = Path(folder) / digest(json.dumps(key))
    with disk_errors(place, left="it resumes with the images that are missing"):
        place.mkdir(parents=True, exist_ok=True)
        files = {layer: _File(place / layer, len(images), shape) for layer, shape in _shapes(engine, side).items()}
        missing = np.flatnonzero(~np.all([file.sizes.any(1) for file in files.values()], 0)).tolist()
        skipped: dict[int, str] = {}
        for numbers, maps in padded_maps(missing, read, engine, side, skipped):
            for layer, file in files.items():
                file.write(numbers, *map(np.asarray, maps[layer]))
        return {layer: file.read() for layer, file in files.items()}, skipped


def padded_maps(
    numbers: Sequence[int],
    read: Callable[[int], np.ndarray | str],
    engine: Extractor,
    side: int,
    skipped: dict[int, str],
    *,
    purpose: str = "features",
) -> Iterator[tuple[list[int], Maps]]:
    """Numbers of images and their feature maps by layer, batch by batch; the last rows of a batch may be padding.

    Args:
        numbers: of the images.
        read: as of ``frozen_maps``.
        engine: the network and the layers.
        side: of the square that images are padded to, in pixels.
        skipped: gets the reasons of images that ``read`` refuses, by number.
        purpose: what the progress bar says.
    """
    batch = _BATCH * engine.devices
    reads = read_ahead(read, numbers, workers=workers_of(NetworkOptions()), ahead=2 * batch)
    waiting: list[Item] = []
    for number, pixels in zip(numbers, bar(reads, purpose=purpose, total=len(numbers), unit="image"), strict=True):
        if isinstance(pixels, str):
            skipped[number] = pixels
            continue
        waiting.append(Item(number, pixels, pixels.shape[:2]))
        if len(waiting) == batch:
            yield [item.number for item in waiting], engine.features(pad(waiting, (side, side), batch))
            waiting = []
    if waiting:
        yield [item.number for item in waiting], engine.features(pad(waiting, (side, side), batch))


class _File:
    """The maps of a layer, and beside them their sizes, which are written after them."""

    def __init__(self, path: Path, count: int, shape: tuple[int, ...]) -> None:
        self._shape = (count, *shape)
        self._paths = [path.with_name(f"{path.name}.{kind}") for kind in ("maps", "sizes")]
        for one, bytes_each in zip(self._paths, (4 * math.prod(shape), 8), strict=True):
            with one.open("ab") as file:
                file.truncate(count * bytes_each)  # unwritten parts take no space
        self.sizes = np.fromfile(self._paths[1], np.int32).reshape(count, 2)

    def write(self, numbers: list[int], features: np.ndarray, sizes: np.ndarray) -> None:
        self.sizes[numbers] = sizes[: len(numbers)]
        with self._paths[0].open("r+b") as maps, self._paths[1].open("r+b") as ends:
            for number, values in zip(numbers, features[:, : self._shape[1], : self._shape[2]], strict=False):
                maps.seek(4 * number * math.prod(self._shape[1:]))
                maps.write(values.astype(np.float32, copy=False).tobytes())
            maps.flush()
            for number in numbers:
                ends.seek(8 * number)
                ends.write(self.sizes[number].tobytes())

    def read(self) -> FrozenMaps:
        return FrozenMaps(np.memmap(self._paths[0], np.float32, "r", shape=self._shape), self.sizes)


def _shapes(engine: Extractor, side: int) -> dict[str, tuple[int, ...]]:
    """Shape of the maps of an image of ``side`` a side, by layer."""
    extract = functools.partial(extract_features, backbone=engine.weights.backbone, layers=engine.layers)
    maps = jax.eval_shape(extract, engine.params, jax.ShapeDtypeStruct((side, side, 3), np.uint8))
    return {layer: found.features.shape for layer, found in maps.items()}


def read_within(source: Source, side: int, minimum: int) -> np.ndarray | str:
    """An image, shrunk so that its longer side is at most ``side``; or why it is skipped, as ``frozen_maps`` asks.

    One whose shorter side is below ``minimum`` then is skipped.
    """
    try:
        size = read_size(source.path) or (side, side)
        pixels = read_image(source.path, shorter_side=max(1, min(size) * side // max(size))).pixels
    except ImageError as error:
        return str(error)
    rows, columns = pixels.shape[:2]
    if min(rows, columns) < minimum:
        return f"too small: {columns}×{rows} pixels, and {minimum} a side are needed"
    return pixels[:side, :side]
