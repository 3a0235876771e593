"""Files of annotated images, and checks of the annotations against them."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxloc.data import remote
from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.archives import is_tfds, open_archive, open_tfds
from jaxloc.data.archives.video import VideoFrame
from jaxloc.data.images import Header, read_header, read_size
from jaxloc.data.kinds import archive_kind
from jaxloc.data.sources import Part, Record
from jaxloc.errors import ImageError, UsageError


def read_stored(image: Path | Record | bytes) -> Header:
    """Header of an image's file, record or bytes; a video frame counts as a turned JPEG, since it must be encoded."""
    if isinstance(image, VideoFrame):
        return Header("JPEG", "RGB", (image.image_size or (0, 0))[::-1], True)
    try:
        return read_header(image)
    except UsageError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ImageError(f"cannot be read: {error}") from error


def with_paths(found: Annotations, folders: Iterable[Path]) -> Annotations:
    """Set the path of each image found in one of these folders, searched in order."""
    places = list(folders)
    images = {}
    for name, image in found.images.items():
        there = next((place / name for place in places if (place / name).is_file()), None)
        images[name] = image if there is None else dataclasses.replace(image, path=there)
    return dataclasses.replace(found, images=images)


def with_job_paths(found: Annotations, parts: Path) -> Annotations:
    """Set the paths that the job of these part files read the images from."""
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
    """Record of a job from its text; ``None`` if its archive no longer has it."""
    starts = (place[:end] for end, letter in enumerate(place) if letter == "#")
    archive = next((start for start in starts if is_tfds(start) or archive_kind(start)), None)
    if archive is None:
        return remote.RemoteFile(place)
    if archive not in archives:
        parts: Sequence[Part] = open_tfds(archive) if is_tfds(archive) else [open_archive(archive)]
        archives[archive] = {str(part.path(number)): part.path(number) for part in parts for number in range(len(part))}
    return archives[archive].get(place)


def check_image(image: Annotated, found: list[Problem]) -> Annotated | None:
    """The image, with its size; ``None`` and a problem if its file is missing, unreadable, or of another size."""
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
    """The image with its size added and its boxes clipped."""
    kept, damaged = [], list(image.damaged)
    for number, one in enumerate(image.annotations, 1):
        box = fit_box(one.box, (columns, rows), f"object {number}", where, found)
        if box is None:
            damaged.append(one.category)
        else:
            kept.append(dataclasses.replace(one, box=box))
    return dataclasses.replace(
        image, annotations=tuple(kept), width=columns, height=rows, damaged=tuple(dict.fromkeys(damaged))
    )
