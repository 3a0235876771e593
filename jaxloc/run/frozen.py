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
from jaxloc.data.sources import bytes_of
from jaxloc.errors import ImageError
from jaxloc.inference import Extractor, Maps
from jaxloc.models import Backbone, extract_features
from jaxloc.options import NetworkOptions, workers_of
from jaxloc.run.progress import bar
from jaxloc.run.writing import disk_errors

_BATCH = 8
"""Images in a batch of a device."""
_FEW = 16
"""Pixels of a shorter side that is not rounded down, because the longer side would lose more than a few."""


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
    side: int | tuple[int, int],
    folder: str | os.PathLike[str],
) -> tuple[dict[str, FrozenMaps], dict[int, str]]:
    """Feature maps at the layers of ``engine``, from files in ``folder`` or computed to them.

    Args:
        images: what identifies each image and its content; other images get files of their own.
        read: an image by its number, uint8 ``[h, w, 3]`` within the padded shape, or why it is skipped.
        engine: the network and the layers.
        side: of the square that images are padded to, in pixels, or its rows and columns.
        folder: for the files.

    Returns:
        the maps by layer; and reasons of images that were skipped, by number.
    """
    shape = (side, side) if isinstance(side, int) else side
    key = [engine.weights.checksum, engine.loaded.dtype, *shape, *engine.layers, *images]
    place, batch = Path(folder) / digest(json.dumps(key)), _BATCH * engine.devices
    with disk_errors(place, left="it resumes with the images that are missing"):
        place.mkdir(parents=True, exist_ok=True)
        cells = _shapes(engine.weights.backbone, engine.layers, shape)
        files = {layer: _File(place / layer, len(images), each) for layer, each in cells.items()}
        missing = np.flatnonzero(~np.all([file.sizes.any(1) for file in files.values()], 0))
        # An image is always computed among the same ones, so that its bits do not depend on when a job was killed.
        starts = np.unique(missing // batch) * batch
        numbers = [number for start in starts.tolist() for number in range(start, min(start + batch, len(images)))]
        skipped: dict[int, str] = {}
        for some, maps in padded_maps(numbers, read, engine, shape, skipped):
            for layer, file in files.items():
                file.write(some, *map(np.asarray, maps[layer]))
        return {layer: file.read() for layer, file in files.items()}, skipped


def identities(sources: Sequence[Source]) -> list[str]:
    """What tells each image's file from another put in its place."""
    return [f"{source.path} {bytes_of(source.path)}" for source in sources]


def maps_within(
    sources: Sequence[Source], engine: Extractor, side: int, folder: str | os.PathLike[str]
) -> tuple[dict[str, FrozenMaps], dict[int, str]]:
    """``frozen_maps`` of images shrunk so that their longer side is at most ``side``."""
    return frozen_maps(
        identities(sources),
        lambda number: read_within(sources[number], side, engine.minimum_side),
        engine,
        side,
        folder,
    )


def padded_maps(
    numbers: Sequence[int],
    read: Callable[[int], np.ndarray | str],
    engine: Extractor,
    side: int | tuple[int, int],
    skipped: dict[int, str],
    *,
    purpose: str = "features",
) -> Iterator[tuple[list[int], Maps]]:
    """Numbers of images and their feature maps by layer, batch by batch; the last rows of a batch may be padding.

    ``skipped`` gets the reasons of images that ``read`` refuses, by number; other arguments are those of
    ``frozen_maps``.
    """
    batch, shape = _BATCH * engine.devices, (side, side) if isinstance(side, int) else side
    reads = read_ahead(read, numbers, workers=workers_of(NetworkOptions()), ahead=2 * batch)
    waiting: list[Item] = []
    shown = bar(reads, purpose=purpose, total=len(numbers), unit="image")
    for place, (number, pixels) in enumerate(zip(numbers, shown, strict=True), 1):
        if isinstance(pixels, str):
            skipped[number] = pixels
        else:
            waiting.append(Item(number, pixels, pixels.shape[:2]))
        if waiting and (place % batch == 0 or place == len(numbers)):
            yield [item.number for item in waiting], engine.features(pad(waiting, shape, batch))
            waiting = []


def chunks(numbers: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers in chunks of at most ``size``, and each filled up to ``size`` by repeating its own.

    A program is then compiled for one shape; results of the repeated ones are dropped.
    """
    for first in range(0, len(numbers), size):
        some = numbers[first : first + size]
        yield some, np.resize(some, size)


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


@functools.cache
def _shapes(backbone: Backbone, layers: tuple[str, ...], shape: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """Shape of the maps of an image of ``shape`` pixels, by layer; plain kernels are the quickest to trace."""
    params = backbone.abstract_params(head=True)
    extract = functools.partial(extract_features, backbone=backbone, layers=layers)
    maps = jax.eval_shape(extract, params, jax.ShapeDtypeStruct((*shape, 3), np.uint8))
    return {layer: found.features.shape for layer, found in maps.items()}


def read_within(source: Source, side: int, minimum: int) -> np.ndarray | str:
    """An image, shrunk so that its longer side is at most ``side``; or why it is skipped, as ``frozen_maps`` asks.

    One whose shorter side is below ``minimum`` then is skipped.
    """
    rows, columns = read_size(source.path) or (side, side)
    exact = min(rows, columns) * side / max(rows, columns)
    pixels = read_shrunk(source, exact if exact < _FEW else int(exact), minimum)
    return pixels if isinstance(pixels, str) else pixels[:side, :side]


def read_shrunk(source: Source, shorter_side: float | None, minimum: int) -> np.ndarray | str:
    """An image, shrunk so that its shorter side is at most ``shorter_side``; or why it is skipped."""
    try:
        pixels = read_image(source.path, shorter_side=shorter_side).pixels
    except ImageError as error:
        return str(error)
    rows, columns = pixels.shape[:2]
    if min(rows, columns) < minimum:
        return f"too small: {columns}×{rows} pixels, and {minimum} a side are needed"
    return pixels
