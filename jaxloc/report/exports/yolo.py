"""YOLO: ``images/SPLIT``, ``labels/SPLIT`` and ``data.yaml``, as Ultralytics lays them out.

A line is the class's number (from 0) and the box's centre, width and height as shares of the image's sides, with all
digits. For segmentation it is the outline of the object's mask: polygons are kept, other masks are traced. An object
without a mask gets the outline of its box, which is reported; if no object has a mask the export is refused. A line
holds one outline: the pieces of an object are joined by lines without width, as Ultralytics does, and holes are lost.
Lines are sorted by falling score. Scores, flags and the image's own class are not written; crowds are left out.
"""

from collections.abc import Sequence

import numpy as np
import yaml

from jaxloc.data.annotations import Annotated, Annotation, Polygons, Problem
from jaxloc.data.annotations.records import outlines
from jaxloc.errors import UsageError
from jaxloc.report.exports.job import Job, by_split
from jaxloc.report.exports.masks import read_mask
from jaxloc.report.exports.names import with_suffix

NO_MASK = "object without a mask"


def write(job: Job, *, segments: bool = False) -> list[Annotated]:
    """Write the files and the images; images of no split are training images; ``segments`` writes outlines of masks."""
    numbers = {category: number for number, category in enumerate(job.categories)}

    def write_one(image: Annotated, own: list[Problem]) -> bool:
        splits = image.splits or ("train",)
        if not all(job.place(image, f"images/{split}", own) for split in splits):
            return False
        objects = sorted((one for one in image.annotations if not one.crowd), key=lambda one: -one.score)
        lines = [_line(one, image, numbers[one.category], segments, own) for one in objects]
        for split in splits:
            job.write(f"labels/{split}/{with_suffix(image.name, '.txt')}", "".join(f"{line}\n" for line in lines))
        return True

    written = job.written("writing", write_one)
    objects = sum(not one.crowd for image in written for one in image.annotations)
    if segments and objects and sum(problem.kind == NO_MASK for problem in job.problems) == objects:
        raise UsageError("no object has a mask to outline: make them with --refine, or leave --segments out")
    places = {split: f"images/{split}" for split in by_split(written, "train")}
    # Ultralytics requires both train and val; where one is missing, another split stands in for it. Without "path"
    # it looks for them beside the file; a relative one it resolves against the working directory first.
    first = next(iter(places.values()), "images")
    about = {"train": places.get("train", first), "val": places.get("val", places.get("test", first))}
    names = {number: name for name, number in numbers.items()}
    job.write("data.yaml", yaml.safe_dump(about | places | {"names": names}, sort_keys=False, allow_unicode=True))
    return written


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
    return _joined(pieces) if pieces else None


def _joined(pieces: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """One outline of all pieces, which goes to and fro between the nearest points of two."""
    whole, *others = (np.reshape(piece, (-1, 2)) for piece in pieces)
    for piece in others:
        distances = np.square(whole[:, None] - piece).sum(-1)
        here, there = np.unravel_index(distances.argmin(), distances.shape)
        whole = np.concatenate([whole[: here + 1], piece[there:], piece[: there + 1], whole[here:]])
    return tuple(whole.ravel().tolist())
