"""Images as callers have them: files, NumPy arrays, PIL images, one or many."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxloc.data.images import DecodedImage, read_image, read_size
from jaxloc.data.paths import find_sets
from jaxloc.data.sources import Record
from jaxloc.errors import ImageError, UsageError

Images = Any
"""A file or folder, an array ``[h, w]`` or ``[h, w, 3]``, a PIL image, an iterable of these, or ``[n, h, w, 3]``.

Arrays are uint8, or float in [0, 1].
"""


class InMemoryImages(Sequence[Any]):
    """Images of any kind and size, by position; the name of a folder stands for its images in order of name.

    Attributes:
        names: a file's path, or ``image_N`` for an array.
    """

    def __init__(self, images: Images) -> None:
        self._values, self.names = _listed(images)
        if not self._values:
            raise UsageError("no images were given")
        for number, value in enumerate(self._values):
            if not isinstance(value, os.PathLike | Record | Image.Image):
                _check_array(value, self.where(number))

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, number: Any) -> Any:
        return self._values[number]

    def where(self, number: int) -> str:
        """The position of an image, and its name if it has one, for messages."""
        value = self._values[number]
        return f"images[{number}] ({value})" if isinstance(value, os.PathLike | Record) else f"images[{number}]"

    def size(self, number: int, *, shorter_side: int | None = None) -> tuple[int, int]:
        """Rows and columns of an image as ``read`` returns it."""
        size = read_size(self._readable(number), shorter_side=shorter_side)
        return self.read(number).pixels.shape[:2] if size is None else size

    def read(self, number: int, *, shorter_side: int | None = None) -> DecodedImage:
        """An image as upright RGB, shrunk to the shorter side, and its original size."""
        try:
            return read_image(self._readable(number), shorter_side=shorter_side)
        except ImageError as error:
            raise UsageError(f"{self.where(number)}: {error}") from error

    def _readable(self, number: int) -> os.PathLike[str] | Record | Image.Image:
        value = self._values[number]
        if isinstance(value, os.PathLike | Record | Image.Image):
            return value
        array = np.asarray(value)
        return Image.fromarray(array if array.dtype == np.uint8 else np.rint(array * 255).astype(np.uint8))


def _listed(images: Images) -> tuple[list[Any], list[str]]:
    if isinstance(images, InMemoryImages):
        return images._values, images.names
    if isinstance(images, str | os.PathLike):
        sets = find_sets([images])
        sets.tell_ignored()
        sources = [source for one in sets for source in one.sources]
        return [source.path for source in sources], [source.name for source in sources]
    if isinstance(images, Image.Image) or (hasattr(images, "__array__") and np.ndim(images) != 4):
        images = [images]
    if not isinstance(images, Iterable):
        raise UsageError(f"images must be arrays, PIL images or paths, got {type(images).__name__}")
    values = [Path(one) if isinstance(one, str) else one for one in images]
    return values, [_name(number, value) for number, value in enumerate(values)]


def _name(number: int, value: Any) -> str:
    file = value if isinstance(value, os.PathLike) else getattr(value, "filename", "")
    return os.fspath(file) if file else f"image_{number}"


def _check_array(value: Any, where: str) -> None:
    if not hasattr(value, "__array__"):
        raise UsageError(f"{where}: an image must be an array, a PIL image or a path, got {type(value).__name__}")
    array = np.asarray(value)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise UsageError(f"{where}: an image must be [h, w, 3] (RGB) or [h, w] (grey), got shape {array.shape}")
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise UsageError(f"{where}: a float image must be in [0, 1]: divide by 255, or pass uint8")
    elif array.dtype != np.uint8:
        raise UsageError(f"{where}: an image must be uint8, or float in [0, 1], got {array.dtype}")
