"""Thumbnails for the review page."""

from collections.abc import Collection

from jaxloc.data import Source, read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import ImageError
from jaxloc.report.overlays import make_thumbnail
from jaxloc.run.plan import Images
from jaxloc.run.progress import progress

_SIDE = 256


def make_thumbnails(images: Images, numbers: Collection[int], *, workers: int) -> dict[int, bytes]:
    """JPEGs of the readable images by number.

    Args:
        images: the collection.
        numbers: numbers of the images.
        workers: number of decoding threads.
    """
    made: dict[int, bytes] = {}
    with progress("thumbnails", len(numbers)) as shown:
        thumbnails = read_ahead(_thumbnail, map(images.__getitem__, numbers), workers=workers, ahead=2 * workers)
        for number, thumbnail in zip(numbers, thumbnails, strict=True):
            shown.update()
            if thumbnail is not None:
                made[number] = thumbnail
    return made


def _thumbnail(source: Source) -> bytes | None:
    try:
        return make_thumbnail(read_image(source.path, shorter_side=_SIDE).pixels, _SIDE)
    except ImageError:
        return None
