"""Annotated images: the one form of ground truth and predictions, whatever file they come from."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco_masks

from jaxloc.data.sources import Record
from jaxloc.errors import UsageError

Box = tuple[float, float, float, float]
"""``x0, y0, x1, y1`` in pixels of the original image, half-open."""


class Pixels(NamedTuple):
    """A mask at the image's own size: bool ``[h, w]``, True = object.

    ``known``, bool ``[h, w]``, is False for undecided pixels, such as a trimap's border; ``None`` means all are known.
    """

    inside: np.ndarray
    known: np.ndarray | None = None


class Rle(NamedTuple):
    """A mask as COCO's compressed run lengths, in pycocotools' encoding."""

    rows: int
    columns: int
    counts: bytes

    @classmethod
    def of(cls, mask: np.ndarray) -> "Rle":
        """Encode a mask, bool ``[h, w]``."""
        rows, columns = mask.shape
        return cls(rows, columns, coco_masks.encode(np.asfortranarray(mask, np.uint8))["counts"])

    def read(self) -> Pixels:
        """Decode the mask; ``ValueError`` if the run lengths do not fill it."""
        return Pixels(coco_masks.decode({"size": [self.rows, self.columns], "counts": self.counts}).astype(bool))


class Polygons(NamedTuple):
    """A mask as the union of outlines, each ``x, y, x, y, …`` in pixels."""

    rows: int
    columns: int
    points: tuple[tuple[float, ...], ...]

    def read(self) -> Pixels:
        """Fill the outlines as pycocotools does."""
        pieces = coco_masks.frPyObjects([list(points) for points in self.points], self.rows, self.columns)
        return Pixels(coco_masks.decode(coco_masks.merge(pieces)).astype(bool))


def outlines(mask: np.ndarray) -> list[tuple[float, ...]]:
    """The outer outlines of a mask's pieces, half way between the middles of pixels inside and outside.

    Pieces that touch at corners are one; holes are left out.
    """
    from skimage.measure import find_contours

    padded = np.pad(mask.astype(np.float32), 1)
    found = []
    for contour in find_contours(padded, 0.5, fully_connected="high", positive_orientation="low"):
        y, x = contour[:-1].T - 0.5
        # Going around what is low on the left, the outer border and the holes turn in opposite directions.
        if np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0:
            found.append(tuple(np.stack([x, y], 1).ravel().tolist()))
    return found


class MaskFile(NamedTuple):
    """A mask in its own image file.

    Attributes:
        path: file or record of an encoded image.
        inside: grey levels or palette indices of the object; empty means all but 0 and ``unknown``.
        unknown: those of undecided pixels.
    """

    path: Path | Record
    inside: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()

    def read(self) -> Pixels:
        """Read the file; raises ``UsageError`` if it is missing or unreadable."""
        try:
            data = self.path.read() if isinstance(self.path, Record) else self.path.read_bytes()
            with Image.open(io.BytesIO(data)) as image:
                values = np.asarray(image if image.mode in ("P", "L", "1", "I;16", "I") else image.convert("L"))
        except UsageError:
            raise
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise UsageError(f"{self.path}: not readable as a mask ({error})") from error
        known = ~np.isin(values, self.unknown)
        inside = np.isin(values, self.inside) if self.inside else (values != 0) & known
        return Pixels(inside, None if known.all() else known)


Mask = Rle | Polygons | MaskFile


class Keypoint(NamedTuple):
    """A named point of an object, in pixels from the left and upper edge; undefined if it is not visible."""

    name: str
    x: float
    y: float
    visible: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """One object of an image.

    Attributes:
        box: around it.
        score: of a prediction; 1 for ground truth.
        difficult: PASCAL's flag for objects that are not evaluated.
        truncated: PASCAL's flag for objects that leave the image.
        crowd: whether the box is around many objects of the class.
        keypoints: its named points.
        parts: names and boxes of its parts.
        probability: of a prediction's class in the image, where a classifier was asked.
        point: ``x, y`` in pixels, where a prediction points; ``None`` means the middle of the box.
    """

    category: str
    box: Box
    score: float = 1.0
    difficult: bool = False
    truncated: bool = False
    crowd: bool = False
    mask: Mask | None = None
    keypoints: tuple[Keypoint, ...] = ()
    parts: tuple[tuple[str, Box], ...] = ()
    probability: float | None = None
    point: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Annotated:
    """One image and its objects.

    Attributes:
        name: relative to the annotation file or folder, with forward slashes.
        category: the image's own class, if it has one.
        annotations: its objects, in the file's order.
        width: in pixels, if known.
        height: likewise.
        noise_score: of a prediction; small if the class is absent.
        splits: parts of a data set that it belongs to (``"train"``, ``"test"``, …).
        path: file or record of the image, if known.
        mask: of all objects together, if the image has one mask.
        listed: classes that it was searched for, each with its noise score, if a file lists the image once for each;
            ``category`` and ``noise_score`` are then ``None``.
        level: how cluttered a checkout image is, if the file says: ``"easy"``, ``"medium"`` or ``"hard"``.
        damaged: classes of the objects left out as damaged, ``""`` for an unknown class. The image may hold them.
        coarse: the kind that the image's own class is of, such as a vehicle's model.
    """

    name: str
    category: str | None = None
    annotations: tuple[Annotation, ...] = ()
    width: int | None = None
    height: int | None = None
    noise_score: float | None = None
    splits: tuple[str, ...] = ()
    path: Path | Record | None = None
    mask: Mask | None = None
    listed: tuple[tuple[str, float | None], ...] = ()
    level: str | None = None
    damaged: tuple[str, ...] = ()
    coarse: str | None = None

    @property
    def boxes(self) -> Mapping[str, Sequence[tuple[float, float, float, float, float]]]:
        """For each class, ``x0, y0, x1, y1, score`` of its objects without crowds."""
        found: dict[str, list[tuple[float, float, float, float, float]]] = {}
        for one in self.annotations:
            if not one.crowd:
                found.setdefault(one.category, []).append((*one.box, one.score))
        return found

    @property
    def categories(self) -> list[str]:
        """The image's own class, or those it is listed for; else the classes of its objects."""
        if self.listed:
            return [category for category, _ in self.listed]
        return [self.category] if self.category is not None else sorted(self.boxes)

    @property
    def labels(self) -> set[str]:
        """The image's own class and those of its objects that are not flagged difficult."""
        known = {one.category for one in self.annotations if not one.difficult}
        return known if self.category is None else known | {self.category}

    def noise_of(self, category: str) -> float | None:
        """Noise score of the prediction for a class."""
        return dict(self.listed).get(category) if self.listed else self.noise_score
