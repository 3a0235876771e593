"""Thumbnails for pages."""

from collections.abc import Mapping
from typing import Any

from jaxloc.data import read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.data.images import ImageFile
from jaxloc.errors import ImageError, UsageError
from jaxloc.report.overlays import make_thumbnail
from jaxloc.run.progress import bar

_SIDE = 256


def read_thumbnails(
    images: Mapping[int, ImageFile], *, workers: int, shorter_side: int = _SIDE, side: int = _SIDE, **how: Any
) -> dict[int, bytes]:
    """Small JPEGs by number; unreadable images are left out.

    ``shorter_side`` is the pixels that images are decoded at, ``side`` those of a thumbnail's longer side.
    """

    def read(image: ImageFile) -> bytes | None:
        try:
            return make_thumbnail(read_image(image, shorter_side=shorter_side, **how).pixels, side)
        except (ImageError, UsageError):
            return None

    made = read_ahead(read, images.values(), workers=workers, ahead=2 * workers)
    shown = bar(zip(images, made, strict=True), purpose="thumbnails", total=len(images), unit="image")
    return {number: thumbnail for number, thumbnail in shown if thumbnail is not None}
