"""Annotations of any supported format, and the images that they belong to."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from jaxloc.data import remote
from jaxloc.data.annotations import problems
from jaxloc.data.annotations.coco import read_coco_file
from jaxloc.data.annotations.merging import merge_splits
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.annotations.voc import read_voc
from jaxloc.data.annotations.yolo import read_yolo
from jaxloc.data.annotations.yolo_layout import is_flat_yolo, is_yolo
from jaxloc.data.archives import is_tfds, open_archive, open_tfds
from jaxloc.data.images import read_size
from jaxloc.data.kinds import archive_kind
from jaxloc.data.places import Places
from jaxloc.data.sources import Part, Record
from jaxloc.errors import UsageError

_KNOWN = (
    "a COCO file (.json), a folder of VOC's XML files, a YOLO data set (data.yaml, obj.data, or images and "
    "labels), a folder that a job wrote, or a data set as NAME:ROOT"
)
_EXPORT = "export.json"
"""File that ``jaxloc.run.export`` writes beside an export."""


def read(
    path: str | os.PathLike[str],
    *,
    images: str | os.PathLike[str] | None = None,
    truth: str | os.PathLike[str] | None = None,
) -> Annotations:
    """Read ground truth or predictions.

    Boxes are clipped to their image. Boxes without area, annotations of no image or no known class, and masks of
    another size are dropped. All are reported as problems. Images of an export have the names they had before it.

    Args:
        path: a COCO file, a folder with ``annotations.json`` (of a job or an export), a VOC folder or one of XML
            files, a YOLO data set, or a data set as ``NAME:ROOT``.
        images: folder that the images' names are relative to; images that are not there, unreadable or of another size
            than annotated are left out. By default images are looked for where a job read them, in ``images`` or
            ``JPEGImages`` beside the annotations, or beside the file, and not checked.
        truth: COCO file that explains the ids in a plain list of COCO results.

    Raises:
        UsageError: nothing is there, the format is unknown, or the file is inconsistent, naming the entry.
    """
    place = Path(path)
    found = _read_files(place, truth, images) if place.exists() else _read_named(os.fspath(path))
    names = _source_names(place)
    if images is None:
        return _renamed(found, names, place)
    folder = Path(images)
    if not folder.is_dir():
        raise UsageError(f"{images}: no such folder of images")
    nowhere = {name: dataclasses.replace(image, path=None) for name, image in found.images.items()}
    placed = with_paths(Annotations(nowhere), [folder])
    found = _renamed(found, names, place)
    told: list[Problem] = []
    checked = with_paths(_renamed(placed, names, place), [folder]).images
    kept = {name: right for name, image in checked.items() if (right := check_image(image, told)) is not None}
    filled = any(found.images[name].width is None for name in kept)
    left = [problem for problem in found.problems if not (filled and problem.kind == problems.NO_SIZE)]
    return dataclasses.replace(found, images=kept, problems=left + told)


def _source_names(place: Path) -> dict[str, str]:
    """Former names of the images of an export whose names differ."""
    file = (place if place.is_dir() else place.parent) / _EXPORT
    if not file.is_file():
        return {}
    try:
        about = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not readable as JSON ({error}): it says how the images were called") from error
    files = about.get("renamed_files") if isinstance(about, dict) else None
    return {str(new): str(name) for name, new in files.items()} if isinstance(files, dict) else {}


def _renamed(found: Annotations, names: dict[str, str], place: Path) -> Annotations:
    images: dict[str, Annotated] = {}
    for name, image in found.images.items():
        before = names.get(name, name)
        if before in images:
            raise UsageError(f"{place}: two images are called {before}: one now, and one before it was exported")
        images[before] = dataclasses.replace(image, name=before)
    return dataclasses.replace(found, images=images)


def _read_named(text: str) -> Annotations:
    """Read a data set, or a remote COCO file."""
    from jaxloc.data.datasets import is_spec, open_dataset

    if is_spec(text):
        opened = open_dataset(text)
        return Annotations(dict(opened.images), list(opened.problems))
    if remote.is_remote(text):
        return read_coco_file(text)
    raise UsageError(f"{text}: no such file or folder: pass {_KNOWN}")


def _read_files(
    place: Path, truth: str | os.PathLike[str] | None, images: str | os.PathLike[str] | None
) -> Annotations:
    if place.suffix.lower() == ".json":
        found = read_coco_file(place, truth=truth)
        parts = place.parent / "parts"
        return _with_job_paths(found, parts) if parts.is_dir() else with_paths(found, image_folders(place))
    if is_yolo(place):
        return read_yolo(place)
    if place.is_dir():
        if files := _coco_files(place):
            return _read_coco_files(files, place / "parts")
        if (place / "Annotations").is_dir() or any(place.glob("*.xml")) or any(place.glob("*/*.xml")):
            return read_voc(place, [] if images is None else [Path(images)])
        if is_flat_yolo(place):
            return read_yolo(place)
    raise UsageError(f"{place}: no annotations there that can be read: pass {_KNOWN}")


def _read_coco_files(files: Sequence[tuple[str, Path]], parts: Path) -> Annotations:
    """Several files, one for each split; images of one name in several splits are one if they are one file."""
    if parts.is_dir():
        return _with_job_paths(merge_splits([(split, str(file), read_coco_file(file)) for split, file in files]), parts)
    placed = [(split, str(file), with_paths(read_coco_file(file), image_folders(file))) for split, file in files]
    return merge_splits(placed)


_COCO = (
    "annotations.json",
    "annotations_*.json",
    "_annotations.coco.json",
    "annotations/instances_*.json",
    "annotations/person_keypoints_*.json",
    "*/_annotations.coco.json",
)
"""Files of a data set's folder, as jaxloc, Roboflow, COCO itself and CVAT write them."""
_NO_SPLIT = ("", "annotations", "annotations.coco", "instances", "person", "keypoints")


def _coco_files(folder: Path) -> list[tuple[str, Path]]:
    """Splits and files of a data set's folder; the split of its only file may be empty."""
    files: list[Path] = next(filter(None, (sorted(folder.glob(pattern)) for pattern in _COCO)), [])
    names = [file.stem if file.parent in (folder, folder / "annotations") else file.parent.name for file in files]
    splits = ("_".join(word for word in name.split("_") if word not in _NO_SPLIT) for name in names)
    return list(zip(splits, files, strict=True))


def image_folders(file: Path) -> list[Path]:
    """Where the images of a COCO file may lie: beside it, or as COCO, CVAT and others lay them out.

    Of ``annotations/instances_train2017.json`` these are also ``train2017``, ``images/train2017`` and so on.
    """
    folder, above = file.parent, file.parent.parent
    splits = [word for word in reversed(re.split("[_.]", file.stem)) if word]
    near = [folder / "images", folder, *(folder / "images" / split for split in splits)]
    near += [place / split for split in splits for place in (folder, above, above / "images")]
    return [*near, above / "images", above, folder / "data", above / "data"]


def with_paths(found: Annotations, folders: Sequence[Path]) -> Annotations:
    """Set the path of each image found in one of these folders, searched in order."""
    places = Places()
    images = {}
    for name, image in found.images.items():
        there = places.find(folders, name)
        images[name] = image if there is None else dataclasses.replace(image, path=there)
    return dataclasses.replace(found, images=images)


def _with_job_paths(found: Annotations, parts: Path) -> Annotations:
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
        if (rows, columns) == (image.width, image.height):
            what += ": it is stored rotated (EXIF), and was annotated as if it were not"
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
