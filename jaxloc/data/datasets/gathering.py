"""Images of a data set as its adapter finds them, checked one by one against what is said of them."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Problem, fit_box, summarize
from jaxloc.data.annotations.records import Annotated, Annotation, Box, Keypoint, Mask, MaskFile, Polygons, Rle
from jaxloc.data.images import read_size
from jaxloc.data.sources import Record
from jaxloc.errors import UsageError

NO_ANNOTATION = "image without its annotation"
NO_BOX_LEFT = "image none of whose boxes can be used"
POINT_OUTSIDE = "point outside the image"
NO_MASK = "missing mask"
NO_JUDGED = "judged image that is not there"

Size = tuple[int, int]
"""Rows and columns."""


class Gathering:
    """Collects a data set's images, and what disagrees: each is counted, named, and mended or left out.

    Left out are images that are missing or unreadable, that are listed a second time, or none of whose boxes can be
    used; boxes without area in the image; masks of another size. Boxes that reach out of the image are clipped,
    points outside it count as hidden. Where the annotation says another size than the image has, the image's own
    counts.

    Args:
        name: of the data set, for messages.
        root: as the user gave it.
        wanted: splits to keep; empty means all.

    Attributes:
        images: found so far, by name.
        problems: found so far.
    """

    def __init__(self, name: str, root: str, wanted: Sequence[str]) -> None:
        self.name, self.root, self.wanted = name, root, tuple(wanted)
        self.images: dict[str, Annotated] = {}
        self.problems: list[Problem] = []
        self._splits: set[str] = set()
        self._names: set[str] = set()

    def report(self, kind: str, where: object, what: str) -> None:
        """Note what disagrees: its kind, the file, and what was done."""
        self.problems.append(Problem(kind, str(where), what))

    def wants(self, splits: Iterable[str]) -> bool:
        """Whether images of these splits are kept; the splits are remembered as existing."""
        splits = set(splits)
        self._splits |= splits
        return not self.wanted or not splits.isdisjoint(self.wanted)

    def add(self, image: Annotated, *, where: object, size: Size | None = None) -> None:
        """Check one image and keep what holds of it.

        Args:
            image: with its path; its ``width`` and ``height`` are what the annotation says, if it says so.
            where: the file that tells of it.
            size: of the image, where it has been read already.
        """
        if not self.wants(image.splits):
            return
        if image.name in self._names:
            self.report(problems.DUPLICATE, where, f"{image.name} is listed again; the first counts")
            return
        self._names.add(image.name)
        checked = self.checked(image, where=where, size=size)
        if checked is not None:
            self.images[image.name] = checked

    def checked(self, image: Annotated, *, where: object, size: Size | None = None) -> Annotated | None:
        """What holds of an image, or ``None`` if nothing does; as for ``add``."""
        if size is None and image.path is not None:
            size = read_size(image.path)
        if size is None:
            there = not isinstance(image.path, Path) or image.path.is_file()
            kind, what = (problems.UNREADABLE, "cannot be read") if there else (problems.MISSING, "is not there")
            self.report(kind, where, f"{image.name} {what}; left out")
            return None
        rows, columns = size
        if None not in (image.height, image.width) and (image.height, image.width) != size:
            said = f"{image.width} × {image.height} pixels and is {columns} × {rows}; its own size counts"
            self.report(problems.WRONG_SIZE, where, f"{image.name} should have {said}")
        told = [(one.category, self._annotation(one, size, image.name, where)) for one in image.annotations]
        annotations = tuple(one for _, one in told if one is not None)
        damaged = sorted({*image.damaged, *(category for category, one in told if one is None)})
        if image.annotations and not annotations:
            self.report(NO_BOX_LEFT, where, f"{image.name}; left out")
            return None
        mask = self._mask(image.mask, size, image.name, where)
        return dataclasses.replace(
            image, annotations=annotations, mask=mask, height=rows, width=columns, damaged=tuple(damaged)
        )

    def finish(self) -> Mapping[str, Annotated]:
        """The images.

        Raises:
            UsageError: a split that was asked for does not exist, or not one image is left.
        """
        self.check_splits()
        if not self.images:
            why = "; ".join(summarize(self.problems)) or "none is there"
            raise UsageError(
                f"{self.name}:{self.root}: no image can be used ({why}): see `jaxloc datasets {self.name}` for the "
                "layout expected"
            )
        return self.images

    def check_splits(self) -> None:
        """Refuse a split that was asked for and does not exist.

        Raises:
            UsageError: naming those that do.
        """
        unknown = [split for split in self.wanted if split not in self._splits]
        if unknown:
            known = ", ".join(sorted(self._splits)) or "none"
            raise UsageError(f"{self.name}/{unknown[0]}:{self.root}: no such split; there are {known}")

    def fit(self, box: Box, size: Size, entry: str, where: object) -> Box | None:
        """The box within an image of this size, or ``None`` if it has no area there."""
        fitted, problem = fit_box(box, size[1], size[0], entry, str(where))
        if problem is not None:
            self.problems.append(problem)
        return fitted

    def _annotation(self, one: Annotation, size: Size, name: str, where: object) -> Annotation | None:
        entry = f"{name}: {one.category}"
        box = self.fit(one.box, size, entry, where)
        if box is None:
            return None
        fitted = ((part, self.fit(place, size, f"{entry}'s {part}", where)) for part, place in one.parts)
        parts = tuple((part, place) for part, place in fitted if place is not None)
        points = tuple(self._point(point, size, entry, where) for point in one.keypoints)
        mask = self._mask(one.mask, size, entry, where)
        return dataclasses.replace(one, box=box, parts=parts, keypoints=points, mask=mask)

    def _point(self, point: Keypoint, size: Size, entry: str, where: object) -> Keypoint:
        rows, columns = size
        if not point.visible or (0 <= point.x <= columns and 0 <= point.y <= rows):
            return point
        place = f"({point.x:g}, {point.y:g}) in {columns} × {rows} pixels; taken as hidden"
        self.report(POINT_OUTSIDE, where, f"{entry}: {point.name} at {place}")
        return point._replace(visible=False)

    def _mask(self, mask: Mask | None, size: Size, entry: str, where: object) -> Mask | None:
        own: Size | None = size
        if isinstance(mask, Rle | Polygons):
            own = (mask.rows, mask.columns)
        elif isinstance(mask, MaskFile):
            own = _mask_size(mask.path)
        if own == size:
            return mask
        if own is None and isinstance(mask, MaskFile) and isinstance(mask.path, Path) and not mask.path.is_file():
            self.report(NO_MASK, where, f"{entry}: {mask.path} is not there; kept without")
            return None
        is_so = "cannot be read" if own is None else f"is {own[1]} × {own[0]} and the image {size[1]} × {size[0]}"
        self.report(problems.WRONG_MASK, where, f"{entry}: the mask {is_so}; kept without")
        return None


def _mask_size(path: Path | Record) -> Size | None:
    """As the file's header says, without turning it upright: masks have no orientation."""
    if isinstance(path, Record):
        return read_size(path)
    try:
        with Image.open(path) as image:
            return image.size[::-1]
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
