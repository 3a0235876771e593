"""What is known of an image, whatever file said it: the one form of ground truth and of predictions."""

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
    """A mask at the image's own size.

    Attributes:
        inside: bool ``[h, w]``, True = object.
        known: bool ``[h, w]``, False where nobody says what it is (a trimap's border); ``None`` means all are known.
    """

    inside: np.ndarray
    known: np.ndarray | None = None


class Rle(NamedTuple):
    """A mask as COCO's compressed run lengths.

    Attributes:
        rows: of the mask.
        columns: of the mask.
        counts: as pycocotools writes them.
    """

    rows: int
    columns: int
    counts: bytes

    @classmethod
    def of(cls, mask: np.ndarray) -> "Rle":
        """Encode a mask, bool ``[h, w]``."""
        rows, columns = mask.shape
        return cls(rows, columns, coco_masks.encode(np.asfortranarray(mask, np.uint8))["counts"])

    def read(self) -> Pixels:
        """Decode the mask.

        Raises:
            ValueError: the run lengths do not fill the mask.
        """
        return Pixels(coco_masks.decode({"size": [self.rows, self.columns], "counts": self.counts}).astype(bool))


class Polygons(NamedTuple):
    """A mask as outlines.

    Attributes:
        rows: of the image.
        columns: of the image.
        points: each outline as ``x, y, x, y, …`` in pixels; the mask is their union.
    """

    rows: int
    columns: int
    points: tuple[tuple[float, ...], ...]

    def read(self) -> Pixels:
        """Fill the outlines as pycocotools does."""
        pieces = coco_masks.frPyObjects([list(points) for points in self.points], self.rows, self.columns)
        return Pixels(coco_masks.decode(coco_masks.merge(pieces)).astype(bool))


class MaskFile(NamedTuple):
    """A mask in an image file of its own.

    Attributes:
        path: a file that Pillow reads, or a record that holds one.
        inside: grey levels or palette numbers that are object; empty means any but 0 and ``unknown``.
        unknown: those that are neither object nor background.
    """

    path: Path | Record
    inside: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()

    def read(self) -> Pixels:
        """Read the file.

        Raises:
            UsageError: it is missing or unreadable.
        """
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
    """A named point of an object.

    Attributes:
        name: such as ``"beak"``.
        x: in pixels from the image's left edge.
        y: in pixels from its upper edge.
        visible: False where it is hidden; ``x`` and ``y`` then mean nothing.
    """

    name: str
    x: float
    y: float
    visible: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """One object of an image.

    Attributes:
        category: its class.
        box: around it.
        score: of a prediction; 1 for ground truth.
        difficult: PASCAL's flag for objects that do not count.
        truncated: PASCAL's flag for objects that leave the image.
        crowd: the box holds many objects of the class together; it is no object of its own.
        mask: its pixels, where known.
        keypoints: its named points, where known.
        parts: boxes of its parts by name, where known.
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


@dataclasses.dataclass(frozen=True, slots=True)
class Annotated:
    """One image and its objects.

    Attributes:
        name: relative to the file or folder that says it, with forward slashes.
        category: the image's own class, where it has one; else ``None``.
        annotations: its objects, in the file's order.
        width: of the image in pixels, where known.
        height: likewise.
        noise_score: of a prediction: small where the class is absent.
        splits: the parts of a data set it belongs to (``"train"``, ``"test"``, …).
        path: where the image is read from, where known.
        mask: of all that is object, where the image has one mask and not one for each object.
        listed: the classes it was looked at for, each with its noise score, where a file lists it once for each of
            several; ``category`` and ``noise_score`` are then ``None``.
        damaged: the classes of objects that were left out because their entries are damaged; ``""`` for those whose
            class is not known either. Nobody can say that the image lacks them.
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
    damaged: tuple[str, ...] = ()

    @property
    def boxes(self) -> Mapping[str, Sequence[tuple[float, float, float, float, float]]]:
        """For each class, ``x0, y0, x1, y1, score`` of its objects; crowds are left out."""
        found: dict[str, list[tuple[float, float, float, float, float]]] = {}
        for one in self.annotations:
            if not one.crowd:
                found.setdefault(one.category, []).append((*one.box, one.score))
        return found

    @property
    def categories(self) -> list[str]:
        """The image's own class, or those it is listed for; without any, every class it has objects of."""
        if self.listed:
            return [category for category, _ in self.listed]
        return [self.category] if self.category is not None else sorted(self.boxes)

    def noise_of(self, category: str) -> float | None:
        """The noise score of a prediction of this class."""
        return dict(self.listed).get(category) if self.listed else self.noise_score
