"""A part of an image, as an image of its own."""

import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from jaxloc.data.annotations.records import Box
from jaxloc.data.images import read_image
from jaxloc.data.sources import Record


@dataclasses.dataclass(frozen=True)
class Crop(Record):
    """The pixels of an upright image inside a box, whose corners are rounded."""

    image: Path | Record
    box: Box

    def __str__(self) -> str:
        return f"{self.image}#{','.join(f'{edge:g}' for edge in self.box)}"

    def read(self) -> bytes:
        """Cut the box out, as PNG; raises as reading the image does."""
        x0, y0, x1, y1 = (round(edge) for edge in self.box)
        data = io.BytesIO()
        Image.fromarray(read_image(self.image).pixels[y0:y1, x0:x1]).save(data, "png", compress_level=1)
        return data.getvalue()


def crop_square(image: Path | Record, box: Box, side: int) -> np.ndarray:
    """The upright image inside a box, resized to a square whatever its shape: uint8 ``[side, side, 3]``.

    Raises as reading the image does.
    """
    pixels = Image.fromarray(read_image(image).pixels)
    x0, y0, x1, y1 = (max(0.0, edge) for edge in box)
    inside = (x0, y0, min(x1, pixels.width), min(y1, pixels.height))
    return np.asarray(pixels.resize((side, side), Image.Resampling.BILINEAR, inside))
