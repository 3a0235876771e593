"""From a name in an annotation file to the image itself, and whether the two agree."""

import contextlib
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from jaxloc.data import remote
from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.archives import is_tfds, open_archive, open_tfds
from jaxloc.data.archives.video import VideoFrame
from jaxloc.data.images import read_size
from jaxloc.data.kinds import archive_kind
from jaxloc.data.sources import Part, Record
from jaxloc.errors import ImageError, UsageError

_ORIENTATION = 0x0112
_HEADER = 1 << 16
"""Bytes of a record that hold the header of nearly every JPEG."""


class Stored(NamedTuple):
    """How an image's file holds it.

    Attributes:
        kind: as Pillow names it, such as ``"JPEG"``; that also for a frame of a video, which it is most like.
        mode: as Pillow names it, such as ``"RGB"``.
        again: whether it has to be written again to be a file as it is shown: it is stored turned, as its EXIF
            orientation says, or a frame of a video.
    """

    kind: str
    mode: str
    again: bool


def read_stored(image: Path | Record | bytes) -> Stored:
    """Look at an image's header; of a record's JPEG only its beginning is read, where the place allows that.

    Args:
        image: its place, or its encoded bytes.

    Raises:
        ImageError: it cannot be read.
        UsageError: what it lies in cannot be read.
    """
    if isinstance(image, VideoFrame):
        return Stored("JPEG", "RGB", True)
    try:
        if isinstance(image, Record):
            start = io.BytesIO(image.read_start(_HEADER))
            with contextlib.suppress(Exception):  # whatever it lacks, the whole image has
                stored = _stored(start)
                if stored.kind == "JPEG":  # other kinds may say more at their end
                    return stored
            image = image.read()
        return _stored(io.BytesIO(image) if isinstance(image, bytes) else image)
    except UsageError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ImageError(f"cannot be read: {error}") from error


def _stored(file: Path | io.BytesIO) -> Stored:
    with Image.open(file) as image:
        return Stored(str(image.format), image.mode, _orientation(image) in range(2, 9))


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged block says nothing, and the image is fine without
        return 1


def with_paths(found: Annotations, folders: Iterable[Path]) -> Annotations:
    """Look for each image in these folders, in order; those that are in none keep the path they have."""
    places = list(folders)
    images = {}
    for name, image in found.images.items():
        there = next((place / name for place in places if (place / name).is_file()), None)
        images[name] = image if there is None else dataclasses.replace(image, path=there)
    return dataclasses.replace(found, images=images)


def with_job_paths(found: Annotations, parts: Path) -> Annotations:
    """The images where the job that wrote these part files read them.

    Raises:
        UsageError: a part file, or an archive that held the images, cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    archives: dict[str, dict[str, Path | Record]] = {}
    images = dict(found.images)
    for file in sorted(parts.glob("found-*.parquet")):
        try:
            rows = pq.read_table(file, columns=["name", "path", "local"]).to_pylist()
        except (pa.ArrowException, OSError, KeyError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(f"{file}: not readable as a job's part ({reason}): name the images' folder") from error
        for row in rows:
            name, place = row["name"], row["path"]
            if place is not None and name in images:
                path = Path(place) if row["local"] else _record(place, archives)
                images[name] = dataclasses.replace(images[name], path=path)
    return dataclasses.replace(found, images=images)


def _record(place: str, archives: dict[str, dict[str, Path | Record]]) -> Path | Record | None:
    """The record that a job wrote as this text; ``None`` if its archive has no such record any more."""
    starts = (place[:end] for end, letter in enumerate(place) if letter == "#")
    archive = next((start for start in starts if is_tfds(start) or archive_kind(start)), None)
    if archive is None:
        return remote.RemoteFile(place)
    if archive not in archives:
        parts: Sequence[Part] = open_tfds(archive) if is_tfds(archive) else [open_archive(archive)]
        archives[archive] = {str(part.path(number)): part.path(number) for part in parts for number in range(len(part))}
    return archives[archive].get(place)


def check_images(images: Mapping[str, Annotated]) -> Annotations:
    """``check_image`` of each; returned are those that agree, and a problem for each that does not."""
    found: list[Problem] = []
    checked = {name: check_image(image, found) for name, image in images.items()}
    return Annotations({name: image for name, image in checked.items() if image is not None}, found)


def check_image(image: Annotated, found: list[Problem]) -> Annotated | None:
    """Open an image's header, and see that it is there and as large as its annotations say.

    Args:
        image: which one.
        found: takes up an image that is missing, unreadable, or of another size (its boxes are those of another
            image, or were drawn before it was turned).

    Returns:
        the image, with its size if the annotations do not say it; ``None`` if there is a problem.
    """
    where = str(image.path or image.name)
    if image.path is None or (isinstance(image.path, Path) and not image.path.is_file()):
        found.append(Problem(problems.MISSING, where, "no such image; left out"))
        return None
    size = read_size(image.path)
    if size is None:
        found.append(Problem(problems.UNREADABLE, where, "cannot be read as an image; left out"))
        return None
    rows, columns = size
    if image.width is None:
        return _sized(image, columns, rows, where, found)
    if (columns, rows) != (image.width, image.height):
        what = f"is shown as {columns} × {rows} pixels, its annotations say {image.width} × {image.height}"
        found.append(Problem(problems.WRONG_SIZE, where, f"{what}; left out"))
        return None
    return image


def _sized(image: Annotated, columns: int, rows: int, where: str, found: list[Problem]) -> Annotated:
    """An image whose size was not known until now, with its boxes clipped to it."""
    kept, damaged = [], list(image.damaged)
    for number, one in enumerate(image.annotations, 1):
        box, problem = fit_box(one.box, columns, rows, f"object {number}", where)
        if problem is not None:
            found.append(problem)
        if box is None:
            damaged.append(one.category)
        else:
            kept.append(dataclasses.replace(one, box=box))
    return dataclasses.replace(
        image, annotations=tuple(kept), width=columns, height=rows, damaged=tuple(dict.fromkeys(damaged))
    )
