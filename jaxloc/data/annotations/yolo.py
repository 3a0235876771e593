"""YOLO data sets: one text file for each image, one line for each object, in shares of the image's sides.

A line begins with the number of a class. Then follow the centre, width and height of a box; or the corners of a turned
box or of the outline of a mask (``x1 y1 x2 y2 …``), whose box is the one around them; or a box and key points (``x y``
or ``x y visible`` each), if ``kpt_shape`` says so. A prediction's score and a track's number may follow. Lines of DOTA
have four corners in pixels, the name of a class, and whether it is difficult.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Annotations, Problem, fit_box
from jaxloc.data.annotations.records import Annotated, Annotation, Box, Keypoint, Polygons
from jaxloc.data.annotations.yolo_layout import Labelled, Layout, find_layout, looks_labelled, read_text
from jaxloc.data.images import read_size

_DOTA = re.compile(r"((?:[-+.\de]+\s+){8})([^\d\s.+-]\S*)(?:\s+(\d))?", re.IGNORECASE)
_DOTA_HEAD = ("imagesource:", "gsd:")
_LEAST_POINTS = 3
"""Key points that make a line without ``kpt_shape`` one of key points, if all are marked 0, 1 or 2."""


def read_yolo(path: Path) -> Annotations:
    """Read a ``data.yaml`` or ``obj.data``, the folder that holds one, or a folder of images and labels.

    Names are relative to the deepest folder ``images``, without that of the split. Boxes are clipped to their image.
    Left out are lines that are not numbers, of no known class or without area, unreadable images, and text files of no
    image. A split that is named and missing is a problem; the others are read.
    """
    layout = find_layout(path)
    images: dict[str, Annotated] = {}
    found = layout.problems
    for one in layout.images:
        image = _image(one, layout, found)
        if image is None:
            continue
        splits = (one.split,) if one.split else ()
        if image.name in images:
            listed = images[image.name]
            if listed.path == image.path:
                splits = (*listed.splits, *splits)
            else:
                image = dataclasses.replace(image, name=f"{one.split or one.image.parent.name}/{image.name}")
        images[image.name] = dataclasses.replace(image, splits=tuple(dict.fromkeys(splits)))
    found += _without_image(layout.images)
    names = layout.names or {}
    numbers = {name: number for number, name in reversed(names.items())}
    return Annotations(images, found, tuple(dict.fromkeys(names.values())), numbers, first_number=0)


def _without_image(images: Sequence[Labelled]) -> list[Problem]:
    """Labels that belong to no image, in the folders where labels are."""
    used = {one.text for one in images}
    texts = sorted({text for folder in {text.parent for text in used} for text in folder.glob("*.txt")} - used)
    return [
        Problem(problems.NO_IMAGE, str(text), "belongs to no image; left out") for text in texts if looks_labelled(text)
    ]


def _image(one: Labelled, layout: Layout, found: list[Problem]) -> Annotated | None:
    size = read_size(one.image)
    if size is None:
        found.append(Problem(problems.UNREADABLE, str(one.image), "cannot be read as an image; left out"))
        return None
    height, width = size
    annotations: list[Annotation] = []
    damaged: dict[str, None] = {}
    lines = read_text(one.text).splitlines() if one.text.is_file() else []
    tracked = layout.points is None and _is_tracked(lines)
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(_DOTA_HEAD):
            shape = _read_line(line, layout, tracked, (width, height))
            made = _annotation(shape, line, f"line {number}", str(one.text), (width, height), found)
            if isinstance(made, Annotation):
                annotations.append(made)
            else:
                damaged[made] = None
    return Annotated(
        one.name, None, tuple(annotations), width=width, height=height, path=one.image, damaged=tuple(damaged)
    )


class _Shape(NamedTuple):
    """What a line says, in pixels: class (``""`` for an unknown one), corners, and details."""

    category: str
    number: int | str
    corners: Box
    score: float = 1.0
    outline: tuple[float, ...] = ()
    points: tuple[Keypoint, ...] = ()
    difficult: bool = False
    odd_points: bool = False


def _read_line(line: str, layout: Layout, tracked: bool, size: tuple[int, int]) -> _Shape | None:
    """Read a line; ``None`` if it is none."""
    if dota := _DOTA.fullmatch(line.strip()):
        try:
            outline = tuple(map(float, dota[1].split()))
        except ValueError:
            return None
        return _Shape(dota[2], dota[2], _around(outline), outline=outline, difficult=dota[3] not in (None, "0"))
    try:
        first, *values = map(float, line.split())
    except ValueError:
        return None
    if not (first >= 0 and first.is_integer() and len(values) >= 4 and all(map(math.isfinite, values))):
        return None
    names = layout.names
    number = int(first)
    category = str(number) if names is None else names.get(number, "")
    count, numbers = layout.points or _guess_points(values)
    length = _length(len(values), 4 + count * numbers, tracked)
    further = len(values) - length
    score = values[length] if further == 2 or (further == 1 and not tracked) else 1.0
    width, height = size
    if length == 4 or count:
        x, y, wide, high = values[0] * width, values[1] * height, values[2] * width, values[3] * height
        triples = [values[start : start + numbers] for start in range(4, length, numbers or 1)]
        return _Shape(
            category,
            number,
            (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2),
            score,
            points=tuple(_point(point, name, size) for point, name in zip(triples, _labels(layout), strict=False)),
            odd_points=further > 2,
        )
    outline = tuple(value * size[place % 2] for place, value in enumerate(values[:length]))
    return _Shape(category, number, _around(outline), score, outline=outline)


def _guess_points(values: Sequence[float]) -> tuple[int, int]:
    """Key points of a line that no ``kpt_shape`` explains, and numbers for each."""
    count, rest = divmod(len(values) - 4, 3)
    marked = not rest and count >= _LEAST_POINTS and all(value in (0, 1, 2) for value in values[6::3])
    return (count, 3) if marked else (0, 0)


def _length(given: int, with_points: int, tracked: bool) -> int:
    """How many of a line's values are its box, box and key points, or outline; a score and a track's number follow."""
    if with_points > 4:
        return with_points if with_points <= given <= with_points + 2 else 4
    if given <= 5:
        return 4
    return given - (2 - given % 2 if tracked else given % 2)


def _is_tracked(lines: Sequence[str]) -> bool:
    """Whether lines end with the number of a track: a whole number above 1, or 1 behind each box and score."""
    rows = [words for line in lines if (words := line.split())]
    return any(len(words) > 5 and words[-1].isdecimal() and float(words[-1]) > 1 for words in rows) or (
        bool(rows) and all(len(words) == 7 and words[-1] == "1" for words in rows)
    )


def _point(values: Sequence[float], name: str, size: tuple[int, int]) -> Keypoint:
    """A key point of two numbers is visible unless it is at the origin or outside, as the tools mark missing ones."""
    x, y, *visible = values
    return Keypoint(name, x * size[0], y * size[1], visible[0] > 0 if visible else x >= 0 and y >= 0 and x + y > 0)


def _labels(layout: Layout) -> Iterator[str]:
    return itertools.chain(layout.point_names, map(str, itertools.count(len(layout.point_names))))


def _around(outline: Sequence[float]) -> Box:
    return min(outline[0::2]), min(outline[1::2]), max(outline[0::2]), max(outline[1::2])


def _annotation(
    shape: _Shape | None, line: str, entry: str, where: str, size: tuple[int, int], found: list[Problem]
) -> Annotation | str:
    """Object in a line; the class of a damaged one, ``""`` if unknown."""
    if shape is None:
        found.append(Problem(problems.DAMAGED, where, f"{entry} is not a class and its box: {line!r}; left out"))
        return ""
    if not shape.category:
        found.append(Problem(problems.UNKNOWN_CLASS, where, f"{entry} has no known class ({shape.number}); left out"))
        return ""
    if shape.odd_points:
        what = f"{entry} has other key points than kpt_shape says; its box is kept"
        found.append(Problem(problems.DAMAGED_DETAIL, where, what))
    box = fit_box(shape.corners, size, entry, where, found)
    if box is None:
        return shape.category
    return Annotation(
        shape.category,
        box,
        score=shape.score,
        difficult=shape.difficult,
        mask=Polygons(size[1], size[0], (shape.outline,)) if shape.outline else None,
        keypoints=shape.points,
    )
