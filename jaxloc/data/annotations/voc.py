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


def read_voc(folder: Path) -> Annotations:
    """Read ``Annotations/*.xml`` of a VOC folder, or the XML files of any folder.

    Boxes are clipped to their image; boxes without area and damaged files are left out. Splits are the lists of plain
    names in ``ImageSets/Main``.

    Raises:
        UsageError: no file can be read, or two files name the same image.
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
    """Read one file.

    Args:
        file: to read.
        first_pixel: 1 if corners count pixels from 1, as VOC's; 0 if they are half-open and count from 0.

    Raises:
        UsageError: the file is not XML or not VOC's.
    """
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
    size: tuple[int | None, int | None] = None, None
    if width and height and width >= 1 and height >= 1:
        size = int(width), int(height)
    else:
        found.append(Problem(problems.NO_SIZE, str(file), "has no width and height"))
    annotations: list[Annotation] = []
    damaged: dict[str, None] = {}
    for number, entry in enumerate(root.iterfind("object"), 1):
        one = _object(entry, f"object {number}", str(file), size, found, first_pixel)
        if one is None:
            damaged[_category(entry)] = None
        else:
            annotations.append(one)
    name = (root.findtext("filename") or "").strip().replace("\\", "/") or f"{file.stem}.jpg"
    return Annotated(name, None, tuple(annotations), width=size[0], height=size[1], damaged=tuple(damaged)), found


def _object(
    entry: ElementTree.Element,
    name: str,
    where: str,
    size: tuple[int | None, int | None],
    found: list[Problem],
    first_pixel: int,
) -> Annotation | None:
    category = _category(entry)
    if not category:
        found.append(Problem(problems.UNKNOWN_CLASS, where, f"{name} has no name; left out"))
        return None
    box = _box(entry, name, where, size, found, first_pixel)
    if box is None:
        return None
    parts = []
    for part in entry.iterfind("part"):
        called = (part.findtext("name") or "").strip()
        inside = _box(part, f"part {called} of {name}", where, size, found, first_pixel)
        if inside is not None:
            parts.append((called, inside))
    score = _number(entry, "score")
    return Annotation(
        category,
        box,
        score=1.0 if score is None or not math.isfinite(score) else score,
        difficult=bool(_number(entry, "difficult")),
        truncated=bool(_number(entry, "truncated")),
        parts=tuple(parts),
    )


def _category(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _box(
    entry: ElementTree.Element,
    name: str,
    where: str,
    size: tuple[int | None, int | None],
    found: list[Problem],
    first_pixel: int,
) -> Box | None:
    values = [_number(entry, f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
    x0, y0, x1, y1 = (float("nan") if value is None else value for value in values)
    shown = [entry.findtext(f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
    box, problem = fit_box((x0 - first_pixel, y0 - first_pixel, x1, y1), *size, name, where, shown=shown)
    if problem is not None:
        found.append(problem)
    return box


def _number(entry: ElementTree.Element, path: str) -> float | None:
    try:
        return float(entry.findtext(path) or "")
    except ValueError:
        return None


def _splits(folder: Path) -> dict[str, tuple[str, ...]]:
    """Splits of each image, by the stem of its file."""
    splits: dict[str, tuple[str, ...]] = {}
    for file in sorted(folder.glob("*.txt")):
        lines = [line.split() for line in file.read_text(encoding="utf-8", errors="replace").splitlines()]
        if all(len(words) <= 1 for words in lines):  # those of single classes have a flag beside each name
            for words in filter(None, lines):
                splits[words[0]] = (*splits.get(words[0], ()), file.stem)
    return splits
