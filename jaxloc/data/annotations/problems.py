"""What is wrong in annotation files: each entry that was mended or left out, counted and named."""

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
"""Kinds of annotations that say nothing of where an object is."""

_ROUNDING = 0.05
"""Pixels by which a box may leave the image without being called a problem: files round their numbers."""


class Problem(NamedTuple):
    """One entry that could not be taken as it stands.

    Attributes:
        kind: such as ``"box without area"``, the same for all problems of that kind.
        where: the file, or the file of a data set.
        what: the entry, what is wrong with it, and what was done.
    """

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclasses.dataclass(frozen=True)
class Annotations:
    """Images and what is known of them, with what was wrong in the files that say it.

    Attributes:
        images: by name, in the order of the files.
        problems: in the order they were met.
        categories: the classes that the files declare, whether or not an image is of them; empty where they do not.
    """

    images: dict[str, Annotated]
    problems: list[Problem] = dataclasses.field(default_factory=list)
    categories: tuple[str, ...] = ()

    def summary(self) -> list[str]:
        """One line for each kind of problem: how many, and the first of them."""
        return summarize(self.problems)


def summarize(problems: Iterable[Problem]) -> list[str]:
    """One line for each kind of problem: how many, and the first of them."""
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
        width: of the image in pixels; ``None`` where it is not known, and nothing is clipped.
        height: likewise.
        entry: what the box belongs to, such as ``"annotation 5"``.
        where: the file.
        shown: the box as the file writes it; ``box`` by default.

    Returns:
        the box, or ``None`` if nothing of it is left; and the problem, if there is one.
    """
    shown = list(box) if shown is None else shown
    # Written so that a box of NaN, which is neither larger nor smaller than anything, has none as well.
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
