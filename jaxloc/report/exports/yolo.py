"""YOLO: ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``, as Ultralytics lays them out.

A line is the class's number (from 0) and the box's middle, width and height as shares of the image's sides, with all
digits. For segmentation it is the outline of the object's mask; where it has none it is that of its box, which is told,
and refused where no object has a mask. An outline that a mask has already is kept as it is; others run around the
mask's pixels. A line has a single outline, so of an object in several pieces the largest is kept, and holes are lost.
Scores have no place, but lines fall by score; nor have flags and the image's own class; crowds are left out.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from jaxloc._files import write_text
from jaxloc.data.annotations import Annotated, Annotation, Polygons, Problem
from jaxloc.data.annotations.outlines import outlines
from jaxloc.data.annotations.problems import WRONG_MASK
from jaxloc.errors import UsageError
from jaxloc.report.exports.masks import read_mask
from jaxloc.report.exports.names import with_suffix
from jaxloc.report.exports.placement import Placement, place
from jaxloc.report.exports.work import Work, each, in_turn
from jaxloc.report.text import displayable

NO_MASK = "object without a mask"


def write(
    folder: Path,
    images: Sequence[Annotated],
    categories: Sequence[str],
    found: list[Problem],
    *,
    placement: Placement = "link",
    segments: bool = False,
    work: Work = in_turn,
) -> list[Annotated]:
    """Write the files and the images; those of no split are to train with.

    Args:
        folder: where to.
        images: what to write.
        categories: in the order of their numbers.
        found: takes up what is wrong.
        placement: how images are put beside.
        segments: whether lines are outlines of masks instead of boxes.
        work: how the images are gone through.

    Raises:
        UsageError: outlines are wanted, and no object has a mask.
    """
    numbers = {category: number for number, category in enumerate(categories)}

    def write_one(image: Annotated, own: list[Problem]) -> bool:
        targets = [folder / "images" / split / image.name for split in _splits(image)]
        if not all(place(image, target, placement, own) for target in targets):
            return False
        objects = sorted((one for one in image.annotations if not one.crowd), key=lambda one: -one.score)
        lines = [_line(one, image, numbers[one.category], segments, own) for one in objects]
        for split in _splits(image):
            text = folder / "labels" / split / with_suffix(image.name, ".txt")
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("".join(f"{line}\n" for line in lines))
        return True

    told = len(found)
    written = [image for image, placed in each(work, "writing", write_one, images, found) if placed]
    objects = sum(not one.crowd for image in written for one in image.annotations)
    if segments and objects and sum(problem.kind == NO_MASK for problem in found[told:]) == objects:
        raise UsageError("no object has a mask to outline: make them with --refine, or leave --segments out")
    splits = {split for image in written for split in _splits(image)}
    # Ultralytics wants both; without a split of that name it gets another.
    places = {split: f"images/{split}" for split in sorted(splits)}
    first = next(iter(places.values()), "images")
    about = {"path": ".", "train": places.get("train", first), "val": places.get("val", places.get("test", first))}
    names = {number: displayable(name) for name, number in numbers.items()}
    text = yaml.safe_dump(about | places | {"names": names}, sort_keys=False, allow_unicode=True)
    write_text(folder / "data.yaml", text)
    return written


def _splits(image: Annotated) -> tuple[str, ...]:
    return image.splits or ("train",)


def _line(one: Annotation, image: Annotated, number: int, segments: bool, found: list[Problem]) -> str:
    width, height = image.width or 0, image.height or 0
    x0, y0, x1, y1 = one.box
    if segments:
        outline = _outline(one, image, found)
        if outline is None:
            what = f"an object ({one.category}) has no mask; the outline of its box is written"
            found.append(Problem(NO_MASK, image.name, what))
            outline = (x0, y0, x1, y0, x1, y1, x0, y1)
        values = [value / (height if place % 2 else width) for place, value in enumerate(outline)]
    else:
        values = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
    return " ".join(map(str, (number, *values)))


def _outline(one: Annotation, image: Annotated, found: list[Problem]) -> tuple[float, ...] | None:
    if isinstance(one.mask, Polygons):
        pieces: Sequence[tuple[float, ...]] = one.mask.points
    else:
        pixels = read_mask(one.mask, image, found)
        pieces = () if pixels is None else outlines(pixels.inside)
    if len(pieces) > 1:
        what = f"the mask of an object ({one.category}) is in {len(pieces)} pieces; the largest is kept"
        found.append(Problem(WRONG_MASK, image.name, what))
    return max(pieces, key=_area, default=None)


def _area(outline: Sequence[float]) -> float:
    x, y = np.array(outline).reshape(-1, 2).T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
