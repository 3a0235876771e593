"""Problems in annotation files: entries that were corrected or left out."""

import collections
import dataclasses
import math
from collections.abc import Iterable
from typing import NamedTuple

from jaxloc.data.annotations.records import Annotated, Box

CLIPPED = "box that reaches out of the image"
OUTSIDE = "box outside the image"
NO_AREA = "box without area"
NO_IMAGE = "annotation of no image"
UNKNOWN_CLASS = "unknown class"
DUPLICATE = "duplicate id"
NO_SIZE = "missing size"
WRONG_MASK = "mask that does not fit"
MISSING = "missing image"
UNREADABLE = "unreadable image"
WRONG_SIZE = "image of another size"
DAMAGED = "damaged entry"
DAMAGED_DETAIL = "damaged key points or parts"
DAMAGED_FILE = "damaged file"
MISSING_SPLIT = "missing split"
OTHER_NAME = "image of another name"

UNUSABLE = (NO_AREA, OUTSIDE, NO_IMAGE, UNKNOWN_CLASS, DAMAGED)
"""Kinds of annotations that do not locate an object."""

_ROUNDING = 0.05
"""Pixels by which a box may leave the image without a report, since files round their numbers."""


class Problem(NamedTuple):
    """One entry that was corrected or left out: its kind, the file, and what was done to which entry."""

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclasses.dataclass(frozen=True)
class Annotations:
    """Annotated images, and the problems in their files.

    Attributes:
        images: by name, in the order of the files.
        problems: in the order they were met.
        categories: classes that the files declare, also those without images; may be empty.
        numbers: of the classes, where the files number them.
        first_number: where such files begin to count.
    """

    images: dict[str, Annotated]
    problems: list[Problem] = dataclasses.field(default_factory=list)
    categories: tuple[str, ...] = ()
    numbers: dict[str, int] = dataclasses.field(default_factory=dict)
    first_number: int = 1


def summarize(problems: Iterable[Problem]) -> list[str]:
    """One line for each kind of problem: the count and the first of them."""
    counts: collections.Counter[str] = collections.Counter()
    first: dict[str, Problem] = {}
    for problem in problems:
        counts[problem.kind] += 1
        first.setdefault(problem.kind, problem)
    return [f"{counts[kind]} × {kind}, such as {first[kind]}" for kind in counts]


def fit_box(
    box: Box, size: tuple[int, int] | None, entry: str, where: str, found: list[Problem], *, shown: object = None
) -> Box | None:
    """Clip a box to its image; ``None`` if nothing is left of it.

    Args:
        box: ``x0, y0, x1, y1`` in pixels.
        size: columns and rows of the image; ``None`` if unknown, which disables clipping.
        entry: owner of the box, such as ``"annotation 5"``.
        where: the file.
        found: takes the problem, if any.
        shown: the box as written in the file; ``box`` by default.
    """
    shown = list(box) if shown is None else shown
    # Phrased so that NaN fails it.
    if not (box[2] > box[0] and box[3] > box[1] and all(map(math.isfinite, box))):
        found.append(Problem(NO_AREA, where, f"{entry} has a box without area: {shown}"))
        return None
    if size is None:
        return box
    columns, rows = size
    clipped = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(columns)), min(box[3], float(rows))
    image = f"its image of {columns} × {rows} pixels: {shown}"
    if not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
        found.append(Problem(OUTSIDE, where, f"{entry} lies outside {image}; left out"))
        return None
    if max(abs(a - b) for a, b in zip(clipped, box, strict=True)) > _ROUNDING:
        found.append(Problem(CLIPPED, where, f"{entry} reaches out of {image}; clipped"))
    return clipped
