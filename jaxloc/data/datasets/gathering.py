"""Images of a data set as its adapter finds them, each checked against its annotations."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.problems import Problem, fit_box, summarize
from jaxloc.data.annotations.records import Annotated, Annotation, Box, Keypoint, Mask, MaskFile, Polygons, Rle
from jaxloc.data.datasets.records import Dataset, Info, LazyImages, Query
from jaxloc.data.images import read_size
from jaxloc.data.sources import Record, escaped
from jaxloc.errors import UsageError

NO_ANNOTATION = "image without its annotation"
NO_BOX_LEFT = "image none of whose boxes can be used"
POINT_OUTSIDE = "point outside the image"
NO_MASK = "missing mask"
NO_JUDGED = "judged image that is not there"

Size = tuple[int, int]
"""Rows and columns."""


class Gathering:
    """Collects the images of a data set, and the disagreements in it.

    Dropped are images that are missing, unreadable, listed a second time or without any usable box; boxes without area
    in the image; masks of another size. Boxes are clipped to the image, points outside it become hidden, and the
    image's own size replaces a wrong one.

    ``wanted`` are the splits to keep; empty means all.

    Attributes:
        place: what names are relative to; set by ``find_root`` or by the adapter.
        images: found so far, by name; an adapter may set them to be read on access.
    """

    def __init__(self, info: Info, root: str, wanted: Sequence[str]) -> None:
        self.info, self.root, self.wanted = info, root, tuple(wanted)
        self.place = root
        self.images: dict[str, Annotated] | LazyImages = {}
        self.queries: list[Query] = []
        self.problems: list[Problem] = []
        self._splits: set[str] = set()
        self._names: set[str] = set()

    def find_root(self, *markers: str, below: Sequence[str] = ()) -> Path:
        """Folder that holds one of the markers: the root, or one of the usual folders below it."""
        if not os.path.isdir(self.root):
            raise self.error("no such folder")
        for folder in (Path(self.root), *(Path(self.root, inner) for inner in below)):
            if any((folder / marker).exists() for marker in markers):
                root = Path(os.path.abspath(folder))
                self.place = root.as_posix()
                return root
        raise self.error(f"holds no {markers[0]}: {self.expected}, and point at its top")

    @property
    def expected(self) -> str:
        """Where the expected layout is described."""
        return f"see `jaxloc datasets {self.info.name}` for the layout expected"

    def error(self, what: str) -> UsageError:
        """Error that names the data set and its root."""
        return UsageError(f"{self.info.name}:{self.root}: {what}")

    def report(self, kind: str, where: object, what: str) -> None:
        """Add a problem: its kind, the file, the entry and what was done."""
        self.problems.append(Problem(kind, str(where), what))

    def wants(self, splits: Iterable[str]) -> bool:
        """Whether images of these splits are kept; the splits are recorded as existing."""
        splits = set(splits)
        self._splits |= splits
        return not self.wanted or not splits.isdisjoint(self.wanted)

    def add(self, image: Annotated, *, where: object, size: Size | None = None) -> None:
        """Check one image and keep what is right about it.

        ``size`` is rows and columns of the image, if it was read already.
        """
        if not self.wants(image.splits):
            return
        if image.name in self._names:
            self.report(problems.DUPLICATE, where, f"{image.name} is listed again; the first counts")
            return
        self._names.add(image.name)
        checked = self.checked(image, where=where, size=size)
        if checked is not None and isinstance(self.images, dict):
            self.images[image.name] = checked

    def checked(self, image: Annotated, *, where: object, size: Size | None = None) -> Annotated | None:
        """What is right about an image, or ``None``; arguments as for ``add``."""
        if escaped(image.name) != image.name:
            what = f"{escaped(image.name)}: its name is not UTF-8: rename it; left out"
            self.report(problems.UNREADABLE, where, what)
            return None
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
        fitted = [(one.category, self._annotation(one, size, image.name, where)) for one in image.annotations]
        annotations = tuple(one for _, one in fitted if one is not None)
        damaged = sorted({*image.damaged, *(category for category, one in fitted if one is None)})
        if image.annotations and not annotations:
            self.report(NO_BOX_LEFT, where, f"{image.name}; left out")
            return None
        mask = self._mask(image.mask, size, image.name, where)
        return dataclasses.replace(
            image, annotations=annotations, mask=mask, height=rows, width=columns, damaged=tuple(damaged)
        )

    def add_query(
        self, name: str, image: Annotated, box: Box, judged: Mapping[str, Iterable[str]], where: object
    ) -> bool:
        """Add a query, with names of known images by judgement; return whether its box is inside its image."""
        fitted = self._fit(box, (image.height or 0, image.width or 0), f"query {name}", where)
        if fitted is not None:
            self.queries.append(Query(name, image.name, fitted, {kind: tuple(names) for kind, names in judged.items()}))
        return fitted is not None

    def finish(self) -> Dataset:
        """The data set; raises ``UsageError`` if a wanted split does not exist, or no image is left."""
        self.check_splits()
        if not self.images:
            why = "; ".join(summarize(self.problems)) or "none is there"
            raise self.error(f"no image can be used ({why}): {self.expected}")
        return Dataset(self.info, self.place, self.images, tuple(self.queries), self.problems)

    def check_splits(self) -> None:
        """Raise ``UsageError`` for a wanted split that does not exist."""
        for split in self.wanted:
            if split not in self._splits:
                known = ", ".join(sorted(self._splits)) or "none"
                raise UsageError(f"{self.info.name}/{split}:{self.root}: no such split; there are {known}")

    def _fit(self, box: Box, size: Size, entry: str, where: object) -> Box | None:
        return fit_box(box, size[::-1], entry, str(where), self.problems)

    def _annotation(self, one: Annotation, size: Size, name: str, where: object) -> Annotation | None:
        entry = f"{name}: {one.category}"
        box = self._fit(one.box, size, entry, where)
        if box is None:
            return None
        fitted = ((part, self._fit(place, size, f"{entry}'s {part}", where)) for part, place in one.parts)
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
        wrong = "cannot be read" if own is None else f"is {own[1]} × {own[0]} and the image {size[1]} × {size[0]}"
        self.report(problems.WRONG_MASK, where, f"{entry}: the mask {wrong}; kept without")
        return None


def _mask_size(path: Path | Record) -> Size | None:
    """Size in the file's header; masks have no EXIF orientation."""
    if isinstance(path, Record):
        return read_size(path)
    try:
        with Image.open(path) as image:
            return image.size[::-1]
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
