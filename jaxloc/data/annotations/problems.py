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

UNUSABLE = (NO_AREA, OUTSIDE, NO_IMAGE, UNKNOWN_CLASS, DAMAGED)
"""Kinds of annotations that do not locate an object."""

_ROUNDING = 0.05
"""Pixels by which a box may leave the image without a report, since files round their numbers."""


class Problem(NamedTuple):
    """One entry that was corrected or left out.

    Attributes:
        kind: such as ``"box without area"``.
        where: the file.
        what: the entry, the problem, and what was done.
    """

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
    """

    images: dict[str, Annotated]
    problems: list[Problem] = dataclasses.field(default_factory=list)
    categories: tuple[str, ...] = ()

    def summary(self) -> list[str]:
        """One line for each kind of problem: the count and the first of them."""
        return summarize(self.problems)


def summarize(problems: Iterable[Problem]) -> list[str]:
    """One line for each kind of problem: the count and the first of them."""
    counts: collections.Counter[str] = collections.Counter()
    first: dict[str, Problem] = {}
    for problem in problems:
        counts[problem.kind] += 1
        first.setdefault(problem.kind, problem)
    return [f"{counts[kind]} × {kind}, such as {first[kind]}" for kind in counts]


def fit_box(
    box: Box, width: int | None, height: int | None, entry: str, where: str, *, shown: object = None
) -> tuple[Box | None, Problem | None]:
    """Clip a box to its image.

    Args:
        box: ``x0, y0, x1, y1`` in pixels.
        width: of the image in pixels; ``None`` if unknown, which disables clipping.
        height: likewise.
        entry: owner of the box, such as ``"annotation 5"``.
        where: the file.
        shown: the box as written in the file; ``box`` by default.

    Returns:
        the box, or ``None`` if nothing is left of it; and the problem, if any.
    """
    shown = list(box) if shown is None else shown
    # Phrased so that NaN fails it.
    if not (box[2] > box[0] and box[3] > box[1] and all(map(math.isfinite, box))):
        return None, Problem(NO_AREA, where, f"{entry} has a box without area: {shown}")
    if width is None or height is None:
        return box, None
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    if not (x1 > x0 and y1 > y0):
        return None, Problem(
            OUTSIDE, where, f"{entry} lies outside its image of {width} × {height} pixels: {shown}; left out"
        )
    clipped = (x0, y0, x1, y1)
    if max(abs(a - b) for a, b in zip(clipped, box, strict=True)) <= _ROUNDING:
        return clipped, None
    return clipped, Problem(
        CLIPPED, where, f"{entry} reaches out of its image of {width} × {height} pixels: {shown}; clipped"
    )
