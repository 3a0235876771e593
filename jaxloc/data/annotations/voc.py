"""PASCAL VOC annotations: one XML file for each image.

VOC's corners count pixels from 1 and include both ends. Boxes here are half-open and count from 0, so 1 is subtracted
from ``xmin`` and ``ymin``.
"""

import collections
import dataclasses
import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated, Annotation, Box
from jaxloc.data.kinds import suffix
from jaxloc.data.places import Places, decode
from jaxloc.errors import UsageError

_CORNERS = ("bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")


def read_voc(folder: Path, images: Sequence[Path] = ()) -> Annotations:
    """Read ``Annotations/**/*.xml`` of a VOC folder, or the XML files of any folder or of its subfolders.

    Boxes are clipped to their image; boxes without area and damaged files are left out. Splits are the lists of plain
    names in ``ImageSets/Main``. Where the image that a file names is not there, or several files name
    it, the one with the stem of the file is meant, and said.

    Args:
        folder: of the files.
        images: folders where images are looked for first; then in ``JPEGImages``, beside the files, and in ``images``.
    """
    inside = folder / "Annotations"
    start = inside if inside.is_dir() else folder
    files = sorted(inside.rglob("*.xml") if inside.is_dir() else (*folder.glob("*.xml"), *folder.glob("*/*.xml")))
    if not files:
        raise UsageError(f"{folder}: no XML file there")
    splits = _splits(folder / "ImageSets" / "Main")
    found: list[Problem] = []
    damaged: list[UsageError] = []
    read: dict[Path, Annotated] = {}
    for file in files:
        try:
            read[file], some = read_voc_file(file)
        except UsageError as error:
            damaged.append(error)
            what = str(error).removeprefix(f"{file}: ")
            found.append(Problem(problems.DAMAGED_FILE, str(file), f"{what}; its image is left out"))
            continue
        found += some
    if not read:
        raise damaged[0]
    named = collections.Counter(image.name for image in read.values())
    places = Places()
    annotated: dict[str, Annotated] = {}
    for file, image in read.items():
        stem = file.relative_to(start).with_suffix("").as_posix()
        folders = [*images, folder / "JPEGImages", folder, folder / "images"]
        if file.parent != start:  # of a class or split
            near = places.find([file.parent], image.name)
            image = image if near is None else dataclasses.replace(image, name=near.relative_to(start).as_posix())
        image = _placed(image, stem, folders, places, str(file), found, alone=named[image.name] <= 1)
        if image.name in annotated:
            raise UsageError(f"{file}: names the image {image.name}, as another file does")
        own = splits.get(stem, splits.get(file.stem, ()))
        annotated[image.name] = dataclasses.replace(image, splits=own)
    if missing := sorted(splits.keys() - {file.stem for file in files}):
        found += [
            Problem(problems.NO_IMAGE, str(folder / "ImageSets"), f"lists {name}, which has no XML file")
            for name in missing
        ]
    return Annotations(annotated, found)


def _placed(
    image: Annotated,
    stem: str,
    folders: Sequence[Path],
    places: Places,
    where: str,
    found: list[Problem],
    *,
    alone: bool,
) -> Annotated:
    """The image with its path, if it is found, and its right name."""
    path = places.find(folders, image.name) if alone else None
    if path is not None:
        return dataclasses.replace(image, path=path)
    name = image.name
    if path := places.find_image(folders, stem):
        name = next(path.relative_to(folder).as_posix() for folder in folders if path.is_relative_to(folder))
    elif not alone:
        name = stem + suffix(name)
    if name != image.name:
        why = "which is not there" if alone else "as other files do"
        found.append(Problem(problems.OTHER_NAME, where, f"names the image {image.name}, {why}; {name} is meant"))
    return dataclasses.replace(image, name=name, path=path)


def read_voc_file(file: Path, *, first_pixel: int = 1) -> tuple[Annotated, list[Problem]]:
    """Read one file; ``first_pixel`` is 0 if corners are half-open and count from 0, and 1 as for VOC's."""
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UsageError(f"{file}: not readable as XML ({error})") from error
    if root.tag != "annotation":
        raise UsageError(f"{file}: not a VOC annotation: its outermost element is <{root.tag}>, not <annotation>")
    found: list[Problem] = []
    width, height = _number(root, "size/width"), _number(root, "size/height")
    size = (int(width), int(height)) if 1 <= width < math.inf and 1 <= height < math.inf else None
    if size is None:
        found.append(Problem(problems.NO_SIZE, str(file), "has no width and height"))

    def box(entry: ElementTree.Element, name: str) -> Box | None:
        x0, y0, x1, y1 = (_number(entry, corner, math.nan) for corner in _CORNERS)
        shown = [entry.findtext(corner) for corner in _CORNERS]
        return fit_box((x0 - first_pixel, y0 - first_pixel, x1, y1), size, name, str(file), found, shown=shown)

    annotations: list[Annotation] = []
    damaged: dict[str, None] = {}
    for number, entry in enumerate(root.iterfind("object"), 1):
        name, category = f"object {number}", _name(entry)
        if not category:
            found.append(Problem(problems.UNKNOWN_CLASS, str(file), f"{name} has no name; left out"))
        own = box(entry, name) if category else None
        if own is None:
            damaged[category] = None
            continue
        parts = [(_name(part), box(part, f"part {_name(part)} of {name}")) for part in entry.iterfind("part")]
        score = _number(entry, "score", 1.0)
        one = Annotation(
            category,
            own,
            score=score if math.isfinite(score) else 1.0,
            difficult=bool(_number(entry, "difficult")),
            truncated=bool(_number(entry, "truncated")),
            parts=tuple((called, inside) for called, inside in parts if inside is not None),
        )
        annotations.append(one)
    name = (root.findtext("filename") or "").strip().replace("\\", "/") or f"{file.stem}.jpg"
    columns, rows = size or (None, None)
    return Annotated(name, None, tuple(annotations), width=columns, height=rows, damaged=tuple(damaged)), found


def _name(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _number(entry: ElementTree.Element, path: str, missing: float = 0.0) -> float:
    try:
        return float(entry.findtext(path) or "")
    except ValueError:
        return missing


def _splits(folder: Path) -> dict[str, tuple[str, ...]]:
    """Splits of each image, by the stem of its file."""
    splits: dict[str, tuple[str, ...]] = {}
    for file in sorted(folder.glob("*.txt")):
        lines = [line.split() for line in decode(file.read_bytes(), "replace").splitlines()]
        if all(len(words) <= 1 for words in lines):  # those of single classes have a flag beside each name
            for words in filter(None, lines):
                splits[words[0]] = (*splits.get(words[0], ()), file.stem)
    return splits
