"""Masks as PNG files of class numbers, as semantic segmentation reads them: ``masks/NAME.png``.

0 is background, 1, 2, … are the classes in the order of ``classes.txt``, 255 is unknown (a trimap's border).
The palette is that of PASCAL VOC. Where masks overlap, the later object is on top. Objects of one class are not
distinguished; COCO keeps them apart.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxloc.data.annotations import Annotated, Pixels, Problem
from jaxloc.data.annotations.problems import WRONG_MASK
from jaxloc.data.annotations.records import Mask
from jaxloc.errors import UsageError
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.names import with_suffix

UNKNOWN = 255
_MOST = 254


def write(job: Job) -> list[Annotated]:
    """Write the masks, the images in ``images``, and a list of names for each split."""

    def write_one(image: Annotated, own: list[Problem]) -> bool:
        values = class_map(image, job.categories, own)
        if values is None or not job.place(image, "images", own):
            return False
        job.write(f"masks/{with_suffix(image.name, '.png')}", to_png(values))
        return True

    written = job.written("writing", write_one)
    if not written:
        raise UsageError("no image has a mask: make them with --refine, or export another format")
    job.write("classes.txt", "".join(f"{name}\n" for name in ("background", *job.categories)))
    for split, images in by_split(written).items():
        if split:
            job.write(f"{split}.txt", "".join(f"{image.name}\n" for image in images))
    return written


def has_mask(image: Annotated) -> bool:
    """Whether the image or one of its objects has a mask."""
    return image.mask is not None or any(one.mask is not None for one in image.annotations)


def class_map(image: Annotated, categories: Sequence[str], found: list[Problem]) -> np.ndarray | None:
    """An image's class numbers, uint8 ``[h, w]``, from 1 in the order of ``categories``; ``None`` if it has no mask.

    A mask of its own is of its own class, or of the only class its objects are of. ``found`` collects the masks that do
    not fit. Raises ``UsageError`` if there are too many classes.
    """
    if len(categories) > _MOST:
        raise UsageError(f"a mask holds at most {_MOST} classes, these are {len(categories)}: export to coco")
    layers = [(read_mask(one.mask, image, found), one.category) for one in image.annotations if not one.crowd]
    if image.mask is not None and (own := _own_class(image)) is not None:
        layers.insert(0, (read_mask(image.mask, image, found), own))
    if all(pixels is None for pixels, _ in layers):
        return None
    values = np.zeros((image.height or 0, image.width or 0), np.uint8)
    for pixels, category in layers:
        if pixels is not None:
            if pixels.known is not None:
                values[~pixels.known] = UNKNOWN
            values[pixels.inside] = categories.index(category) + 1
    return values


def read_mask(mask: Mask | None, image: Annotated, found: list[Problem]) -> Pixels | None:
    """Read a mask; a mask of another size than its image becomes a problem in ``found`` and ``None``."""
    if mask is None:
        return None
    try:
        pixels = mask.read()
    except (UsageError, ValueError) as error:
        found.append(Problem(WRONG_MASK, image.name, f"a mask cannot be read ({error}); left out"))
        return None
    rows, columns = pixels.inside.shape
    if (columns, rows) != (image.width, image.height):
        found.append(wrong_size((columns, rows), image))
        return None
    return pixels


def wrong_size(size: tuple[int, int], image: Annotated) -> Problem:
    """The problem of a mask of this width and height, which are not its image's."""
    what = f"a mask is of {size[0]} × {size[1]} pixels, the image of {image.width} × {image.height}; left out"
    return Problem(WRONG_MASK, image.name, what)


def to_png(values: np.ndarray) -> bytes:
    """Class numbers, uint8 ``[h, w]``, as a PNG with VOC's palette."""
    image = Image.fromarray(values)
    image.putpalette(_palette())
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _own_class(image: Annotated) -> str | None:
    classes = {one.category for one in image.annotations} if image.category is None else {image.category}
    return classes.pop() if len(classes) == 1 else None


def _palette() -> bytes:
    """VOC's colours: the bits of a number in turn to red, green and blue, the highest bits first."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    by_channel = np.pad(bits, ((0, 0), (0, 1))).reshape(256, 3, 3).swapaxes(1, 2)
    return np.packbits(by_channel, axis=2).tobytes()
