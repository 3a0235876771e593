"""Crops: one image for each object, in a folder for each class, as classifiers are trained: ``CLASS/NAME_1.jpg``.

An image that is already in a folder of its class gets no second one. A crop holds every pixel
that its box touches. Crops of JPEGs are JPEGs of quality 95, others PNGs. With splits the folders are ``SPLIT/CLASS``.
Crowds are left out.
"""

import math
from collections.abc import Mapping, Sequence

from PIL import Image

from jaxloc.data import read_image
from jaxloc.data.annotations import Annotated, Problem
from jaxloc.data.annotations.records import Box
from jaxloc.errors import ImageError
from jaxloc.report.exports.job import Job
from jaxloc.report.exports.names import safe_names, with_suffix
from jaxloc.report.exports.placement import read_stored, to_bytes, unreadable


def write(job: Job, *, margin: float = 0.0, square: bool = False) -> list[Annotated]:
    """Write the crops; ``margin`` and ``square`` are those of ``crop_box``."""
    folders = safe_names({name: name for name in job.categories}, flat=True)
    stems = _stems(job.images, folders)

    def write_one(image: Annotated, own: list[Problem]) -> bool:
        objects = [one for one in image.annotations if not one.crowd]
        if not objects or image.path is None:
            return False
        try:
            pixels, kind = read_image(image.path).pixels, read_stored(image.path).kind
        except ImageError as error:
            own.append(unreadable(image, error))
            return False
        suffix = ".jpg" if kind == "JPEG" else ".png"
        for number, one in enumerate(objects, 1):
            x0, y0, x1, y1 = crop_box(one.box, pixels.shape[1], pixels.shape[0], margin=margin, square=square)
            data = to_bytes(Image.fromarray(pixels[y0:y1, x0:x1]), kind)
            stem = stems[one.category][image.name]
            for split in image.splits or (".",):
                job.write(f"{split}/{folders[one.category]}/{stem}_{number}{suffix}", data)
        return True

    return job.written("cutting crops", write_one)


def _stems(images: Sequence[Annotated], folders: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """For each class its images' names, without extension and without a first folder that is the class again."""
    inner: dict[str, dict[str, str]] = {category: {} for category in folders}
    for image in images:
        for category in {one.category for one in image.annotations}:
            again = (f"{category}/", f"{folders[category]}/")
            first = next((prefix for prefix in again if image.name.startswith(prefix)), "")
            inner[category][image.name] = image.name.removeprefix(first)
    return {
        category: {name: with_suffix(file, "") for name, file in safe_names(names, flat=False).items()}
        for category, names in inner.items()
    }


def crop_box(
    box: Box, width: int, height: int, *, margin: float = 0.0, square: bool = False
) -> tuple[int, int, int, int]:
    """The pixels of a crop: whole numbers ``x0, y0, x1, y1``, half-open, within an image of this size.

    The margin is a share of the box's longer side. ``square`` widens the shorter side to the longer one; the crop is
    moved where it would leave the image, and as large as the image allows.
    """
    x0, y0, x1, y1 = box
    extra = margin * max(x1 - x0, y1 - y0)
    left, right = _within(x0 - extra, x1 + extra, width)
    top, bottom = _within(y0 - extra, y1 + extra, height)
    if square:
        side = max(right - left, bottom - top)
        left, right = _widened(left, right, side, width)
        top, bottom = _widened(top, bottom, side, height)
    return left, top, right, bottom


def _within(start: float, stop: float, length: int) -> tuple[int, int]:
    first = min(max(0, math.floor(start)), length - 1)
    return first, max(first + 1, min(length, math.ceil(stop)))


def _widened(start: int, stop: int, side: int, length: int) -> tuple[int, int]:
    side = min(side, length)
    first = min(max((start + stop - side) // 2, 0), length - side)
    return first, first + side
