"""PASCAL VOC annotations: one XML file for each image.

VOC's corners count pixels from 1 and include both ends. Boxes here are half-open and count from 0, so 1 is subtracted
from ``xmin`` and ``ymin``.
"""

import dataclasses
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated, Annotation, Box
from jaxloc.errors import UsageError

_CORNERS = ("bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax")


def read_voc(folder: Path) -> Annotations:
    """Read ``Annotations/*.xml`` of a VOC folder, or the XML files of any folder.

    Boxes are clipped to their image; boxes without area and damaged files are left out. Splits are the lists of plain
    names in ``ImageSets/Main``.
    """
    inside = folder / "Annotations"
    files = sorted((inside if inside.is_dir() else folder).glob("*.xml"))
    if not files:
        raise UsageError(f"{folder}: no XML file there")
    splits = _splits(folder / "ImageSets" / "Main")
    images: dict[str, Annotated] = {}
    found: list[Problem] = []
    damaged: list[UsageError] = []
    for file in files:
        try:
            image, some = read_voc_file(file)
        except UsageError as error:
            damaged.append(error)
            what = str(error).removeprefix(f"{file}: ")
            found.append(Problem(problems.DAMAGED_FILE, str(file), f"{what}; its image is left out"))
            continue
        found += some
        if image.name in images:
            raise UsageError(f"{file}: names the image {image.name}, as another file does")
        images[image.name] = dataclasses.replace(image, splits=splits.get(file.stem, ()))
    if len(damaged) == len(files):
        raise damaged[0]
    if missing := sorted(splits.keys() - {file.stem for file in files}):
        found += [
            Problem(problems.NO_IMAGE, str(folder / "ImageSets"), f"lists {name}, which has no XML file")
            for name in missing
        ]
    return Annotations(images, found)


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
        lines = [line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        if all(len(words) <= 1 for words in lines):  # those of single classes have a flag beside each name
            for words in filter(None, lines):
                splits[words[0]] = (*splits.get(words[0], ()), file.stem)
    return splits
